"""Math answers: equivalence, bombs, and the processes that math-verify runs in."""

from __future__ import annotations

import os
import signal
import time

import anyio
import pytest

from outthink.core.problem import Answer
from outthink.problems import mathematics
from outthink.problems.math_process import Pool
from outthink.problems.mathematics import Math, tidy
from tests.problems.support import HUGE

pytest.importorskip("math_verify", reason="math-verify is not installed: pip install 'outthink[math]'")


def equal(text: str, key: str) -> bool:
    return anyio.run(Math().equal, Answer(tidy(text)), key)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("so \\boxed{\\frac{1}{2}}. Done", "\\frac{1}{2}"),
        ("\\boxed{\\boxed{x+1}}", "{x+1}"),
        ("The answer is $x^2$.", "x^2"),
        ("\\boxed{44}, and so our answer is correct.", "44"),
        ("We get $x$ and then \\[ p - q. \\]", "p - q"),
        ("It makes 3 and then 4 apples", "4"),
        ("p - q", "p - q"),
        ("no idea", None),
        ("", None),
    ],
)
def test_finds(text, value):
    answer = Math().parse(text)
    assert (answer and answer.value) == value


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("0.75", "\\frac{3}{4}"),
        ("-q+p", "p - q"),
        ("10000", "10,\\!000"),
        ("(3, \\pi/2)", "\\left( 3, \\frac{\\pi}{2} \\right)"),
        ("x=5", "5"),
        ("Evelyn", "\\text{Evelyn}"),
        ("\\dfrac12", "1/2"),
        ("(x+1)^2", "x^2+2x+1"),
    ],
)
def test_equivalent(text, key):
    assert equal(text, key)


@pytest.mark.parametrize(("text", "key"), [("0.333", "1/3"), ("6", "5"), ("x+1", "x-1"), ("(1,2)", "(2,1)"), ("\\infty", "1"), ("\\frac{1}{", "1")])
def test_different(text, key):
    assert not equal(text, key)


def test_classes():
    answers = [None if text is None else Answer(text) for text in ("1/2", "p-q", None, "\\frac12", "-q+p", "0.5", "7")]
    assert anyio.run(Math().group, answers) == [0, 1, -1, 0, 1, 0, 2]


@pytest.mark.parametrize("bomb", ["9^{9^{9^{9}}}", "100!!!!", "(" * 900 + ")" * 900])
def test_a_bomb_is_no_answer_and_costs_its_limit(bomb):
    start = time.monotonic()
    assert Math(seconds=1.0).parse(f"\\boxed{{{bomb}}}") is None
    assert time.monotonic() - start < 30  # a new process may have to start first
    assert equal("1/2", "0.50")


@pytest.mark.slow
@pytest.mark.parametrize("name", HUGE)
def test_a_megabyte_takes_linear_time(name):
    start = time.process_time()
    Math(seconds=1.0).parse(HUGE[name])
    assert time.process_time() - start < 4


def test_a_killed_process_is_replaced():
    pool = Pool(1)
    try:
        assert pool.equal("x+x", "2x", 60) is True
        worker = pool._idle.get()
        pool._idle.put(worker)
        os.kill(worker.process.pid, signal.SIGKILL)
        worker.process.wait()
        assert pool.equal("x+x", "2x", 60) is True
        assert pool.started == 2
        assert pool.equal("1", "9^{9^{9^{9}}}", 0.5) is None
        assert pool.equal("x+x", "3x", 60) is False
        assert pool.started == 3
    finally:
        pool.close()


def test_a_cancelled_comparison_gives_its_process_back():
    async def work() -> bool:
        with anyio.move_on_after(0.05):
            await Math(seconds=1.0).equal(Answer("10^{10^{10}}"), "y")
        return await Math(seconds=60).equal(Answer("y + y"), "2y")

    assert anyio.run(work)
    assert mathematics.shared().size >= 1
