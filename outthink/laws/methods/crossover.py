"""[140] Does the better method at small scale stay better? Where two fitted laws cross, with what probability, and when nothing can be said.

Both laws are refitted to the same draws of the runs (paired, since methods that share sizes, seeds or data order share their noise); every
replicate gives two curves over compute and the place where they cross, if they do. Two straight lines in log-log always cross somewhere, so fit
laws with a floor, and ask only as far beyond the data as the verdict is meant for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from outthink.core.errors import UsageError
from outthink.laws.bootstrap import bootstrap, percentiles
from outthink.laws.fit import Fit
from outthink.stats._arrays import FloatArray

Verdict = Literal["first", "second", "crossover", "undecided"]

_POINTS = 400


@dataclass(frozen=True)
class Crossover:
    """Which of two methods is better, up to a horizon.

    Args:
        verdict: the first or the second everywhere from the smallest run to the horizon, a crossover between them, or undecided.
        place: resource at which the laws cross; nan if they do not before the horizon.
        interval: of the place over the replicates that cross.
        crosses: probability of a crossing between the smallest run and the horizon.
        first_ahead: probability that the first is better at the horizon (lower loss).
        horizon: resource up to which was asked.
        replicates: pairs of refits that reached an optimum.
    """

    verdict: Verdict
    place: float
    interval: tuple[float, float]
    crosses: float
    first_ahead: float
    horizon: float
    replicates: int


def crossover(
    first: Fit, second: Fit, *, decades: float = 2.0, cluster: str | None = None, replicates: int = 1000, level: float = 0.95, seed: int = 0
) -> Crossover:
    """Compare two methods by their laws of one resource.

    Args:
        first, second: fits of a law of one variable, on tables with as many rows in the same order of runs; losses, so lower is better.
        decades: how far beyond the largest run is asked, in powers of ten.
        cluster: a column that both tables have, whose rows are drawn together.
        replicates: paired refits.
        level: how sure a verdict must be.
        seed: of the draws.

    Raises:
        UsageError: the laws have more than one variable, or the tables do not pair.
    """
    for fit in (first, second):
        if len(fit.form.variables) != 1:
            raise UsageError(f"a crossover is sought along one resource; law {fit.form.name!r} has {len(fit.form.variables)} variables")
    if first.rows != second.rows:
        raise UsageError(f"paired runs are compared: the first table has {first.rows} rows and the second {second.rows}; give both the same runs")
    ends = [fit.domain[fit.form.variables[0].name] for fit in (first, second)]
    low, high = max(end[0] for end in ends), max(end[1] for end in ends) * 10.0**decades
    grid = np.geomspace(low, high, _POINTS)
    draws = [bootstrap(fit, replicates=replicates, cluster=cluster, seed=seed) for fit in (first, second)]
    both = draws[0].kept & draws[1].kept
    curves = [draw.predict(grid)[both[draw.kept]] for draw in draws]
    gaps = curves[0] - curves[1]  # (pairs, points), below 0 where the first is better
    places = _places(np.log(grid), gaps)
    crossing = np.isfinite(places)
    ahead = gaps[:, -1] < 0.0
    crosses = float(crossing.mean())
    known = np.exp(places[crossing])
    interval = percentiles(known, level) if len(known) > 1 else (math.nan, math.nan)
    at = _places(np.log(grid), (first.predict(grid) - second.predict(grid))[None])[0]
    verdict: Verdict = "undecided"
    if crosses >= level:
        verdict = "crossover"
    elif float((~crossing & ahead).mean()) >= level:
        verdict = "first"
    elif float((~crossing & ~ahead).mean()) >= level:
        verdict = "second"
    return Crossover(verdict, float(np.exp(at)), interval, crosses, float(ahead.mean()), high, len(gaps))


def _places(x: FloatArray, gaps: FloatArray) -> FloatArray:
    """(pairs,) log resource at which each gap (pairs, points) last changes sign, nan where it never does."""
    turned = np.signbit(gaps[:, 1:]) != np.signbit(gaps[:, :-1])
    some = turned.any(axis=1)
    last = turned.shape[1] - 1 - np.argmax(turned[:, ::-1], axis=1)
    rows = np.arange(len(gaps))
    before, after = gaps[rows, last], gaps[rows, last + 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        place = x[last] + (x[last + 1] - x[last]) * before / (before - after)
    return np.where(some, place, np.nan)
