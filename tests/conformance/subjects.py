"""What the suite runs: every registered strategy, made small, and strategies of its own that use every way of spending at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from outthink.core.problem import Problem
from outthink.core.protocols import Strategy
from outthink.core.registry import entries, knobs
from outthink.core.request import Request, Sampling
from outthink.core.session import Session
from outthink.core.solution import Candidate, Judgement, Preference, Solution
from outthink.core.spend import Budget, Spend
from outthink.strategies.best_of_n import BestOfN
from outthink.strategies.knockout import Knockout
from outthink.strategies.league import League
from outthink.strategies.weighted_vote import WeightedVote

SMALL = {"n": 6, "window": 2}


@dataclass(frozen=True)
class AskingJudge:
    """A verifier that asks the judge's model once or more for each candidate; its score is made of the words of the replies."""

    votes: int = 1
    in_branches: bool = False
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        """The longest candidate in the prompt, for each vote."""
        return session.price_bound(self._request(problem, " ".join(["word"] * sampling.max_tokens))) * self.votes

    async def judge(self, problem: Problem, candidates: Sequence[Candidate], session: Session) -> list[Judgement]:
        """One request a candidate, in one go or in branches."""
        requests = [self._request(problem, candidate.text) for candidate in candidates]
        if self.in_branches:

            async def ask(branch: Session, request: Request) -> Sequence[Candidate]:
                return await branch.sample(request, self.votes)

            replies: Sequence[Sequence[Candidate]] = await session.branches(ask, requests)
        else:
            replies = await session.sample_each(requests, self.votes)
        return [self._read(reply) for reply in replies]

    def _request(self, problem: Problem, text: str) -> Request:
        return Request.ask(f"{problem.question} Somebody says: {text} Right?", sampling=Sampling(max_tokens=5), prompt_version="asking_judge/1")

    def _read(self, replies: Sequence[Candidate]) -> Judgement:
        if len(replies) < self.votes:
            return Judgement(None, failure="the judge gave fewer replies than votes")
        votes = tuple(len(reply.text) % 7 / 7 for reply in replies)
        return Judgement(sum(votes) / len(votes), votes=votes)


@dataclass(frozen=True)
class AskingComparer:
    """A comparer that asks the judge's model once for each pair and prefers the larger number of the two; no comparison fails."""

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        """Two of the longest candidates in the prompt."""
        longest = " ".join(["word"] * sampling.max_tokens)
        return session.price_bound(self._request(problem, longest, longest))

    async def compare(self, problem: Problem, pairs: Sequence[tuple[Candidate, Candidate]], session: Session) -> list[Preference]:
        """One request a pair."""
        replies = await session.sample_each([self._request(problem, first.text, second.text) for first, second in pairs])
        return [
            Preference(float(str(first.answer) > str(second.answer)))
            if reply
            else Preference(None, failure=f"not compared: {', '.join(reply.missing)}")
            for (first, second), reply in zip(pairs, replies, strict=True)
        ]

    def _request(self, problem: Problem, first: str, second: str) -> Request:
        text = f"{problem.question} One says: {first} Other: {second} Who?"
        return Request.ask(text, sampling=Sampling(max_tokens=5), prompt_version="asking_comparer/1")


@dataclass(frozen=True)
class Branching:
    """Branches that sample, judge, and branch again, some under limits of their own; then a last round in common."""

    width: int = 3
    judge: AskingJudge = AskingJudge()

    async def solve(self, problem: Problem, session: Session) -> Solution:
        """Spend in every way at once."""

        async def leaf(branch: Session, item: int) -> list[Candidate]:
            return list(await branch.sample(problem, n=1 + item))

        async def work(branch: Session, item: int) -> list[tuple[Candidate, Judgement]]:
            own = branch.limit(Budget(calls=4, completion_tokens=60)) if item % 2 else branch
            first = await own.sample(problem, n=2 + item, judged_by=self.judge)
            judged = list(zip(first, await own.judge(self.judge, problem, first), strict=True))
            if item != 1:
                deeper = await own.branches(leaf, [0, 1])
                judged += [(candidate, Judgement(0.0)) for found in deeper for candidate in found]
            again = await own.at("again").sample(problem, n=1, judged_by=self.judge)
            return judged + list(zip(again, await own.at("again").judge(self.judge, problem, again), strict=True))

        found = [pair for pairs in await session.branches(work, range(self.width)) for pair in pairs]
        last = await session.sample(problem, n=2, judged_by=self.judge)
        found += zip(last, await session.judge(self.judge, problem, last), strict=True)
        return Solution.best([candidate for candidate, _ in found], [judgement for _, judgement in found])


@dataclass(frozen=True)
class Limited:
    """Nested limits, and the same request asked again at the same place."""

    async def solve(self, problem: Problem, session: Session) -> Solution:
        """Sample under a limit in a limit, then under the outer one, then under none."""
        outer = session.limit(Budget(completion_tokens=45))
        inner = outer.limit(Budget(calls=2))
        found = [*await inner.sample(problem, n=4), *await outer.sample(problem, n=4), *await session.sample(problem, n=2)]
        return await Solution.vote(problem.answer, found)


def registered() -> dict[str, Strategy]:
    """Every registered strategy with its defaults, made small."""
    made: dict[str, Strategy] = {}
    for entry in entries("strategy"):
        small = {name: value for name, value in SMALL.items() if name in knobs(entry.cls)}
        made[entry.name] = entry.cls(**small)
    return made


def own() -> dict[str, Strategy]:
    """Strategies that spend on judges that cost, in branches, and under limits."""
    return {
        "best_of_n, asking judge": BestOfN(n=5, verifier=AskingJudge(votes=2)),
        "best_of_n, judge in branches": BestOfN(n=4, verifier=AskingJudge(in_branches=True)),
        "weighted_vote, asking judge": WeightedVote(n=5, verifier=AskingJudge()),
        "knockout, asking comparer": Knockout(n=5, comparisons=2, comparer=AskingComparer()),
        "league, asking comparer": League(n=5, comparisons=1, comparer=AskingComparer()),
        "league of few opponents": League(n=6, comparisons=1, opponents=3, comparer=AskingComparer()),
        "branching": Branching(),
        "branching, judge in branches": Branching(width=4, judge=AskingJudge(votes=2, in_branches=True)),
        "limited": Limited(),
    }
