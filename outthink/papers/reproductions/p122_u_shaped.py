"""[122] Inverse scaling can become U-shaped: a distractor is learnt at a middle size, the task itself at a large one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from outthink.laws.methods.trend import Shape, trend
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.stats.intervals import wilson_interval

_SIZES = np.logspace(8, 12, 9)
_DISTRACTED, _UNDERSTOOD = 10.0, 11.4  # log10 sizes at which the two are half learnt
_ITEMS, _TRIALS = 500, 200
_DATA = "accuracy .55 falls by .3 where the distractor is learnt (10^10) and rises to .85 where the task is (10^11.4)"


def _accuracy(size: NDArray[np.float64]) -> NDArray[np.float64]:
    def learnt(place: float) -> NDArray[np.float64]:
        return 1.0 / (1.0 + np.exp(-6.0 * (np.log10(size) - place)))

    return 0.55 - 0.30 * learnt(_DISTRACTED) + 0.60 * learnt(_UNDERSTOOD)


def _called(rng: np.random.Generator, sizes: NDArray[np.float64]) -> Shape:
    scores = (rng.random((len(sizes), _ITEMS)) < _accuracy(sizes)[:, None]).astype(np.float64)
    return trend(sizes, scores, draws=1).shape


@reproduction(paper=122, kind="simulated")
def turning_point() -> Iterator[Measured]:
    """The verdict changes from inverse to U exactly when sizes beyond the second threshold are added."""
    for largest, shape in ((6, "falling"), (9, "U")):
        rng = np.random.default_rng(122)  # the thresholds were set on other draws
        sizes = _SIZES[:largest]
        right = sum(_called(rng, sizes) == shape for _ in range(_TRIALS))
        low, high = wilson_interval(right, _TRIALS)
        yield Measured.at_least(
            f"sizes up to {sizes[-1]:.0e}: curves called {shape}", value=right / _TRIALS, interval=(float(low), float(high)), bound=0.9, seed=122,
            data=_DATA, size=f"{_TRIALS} curves of {_ITEMS} items", not_covered="the eleven tasks at 540B, whose results are not published",
        )  # fmt: skip


@reproduction(paper=122, kind="simulated")
def plateau() -> Iterator[Measured]:
    """A fall that ends in a plateau is no U, though a quadratic has its minimum inside the sizes."""
    sizes, rng = _SIZES[:7], np.random.default_rng(123)
    curve = np.where(sizes < 5e9, 0.7 - 0.2 * (np.log10(sizes) - 8.0) / 1.7, 0.5)
    calls, quadratics = [], 0
    for _ in range(_TRIALS):
        scores = (rng.random((len(sizes), _ITEMS)) < curve[:, None]).astype(np.float64)
        calls.append(trend(sizes, scores, draws=1).shape)
        x = np.log10(sizes)
        a, b, _c = np.polyfit(x, scores.mean(axis=1), 2)
        quadratics += bool(a > 0 and x[0] < -b / (2 * a) < x[-1])
    wrong = calls.count("U")
    low, high = wilson_interval(wrong, _TRIALS)
    said = "accuracy .7 falling to .5 at 5e9 and flat from there, seven sizes"
    yield Measured.at_most(
        "plateaus that two lines call a U", value=wrong / _TRIALS, interval=(float(low), float(high)), bound=0.05, seed=123, data=said,
        size=f"{_TRIALS} curves of {_ITEMS} items",
    )  # fmt: skip
    yield Measured.at_least(
        "plateaus in which a quadratic turns upwards inside the sizes", value=quadratics / _TRIALS, bound=0.5, seed=123, data=said,
        size=f"{_TRIALS} curves of {_ITEMS} items",
    )  # fmt: skip
