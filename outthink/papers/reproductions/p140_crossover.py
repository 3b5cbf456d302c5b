"""[140] Scaling-law crossover: what is better at small scale need not be better at large scale."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from outthink.core import data
from outthink.laws.fit import fit
from outthink.laws.methods.crossover import crossover
from outthink.laws.objective import Objective
from outthink.laws.table import read_table, table_of
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.stats.intervals import wilson_interval

_COMPUTE = np.repeat(np.geomspace(1e17, 1e20, 7), 4)
_PAIRS, _REPLICATES, _NOISE = 60, 200, 0.003
_TUNED = "laws/finetune-rectified"
_SETS = ("flan", "wmt19", "gigaword")


def _pair(rng: np.random.Generator, place: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # the first has the higher floor and is better below `place`, the second above it; two thirds of the noise variance is common
    first = 2.0 + 2e3 * _COMPUTE**-0.21
    coefficient = (2.0 + 2e3 * place**-0.21 - 1.8) * place**0.12
    second = 1.8 + coefficient * _COMPUTE**-0.12
    common, own = rng.standard_normal(len(_COMPUTE)), rng.standard_normal((2, len(_COMPUTE)))
    noise = _NOISE * (np.sqrt(2 / 3) * common + np.sqrt(1 / 3) * own)
    return first * np.exp(noise[0]), second * np.exp(noise[1])


@reproduction(paper=140, kind="simulated")
def known_crossing() -> Iterator[Measured]:
    """Intervals of a crossing one to two decades beyond the data hold the true place as often as they say."""
    objective = Objective(loss="squared")
    for place in (1e21, 1e22):
        rng = np.random.default_rng(0)
        held, sides = [], []
        for number in range(_PAIRS):
            one, other = _pair(rng, place)
            fits = [fit("power-floor", table_of({"x": _COMPUTE, "loss": losses}), objective=objective) for losses in (one, other)]
            found = crossover(fits[0], fits[1], decades=4.0, replicates=_REPLICATES, level=0.9, seed=number)
            held.append(found.interval[0] <= place <= found.interval[1])
            sides.append(found.verdict)
        low, high = wilson_interval(sum(held), _PAIRS)
        said = f"7 budgets of 1e17 to 1e20 FLOPs, 4 seeds, {_NOISE:.1%} noise, crossing at {place:.0e}"
        yield Measured.within(
            f"crossing at {place:.0e}: share of 90% intervals that hold it", value=sum(held) / _PAIRS, interval=(float(low), float(high)), target=0.9,
            tolerance=0.1, data=said, seed=0, size=f"{_PAIRS} pairs of methods, {_REPLICATES} paired refits each",
            not_covered="laws whose form is not known",
        )  # fmt: skip
        yield Measured.at_most(
            f"crossing at {place:.0e}: pairs in which one method is called better throughout",
            value=sum(side in ("first", "second") for side in sides) / _PAIRS, bound=0.1, data=said, seed=0, size=f"{_PAIRS} pairs of methods",
        )  # fmt: skip


@reproduction(paper=140, kind="recorded", fast=True, needs=tuple(f"data:{_TUNED}/{name}.csv" for name in _SETS))
def fine_tuning_pairs() -> Iterator[Measured]:
    """Of pairs of models, a good part that is ordered one way after 200 samples of fine-tuning is ordered the other way after 1.6 million."""
    for name in _SETS:
        (path,) = data.find(_TUNED, f"{name}.csv")
        table = read_table(path)
        few, many = table.column("200"), table.column("1638400")
        upper = np.triu_indices(len(few), 1)
        turned = (np.sign(few[upper[0]] - few[upper[1]]) != np.sign(many[upper[0]] - many[upper[1]])).mean()
        low, high = _jackknife(few, many)
        yield Measured.at_least(
            f"{name}: share of pairs whose order turns",
            value=float(turned),
            interval=(low, high),
            bound=0.1,
            data=name,
            size="435 pairs of 30 models",
        )


def _jackknife(few: NDArray[np.float64], many: NDArray[np.float64]) -> tuple[float, float]:
    # pairs share models, so models are drawn, not pairs
    turned = np.sign(few[:, None] - few[None]) != np.sign(many[:, None] - many[None])
    models = len(few)
    shares = [turned[np.ix_(keep, keep)].sum() / ((models - 1) * (models - 2)) for keep in (np.delete(np.arange(models), i) for i in range(models))]
    error = float(np.sqrt((models - 1) / models * ((np.array(shares) - np.mean(shares)) ** 2).sum()))
    whole = float(turned.sum() / (models * (models - 1)))
    return whole - 1.96 * error, whole + 1.96 * error
