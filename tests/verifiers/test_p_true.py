"""P(True): what is read where the model scores, and where only its likeliest tokens are seen; what it costs under caps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import anyio
import pytest

from outthink.core.attempt import attempt
from outthink.core.completion import Completion, TokenLogprobs, Usage
from outthink.core.journal import Journal
from outthink.core.problem import Answer, Problem
from outthink.core.request import Message, Prefix, Request, Sampling
from outthink.core.session import Session
from outthink.core.solution import Candidate, Judgement
from outthink.core.spend import SPEND_FIELDS, Budget, Price, Spend
from outthink.models import store
from outthink.models.embedded import EmbeddedModel
from outthink.models.scripted import ScriptedModel
from outthink.problems.numbers import Number
from outthink.strategies.best_of_n import BestOfN
from outthink.verifiers.p_true import PTrue

PROBLEM = Problem("p", (Message("user", "What is 1 + 1?"),), Number())
ONE, TWO = (Candidate(Completion(text, "stop", Usage()), Answer(text), key=text, index=i) for i, text in enumerate(("1", "2")))


class Knows(ScriptedModel):
    """Finds A three times as probable as B where the prompt says 2, and the other way round elsewhere."""

    async def score(self, request: Request, continuations: Sequence[Prefix]) -> list[TokenLogprobs]:
        likely = "A" if "\n2\n" in request.messages[-1].text else "B"
        return [TokenLogprobs((c.text,), (math.log(0.3 if c.text == likely else 0.1),), self.prompt_bound(request)) for c in continuations]


def listed(*tops: tuple[str, float]) -> Completion:
    return Completion(tops[0][0], "length", Usage(1, 1), top_logprobs=(tuple((token, math.log(p)) for token, p in tops),))


def judged(model: ScriptedModel | EmbeddedModel, candidates: Sequence[Candidate]) -> list[Judgement]:
    async def work() -> list[Judgement]:
        try:
            return await Session.open(model, place=("p",), sampling=Sampling(max_tokens=8)).judge(PTrue(), PROBLEM, candidates)
        finally:
            await model.aclose()

    return anyio.run(work)


def test_both_letters_are_scored_where_the_model_scores() -> None:
    assert [j.score for j in judged(Knows([], logprob=-1.0), [ONE, TWO])] == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize(
    ("tops", "score"),
    [
        ([("A", 0.6), ("B", 0.2), (" A", 0.1), ("x", 0.01)], 0.7 / 0.9),
        ([("(B)", 0.5), ("The", 0.3), ("a", 0.1)], 0.1 / 0.6),
        # B is not listed: it may be as probable as the least likely token that is
        ([("The", 0.5), ("A", 0.004), ("x", 0.004)], 0.5),
        ([("A", 0.9), ("x", 0.001)], 0.9 / 0.901),
        ([("The", 0.5), ("B", 0.3), ("x", 0.1)], 0.1 / 0.4),
    ],
)
def test_elsewhere_the_likeliest_tokens_are_read(tops: list[tuple[str, float]], score: float) -> None:
    (judgement,) = judged(ScriptedModel([listed(*tops)]), [ONE])
    assert judgement.score == pytest.approx(score)


def test_neither_letter_is_a_failed_judgement() -> None:
    (judgement,) = judged(ScriptedModel([listed(("The", 0.5), ("x", 0.1))]), [ONE])
    assert judgement.score is None
    assert "neither A nor B" in (judgement.failure or "")


@pytest.mark.parametrize("shares_prompt", [False, True])
@pytest.mark.parametrize("cap", ["calls", "prompt_tokens", "dollars"])
def test_its_share_is_kept_at_every_cap(cap: str, shares_prompt: bool) -> None:
    unit = {"calls": 1, "prompt_tokens": 5, "dollars": 5e-6}[cap]
    most = 0
    for steps in range(0, 100, 1 if cap == "calls" else 3):
        model = Knows(["1", "2", "2", "1"] * 2, logprob=-1.0, shares_prompt=shares_prompt, price=Price(prompt=1.0, completion=1.0))
        budget = Budget(**{cap: steps * unit})

        async def work(model: Knows = model, budget: Budget = budget) -> tuple[int, dict[str, int], Spend]:
            session = Session.open(model, place=("p",), budget=budget, sampling=Sampling(max_tokens=2))
            solution = await attempt(BestOfN(n=4, verifier=PTrue()), PROBLEM, session)
            if solution.candidates >= 2:
                assert solution.text == "2"
            return solution.candidates, dict(solution.missing), solution.charged

        candidates, missing, charged = anyio.run(work)
        assert "judgement failed" not in missing
        for name in SPEND_FIELDS:
            assert getattr(budget, name) is None or getattr(charged, name) <= getattr(budget, name) * (1 + 1e-9)
        most = max(most, candidates)
    assert most == 4


@pytest.mark.slow
@pytest.mark.skipif(store.find(store.DEFAULT) is None, reason="the default model is not here: outthink models get")
def test_the_real_model_gives_both_letters_exactly() -> None:
    pytest.importorskip("xllamacpp", reason="the extra 'local' is not installed")
    file = store.find(store.DEFAULT)
    assert file is not None
    journal = Journal()

    async def work() -> list[Judgement]:
        model = EmbeddedModel(file, context=256, slots=4, threads=1)
        try:
            return await Session.open(model, place=("p",), journal=journal, sampling=Sampling(max_tokens=8)).judge(PTrue(), PROBLEM, [ONE, TWO])
        finally:
            await model.aclose()

    judgements = anyio.run(work)
    calls = list(journal.calls("score"))
    assert [call.body["tokens"] for call in calls] == [["A"], ["B"]] * 2
    for judgement, right, wrong in zip(judgements, calls[::2], calls[1::2], strict=True):
        a, b = (math.exp(call.body["logprobs"][0]) for call in (right, wrong))  # type: ignore[index]
        assert judgement.score == pytest.approx(a / (a + b))
        assert 0 < a + b <= 1.001
        assert right.charged.prompt_tokens == right.body["prompt_tokens"] + 1  # type: ignore[operator]
        assert wrong.charged.prompt_tokens == 1, "the prompt is read once for both"
