"""Typed views of a journal: samples, judgements, comparisons, executions. Everything measured is computed from these."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from outthink.core.completion import Completion
from outthink.core.errors import DataError
from outthink.core.journal import Call, Journal
from outthink.core.protocols import Outcome
from outthink.core.request import Request
from outthink.core.solution import Judgement, Preference


@dataclass(frozen=True, slots=True)
class Sample:
    """One recorded sample of a problem.

    Args:
        problem: id of the problem.
        draw: index among the samples of its request at its place.
        completion: what the model answered.
        key: key of its call; judgements refer to it.
        digest: which request it answers.
        place: where in the work it was drawn; the role and the seed are part of it.
        role: ledger it was charged to; `policy` for answers, `judge` for a judge's words.
        model: model and engine.
    """

    problem: str
    draw: int
    completion: Completion
    key: str
    digest: str
    place: str
    role: str
    model: str


@dataclass(frozen=True, slots=True)
class JudgedSample:
    """A verifier's judgement of a sample: draw 0 is its first judgement of that sample at that place, 1 the second."""

    problem: str
    sample: str
    verifier: str
    draw: int
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparer's preference; `first` is the key of the first candidate, `digest` identifies the ordered pair."""

    problem: str
    first: str
    digest: str
    comparer: str
    draw: int
    preference: Preference


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of code in a sandbox; `digest` identifies files, command and limits."""

    digest: str
    draw: int
    outcome: Outcome


class Pool:
    """Views of a journal's finished calls, in the order of their recording."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    @classmethod
    def open(cls, path: Path | str) -> Pool:
        """The pool in a journal file, for reading.

        Raises:
            StoreError: there is none, or it cannot be read.
        """
        return cls(Journal(path, writable=False))

    def samples(self, problem: str | None = None, *, role: str | None = "policy") -> Iterator[Sample]:
        """Finished samples; of all roles if role is None."""
        for call in self.journal.calls("sample", problem=problem, state="done"):
            if role in (None, call.role) and call.problem is not None:
                completion = Completion.from_json(call.body)
                yield Sample(call.problem, call.draw, completion, call.key, call.digest, call.place, call.role, call.model)

    def judgements(self, problem: str | None = None) -> Iterator[JudgedSample]:
        """Judgements, failed ones included."""
        for call in self.journal.calls("judge", problem=problem):
            body = {**call.body, "steps": _floats(call, "steps"), "votes": _floats(call, "votes")}
            yield JudgedSample(call.problem or "", call.parent or "", call.model, call.draw, Judgement(**body))  # type: ignore[arg-type]

    def comparisons(self, problem: str | None = None) -> Iterator[Comparison]:
        """Comparisons, failed ones included."""
        for call in self.journal.calls("compare", problem=problem):
            yield Comparison(call.problem or "", call.parent or "", call.digest, call.model, call.draw, Preference(**call.body))  # type: ignore[arg-type]

    def executions(self) -> Iterator[Execution]:
        """Runs of code."""
        for call in self.journal.calls("execute", state="done"):
            yield Execution(call.digest, call.draw, Outcome(**call.body))  # type: ignore[arg-type]

    def request(self, digest: str) -> Request:
        """The request with this digest.

        Raises:
            DataError: it was not recorded (an imported recording without prompts).
        """
        data = self.journal.request(digest)
        if data is None:
            raise DataError(f"{self.journal.path}: no request {digest} in this pool; it was imported without its prompts")
        return Request.from_json(data)


def _floats(call: Call, name: str) -> tuple[float, ...]:
    values = call.body.get(name, ())
    if not isinstance(values, (list, tuple)):
        raise DataError(f"judgement {call.key}: {name} must be a list of numbers, got {values!r}")
    return tuple(float(value) for value in values)
