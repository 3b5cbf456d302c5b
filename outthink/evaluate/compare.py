"""Two or more runs, or all strategies of one, against each other on the same problems, corrected for how many comparisons are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from outthink import stats
from outthink.core.errors import UsageError
from outthink.evaluate.record import Record
from outthink.evaluate.run import Run
from outthink.evaluate.summary import gain_interval, groups, label_of, paired


@dataclass(frozen=True)
class Comparison:
    """A paired difference.

    Args:
        first, second: what is compared, `RUN: strategy`, or the strategy alone within one run; the first is the reference.
        problems: how many both have.
        gain, low, high: accuracy of the second minus that of the first, with a paired bootstrap interval.
        p: two-sided sign-flip p-value over problems. adjusted: the same after Holm's correction over all comparisons made here.
        note: what the reader must know, such as two versions of the problem set.
    """

    first: str
    second: str
    problems: int
    gain: float
    low: float
    high: float
    p: float
    adjusted: float
    note: str = ""


def compare(*runs: Run, seed: int = 0, level: float = 0.95) -> list[Comparison]:
    """Compare runs, or the strategies of one run.

    One run: every row against the first (`greedy` where there is one). Several: every row of the later runs against the same row of the
    first run; where no row is the same in both, against the first run's first row.

    Raises:
        UsageError: nothing to compare, or fewer than two problems in common.
    """
    if not runs:
        raise UsageError("compare: name at least one run")
    pairs = _pairs(runs)
    if not pairs:
        raise UsageError("compare: this run has one strategy under one budget only; name a second run")
    found = []
    for one, reference, two, other, note in pairs:
        first, second = paired(reference, other)
        if len(first) < 2:
            raise UsageError(f"compare: {one} and {two} have {len(first)} graded problems in common; they need at least 2")
        interval = gain_interval(second, first, seed=seed, level=level)
        found.append((one, two, len(first), interval, stats.sign_flip(second, first, seed=seed), note))
    adjusted = stats.holm([row[4] for row in found])
    return [
        Comparison(one, two, n, interval.estimate, interval.low, interval.high, p, float(holm), note)
        for (one, two, n, interval, p, note), holm in zip(found, adjusted, strict=True)
    ]


def _pairs(runs: Sequence[Run]) -> list[tuple[str, list[Record], str, list[Record], str]]:
    base = groups(runs[0])
    if not base:
        raise UsageError(f"compare: {runs[0].name} has no records yet")
    first = next(iter(base))
    if len(runs) == 1:
        return [(_label(base[first]), base[first], _label(records), records, "") for key, records in base.items() if key != first]
    pairs = []
    for run in runs[1:]:
        rows = groups(run)
        shared = [key for key in rows if key in base]
        note = "" if run.settings.get("fingerprint") == runs[0].settings.get("fingerprint") else "the problem sets are not the same version"
        for key in shared or rows:
            other = key if key in base else first
            pairs.append((f"{runs[0].name}: {_label(base[other])}", base[other], f"{run.name}: {_label(rows[key])}", rows[key], note))
    return pairs


def _label(records: Sequence[Record]) -> str:
    head = records[0]
    return label_of(head.spec, head.family, head.samples, head.budget)
