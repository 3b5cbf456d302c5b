"""[72] Pairwise judge. Show the model two answers and ask which one is better.

    P(first beats second) = mean over the asked orders of 1[the judge names the first], in {0, 1/2, 1}

Cost: one call a comparison, two with `both_orders`; the prompt holds both texts.
A judge that always names the place that it likes (position bias) gives 1/2 with both orders, which is no vote. A judge below 1/2 on pairs
of a right and a wrong answer makes a tournament worse than one sample: measure p_comp first.
Departures: texts are shown from their end, at most 6 bytes for each token that they could have, so that a comparison's cost is bounded
before they are written; where one of the two orders cannot be read the comparison fails, since the other alone carries the position bias.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from outthink.core.problem import Problem
from outthink.core.registry import comparer
from outthink.core.request import Request, Sampling
from outthink.core.session import Session
from outthink.core.solution import Candidate, Candidates, Preference
from outthink.core.spend import Spend
from outthink.verifiers._shown import room, shown

PROMPT_VERSION = "pairwise/1"
_ASK = """Question:
{question}

Answer A:
{first}

Answer B:
{second}

Which answer is right, or closer to right? Compare them briefly, then end with one line: "Better: A" or "Better: B"."""
_VERDICT = re.compile(r"better(?:\s+answer)?\W{0,6}(?:is\W{1,4})?(?:answer\W{1,4})?([AB])\b", re.IGNORECASE)
_ALONE = re.compile(r"\W*([AB])\W*")


@comparer("pairwise_judge", papers=(72,))
@dataclass(frozen=True)
class PairwiseJudge:
    """Ask the judge which of two answers is better, in both orders.

    `both_orders=false` asks in the given order only, at half the cost, for a strategy that turns the order itself (knockout and league
    do). `temperature` above 0 makes repeated comparisons differ.
    """

    both_orders: bool = True
    temperature: float = 0.1
    max_tokens: int = 256

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise ValueError(f"temperature must be 0 or more, got {self.temperature}")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be 1 or more, got {self.max_tokens}")

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        """A prompt with two texts as long as they can be and `max_tokens`, for each order."""
        one = session.price_bound(self._request(problem, "", "")) + room(sampling, session) * 2
        return one * (2 if self.both_orders else 1)

    async def compare(self, problem: Problem, pairs: Sequence[tuple[Candidate, Candidate]], session: Session) -> list[Preference]:
        """Ask about every pair in one batch; asking again about the same pair is a fresh draw."""
        orders = 2 if self.both_orders else 1
        texts = [tuple(shown(candidate.text, session.sampling) for candidate in pair) for pair in pairs]
        asked = [self._request(problem, *(pair if turn == 0 else pair[::-1])) for pair in texts for turn in range(orders)]
        replies = await session.sample_each(asked)
        return [_preference(replies[orders * i : orders * (i + 1)]) for i in range(len(pairs))]

    def _request(self, problem: Problem, first: str, second: str) -> Request:
        text = _ASK.format(question=problem.question, first=first, second=second)
        return Request.ask(text, sampling=Sampling(temperature=self.temperature, max_tokens=self.max_tokens), prompt_version=PROMPT_VERSION)


def _preference(replies: Sequence[Candidates]) -> Preference:
    said = "\n---\n".join(candidate.text for reply in replies for candidate in reply)
    wins = []
    for turn, reply in enumerate(replies):
        if not reply:
            return Preference(None, said, f"not compared: {', '.join(reply.missing) or 'no reply'}")
        letter = read_verdict(reply[0].text)
        if letter is None:
            return Preference(None, said, "the judge's reply names neither A nor B as better")
        wins.append(float((letter == "A") == (turn == 0)))
    return Preference(sum(wins) / len(wins), said)


def read_verdict(text: str) -> str | None:
    """`A` or `B` as the last verdict in the judge's reply names it, or as the whole reply; None if it names none."""
    named = list(_VERDICT.finditer(text))
    if named:
        return named[-1][1].upper()
    alone = _ALONE.fullmatch(text)
    return alone[1].upper() if alone else None
