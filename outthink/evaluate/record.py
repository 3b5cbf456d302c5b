"""One result: what a strategy answered to one problem, what it cost, and whether it was right."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from outthink.core.solution import Ledger, Solution
from outthink.core.spend import Spend
from outthink.evaluate.grading import UNGRADED
from outthink.evaluate.plan import Cell

TRANSIENT = ("aborted", "connection", "context", "engine", "error", "garbage", "interrupted", "no_choices", "protocol", "rejected", "timeout")
"""Kinds of failures that may not happen again when the same is asked later, perhaps of a server that was started with a longer context;
with them `http_` and a status of 500 or more."""


@dataclass(frozen=True)
class Record:
    """A solution and its verdict.

    Args:
        problem: id of the problem.
        spec: the strategy. family: the same without its number of samples. samples: that number, None where it has none.
        budget: caps as text, "" without. seed: seed of its draws.
        verdict: `correct`, `wrong`, `abstained`, `unparsed`, or `ungraded` where a judge was needed and gave none.
        answer: canonical form of the answer, None where there is none. text: the sample it was taken from.
        confidence: the strategy's own, if it has one. candidates: how many samples it chose among.
        stopped: `done`, `budget` or `seconds`. missing: reason -> how many samples and judgements did not come back.
        reasons: reason -> a sentence about the first of them; under `ungraded` why there is no grade.
        saw_key: an oracle took part. graded_by: how the verdict was found.
        ledgers: role -> what it was charged and what was paid now.
        started: seconds since the epoch. seconds: wall time; what was recorded before takes none.
    """

    problem: str
    spec: str
    family: str
    samples: int | None
    budget: str
    seed: int
    verdict: str
    answer: str | None
    text: str
    confidence: float | None
    candidates: int
    stopped: str
    missing: Mapping[str, int]
    saw_key: bool
    graded_by: str
    ledgers: Mapping[str, Ledger]
    started: float
    seconds: float
    reasons: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, problem: str, cell: Cell, solution: Solution, verdict: str, graded_by: str, started: float, seconds: float) -> Record:
        """The record of a solution."""
        return cls(
            problem, cell.spec, cell.family, cell.samples, cell.caps, cell.seed, verdict,
            None if solution.answer is None else solution.answer.value, solution.text, solution.confidence, solution.candidates,
            solution.stopped, dict(solution.missing), solution.saw_key, graded_by, dict(solution.ledgers), started, seconds,
            dict(solution.reasons),
        )  # fmt: skip

    @property
    def right(self) -> bool:
        """Whether the answer is correct."""
        return self.verdict == "correct"

    @property
    def lost(self) -> dict[str, int]:
        """Of `missing`, what may come when it is asked again."""
        return {reason: n for reason, n in self.missing.items() if reason in TRANSIENT or reason.startswith("http_")}

    @property
    def settled(self) -> bool:
        """Whether the same command leaves it as it is: nothing is lost, and it is graded."""
        return not self.lost and self.verdict != UNGRADED

    @property
    def charged(self) -> Spend:
        """What the method cost, over all roles."""
        return sum((ledger.charged for ledger in self.ledgers.values()), Spend())

    @property
    def paid(self) -> Spend:
        """What was served for it, over all roles; what other cells had recorded is not paid again."""
        return sum((ledger.paid for ledger in self.ledgers.values()), Spend())

    def to_json(self) -> dict[str, object]:
        """Plain data; `from_json` undoes it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Record:
        """Rebuild a record from `to_json` data that went through JSON."""
        ledgers: Mapping[str, Mapping[str, Mapping[str, float]]] = data["ledgers"]  # type: ignore[assignment]  # as written by to_json
        rebuilt = {role: Ledger(**{name: Spend(**spend) for name, spend in both.items()}) for role, both in ledgers.items()}  # type: ignore[arg-type]
        return cls(**{**data, "ledgers": rebuilt})  # type: ignore[arg-type]


_TRY = "#"


def name_of_try(name: str, tries: int) -> str:
    """What the record of a cell's next try is called, after so many."""
    return f"{name}{_TRY}{tries + 1}" if tries else name


def latest(rows: Iterable[tuple[str, Mapping[str, object]]]) -> dict[str, tuple[Record, int]]:
    """The last record of every cell and how often it was tried, by the cell's name, in the order of first tries.

    Args:
        rows: (name, body) as the journal has them.
    """
    found: dict[str, tuple[Record, int]] = {}
    for name, body in rows:
        cell = name.partition(_TRY)[0]
        found[cell] = Record.from_json(body), found[cell][1] + 1 if cell in found else 1
    return found
