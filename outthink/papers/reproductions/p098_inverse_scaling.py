"""[98] Inverse scaling: more is not always better, and whether it is not must be told from noise."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from outthink.core import data
from outthink.laws.methods.trend import SHAPES, Shape, trend
from outthink.laws.table import read_table
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.stats.intervals import wilson_interval

_SET = "laws/inverse-scaling-early"
_SIZES = np.array([1e8, 4e8, 1.5e9, 6e9, 2.4e10, 1e11])
_CURVES: dict[Shape, tuple[float, ...]] = {  # accuracy at the six sizes
    "rising": (0.40, 0.44, 0.50, 0.56, 0.61, 0.64),
    "falling": (0.64, 0.61, 0.56, 0.50, 0.44, 0.40),
    "U": (0.60, 0.52, 0.44, 0.42, 0.52, 0.66),
    "inverted U": (0.40, 0.50, 0.58, 0.60, 0.50, 0.38),
    "flat": (0.50, 0.50, 0.50, 0.50, 0.50, 0.50),
}
_ITEMS, _TRIALS = 500, 200


def _scores(rng: np.random.Generator, curve: NDArray[np.float64]) -> NDArray[np.float64]:
    # an item is as hard for one model as for another: a common threshold decides, with a quarter of the answers on their own
    common, own = rng.random(_ITEMS), rng.random((len(curve), _ITEMS))
    alone = rng.random((len(curve), _ITEMS)) < 0.25
    return (np.where(alone, own, common) < curve[:, None]).astype(np.float64)


@reproduction(paper=98, kind="simulated")
def shapes() -> Iterator[Measured]:
    """The classifier names the shape of a curve of six sizes and 500 items, flat ones included."""
    rng = np.random.default_rng(98)  # the thresholds were set on other draws
    for shape in SHAPES:
        curve = np.array(_CURVES[shape])
        right = sum(trend(_SIZES, _scores(rng, curve), draws=1).shape == shape for _ in range(_TRIALS))
        low, high = wilson_interval(right, _TRIALS)
        yield Measured.at_least(
            f"{shape} curves that are called {shape}", value=right / _TRIALS, interval=(float(low), float(high)), bound=0.9, seed=98,
            data="six sizes, 500 items, accuracies of .38 to .66", size=f"{_TRIALS} curves",
        )  # fmt: skip
    sure = trend(_SIZES, _scores(rng, np.array(_CURVES["U"])), draws=400)
    yield Measured.within("probabilities of the shapes: sum", value=sum(sure.probabilities.values()), target=1.0, tolerance=1e-12)


@reproduction(paper=98, kind="recorded", fast=True, needs=(f"data:{_SET}/runs.csv",))
def pilot_runs() -> Iterator[Measured]:
    """In the pilot runs the conjunction fallacy turns against the largest model while plain prediction gets better."""
    (path,) = data.find(_SET, "runs.csv")
    runs = read_table(path)

    def value(run: str, model: str, column: str) -> float:
        row = runs.where((runs.label("run") == run) & (runs.label("model") == model))
        return float(row.column(column)[0])

    fallacy = "conjunction-fallacy-0shot-gpt3"
    for model, accuracy in (("ada", 0.493), ("babbage", 0.506), ("curie", 0.525), ("davinci", 0.290)):
        yield Measured.within(
            f"conjunction fallacy, {model}: accuracy", value=value(fallacy, model, "mean_correct"), target=accuracy, tolerance=5e-4,
            data="Inverse Scaling Prize, pilot runs", size="1000 items",
        )  # fmt: skip
    drop = value(fallacy, "davinci", "mean_correct") - value(fallacy, "curie", "mean_correct")
    error = float(np.hypot(value(fallacy, "davinci", "sem_correct"), value(fallacy, "curie", "sem_correct")))
    yield Measured.below(
        "the largest model less the second: accuracy, with its 95% interval", value=drop, bound=-0.1,
        interval=(drop - 1.96 * error, drop + 1.96 * error), data="Inverse Scaling Prize, pilot runs", size="1000 items",
        not_covered="per-item results, so the error is that of unpaired items",
    )  # fmt: skip
    smaller = [value(fallacy, model, "mean_correct") for model in ("ada", "babbage", "curie")]
    yield Measured.above(
        "the three smaller ones rise: least step", value=min(b - a for a, b in pairwise(smaller)), bound=0.0,
        data="Inverse Scaling Prize, pilot runs", size="1000 items", not_covered="each step is within noise: the rise alone would be called flat",
    )  # fmt: skip
    losses = [value("lambada_combined", model, "mean_loss") for model in ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")]
    for model, loss, published in (("gpt2", losses[0], 3.69), ("gpt2-xl", losses[-1], 2.36)):
        yield Measured.within(
            f"LAMBADA, {model}: loss in nats",
            value=loss,
            target=published,
            tolerance=0.005,
            data="Inverse Scaling Prize, pilot runs",
            size="5153 items",
        )
    yield Measured.below(
        "LAMBADA falls with size: largest step", value=max(b - a for a, b in pairwise(losses)), bound=0.0,
        data="Inverse Scaling Prize, pilot runs", size="5153 items",
    )  # fmt: skip
