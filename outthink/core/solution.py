"""What strategies handle and return: candidates, judgements, preferences, solutions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from outthink.core.completion import Completion
from outthink.core.problem import Answer, AnswerKind
from outthink.core.spend import Spend


@dataclass(frozen=True, slots=True)
class Candidate:
    """One sample and the answer found in it.

    Args:
        completion: the sample.
        answer: parsed by the problem's answer kind; None where nothing could be parsed.
        key: key of the call in the journal, for judgements that refer to it.
        index: its index among the samples of its place.
    """

    completion: Completion
    answer: Answer | None = None
    key: str = ""
    index: int = 0

    @property
    def text(self) -> str:
        """The completion's text."""
        return self.completion.text


class Candidates(list[Candidate]):
    """The samples that came back, in order of their index, and why others did not.

    Attributes:
        missing: reason -> how many (`budget`, `seconds`, or the kind of a failure).
    """

    def __init__(self, found: Sequence[Candidate] = (), missing: Mapping[str, int] | None = None) -> None:
        super().__init__(found)
        self.missing: dict[str, int] = dict(missing or {})


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a verifier thinks of one candidate. A judgement that failed has no score and says why.

    Args:
        score: in the verifier's declared range.
        steps: a score for every step, where the verifier judges steps.
        votes: the single verdicts that the score is made of.
        text: the judge's words.
        failure: why there is no score.
    """

    score: float | None
    steps: tuple[float, ...] = ()
    votes: tuple[float, ...] = ()
    text: str = ""
    failure: str | None = None

    def checked(self, low: float, high: float) -> Judgement:
        """This judgement with its numbers as floats, or a failed one if its score is not a number in [low, high]."""
        if self.score is None:
            return self if self.failure else dataclasses.replace(self, failure="no score")
        try:  # an array library's numbers are none that the journal could write
            score, steps, votes = _real(self.score), tuple(map(_real, self.steps)), tuple(map(_real, self.votes))
        except (TypeError, ValueError):
            return Judgement(None, text=self.text, failure=f"a score is not a number: {self.score!r:.80}")
        if math.isnan(score):
            return dataclasses.replace(self, score=None, steps=steps, votes=votes, failure="the score is not a number")
        if not low <= score <= high:
            return dataclasses.replace(self, score=None, steps=steps, votes=votes, failure=f"the score {score:g} is outside [{low:g}, {high:g}]")
        return dataclasses.replace(self, score=score, steps=steps, votes=votes)


def _real(value: object) -> float:
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{value!r} is text")
    return float(value)  # type: ignore[arg-type]  # what is no number raises TypeError


@dataclass(frozen=True, slots=True)
class Preference:
    """Probability in [0, 1] that the first of a pair is better; None and a failure where the comparison failed."""

    first: float | None
    text: str = ""
    failure: str | None = None

    def checked(self) -> Preference:
        """This preference with its probability as a float, or a failed one if it is none in [0, 1]."""
        if self.failure:
            return self
        try:
            first = _real(self.first)
        except (TypeError, ValueError):
            first = math.nan
        return dataclasses.replace(self, first=first) if 0 <= first <= 1 else Preference(None, self.text, f"{self.first} is not a probability")


@dataclass(frozen=True, slots=True)
class Ledger:
    """Spending of one role: what the method costs (also when replayed), and what was really served now."""

    charged: Spend = Spend()
    paid: Spend = Spend()


@dataclass(frozen=True)
class Solution:
    """The answer of a strategy to one problem. No answer means that it abstained.

    Args:
        answer: the chosen answer.
        candidate: the sample it was taken from.
        confidence: vote share or verifier score of the choice, where the strategy has one.
        candidates: how many samples it chose among.
        stopped: `done`, or why it ended early: `budget`, `seconds`.
        missing: samples and judgements that did not come back, reason -> count.
        reasons: reason -> one sentence, that of the first one that was missing for it.
        ledgers: role -> spending.
        saw_key: an oracle took part: a ceiling, not a method.
    """

    answer: Answer | None = None
    candidate: Candidate | None = None
    confidence: float | None = None
    candidates: int = 0
    stopped: str = "done"
    missing: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict, compare=False)  # which is the first may depend on timing
    ledgers: Mapping[str, Ledger] = field(default_factory=dict)
    saw_key: bool = False

    @property
    def text(self) -> str:
        """Text of the chosen sample, "" where it abstained."""
        return self.candidate.text if self.candidate else ""

    @property
    def charged(self) -> Spend:
        """What the method cost, over all roles."""
        return sum((ledger.charged for ledger in self.ledgers.values()), Spend())

    @property
    def paid(self) -> Spend:
        """What was served now, over all roles."""
        return sum((ledger.paid for ledger in self.ledgers.values()), Spend())

    @classmethod
    def of(cls, candidate: Candidate | None, *, candidates: int, confidence: float | None = None) -> Solution:
        """The solution that takes this candidate's answer."""
        return cls(candidate.answer if candidate else None, candidate, confidence, candidates)

    @classmethod
    def best(cls, candidates: Sequence[Candidate], judgements: Sequence[Judgement]) -> Solution:
        """The candidate with the highest score; the first wins a tie.

        A candidate without an answer is chosen only if none has one; a failed judgement is passed over. If every judgement
        of those in question failed, the first of them stands and the confidence is None.
        """
        pairs = list(zip(candidates, judgements, strict=True))
        field = [pair for pair in pairs if pair[0].answer is not None] or pairs
        scored = [(judgement.score, candidate) for candidate, judgement in field if judgement.score is not None]
        if not scored:
            return cls.of(field[0][0] if field else None, candidates=len(candidates))
        score, chosen = max(scored, key=lambda row: row[0])
        return cls.of(chosen, candidates=len(candidates), confidence=score)

    @classmethod
    async def vote(cls, kind: AnswerKind, candidates: Sequence[Candidate], weights: Sequence[float] | None = None) -> Solution:
        """The answer class with the largest total weight; "no answer" wins only if it is alone.

        A tie goes to the class seen first; within the class the first candidate stands for it. Weights must be 0 or more;
        where all weights of answered candidates are 0 every candidate counts as 1.
        """
        labels = await kind.group([c.answer for c in candidates])
        given = [1.0] * len(candidates) if weights is None else list(weights)
        if len(given) != len(candidates):
            raise ValueError(f"a weighted vote needs one weight a candidate: got {len(given)} for {len(candidates)}")
        if any(not weight >= 0 for weight in given):
            raise ValueError(f"a weighted vote needs weights of 0 or more, got {min(given)}")
        if not any(weight for label, weight in zip(labels, given, strict=True) if label >= 0):
            given = [1.0] * len(candidates)
        totals: dict[int, float] = {}
        for label, weight in zip(labels, given, strict=True):
            if label >= 0:
                totals[label] = totals.get(label, 0.0) + weight
        if not totals:
            return cls.of(candidates[0] if candidates else None, candidates=len(candidates))
        winner = max(totals, key=lambda label: totals[label])
        chosen = candidates[labels.index(winner)]
        return cls.of(chosen, candidates=len(candidates), confidence=totals[winner] / sum(given))
