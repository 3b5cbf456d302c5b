"""Problem sets with known truth for these tests, and a run that a test can kill. `python -m tests.evaluate.support FOLDER` runs it."""

from __future__ import annotations

import signal
import sys
from functools import partial

from outthink.core.problem import Problem
from outthink.core.request import Message
from outthink.core.spend import Price
from outthink.evaluate.plan import Plan
from outthink.evaluate.run import interruptible, run
from outthink.evaluate.work import Progress
from outthink.models.simulated import LatentAnswers, Speech
from outthink.problems.answers import answer_kind
from outthink.problems.sets import ProblemSet
from outthink.strategies.best_of_n import BestOfN
from outthink.strategies.greedy import Greedy
from outthink.strategies.majority_vote import MajorityVote


def numbered(count: int, name: str = "numbers") -> ProblemSet:
    """`count` problems `set/0`, `set/1`, ... whose answers are 100, 101, ..."""
    kind = answer_kind("number")
    problems = tuple(Problem(f"set/{i}", (Message("user", f"What is {100 + i}?"),), kind) for i in range(count))
    return ProblemSet(name, problems, {problem.id: str(100 + i) for i, problem in enumerate(problems)}, "f" * 64, "public domain", "made here")


def latent(problems: ProblemSet, *, p: float = 0.5, delay_s: float = 0.0, failure_rate: float = 0.0, shares_prompt: bool = False) -> LatentAnswers:
    """A model that is right with probability p on every problem; the rest goes to two wrong answers and to no answer."""
    answers: dict[str, dict[str | None, float]] = {}
    for problem, key in problems.keys.items():
        rest = (1 - p) / 4
        answers[problem] = {key: p, f"{key}1": 2 * rest, f"{key}2": rest, None: rest}
    speech = Speech(delay_s=delay_s, failure_rate=failure_rate)
    return LatentAnswers(answers, problems.keys, speech=speech, price=Price(1.0, 2.0, 1e6), shares_prompt=shares_prompt)


def plan(problems: ProblemSet, *, seeds: tuple[int, ...] = (0,)) -> Plan:
    """Greedy, majority vote and best-of-n at 1, 4 and 8."""
    return Plan((Greedy(), MajorityVote(), BestOfN()), problems, (1, 4, 8), seeds, model="simulated", command="outthink run numbers")


def main(folder: str) -> None:
    """A run of 12 problems that takes seconds, so that a busy machine kills it in time; prints how many records there are, a line after each."""
    # a shell that runs tests in the background has its children ignore it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    problems = numbered(12)

    def say(step: Progress) -> None:
        print(step.done, flush=True)

    interruptible(partial(run, plan(problems), latent(problems, delay_s=0.1), folder, concurrency=2, progress=say), folder)


if __name__ == "__main__":
    main(sys.argv[1])
