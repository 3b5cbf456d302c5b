"""Replay: which recorded sample answers which draw, and what was not recorded."""

from __future__ import annotations

import anyio
import pytest

from outthink.core.attempt import attempt
from outthink.core.completion import Completion, Failure, Usage
from outthink.core.errors import CapabilityError, DataError
from outthink.core.journal import Call, Journal
from outthink.core.pool import Pool
from outthink.core.problem import Problem
from outthink.core.protocols import Model, Strategy
from outthink.core.request import Draw, Message, Request, Sampling
from outthink.core.session import Session
from outthink.core.solution import Solution
from outthink.core.spend import Spend
from outthink.models.replay import ReplayModel
from outthink.models.scripted import ScriptedModel
from outthink.problems.answers import Number
from outthink.strategies.greedy import Greedy
from outthink.strategies.majority_vote import MajorityVote
from outthink.strategies.repeated_sampling import RepeatedSampling

PROBLEM = Problem("p/1", (Message("user", "how many"),), Number())


def solve(strategy: Strategy, model: Model, journal: Journal | None = None, *, seed: int = 0, sampling: Sampling = Sampling()) -> Solution:
    async def main() -> Solution:
        return await attempt(strategy, PROBLEM, Session.open(model, journal=journal, seed=seed, place=("p/1",), sampling=sampling))

    return anyio.run(main)


def recorded(replies: list[str | Failure], strategy: Strategy) -> Pool:
    journal = Journal()
    solve(strategy, ScriptedModel(list(replies)), journal)
    return Pool(journal)


def texts(model: Model, n: int, request: Request, seed: int = -1) -> list[str]:
    async def main() -> list[str]:
        draws = [Draw(request, i, seed, "p/1") for i in range(n)]
        return [end.text if isinstance(end, Completion) else end.kind async for end in ((c.done) async for c in model.stream(draws)) if end]

    return anyio.run(main)


def test_draw_i_gets_sample_i_and_what_is_not_there_is_a_failure_that_says_so() -> None:
    model = ReplayModel(recorded(["1", "2", "3"], RepeatedSampling(n=3)))
    assert (model.name, model.engine) == ("script", "scripted")
    assert texts(model, 4, PROBLEM.request(Sampling())) == ["1", "2", "3", "not recorded"]
    solution = solve(MajorityVote(n=5), model, seed=9)
    assert (solution.candidates, solution.missing) == (3, {"not recorded": 2})
    assert solution.paid == Spend()
    assert solution.charged.completion_tokens == 3


def test_a_failed_draw_fails_again_as_it_was() -> None:
    live = ScriptedModel(["1", Failure("broken", "x"), "1"])
    journal = Journal()
    first = solve(MajorityVote(n=3), live, journal)
    again = solve(MajorityVote(n=3), ReplayModel(Pool(journal)))
    assert (again.missing, again.charged, again.answer) == (first.missing, first.charged, first.answer)


def test_branches_that_ask_the_same_get_each_its_own_samples_at_the_same_seed() -> None:
    async def ask(branch: Session, item: int) -> str:
        return (await branch.sample(PROBLEM, 1))[0].text

    def run(model: Model, journal: Journal | None = None) -> list[str]:
        async def main() -> list[str]:
            return await Session.open(model, journal=journal, seed=3, place=("p/1",)).branches(ask, [0, 1, 2])

        return anyio.run(main)

    journal = Journal()
    live = run(ScriptedModel(["a", "b", "c"]), journal)
    assert run(ReplayModel(Pool(journal))) == live == ["a", "b", "c"]


def test_another_sampling_gets_the_one_recorded_request_if_there_is_one() -> None:
    pool = recorded(["1", "2"], RepeatedSampling(n=2))
    other = PROBLEM.request(Sampling(temperature=0.3, max_tokens=7))
    assert texts(ReplayModel(pool), 2, other) == ["1", "2"]
    solve(RepeatedSampling(n=1), ScriptedModel(["5"]), pool.journal, sampling=Sampling(temperature=1.5))
    model = ReplayModel(pool)
    assert texts(model, 1, other) == ["not recorded"], "two sampled requests: none of them is this one"
    assert texts(model, 1, PROBLEM.request(Sampling(temperature=1.5))) == ["5"]


def test_an_imported_recording_without_prompts_is_served() -> None:
    journal = Journal()
    body = Completion("The answer is 4.", "stop", Usage(0, 4)).to_json()
    journal.append([Call("p/1/import", "imported", i, "sample", "done", "policy", "p/1", "gpt@api", body=body) for i in range(2)])
    model = ReplayModel(Pool(journal))
    assert (model.name, model.engine) == ("gpt", "api")
    assert str(solve(MajorityVote(n=2), model).answer) == "4"


def test_greedy_needs_a_greedy_recording() -> None:
    pool = recorded(["1", "2"], RepeatedSampling(n=2))
    with pytest.raises(CapabilityError, match="no greedy sample"):
        solve(Greedy(), ReplayModel(pool))
    solve(Greedy(), ScriptedModel(["9"]), pool.journal)
    model = ReplayModel(pool)
    assert str(solve(Greedy(), model).answer) == "9"
    assert texts(model, 3, PROBLEM.request(Sampling(temperature=0.1))) == ["1", "2", "not recorded"], "a greedy sample is no sample"


def test_whose_samples_must_be_clear() -> None:
    with pytest.raises(DataError, match="holds no sample"):
        ReplayModel(Pool(Journal()))
    pool = recorded(["1"], RepeatedSampling(n=1))
    solve(RepeatedSampling(n=1), ScriptedModel(["2"], name="other"), pool.journal)
    with pytest.raises(DataError, match="other@scripted, script@scripted; say which"):
        ReplayModel(pool)
    assert texts(ReplayModel(pool, model="other@scripted"), 1, PROBLEM.request(Sampling())) == ["2"]
    with pytest.raises(DataError, match="no sample of 'x@y'"):
        ReplayModel(pool, model="x@y")
