"""The sync door: in plain code, inside a running event loop, and everything it exports."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path

import pytest

import outthink
from outthink.models.scripted import ScriptedModel


def test_every_exported_name_is_there() -> None:
    for name in outthink.__all__:
        assert getattr(outthink, name) is not None
    with pytest.raises(AttributeError, match="nosuch"):
        outthink.nosuch  # noqa: B018


def test_solve_votes() -> None:
    solution = outthink.solve("?", ScriptedModel(["1", "2", "2"]), "majority_vote(n=3)", answer="number")
    assert solution.answer is not None
    assert solution.answer.value == "2"
    assert solution.confidence == pytest.approx(2 / 3)


def test_solve_inside_a_running_loop() -> None:
    async def notebook() -> outthink.Solution:
        return outthink.solve("?", ScriptedModel(["7"]), "greedy", answer="number")

    solution = asyncio.run(notebook())
    assert str(solution.answer) == "7"


def test_an_error_comes_out_as_itself_inside_a_running_loop() -> None:
    async def notebook() -> None:
        outthink.solve("?", ScriptedModel(["7"]), "greedyy")

    with pytest.raises(outthink.OutthinkError, match="Did you mean 'greedy'"):
        asyncio.run(notebook())


def test_the_same_question_again_costs_nothing(tmp_path: Path) -> None:
    file = tmp_path / "record.sqlite"
    first = outthink.solve("?", ScriptedModel(["1", "2", "2"]), "majority_vote(n=3)", answer="number", journal=file)
    again = outthink.solve("?", ScriptedModel(["9", "9", "9"]), "majority_vote(n=3)", answer="number", journal=file)
    assert again.answer == first.answer
    assert again.charged == first.charged
    assert again.paid.calls == 0


@pytest.mark.parametrize("question", ["", " \n", 42])
def test_a_question_that_asks_nothing_is_refused(question: object) -> None:
    with pytest.raises(outthink.OutthinkError, match="must be a text that asks something"):
        outthink.solve(question, ScriptedModel(["7"]))  # type: ignore[arg-type]


def test_an_interrupted_cell_of_a_notebook_leaves_nothing_running() -> None:
    ended = threading.Event()

    class Watched(ScriptedModel):
        async def stream(self, draws):  # type: ignore[no-untyped-def]
            asking.set()
            try:
                async for chunk in super().stream(draws):
                    yield chunk
            finally:
                ended.set()

    asking = threading.Event()

    async def notebook() -> None:
        threading.Thread(target=lambda: (asking.wait(), os.kill(os.getpid(), signal.SIGINT))).start()
        outthink.solve("?", Watched(["word " * 50], delay_s=1.0), "greedy")

    loop = asyncio.new_event_loop()  # not asyncio.run, which handles the signal itself: a notebook's kernel does not
    begun = time.monotonic()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs tests in the background has it ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(notebook())
    finally:
        signal.signal(signal.SIGINT, before)
        loop.close()
    assert time.monotonic() - begun < 30  # the reply alone takes 50 seconds
    assert ended.is_set()
