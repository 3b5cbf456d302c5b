"""[124] AlgoPerf: methods compared by the time each needs to reach a target, over many workloads.

    r_sw = t_sw / min_s t_sw          rho_s(tau) = share of workloads with r_sw <= tau
    score_s = 1 / (r_max - 1) * integral of rho_s over tau in [1, r_max]

t_sw: seconds (or steps, tokens, samples, FLOPs) of submission s on workload w until the target is reached, infinite if never; per
study the fastest trial counts, over studies the median. The score lies in [0, 1]; 1 is the fastest everywhere.

Voiding, in the official order: a held-out variant is void where its base was missed; whatever needs more than r_max times the best
is infinite; a base is void where its variant is. Ratios are taken after that, so a new submission can change everybody's score.
Cost: linear in the number of trials.
Identity for tests: without a grid, score_s is the mean over workloads of max(0, r_max - r) / (r_max - 1).
Departure: the official code takes as fastest the trial that needs the fewest EVALUATIONS, not the least time; `fastest="evaluation"`
does the same (as published), the default goes by the clock.

The same arithmetic compares strategies at test time: `compare_budgets` takes curves of accuracy against what was spent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError
from outthink.laws.table import Table
from outthink.stats._arrays import FloatArray

Fastest = Literal["clock", "evaluation"]
"""Which trial of a study counts: the least time to the target, or the fewest evaluations up to it."""

R_MAX = 4.0
POINTS = 100
"""[124] The grid on which the official code integrates a profile."""


@dataclass(frozen=True)
class TargetTimes:
    """What each submission needed on each workload.

    Args:
        submissions, workloads: names of rows and columns.
        times: (submissions, workloads), 0 or more; inf where the target was never reached, NaN where nothing was run (counts as inf).
    """

    submissions: tuple[str, ...]
    workloads: tuple[str, ...]
    times: FloatArray

    def __post_init__(self) -> None:
        if self.times.shape != (len(self.submissions), len(self.workloads)):
            raise UsageError(
                f"times have shape {self.times.shape}, but there are {len(self.submissions)} submissions and {len(self.workloads)} workloads"
            )
        if np.any(self.times < 0):
            raise UsageError(f"a time to a target must be 0 or more, got {float(np.nanmin(self.times)):g}")

    def only(self, workloads: Sequence[str]) -> TargetTimes:
        """The columns of these workloads, in this order.

        Raises:
            UsageError: one of them is not there.
        """
        if missing := [name for name in workloads if name not in self.workloads]:
            raise UsageError(f"no workload {missing[0]!r}; there are {', '.join(self.workloads)}")
        places = [self.workloads.index(name) for name in workloads]
        return TargetTimes(self.submissions, tuple(workloads), self.times[:, places])

    def voided(self, variants: Mapping[str, str], *, r_max: float = R_MAX) -> TargetTimes:
        """The base workloads after the voiding rules, in the official order.

        Args:
            variants: held-out variant -> its base workload.
            r_max: a time beyond this multiple of the best one on the workload is infinite.

        Returns:
            The workloads that are no variants; inf where void.
        """
        times = np.where(np.isnan(self.times), np.inf, self.times)
        if missing := [name for name in (*variants, *variants.values()) if name not in self.workloads]:
            raise UsageError(f"no workload {missing[0]!r}; there are {', '.join(self.workloads)}")
        place = {name: number for number, name in enumerate(self.workloads)}
        for variant, base in variants.items():
            times[np.isinf(times[:, place[base]]), place[variant]] = np.inf
        times[times > r_max * times.min(axis=0)] = np.inf
        for variant, base in variants.items():
            times[np.isinf(times[:, place[variant]]), place[base]] = np.inf
        bases = [name for name in self.workloads if name not in variants]
        return TargetTimes(self.submissions, self.workloads, times).only(bases)

    def ratios(self) -> FloatArray:
        """(submissions, workloads) time over the best time of the workload; inf where the target was missed, also if all missed it."""
        times = np.where(np.isnan(self.times), np.inf, self.times)
        best = times.min(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            # an instant result (time 0) is 1 times the best; inf over inf was missed by all
            found = np.where(times == best, 1.0, times / best)
        return np.where(np.isinf(times), np.inf, found)

    def scores(self, *, r_max: float = R_MAX, points: int | None = POINTS) -> dict[str, float]:
        """The integral of each submission's performance profile, in [0, 1].

        Args:
            r_max: the ratio at which a result is worth nothing.
            points: of the trapezoid rule, as published (100); None integrates exactly.
        """
        ratios = self.ratios()
        if points is None:
            values = (np.maximum(0.0, r_max - ratios) / (r_max - 1.0)).mean(axis=1)
        else:
            grid = np.linspace(1.0, r_max, points)
            heights = profile(ratios, grid)
            values = ((heights[:, 1:] + heights[:, :-1]) / 2.0 * np.diff(grid)).sum(axis=1) / (r_max - 1.0)
        return dict(zip(self.submissions, map(float, values), strict=True))


def profile(ratios: ArrayLike, grid: ArrayLike) -> FloatArray:
    """The performance profile.

    Args:
        ratios: (submissions, workloads), 1 or more, inf where missed.
        grid: (points,) values of tau.

    Returns:
        (submissions, points) share of workloads with ratio <= tau.
    """
    table = np.asarray(ratios, dtype=np.float64)
    return np.asarray((table[:, :, None] <= np.asarray(grid, dtype=np.float64)).mean(axis=1), dtype=np.float64)


def spent_to_target(spent: ArrayLike, values: ArrayLike, target: float, *, falling: bool = False) -> float:
    """What was spent at the first evaluation that meets a target.

    Args:
        spent: (evaluations,) cumulative seconds, steps, tokens, ...; in the order of the evaluations.
        values: (evaluations,) the metric; NaN meets nothing.
        target: the value to reach.
        falling: the metric is a loss: lower is better.

    Returns:
        inf if no evaluation meets it.
    """
    cost, metric = np.asarray(spent, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if cost.shape != metric.shape or cost.ndim != 1:
        raise UsageError(f"spent has shape {cost.shape} and values {metric.shape}; both must be one number an evaluation")
    met = metric <= target if falling else metric >= target
    return float(cost[np.argmax(met)]) if met.any() else float("inf")


def fit_target_times(trials: Table, *, fastest: Fastest = "clock", time: str = "time_to_target_s") -> TargetTimes:
    """Times to target from trials: the fastest trial of each study, then the median over studies.

    Args:
        trials: labels `submission`, `workload`, `study`; the column of times, inf where never; `eval_index`, the number of the
            evaluation that met the target (only read for `fastest="evaluation"`; the first in the file wins a tie).
        fastest: see `Fastest`; "evaluation" is as published.
        time: name of the column of times; steps or tokens to the target do as well.

    Returns:
        Submissions and workloads in the order of their names; NaN where a submission has no trial of a workload.
    """
    trials.require(["submission", "workload", "study", time])
    times = trials.column(time)
    keys = times if fastest == "clock" else np.where(np.isinf(times), np.inf, trials.column("eval_index"))
    chosen: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
    labels = zip(*(map(str, trials.label(name)) for name in ("submission", "workload", "study")), strict=True)
    for (submission, workload, study), key, needed in zip(labels, keys, times, strict=True):
        studies = chosen.setdefault((submission, workload), {})
        if study not in studies or key < studies[study][0]:
            studies[study] = (float(key), float(needed))
    submissions = tuple(sorted({submission for submission, _ in chosen}))
    workloads = tuple(sorted({workload for _, workload in chosen}))
    table = np.full((len(submissions), len(workloads)), np.nan)
    for (submission, workload), studies in chosen.items():
        table[submissions.index(submission), workloads.index(workload)] = _median([needed for _, needed in studies.values()])
    return TargetTimes(submissions, workloads, table)


def compare_budgets(
    curves: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]], targets: Mapping[str, float], *, falling: bool = False
) -> TargetTimes:
    """What each strategy has to spend for a target accuracy, task by task; `.ratios()` and `.scores()` compare them.

    Args:
        curves: strategy -> task -> (spent, accuracy): what the strategy had spent (tokens, samples, seconds) and what it then scored.
        targets: task -> accuracy to reach.
        falling: the metric is a loss.

    Returns:
        One row a strategy, one column a task of `targets`; NaN where a strategy has no curve of the task.
    """
    if not curves or not targets:
        raise UsageError("a comparison needs at least one strategy with its curves and one task with its target")
    table = np.full((len(curves), len(targets)), np.nan)
    for row, tasks in enumerate(curves.values()):
        for column, (task, target) in enumerate(targets.items()):
            if task in tasks:
                table[row, column] = spent_to_target(*tasks[task], target, falling=falling)
    return TargetTimes(tuple(curves), tuple(targets), table)


def _median(times: list[float]) -> float:
    # the median of an even number of studies lies between two of them; between a finite and an infinite one it is infinite
    ordered = sorted(times)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2.0
