"""Several laws on one table: how well each fits, what it costs in parameters, and which predicts unseen larger runs, if the data can tell.

In-sample numbers are shown and decide nothing: more parameters always fit better. The verdict comes from held-out squared errors, paired by row
and taken by run: a law counts as worse than the one with the smallest error if flipping the signs of the runs' differences says so (p at most 5%),
their bootstrap interval lies above 0, and the difference is at least 1% of that error (two laws that coincide differ by rounding alone). Both are
over held-out runs, given the fits: they say which fitted law predicts such runs better. With several rivals each is held to 5% over their number
(Bonferroni), so that the chance of one false claim stays at 5%. The interval alone would not keep it: on two laws that are equally good it lies
above 0 in 19% of comparisons over 5 runs, 13% over 10.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outthink.core.errors import UsageError
from outthink.laws.extrapolation import Extrapolation, How, extrapolate
from outthink.laws.fit import Fit, fit
from outthink.laws.form import Form, form
from outthink.laws.objective import Objective
from outthink.laws.prepare import objective_of, order_of
from outthink.laws.table import Table
from outthink.stats import bootstrap_mean, sign_flip
from outthink.stats._arrays import FloatArray

FEWEST = 6
"""Runs held out below which no difference is called: the sign flips of 5 give no p-value below 1/16."""


NEGLIGIBLE = 0.01
"""Share of the best law's mean squared error below which a difference is none."""


@dataclass(frozen=True)
class Compared:
    """One law of a comparison.

    Args:
        fit: on all rows.
        extrapolation: on held-out ones.
        aic, bic: of Gaussian (squared) or Laplace (absolute) residuals on the objective's scale; None for Huber, which is no likelihood without a
            scale of its own, and where several rows belong to one run, whose number is then not the sample size.
        difference, low, high: mean squared held-out error less that of the best law, and its interval; None for the best itself.
        p: sign-flip p-value of that difference over runs; None for the best itself.
        verdict: `best`, `worse` or `undecided`.
    """

    fit: Fit
    extrapolation: Extrapolation
    aic: float | None
    bic: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """Laws from the smallest held-out error to the largest, and what may be said."""

    rows: tuple[Compared, ...]
    clusters: int
    verdict: str

    def to_json(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "verdict": self.verdict, "held_out_runs": self.clusters,
            "laws": [
                {"law": r.fit.form.name, "parameters": len(r.fit.free), "objective": r.fit.value, "residual_sd": r.fit.residual_sd, "aic": r.aic,
                 "bic": r.bic, "held_out": r.extrapolation.to_json(), "difference": r.difference, "low": r.low, "high": r.high, "p": r.p,
                 "verdict": r.verdict,
                 "flags": [flag.text for flag in r.fit.flags]} for r in self.rows
            ],
        }  # fmt: skip


def compare(
    laws: Sequence[str | type | Form], table: Table, *, how: How = "ordered", order: str | None = None, group: str | None = None,
    cluster: str | None = None, objective: Objective | None = None, weights: str | None = None, draws: int = 10_000, seed: int = 0,
) -> Comparison:  # fmt: skip
    """Compare laws that predict the same target.

    Args:
        laws: at least two, by name, class or form.
        table: with the variables of all of them.
        how, order, group: of the held-out rows, as in `extrapolate`.
        cluster: column that names the run of a row; rows of one run are held out and resampled together. None takes each row as its own run.
        objective: one for all, since objectives of different scales cannot be held against each other; that of the first law if None.
        weights: as in `fit`.
        draws: of the paired bootstrap.
        seed: of fits and bootstrap.

    Raises:
        UsageError: fewer than two laws, one twice, or laws of different targets; and what `fit` and `extrapolate` raise.
    """
    known = [law if isinstance(law, Form) else form(law) for law in laws]
    names = [one.name for one in known]
    if len(known) < 2 or len(set(names)) < len(names):
        raise UsageError(f"a comparison needs two different laws or more, got {', '.join(names) or 'none'}")
    if other := next((one for one in known if one.target.name != known[0].target.name), None):
        raise UsageError(f"{names[0]!r} predicts {known[0].target.name} and {other.name!r} {other.target.name}: they cannot be compared on one table")
    chosen = objective or objective_of(known[0])
    fits = [fit(one, table, objective=chosen, weights=weights, seed=seed) for one in known]
    # one order for all, or laws of different variables would hold out different rows
    widest = max(known, key=lambda one: len(one.variables))
    at = _ordering(widest, table, order)
    held = [extrapolate(one, at, how=how, order=_ORDER, group=group, cluster=cluster, objective=chosen, weights=weights, seed=seed) for one in known]
    if len({tuple(fold.failed != "" for fold in one.folds) for one in held}) > 1:
        told = next(fold.failed for one in held for fold in one.folds if fold.failed)
        raise UsageError(f"not every law can be fitted below every cut, so that no pair is comparable: {told}")
    runs = _runs(at, held[0], cluster)
    repeated = cluster is not None and np.unique(table.label(cluster)).size < len(table)
    best = int(np.argmin([one.error() for one in held]))
    rivals = len(known) - 1
    rows = []
    for index, (fitted, unseen) in enumerate(zip(fits, held, strict=True)):
        aic, bic = (None, None) if repeated else information(fitted)
        gap = _by_run(_squares(unseen) - _squares(held[best]), runs)
        against = (None, None, None, None, "best") if index == best else judged(gap, held[best].error() ** 2, rivals, draws=draws, seed=seed)
        rows.append(Compared(fitted, unseen, aic, bic, *against))
    rows.sort(key=lambda row: row.extrapolation.error())
    count = int(np.unique(runs).size)
    return Comparison(tuple(rows), count, _verdict(rows, count))


