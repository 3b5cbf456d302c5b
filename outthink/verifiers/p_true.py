"""P(True). Ask the model itself whether its proposed answer is right, and read the probability of "A" (right) against "B" (wrong).

    score = P(A) / (P(A) + P(B)) in [0, 1], as the first token of the judgement

Cost, on the judge's ledger: where the model scores given tokens (the embedded engine, llama.cpp's server, vLLM and SGLang with `--template`),
the two letters are scored after a prompt that holds the candidate's text (one prompt, or on the last two one a letter), and the value is
exact. Elsewhere one call of one token a candidate, whose TOP most likely first tokens are read: ways to write a letter (" A", "a") are
added up, and the judgement fails if neither letter is among them.
Limit: a model that cannot tell gives a constant, and best-of-n is then one random sample.
Departure: where only one letter is among the likeliest tokens the other counts as the least likely of them, which it cannot exceed; to
count it as 0 would call any answer certain. The text is shown from its end, at most 6 bytes for each token that it could have, so that
its cost is bounded before it is written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from outthink.core.completion import Completion, TokenLogprobs
from outthink.core.problem import Problem
from outthink.core.registry import verifier
from outthink.core.request import Capture, Prefix, Request, Sampling
from outthink.core.session import Session
from outthink.core.solution import Candidate, Judgement
from outthink.core.spend import Spend
from outthink.verifiers._shown import room, shown

_TOP = 10
_ASK = """Question:
{question}

Proposed answer:
{answer}

Is the proposed answer
A) right
B) wrong
Reply with the letter only."""
_LETTERS = (Prefix("A"), Prefix("B"))


@verifier("p_true", papers=(22, 30))
@dataclass(frozen=True)
class PTrue:
    """Probability that the model itself gives to "the proposed answer is right", in [0, 1]."""

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        """One prompt with the longest text that a candidate can have, and the letters."""
        request, text = _request(problem, ""), room(sampling, session)
        if session.model.scores == "no":
            return session.price_bound(request) + text
        return session.score_bound(request, _LETTERS) + text * (1 if session.model.scores == "once" else len(_LETTERS))

    async def judge(self, problem: Problem, candidates: Sequence[Candidate], session: Session) -> list[Judgement]:
        """Score both letters, or read them among the likeliest first tokens."""
        asked = [_request(problem, shown(candidate.text, session.sampling)) for candidate in candidates]
        if session.model.scores == "no":
            replies = await session.sample_each(asked)
            return [_read(reply[0].completion) if reply else Judgement(None, failure=_why(reply.missing)) for reply in replies]
        scores = await session.score_each([(request, _LETTERS) for request in asked])
        return [_weigh(*letters) for letters in scores]


def _request(problem: Problem, text: str) -> Request:
    sampling = Sampling(temperature=0.0, max_tokens=1)
    asked = Request.ask(_ASK.format(question=problem.question, answer=text), sampling=sampling, prompt_version="p_true/1")
    return Request(asked.messages, sampling=sampling, capture=Capture(top_logprobs=_TOP), prompt_version=asked.prompt_version)


def _why(missing: dict[str, int]) -> str:
    return f"not judged: {', '.join(missing) or 'no reply'}"


def _weigh(right: TokenLogprobs | None, wrong: TokenLogprobs | None) -> Judgement:
    if right is None or wrong is None:
        return Judgement(None, failure="not judged: the budget did not reach for both letters")
    odds = wrong.total - right.total
    return Judgement(1 / (1 + math.exp(odds)) if odds < 700 else 0.0)


def _read(completion: Completion) -> Judgement:
    if not completion.top_logprobs or not completion.top_logprobs[0]:
        return Judgement(None, text=completion.text, failure="the judge returned no token probabilities; use a backend with top_logprobs")
    mass = {"A": 0.0, "B": 0.0}
    listed = completion.top_logprobs[0]
    for token, logprob in listed:
        letter = token.strip().strip("().").upper()
        if letter in mass:
            mass[letter] += math.exp(logprob)
    if mass["A"] + mass["B"] <= 0:
        return Judgement(None, text=completion.text, failure=f"neither A nor B is among the {_TOP} likeliest first tokens")
    least = math.exp(min(logprob for _, logprob in listed))
    right, wrong = (mass[letter] or least for letter in "AB")
    return Judgement(right / (right + wrong), text=completion.text)
