"""P(True). Ask the model itself whether its proposed answer is right, and read the probability of "A" (right) against "B" (wrong).

    score = P(A) / (P(A) + P(B)) in [0, 1], from the most likely first tokens of the judgement

Cost: one call of one token a candidate, on the judge's ledger; the prompt holds the candidate's text.
Limit: a model that cannot tell gives a constant, and best-of-n is then one random sample.
Departure: only the TOP most likely tokens are seen over HTTP; if neither letter is among them the judgement fails. The text is
shown from its end, at most 6 bytes for each token that it could have, so that its cost is bounded before it is written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from outthink.core.completion import Completion
from outthink.core.problem import Problem
from outthink.core.registry import verifier
from outthink.core.request import Capture, Request, Sampling
from outthink.core.session import Session
from outthink.core.solution import Candidate, Judgement
from outthink.core.spend import Spend

_TOP = 10
_BYTES_A_TOKEN = 6
_ASK = """Question:
{question}

Proposed answer:
{answer}

Is the proposed answer
A) right
B) wrong
Reply with the letter only."""


@verifier("p_true", papers=(22, 30))
@dataclass(frozen=True)
class PTrue:
    """Probability that the model itself gives to "the proposed answer is right", in [0, 1]."""

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        """One prompt with the longest text that a candidate can have, and one token."""
        usage_of_text = _BYTES_A_TOKEN * sampling.max_tokens
        request = _request(problem, "x" * usage_of_text)
        return session.price_bound(request)

    async def judge(self, problem: Problem, candidates: Sequence[Candidate], session: Session) -> list[Judgement]:
        """One greedy token a candidate, with its likeliest alternatives."""
        asked = [_request(problem, _tail(candidate.text, _BYTES_A_TOKEN * session.sampling.max_tokens)) for candidate in candidates]
        replies = await session.sample_each(asked)
        return [_read(reply[0].completion) if reply else Judgement(None, failure=_why(reply.missing)) for reply in replies]


def _request(problem: Problem, text: str) -> Request:
    sampling = Sampling(temperature=0.0, max_tokens=1)
    asked = Request.ask(_ASK.format(question=problem.question, answer=text), sampling=sampling, prompt_version="p_true/1")
    return Request(asked.messages, sampling=sampling, capture=Capture(top_logprobs=_TOP), prompt_version=asked.prompt_version)


def _tail(text: str, most: int) -> str:
    return text.encode()[-most:].decode(errors="ignore")


def _why(missing: dict[str, int]) -> str:
    return f"not judged: {', '.join(missing) or 'no reply'}"


def _read(completion: Completion) -> Judgement:
    if not completion.top_logprobs:
        return Judgement(None, text=completion.text, failure="the judge returned no token probabilities; use a backend with top_logprobs")
    mass = {"A": 0.0, "B": 0.0}
    for token, logprob in completion.top_logprobs[0]:
        letter = token.strip().strip("().").upper()
        if letter in mass:
            mass[letter] += math.exp(logprob)
    total = mass["A"] + mass["B"]
    if total <= 0:
        return Judgement(None, text=completion.text, failure=f"neither A nor B is among the {_TOP} likeliest first tokens")
    return Judgement(mass["A"] / total, text=completion.text)