def judged(gap: FloatArray, least: float, rivals: int, *, draws: int, seed: int) -> tuple[float, float | None, float | None, float | None, str]:
    """(difference, low, high, p, verdict) of a law against the best one.

    Args:
        gap: (runs,) mean squared held-out error of each run less that of the best law.
        least: mean squared error of the best law.
        rivals: how many laws are held against it.
        draws, seed: of the bootstrap, and of the sign flips where they are not enumerated.
    """
    difference = float(gap.mean())
    if gap.size < FEWEST:
        return difference, None, None, None, "undecided"
    interval = bootstrap_mean(gap, seed=seed, draws=draws, level=1.0 - 0.05 / rivals)
    p = sign_flip(gap, np.zeros_like(gap), seed=seed, draws=draws)
    told = interval.low > 0.0 and p <= 0.05 / rivals and difference > NEGLIGIBLE * least
    return difference, interval.low, interval.high, p, "worse" if told else "undecided"


def information(fitted: Fit) -> tuple[float | None, float | None]:
    """(AIC, BIC) on the objective's scale, the residuals' spread counted as a parameter; (None, None) where the objective is no likelihood."""
    if fitted.objective.loss == "huber" or fitted.objective.overestimate != 1.0 or fitted.weights:
        return None, None
    residual = fitted.residuals()
    rows, free = residual.size, len(fitted.free) + 1
    if fitted.objective.loss == "squared":
        spread = float(np.mean(residual**2))
        twice = rows * (math.log(2.0 * math.pi * spread) + 1.0) if spread > 0.0 else -math.inf
    else:
        spread = float(np.mean(np.abs(residual)))
        twice = 2.0 * rows * (math.log(2.0 * spread) + 1.0) if spread > 0.0 else -math.inf
    return twice + 2.0 * free, twice + math.log(rows) * free


_ORDER = "order of compute"


def _ordering(widest: Form, table: Table, order: str | None) -> Table:
    return table.with_columns(**{_ORDER: np.exp(order_of(widest, table, order))})


def _runs(table: Table, held: Extrapolation, cluster: str | None) -> NDArray[np.str_]:
    rows = np.concatenate([fold.rows for fold in held.folds if not fold.failed])
    return table.label(cluster)[rows] if cluster else rows.astype(str)


def _squares(held: Extrapolation) -> FloatArray:
    return np.asarray(np.concatenate([fold.law for fold in held.folds]) ** 2)


def _by_run(values: FloatArray, runs: NDArray[np.str_]) -> FloatArray:
    _, place = np.unique(runs, return_inverse=True)
    return np.asarray(np.bincount(place, values) / np.bincount(place))


def _verdict(rows: Sequence[Compared], clusters: int) -> str:
    first, others = rows[0], rows[1:]
    name = first.fit.form.name
    beaten = [row.fit.form.name for row in others if row.verdict == "worse"]
    open_ones = [row.fit.form.name for row in others if row.verdict == "undecided"]
    if clusters < FEWEST:
        said = f"undecided: {clusters} held-out runs are too few to tell laws apart; {name} has the smallest error"
    elif not beaten:
        said = f"undecided: {name} has the smallest held-out error, but no difference is beyond chance"
    else:
        said = f"{name} predicts held-out runs better than {', '.join(beaten)}" + (f"; undecided against {', '.join(open_ones)}" if open_ones else "")
    return said if first.extrapolation.holds else said + "; and not even it beats both baselines (constant, pure power law)"
