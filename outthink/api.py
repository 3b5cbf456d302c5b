"""The sync door: one call from a script, a notebook or inside a running event loop."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import ParamSpec, TypeVar

import anyio

from outthink.core.attempt import attempt
from outthink.core.errors import UsageError
from outthink.core.journal import Journal
from outthink.core.keys import digest
from outthink.core.problem import AnswerKind, Problem
from outthink.core.protocols import Model, Strategy
from outthink.core.request import Message, Sampling
from outthink.core.session import Session
from outthink.core.shared import Event
from outthink.core.solution import Solution
from outthink.core.spec import build
from outthink.core.spend import Budget, Price

P = ParamSpec("P")
T = TypeVar("T")


async def solve_async(
    question: str | Problem,
    model: str | Model = "smollm2-135m",
    strategy: str | Strategy = "majority_vote",
    *,
    answer: str | AnswerKind = "free",
    budget: str | Budget = Budget(),
    sampling: Sampling = Sampling(),
    seed: int = 0,
    journal: str | Path | Journal | None = None,
    judge: str | Model | None = None,
    price: Price | None = None,
    template: str | None = None,
    listen: Callable[[Event], None] | None = None,
) -> Solution:
    """Solve one problem. `solve` is the same as a plain function, which also works inside a running event loop (a notebook).

    Args:
        question: what to ask, or a whole problem.
        model: a reference as `outthink solve --model` takes it, or a model.
        strategy: a spec such as `best_of_n(n=8)`, or a strategy.
        answer: kind of answer (`number`, `math`, `choice`, `exact`, `free`) that voting compares by; a problem has its own.
        budget: caps, such as `tokens=4096,seconds=30`.
        sampling: temperature, max_tokens and so on.
        seed: seed of every draw.
        journal: a file that records every call: the same question again costs nothing.
        judge: model of verifiers that ask one; the same model if None.
        price: what tokens cost of models that are given by reference; a cap on dollars needs it.
        template: chat template of a server's model, see `outthink.models.templates.named`; only exact scores on vLLM and SGLang need it.
        listen: called with every event.

    Returns:
        The solution: its answer and text, how sure the strategy is, what it cost, and why it stopped.

    Raises:
        OutthinkError: one sentence that says what is wrong and what would be right.

    Example:
        >>> solve("What is 17 + 25?", strategy="majority_vote(n=8)", answer="number").answer  # doctest: +SKIP
        Answer(value='42', raw='42')
    """
    from outthink.models.resolve import open_model
    from outthink.problems.answers import answer_kind

    chosen = build(strategy) if isinstance(strategy, str) else strategy
    caps = Budget.parse(budget) if isinstance(budget, str) else budget
    if isinstance(question, Problem):
        problem = question
    elif not isinstance(question, str) or not question.strip():
        raise UsageError(f"solve: the question must be a text that asks something, or a Problem; got {question!r}")
    else:
        kind = answer_kind(answer) if isinstance(answer, str) else answer
        problem = Problem(digest(question)[:12], (Message("user", question),), kind)
    record = journal if isinstance(journal, Journal) else Journal(journal)
    opened: list[Model] = []
    try:
        models: dict[str, Model] = {}
        for role, wanted in (("policy", model), ("judge", judge)):
            if isinstance(wanted, str):
                opened.append(await open_model(wanted, price=price, template=template))
                models[role] = opened[-1]
            elif wanted is not None:
                models[role] = wanted
        session = Session.open(models, journal=record, budget=caps, sampling=sampling, seed=seed, place=(problem.id,), listen=listen)
        return await attempt(chosen, problem, session)  # type: ignore[arg-type]  # build returns what was registered as a strategy
    finally:
        with anyio.CancelScope(shield=True):
            for one in opened:
                await one.aclose()
        if record is not journal:
            record.close()


def _sync(coroutine: Callable[P, Coroutine[object, object, T]]) -> Callable[P, T]:
    @functools.wraps(coroutine)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return _run(functools.partial(coroutine, *args, **kwargs))

    return run


def _run(work: Callable[[], Awaitable[T]]) -> T:
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return anyio.run(work)
    outcome: list[T] = []
    raised: list[BaseException] = []
    end: list[Callable[[], object]] = []
    begun, over = threading.Event(), threading.Event()

    async def endable() -> None:
        with anyio.CancelScope() as scope:
            end.append(functools.partial(asyncio.get_running_loop().call_soon_threadsafe, scope.cancel))
            begun.set()
            outcome.append(await work())

    def thread() -> None:
        try:
            anyio.run(endable)
        except BaseException as error:  # carried to the caller's thread, whatever it is
            raised.append(error)
        finally:
            begun.set()
            over.set()

    worker = threading.Thread(target=thread, name="outthink-solve")
    worker.start()
    try:
        over.wait()  # not join, which takes a thread for ended once it was interrupted itself (Python 3.11, 3.12)
    except BaseException:  # a notebook's cell was interrupted: what it asked for must not go on spending
        begun.wait()
        with contextlib.suppress(RuntimeError):  # it has just ended by itself
            for stop in end:
                stop()
        over.wait()
        raise
    worker.join()
    if raised:
        raise raised[0]
    return outcome[0]


solve = _sync(solve_async)
