"""Scores and embeddings through the session: what they cost, what is recorded, budgets, cancellation, resume, replay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio
import pytest

from outthink.core.completion import Embedding, TokenLogprobs
from outthink.core.errors import CapabilityError, ModelError
from outthink.core.journal import Journal
from outthink.core.pool import Pool
from outthink.core.request import Prefix, Request, Sampling
from outthink.core.session import Session
from outthink.core.solution import Ledger
from outthink.core.spend import Budget, Price, Spend
from outthink.models.replay import ReplayModel
from outthink.models.scripted import ScriptedModel
from outthink.models.simulated import LatentAnswers

ASK = Request.ask("one two three four five", sampling=Sampling(max_tokens=4))
OTHER = Request.ask("six seven", sampling=Sampling(max_tokens=4))
TEXTS = [Prefix("a"), Prefix("b c"), Prefix("d e f")]
T = TypeVar("T")


class Scorer(ScriptedModel):
    """Scores every word at -1 and embeds a text as its length; writes down what it served, and may take its time."""

    def __init__(self, *, once: bool = True, delay_s: float = 0.0) -> None:
        super().__init__([], shares_prompt=once, logprob=-1.0, price=Price(prompt=1.0))
        self.asked: list[list[str]] = []
        self.wait_s = delay_s

    async def score(self, request: Request, continuations: Sequence[Prefix]) -> list[TokenLogprobs]:
        self.asked.append([continuation.text for continuation in continuations])
        await anyio.sleep(self.wait_s)
        return await super().score(request, continuations)

    async def embed(self, texts: Sequence[str]) -> list[Embedding]:
        self.asked.append(list(texts))
        await anyio.sleep(self.wait_s)
        return [Embedding((float(len(text)),), len(text.split())) for text in texts]


def play(model: ScriptedModel | LatentAnswers, work: Callable[[Session], Awaitable[T]], **options: object) -> tuple[T, Session]:
    async def main() -> tuple[T, Session]:
        session = Session.open(model, place=("p",), **options)  # type: ignore[arg-type]
        return await work(session), session

    return anyio.run(main)


def ledger(session: Session) -> Ledger:
    return session.shared.ledgers.get("policy", Ledger())


@pytest.mark.parametrize(("once", "tokens"), [(True, 5 + 1 + 2 + 3), (False, 3 * 5 + 1 + 2 + 3)])
def test_a_prompt_is_billed_once_where_the_model_reads_it_once(once: bool, tokens: int) -> None:
    model, journal = Scorer(once=once), Journal()
    scores, session = play(model, lambda session: session.score(ASK, TEXTS), journal=journal)
    assert [scored and scored.total for scored in scores] == [-1.0, -2.0, -3.0]
    assert model.asked == [["a", "b c", "d e f"]], "one call of the backend, which shares the prompt"
    spend = Spend(0, tokens, 3, 0.0, pytest.approx(tokens / 1e6))  # type: ignore[arg-type]
    assert ledger(session) == Ledger(spend, spend)
    calls = list(journal.calls())
    assert [(call.kind, call.state, call.role, call.problem) for call in calls] == [("score", "done", "policy", "p")] * 3
    assert sum((call.charged for call in calls), Spend()) == spend


def test_prompts_of_several_requests_are_each_billed() -> None:
    scores, session = play(Scorer(), lambda session: session.score_each([(ASK, TEXTS[:2]), (OTHER, TEXTS[:1]), (OTHER, [])]))
    assert [[s and len(s.tokens) for s in each] for each in scores] == [[1, 2], [1], []]
    assert ledger(session).charged.prompt_tokens == 5 + 1 + 2 + 2 + 1


def test_what_is_recorded_is_charged_again_and_not_paid_again() -> None:
    journal = Journal()
    first, before = play(Scorer(), lambda session: session.score(ASK, TEXTS), journal=journal)
    model = Scorer()
    again, session = play(model, lambda session: session.score(ASK, TEXTS), journal=journal)
    assert again == first
    assert model.asked == []
    assert ledger(session) == Ledger(ledger(before).charged, Spend())
    # one more continuation: the recorded one carries the prompt, what is served now has it too
    more, session = play(model, lambda session: session.score(ASK, [TEXTS[0], Prefix("x y")]), journal=journal)
    assert model.asked == [["x y"]]
    assert (ledger(session).charged.prompt_tokens, ledger(session).paid.prompt_tokens) == (5 + 1 + 2, 5 + 2)
    assert more[1] is not None


@pytest.mark.parametrize("cap", range(45))
def test_no_cap_is_overrun_and_what_does_not_fit_is_missing(cap: int) -> None:
    model = Scorer()
    scores, session = play(model, lambda session: session.score(ASK, TEXTS), budget=Budget(prompt_tokens=cap))
    got = [scored is not None for scored in scores]
    assert got == sorted(got, reverse=True), "in the order given"
    assert ledger(session).charged.prompt_tokens <= cap
    assert session.shared.missing == ({"budget": got.count(False)} if not all(got) else {})
    assert (session.shared.stopped == "budget") == (not all(got))
    if cap >= 14 + 10 + 11:
        assert all(got), "their bounds fit side by side"
    if cap < 5 + 1 + 8:
        assert not any(got)
        assert model.asked == []


def test_a_cut_score_is_recorded_with_what_it_may_have_cost() -> None:
    journal = Journal()
    scores, session = play(Scorer(delay_s=5), lambda session: session.score(ASK, TEXTS), journal=journal, budget=Budget(seconds=0.05))
    assert scores == [None, None, None]
    assert session.shared.stopped == "seconds"
    assert session.shared.missing == {"seconds": 3}
    calls = list(journal.calls())
    assert [(call.kind, call.state, call.basis) for call in calls] == [("score", "cut", "estimated")] * 3
    assert sum(call.paid.prompt_tokens for call in calls) == 5 + 9 + 11 + 13 == ledger(session).paid.prompt_tokens
    # it is asked again when there is time
    again, _ = play(Scorer(), lambda session: session.score(ASK, TEXTS), journal=journal)
    assert all(scored is not None for scored in again)


def test_a_backend_that_fails_is_told_and_records_nothing() -> None:
    class Broken(Scorer):
        async def score(self, request: Request, continuations: Sequence[Prefix]) -> list[TokenLogprobs]:
            return (await super().score(request, continuations))[:1]

    journal = Journal()
    with pytest.raises(ModelError, match="1 scores for 3 continuations"):
        play(Broken(), lambda session: session.score(ASK, TEXTS), journal=journal)
    assert len(journal) == 0


def test_who_cannot_score_names_who_can() -> None:
    model = LatentAnswers({"p": {"7": 1.0}}, {"p": "7"})
    with pytest.raises(CapabilityError, match="embedded engine"):
        play(model, lambda session: session.score(ASK, TEXTS))
    with pytest.raises(CapabilityError, match="embedded engine"):
        play(model, lambda session: session.embed(["a"]))


def test_embeddings_are_metered_recorded_and_found_again() -> None:
    model, journal = Scorer(), Journal()
    embedded, session = play(model, lambda session: session.embed(["a b", "c"]), journal=journal)
    assert [each and each.vector for each in embedded] == [(3.0,), (1.0,)]
    assert model.asked == [["a b", "c"]]
    assert ledger(session).charged.prompt_tokens == ledger(session).paid.prompt_tokens == 3
    assert [(call.kind, call.state) for call in journal.calls()] == [("embed", "done")] * 2
    assert play(model, lambda session: session.embed(["a b", "c"]), journal=journal)[0] == embedded
    assert len(model.asked) == 1
    few, session = play(model, lambda session: session.embed(["a b", "c"]), budget=Budget(calls=1))
    assert [each is None for each in few] == [False, True]
    assert session.shared.missing == {"budget": 1}


@pytest.mark.parametrize("once", [True, False])
def test_a_replay_has_the_recorded_scores_at_the_same_charge(once: bool) -> None:
    model = Scorer(once=once)
    model.replies = ("yes",)

    async def work(session: Session) -> list[TokenLogprobs | None]:
        await session.sample(ASK)
        return await session.at("elsewhere").score(ASK, TEXTS)

    journal = Journal()
    live, session = play(model, work, journal=journal)
    replay = ReplayModel(Pool(journal), price=model.price, shares_prompt=once)
    again, replayed = play(replay, work)  # type: ignore[arg-type]
    assert again == live
    assert (replayed.shared.ledgers["policy"].charged, replayed.shared.ledgers["policy"].paid) == (ledger(session).charged, Spend())
    with pytest.raises(ModelError, match="no score of 'new'"):
        play(replay, lambda session: session.score(ASK, [Prefix("new")]))  # type: ignore[arg-type]
