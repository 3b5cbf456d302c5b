"""Tables of a run: a row for every strategy and budget, and the answers that were wrong."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outthink import stats
from outthink.core.errors import UsageError, nearest
from outthink.core.spend import Spend
from outthink.evaluate.grading import UNGRADED
from outthink.evaluate.record import Record
from outthink.evaluate.run import Run

DRAWS = 10_000


@dataclass(frozen=True)
class Row:
    """One strategy under one budget. Amounts are means over problems and seeds of what the method is charged, replayed or not.

    Args:
        spec, family, samples, budget: as in its records.
        problems: how many have a graded record. seeds: how many; every (problem, seed) has one record.
        accuracy, low, high: share of right answers among the graded, None where none is, and its bootstrap interval over problems (None for
            one problem).
        gain, gain_low, gain_high: accuracy minus that of the reference on the same problems, with a paired bootstrap interval; None for the
            reference itself.
        completion_tokens, prompt_tokens, calls, dollars, flops: per problem, all roles.
        paid_completion_tokens: per problem, what was served for this row; the rest had been recorded for another one.
        seconds: mean wall time of one problem. tokens_per_second: what was generated, for all rows, while this row was at work; None if
            nothing was served for it.
        correct, wrong, abstained, unparsed, ungraded: verdicts, in records; the ungraded count neither as right nor as wrong.
        cut: records that ended early (`budget` or `seconds`). missing: reason -> samples and judgements that did not come back.
        candidates: mean number of samples it chose among. oracle: it saw the key.
    """

    spec: str
    family: str
    samples: int | None
    budget: str
    problems: int
    seeds: int
    accuracy: float | None
    low: float | None
    high: float | None
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    completion_tokens: float
    prompt_tokens: float
    calls: float
    dollars: float
    flops: float
    paid_completion_tokens: float
    seconds: float
    tokens_per_second: float | None
    correct: int
    wrong: int
    abstained: int
    unparsed: int
    ungraded: int
    cut: int
    missing: dict[str, int]
    candidates: float
    oracle: bool

    @property
    def label(self) -> str:
        """What tables call it: the spec with its number of samples, also where that is the default."""
        return label_of(self.spec, self.family, self.samples, self.budget)


def label_of(spec: str, family: str, samples: int | None, budget: str) -> str:
    """`majority_vote(n=16) under completion_tokens=2000`."""
    if samples is not None and spec == family:
        name, _, knobs = spec.partition("(")
        spec = f"{name}(n={samples}{', ' + knobs if knobs else ')'}"
    return f"{spec} under {budget}" if budget else spec


def groups(run: Run) -> dict[tuple[str, str], list[Record]]:
    """The records of each (spec, budget): `greedy`, then strategies in the order given to the run, each by rising number of samples."""
    records = run.records
    given = run.settings.get("strategies")
    order = [_without_samples(str(spec)) for spec in given] if isinstance(given, list) else []
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        found.setdefault((record.spec, record.budget), []).append(record)
    families = list(dict.fromkeys(record.family for record in records))
    places = {family: order.index(bare) if (bare := _without_samples(family)) in order else len(order) for family in families}
    families.sort(key=lambda family: (family != "greedy", places[family]))
    return dict(sorted(found.items(), key=lambda item: (families.index(item[1][0].family), item[1][0].budget, item[1][0].samples or 0)))


def _without_samples(spec: str) -> str:
    # `best_of_n(n=4, verifier=length())` as `best_of_n(verifier=length())`: n is the first knob of every strategy that has it
    return re.sub(r"^(\w+)\(n=\d+(?:, |\))", r"\1(", spec).removesuffix("(")


def outcomes(records: Sequence[Record]) -> dict[str, list[float]]:
    """Problem -> 1.0 or 0.0 for each seed; what no judge has graded is left out."""
    found: dict[str, list[float]] = {}
    for record in sorted(records, key=lambda r: r.seed):
        if record.verdict == UNGRADED:
            continue
        found.setdefault(record.problem, []).append(float(record.right))
    return found


def paired(first: Sequence[Record], second: Sequence[Record]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean correctness over seeds of the problems that both have: two arrays of shape (problems,)."""
    one, two = outcomes(first), outcomes(second)
    shared = [problem for problem in one if problem in two]
    return np.array([np.mean(one[p]) for p in shared]), np.array([np.mean(two[p]) for p in shared])


def summarise(run: Run, *, seed: int = 0, level: float = 0.95) -> list[Row]:
    """A row for every strategy and budget of a run.

    The reference of gains is `greedy` where the run has it, else the first row.

    Args:
        run: complete or not.
        seed: of the bootstrap.
        level: of the intervals.
    """
    grouped = groups(run)
    reference = next(iter(grouped.values()), [])
    return [_row(records, reference, run.records, seed, level) for records in grouped.values()]


def best_of(rows: Sequence[Row]) -> Row | None:
    """The first row of the highest accuracy among those that did not see the key; None where nothing is graded."""
    graded = [row for row in rows if row.accuracy is not None and not row.oracle]
    return max(graded, key=lambda row: row.accuracy or 0.0, default=None)


