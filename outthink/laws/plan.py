"""Planning a training run with a fitted loss law: how many parameters, tokens, FLOPs and dollars a loss needs, or what a budget reaches.

    C = 6 N D            FLOPs of training, N parameters, D tokens (another count is a factor: `flops_per`)
    loss*(C) = min over N of loss(N, C / (6 N))        at the compute-optimal N, or at D = ratio N where the ratio is fixed

Any law of (parameters, tokens) will do: the minimum is found numerically (`frontier.optimum`; for many budgets at once on nested grids in log N).
A loss at or below the law's floor is unreachable, and said so with the floor. `beyond` is how many times the plan's FLOPs exceed the largest
of the fitted runs. Where there are draws of the law (bootstrap), each number has an interval of the middle 95%, infinite where more than
2.5% of the draws never get there. Test-time plans are in `test_time` and `knockout_plan`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError
from outthink.laws.frontier import optimum
from outthink.stats._arrays import FloatArray

LossLaw = Callable[[ArrayLike, ArrayLike], FloatArray]
"""Loss at (parameters, tokens), raw counts."""

FLOPS_PER = 6.0
"""FLOPs of training for each parameter and token."""

_LEAST, _MOST = 1e9, 1e36
"""FLOPs between which a plan is looked for: beyond them a law says nothing."""


@dataclass(frozen=True)
class Hardware:
    """What FLOPs cost.

    Args:
        dollars_per_hour: of one device.
        flops_per_second: its peak, in the arithmetic used.
        utilisation: share of the peak that training reaches, in (0, 1].
    """

    dollars_per_hour: float
    flops_per_second: float
    utilisation: float = 0.4

    def __post_init__(self) -> None:
        if not (self.dollars_per_hour >= 0.0 and self.flops_per_second > 0.0 and 0.0 < self.utilisation <= 1.0):
            raise UsageError(
                f"hardware needs dollars per hour of 0 or more, FLOPs per second above 0 and a utilisation in (0, 1]; got {self.dollars_per_hour}, "
                f"{self.flops_per_second}, {self.utilisation}"
            )

    def hours(self, flops: float) -> float:
        """Device hours."""
        return flops / (self.flops_per_second * self.utilisation) / 3600.0

    def dollars(self, flops: float) -> float:
        """Their price."""
        return self.hours(flops) * self.dollars_per_hour


@dataclass(frozen=True)
class TrainingPlan:
    """A run. Intervals are 95% over draws of the law, None without draws.

    Args:
        asked: the loss or the budget, in words.
        reachable: whether the law gets there; if not, the numbers are None and `floor` says how far it goes.
        floor: the lowest loss that the law allows (at 1e36 FLOPs, by the same rule for N).
        loss: expected.
        parameters, tokens, flops: of the run.
        loss_interval, flops_interval, parameters_interval: of those.
        beyond: flops / FLOPs of the largest fitted run; None where that is not known.
        hours, dollars: of the hardware; None without one.
    """

    asked: str
    reachable: bool
    floor: float
    loss: float | None
    parameters: float | None
    tokens: float | None
    flops: float | None
    loss_interval: tuple[float, float] | None = None
    flops_interval: tuple[float, float] | None = None
    parameters_interval: tuple[float, float] | None = None
    beyond: float | None = None
    hours: float | None = None
    dollars: float | None = None

    def sentence(self) -> str:
        """The answer in words."""
        if self.parameters is None or self.tokens is None or self.flops is None or self.loss is None:
            return f"{self.asked}: out of reach, the law's floor is {self.floor:.4g}."
        said = f"{self.asked}: {self.parameters:.3g} parameters, {self.tokens:.3g} tokens, {self.flops:.3g} FLOPs, loss {self.loss:.4f}"
        if self.flops_interval is not None:
            said += f"; 95% of FLOPs {self.flops_interval[0]:.3g} to {_or_never(self.flops_interval[1])}"
        if self.loss_interval is not None:
            said += f"; 95% of loss {self.loss_interval[0]:.4f} to {self.loss_interval[1]:.4f}"
        if self.hours is not None:
            said += f"; {self.hours:,.0f} device hours, ${self.dollars:,.0f}"
        if self.beyond is not None and self.beyond > 1.0:
            said += f"; {self.beyond:,.1f} times the compute of the largest fitted run"
        return said + "."


def plan_loss(
    law: LossLaw, loss: float, *, tokens_per_parameter: float | None = None, flops_per: float = FLOPS_PER, largest: float | None = None,
    hardware: Hardware | None = None, draws: Sequence[LossLaw] = (),
) -> TrainingPlan:  # fmt: skip
    """The least compute at which the law gives a loss.

    Args:
        law: fitted, of (parameters, tokens).
        loss: in the law's unit, above 0.
        tokens_per_parameter: fixes D / N, as for a model that will serve much; None for the compute-optimal split.
        flops_per: FLOPs for each parameter and token.
        largest: FLOPs of the largest fitted run.
        hardware: for hours and dollars.
        draws: other laws that the data allow, such as those of a bootstrap.

    Raises:
        UsageError: a loss that is not above 0, or a law whose loss rises with compute.
    """
    if not loss > 0.0:
        raise UsageError(f"the loss to plan for must be above 0, got {loss}")
    floor = float(_along(law, np.array([_MOST]), tokens_per_parameter, flops_per)[0][0])
    needed = _needed(law, loss, tokens_per_parameter, flops_per)
    if needed is None:
        return TrainingPlan(f"loss {loss:g}", False, floor, None, None, None, None)
    plan = _planned(f"loss {loss:g}", law, needed, floor, tokens_per_parameter, flops_per, largest, hardware)
    if not draws:
        return plan
    flops = [_needed(draw, loss, tokens_per_parameter, flops_per) for draw in draws]
    sizes = [math.inf if c is None else _at(draw, c, tokens_per_parameter, flops_per)[1] for draw, c in zip(draws, flops, strict=True)]
    reach = [math.inf if c is None else c for c in flops]
    return dataclasses.replace(plan, flops_interval=_middle(reach), parameters_interval=_middle(sizes))


def plan_budget(
    law: LossLaw, *, flops: float | None = None, dollars: float | None = None, tokens_per_parameter: float | None = None,
    flops_per: float = FLOPS_PER, largest: float | None = None, hardware: Hardware | None = None, draws: Sequence[LossLaw] = (),
) -> TrainingPlan:  # fmt: skip
    """The lowest loss that a budget reaches, given as FLOPs or as dollars on some hardware. Other arguments as in `plan_loss`.

    Raises:
        UsageError: not exactly one of flops and dollars, or dollars without hardware that has a price.
    """
    if (flops is None) == (dollars is None):
        raise UsageError("give the budget as flops or as dollars, one of them")
    if flops is None:
        if hardware is None or not hardware.dollars_per_hour > 0.0:
            raise UsageError("a budget in dollars needs hardware with a price per hour")
        flops = float(dollars or 0.0) / hardware.dollars(1.0)
    if not _LEAST <= flops <= _MOST:
        raise UsageError(f"the budget must lie between {_LEAST:.0e} and {_MOST:.0e} FLOPs, got {flops:g}")
    floor = float(_along(law, np.array([_MOST]), tokens_per_parameter, flops_per)[0][0])
    asked = f"{flops:.3g} FLOPs" if dollars is None else f"${dollars:,.0f}"
    plan = _planned(asked, law, flops, floor, tokens_per_parameter, flops_per, largest, hardware)
    if not draws:
        return plan
    there = [_at(draw, flops, tokens_per_parameter, flops_per) for draw in draws]
    losses, sizes = ([values[part] for values in there] for part in (0, 1))
    return dataclasses.replace(plan, loss_interval=_middle(losses), parameters_interval=_middle(sizes))


def _along(law: LossLaw, flops: FloatArray, ratio: float | None, flops_per: float) -> tuple[FloatArray, FloatArray]:
    """(loss, parameters) of the best run at each compute, (points,) each."""
    product = flops / flops_per  # N D
    if ratio is not None:
        if not ratio > 0.0:
            raise UsageError(f"tokens per parameter must be above 0, got {ratio}")
        size = np.sqrt(product / ratio)
        return np.asarray(law(size, product / size)), size
    low, high = np.zeros_like(product), np.log(product)  # from one parameter to one token
    rows = np.arange(product.size)
    for _ in range(5):  # each grid is 20 times finer: the last one resolves log N to 1e-6
        sizes = np.exp(low + (high - low) * np.linspace(0.0, 1.0, 41)[:, None])  # (41, points)
        losses = np.asarray(law(sizes.ravel(), (product / sizes).ravel())).reshape(sizes.shape)
        best = losses.argmin(axis=0)
        low, high = np.log(sizes[np.maximum(best - 1, 0), rows]), np.log(sizes[np.minimum(best + 1, 40), rows])
    return losses[best, rows], sizes[best, rows]


def _needed(law: LossLaw, loss: float, ratio: float | None, flops_per: float) -> float | None:
    """The least FLOPs, to 1e-9, at which the best run is at or below a loss; None if there are none."""
    low, high = math.log(_LEAST), math.log(_MOST)
    ends = _along(law, np.array([_LEAST, _MOST]), ratio, flops_per)[0]
    if not ends[1] < ends[0]:
        said = f"{ends[0]:.4g} at {_LEAST:.0e} FLOPs, {ends[1]:.4g} at {_MOST:.0e}"
        raise UsageError(f"the law's loss does not fall with compute ({said}); check its fit")
    if ends[1] > loss:
        return None
    if ends[0] <= loss:
        return _LEAST
    while high - low > 1e-9:
        grid = np.linspace(low, high, 33)
        reached = np.flatnonzero(_along(law, np.exp(grid), ratio, flops_per)[0] <= loss)
        first = int(reached[0]) if reached.size else 32
        low, high = float(grid[max(first - 1, 0)]), float(grid[first])
    return math.exp(high)


def _at(law: LossLaw, flops: float, ratio: float | None, flops_per: float) -> tuple[float, float]:
    loss, size = _along(law, np.array([flops]), ratio, flops_per)
    return float(loss[0]), float(size[0])


def _planned(
    asked: str, law: LossLaw, flops: float, floor: float, ratio: float | None, flops_per: float, largest: float | None, hardware: Hardware | None
) -> TrainingPlan:
    if ratio is None:
        best = optimum(law, flops, flops_per=flops_per)  # refuses a law that has no optimum inside
        loss, size = best.loss, best.parameters
    else:
        loss, size = _at(law, flops, ratio, flops_per)
    return TrainingPlan(
        asked, True, floor, loss, size, flops / flops_per / size, flops, beyond=None if largest is None else flops / largest,
        hours=None if hardware is None else hardware.hours(flops), dollars=None if hardware is None else hardware.dollars(flops),
    )  # fmt: skip


def _middle(values: Sequence[float]) -> tuple[float, float]:
    """The middle 95%; draws that never get there are infinite."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return ordered[math.floor(0.025 * last)], ordered[math.ceil(0.975 * last)]


def _or_never(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "never"