def _row(records: list[Record], reference: list[Record], everything: Sequence[Record], seed: int, level: float) -> Row:
    head, many = records[0], len(records)
    means = [float(np.mean(values)) for values in outcomes(records).values()]
    interval = mean_interval(means, seed=seed, level=level) if len(means) > 1 else None
    gain = None
    if records is not reference:
        ours, theirs = paired(records, reference)
        gain = gain_interval(ours, theirs, seed=seed, level=level) if len(ours) > 1 else None
    charged = sum((record.charged for record in records), Spend())
    paid = sum(record.paid.completion_tokens for record in records)
    verdicts = Counter(record.verdict for record in records)
    missing = sum((Counter(record.missing) for record in records), Counter[str]())
    return Row(
        head.spec, head.family, head.samples, head.budget, len(means), len({record.seed for record in records}),
        float(np.mean(means)) if means else None, interval.low if interval else None, interval.high if interval else None,
        gain.estimate if gain else None, gain.low if gain else None, gain.high if gain else None,
        charged.completion_tokens / many, charged.prompt_tokens / many, charged.calls / many, charged.dollars / many, charged.flops / many,
        paid / many, sum(record.seconds for record in records) / many, served_per_second(records, everything) if paid else None,
        verdicts["correct"], verdicts["wrong"], verdicts["abstained"], verdicts["unparsed"],
        verdicts[UNGRADED],
        sum(record.stopped != "done" for record in records), dict(missing),
        sum(record.candidates for record in records) / many, any(record.saw_key for record in records),
    )  # fmt: skip


def mean_interval(values: Sequence[float] | NDArray[np.float64], *, seed: int, level: float = 0.95) -> stats.Interval:
    """Bootstrap interval of an accuracy over problems; Wilson's where all problems are right or none is.

    Resampling what is all alike gives a width of 0, as if two right answers of two proved that all will be right.

    Args:
        values: (problems,), in [0, 1].
        seed, level: of the interval.
    """
    found = stats.bootstrap_mean(values, seed=seed, draws=DRAWS, level=level)
    if found.estimate in (0.0, 1.0):
        low, high = stats.wilson_interval(round(found.estimate * len(values)), len(values), level=level)
        return dataclasses.replace(found, low=float(low), high=float(high))
    return found


def gain_interval(ours: NDArray[np.float64], theirs: NDArray[np.float64], *, seed: int, level: float = 0.95) -> stats.Interval:
    """Paired bootstrap interval of a gain; where no problem differs, or all do in one direction, from Wilson's for the share that differs.

    Args:
        ours, theirs: (problems,), in [0, 1].
        seed, level: of the interval.
    """
    found = stats.paired_bootstrap(ours, theirs, seed=seed, draws=DRAWS, level=level)
    differs = np.asarray(ours) - np.asarray(theirs)
    if not differs.any():
        share = float(stats.wilson_interval(0, len(differs), level=level)[1])
        return dataclasses.replace(found, low=-share, high=share)
    if abs(found.estimate) == 1.0:
        share = float(stats.wilson_interval(len(differs), len(differs), level=level)[0])
        low, high = sorted((share * found.estimate, found.estimate))
        return dataclasses.replace(found, low=low, high=high)
    return found


def served_per_second(records: Sequence[Record], everything: Sequence[Record]) -> float | None:
    """Tokens a second that were generated while any of some records was being made; None where no time passed.

    Strategies work side by side: a short request that waits behind long ones of another strategy says nothing of the model's speed, so the
    tokens of all that ran meanwhile count, each record's spread evenly over its time.

    Args:
        records: whose time it is.
        everything: all records of the run, these included.
    """
    starts, stops = _union(records)
    before = np.concatenate([[0.0], np.cumsum(stops - starts)])
    if before[-1] <= 0:
        return None

    def worked(times: NDArray[np.float64]) -> NDArray[np.float64]:
        # length of the union up to each time
        place = np.searchsorted(starts, times, side="right")
        last = np.maximum(place - 1, 0)
        return np.where(place > 0, before[last] + np.clip(times, starts[last], stops[last]) - starts[last], 0.0)

    ran = [record for record in everything if record.seconds > 0]
    begun, took = np.array([r.started for r in ran]), np.array([r.seconds for r in ran])
    share = (worked(begun + took) - worked(begun)) / took
    return float(np.array([r.paid.completion_tokens for r in ran]) @ share / before[-1])


def _union(records: Sequence[Record]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # starts and stops of the times when any of them was being made, in order and apart
    merged: list[list[float]] = []
    for start, stop in sorted((record.started, record.started + record.seconds) for record in records):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], stop)
        else:
            merged.append([start, stop])
    bounds = np.array(merged).reshape(-1, 2)
    return bounds[:, 0], bounds[:, 1]


@dataclass(frozen=True)
class Answered:
    """A record with its question and the right answer."""

    record: Record
    question: str
    expected: str

    @property
    def label(self) -> str:
        """What the table calls the strategy and its budget."""
        return label_of(self.record.spec, self.record.family, self.record.samples, self.record.budget)


def answers(run: Run, *, spec: str | None = None, limit: int | None = None, only_wrong: bool = False) -> list[Answered]:
    """Single results with their texts, in the order of their recording.

    Args:
        run: the run.
        spec: a strategy as the table calls it, its spec or its family; None for all.
        limit: at most that many.
        only_wrong: leave out what is correct.

    Raises:
        UsageError: the run has no such strategy.
    """
    chosen = run.records
    if spec is not None:
        labels = [label_of(r.spec, r.family, r.samples, r.budget) for r in run.records]
        chosen = [r for r, label in zip(run.records, labels, strict=True) if spec in (label, r.spec, r.family)]
        if not chosen:
            raise UsageError(f"this run has no strategy {spec!r}.{nearest(spec, list(dict.fromkeys(labels)))}")
    questions = run.questions()
    found = []
    for record in chosen:
        if not (only_wrong and (record.right or record.verdict == UNGRADED)):
            question, expected = questions.get(record.problem, ("", None))
            found.append(Answered(record, question, expected or ""))
    return found[:limit]
