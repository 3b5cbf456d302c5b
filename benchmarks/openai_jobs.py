"""Self-consistency-of-16 jobs a second over HTTP, against a server that answers at once: outthink, its-hub, and optillm's proxy.

The server is `tests/models/stub_server.py` in a process of its own: one that honours `n`, one that returns a single choice whatever is
asked (`no-n`), and one that refuses more than one choice with an error (`refuse-n`).
Contenders run in processes of their own, its-hub and optillm in their own virtual environments, made here from PyPI. Rounds are
interleaved in pairs, outthink first in every other; a ratio is the geometric mean of the paired ratios with its bootstrap interval.
optillm's job is its `self_consistency` of 16: it draws one by one and compares the texts with one another, so that the length of the answers
(`--words`) matters. Its proxy passes no number of samples on and always draws 5; here it is started with that default at 16
(`OPTILLM`), and nothing else of it is changed. Beside it stands its plug-in `majority_voting` with k = 16: one request where the server
honours `n`, 16 one by one where it refuses; a server that silently returns one choice leaves it with one sample, which is no vote.
The floor is the plainest aiohttp loop that sends the same requests and decodes the answers: no vote, no record, no budget. No client on
aiohttp in one process can be faster, so floor / peer bounds what the ratio to that peer can be.
Each contender runs at the number of jobs at once that serves it best of 4, 16 and 64. Targets: its-hub 1, optillm 50.

    python benchmarks/openai_jobs.py [--pairs 10] [--jobs 300] [--peers FOLDER] [--only n|no-n|refuse-n] [--words 120]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve()
STUB = HERE.parent.parent / "tests" / "models" / "stub_server.py"
AT_ONCE = (4, 16, 64)
SAMPLES = 16
OPTILLM = f"""
import functools
from optillm import main, self_consistency
self_consistency.AdvancedSelfConsistency = functools.partial(self_consistency.AdvancedSelfConsistency, num_samples={SAMPLES})
main()
"""
WAYS = {"n": "honours n", "no-n": "returns one choice whatever is asked", "refuse-n": "refuses more than one choice"}


async def _many(job: Callable[[int], object], jobs: int, at_once: int) -> None:
    numbers = iter(range(jobs))

    async def worker() -> None:
        for number in numbers:
            await job(number)  # type: ignore[misc]

    await asyncio.gather(*(worker() for _ in range(at_once)))


def _serve_rounds(loop: asyncio.AbstractEventLoop, job: Callable[[int], object]) -> None:
    """Read `jobs at_once` lines, do the jobs, write the seconds they took."""
    print("ready", flush=True)
    for line in sys.stdin:
        jobs, at_once = map(int, line.split())
        start = time.perf_counter()
        loop.run_until_complete(_many(job, jobs, at_once))
        print(time.perf_counter() - start, flush=True)


def work_outthink(url: str) -> None:
    """Jobs through `attempt(MajorityVote(16))`, each in its own session, recorded in one journal in memory."""
    from outthink.core.attempt import attempt
    from outthink.core.journal import Journal
    from outthink.core.problem import Problem
    from outthink.core.request import Message
    from outthink.core.session import Session
    from outthink.models.openai import OpenAIModel
    from outthink.problems.answers import Exact
    from outthink.strategies.majority_vote import MajorityVote

    loop = asyncio.new_event_loop()
    model, journal, counter = OpenAIModel("stub-model", base_url=url), Journal(), iter(range(10**9))

    async def job(_: int) -> None:
        name = f"problem-{next(counter)}"  # every job is new: nothing may come from the journal
        problem = Problem(name, (Message("user", f"What is 6 x 7? ({name})"),), Exact(extract=r"\\boxed\{([^}]+)\}"))
        solution = await attempt(MajorityVote(n=SAMPLES), problem, Session.open(model, journal=journal, place=(name,)))
        assert solution.candidates == SAMPLES, solution
        assert solution.answer is not None, solution

    _serve_rounds(loop, job)


def work_floor(url: str, requests: int) -> None:
    """The same requests and nothing else: `requests` of them make the 16 samples of a job."""
    import aiohttp

    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(_client(aiohttp.ClientSession))
    asked = {"n": SAMPLES} if requests == 1 else {"seed": 1}

    async def ask(number: int) -> None:
        body = {"model": "stub-model", "messages": [{"role": "user", "content": f"What is 6 x 7? ({number})"}], "temperature": 0.8, "top_p": 1.0}
        data = json.dumps({**body, "max_tokens": 512, **asked}).encode()
        async with client.post(f"{url}/chat/completions", data=data, headers={"Content-Type": "application/json"}) as response:
            assert json.loads(await response.read())["choices"]

    async def job(number: int) -> None:
        await asyncio.gather(*(ask(number) for _ in range(requests)))

    _serve_rounds(loop, job)


def work_its_hub(url: str) -> None:
    """The same jobs through its-hub's SelfConsistency, its answers projected by the same pattern."""
    from its_hub.core.algorithms.self_consistency import SelfConsistency, create_regex_projection_function  # type: ignore[import-not-found]
    from its_hub.core.lms.openai_lm import OpenAICompatibleLanguageModel  # type: ignore[import-not-found]

    loop = asyncio.new_event_loop()
    model = OpenAICompatibleLanguageModel(endpoint=url, api_key="none", model_name="stub-model", temperature=0.8)
    vote = SelfConsistency(create_regex_projection_function(r"\\boxed\{([^}]+)\}"))

    async def job(number: int) -> None:
        assert await vote.ainfer(model, f"What is 6 x 7? ({number})", budget=SAMPLES)

    _serve_rounds(loop, job)


def work_optillm(url: str, approach: str) -> None:
    """The same jobs asked of optillm's proxy over one kept-open client; `k` is read by majority_voting alone."""
    import aiohttp

    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(_client(aiohttp.ClientSession))

    async def job(number: int) -> None:
        body = {"model": f"{approach}-stub-model", "messages": [{"role": "user", "content": f"What is 6 x 7? ({number})"}], "k": SAMPLES}
        async with client.post(f"{url}/chat/completions", json=body) as response:
            reply = await response.json()
            assert reply["choices"][0]["message"]["content"], reply

    _serve_rounds(loop, job)


async def _client(make):  # type: ignore[no-untyped-def]
    return make()  # an aiohttp session wants a running loop


class Contender:
    """A worker process that does rounds of jobs on request."""

    def __init__(self, name: str, python: str, url: str, approach: str = "") -> None:
        self.name, self.at_once = name, 0
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        command = [python, str(HERE), "--work", name, "--url", url, "--approach", approach]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"{name} did not start")

    def rate(self, jobs: int, at_once: int | None = None) -> float:
        """Jobs a second of one round."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{jobs} {at_once or self.at_once}\n")
        self.process.stdin.flush()
        return jobs / float(self.process.stdout.readline())

    def tune(self, jobs: int) -> None:
        """Warm up, and choose how many jobs at once serve it best."""
        self.rate(max(4, jobs // 4), AT_ONCE[0])
        self.at_once = max(AT_ONCE, key=lambda at_once: self.rate(jobs, at_once))


@contextlib.contextmanager
def running(command: list[str], **settings: object) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended with the block."""
    process = subprocess.Popen(command, text=True, **settings)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def peer(folder: Path, name: str, requirement: str) -> str | None:
    """The Python of a virtual environment that has the peer, made if absent; None (and a line that says why) if it cannot be installed."""
    python = folder / name / "bin" / "python"
    try:
        if not python.exists():
            print(f"installing {name} ...", flush=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder / name)], check=True, capture_output=True, text=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", requirement], check=True, capture_output=True, text=True)
        found = subprocess.run(
            [str(python), "-c", f"from importlib.metadata import version; print(version('{name}'))"], check=True, capture_output=True, text=True
        )
    except subprocess.CalledProcessError as error:
        print(f"{name}: cannot be installed ({(error.stderr or '').strip().splitlines()[-1:]}); its comparison is left out")
        return None
    print(f"{name} {found.stdout.strip()}")
    return str(python)


def interval(first: list[float], second: list[float]) -> tuple[float, float, float]:
    """Geometric mean of the paired ratios, with its 95% bootstrap interval."""
    from outthink.stats.intervals import bootstrap_mean

    found = bootstrap_mean([math.log(a / b) for a, b in zip(first, second, strict=True)], seed=0)
    return math.exp(found.estimate), math.exp(found.low), math.exp(found.high)


def compare(ours: Contender, theirs: Contender, pairs: int, our_jobs: int, their_jobs: int, target: float | None) -> dict[str, object]:
    """Interleaved pairs of rounds."""
    rates: tuple[list[float], list[float]] = ([], [])
    for pair in range(pairs):
        for who in (0, 1) if pair % 2 == 0 else (1, 0):
            rates[who].append(ours.rate(our_jobs) if who == 0 else theirs.rate(their_jobs))
    ratio, low, high = interval(*rates)
    means = [len(r) / sum(1 / x for x in r) for r in rates]
    verdict = "" if target is None else f"   target {target:g}: {'met' if low >= target else 'NOT MET'}"
    print(
        f"  outthink {means[0]:8.1f} jobs/s (at once {ours.at_once})   {theirs.name} {means[1]:8.1f} jobs/s (at once {theirs.at_once})   "
        f"ratio {ratio:.2f} [{low:.2f}, {high:.2f}]{verdict}",
        flush=True,
    )
    met = None if target is None else low >= target
    return {"peer": theirs.name, "outthink": means[0], "theirs": means[1], "ratio": ratio, "low": low, "high": high, "met": met}


@contextlib.contextmanager
def optillm_proxy(python: str, url: str) -> Iterator[str]:
    """Its proxy in front of the stub, waited for."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "OPENAI_API_KEY": "none"}
    command = [python, "-c", OPTILLM, "--base-url", url, "--port", str(port), "--log", "error"]
    with running(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        for _ in range(600):
            if process.poll() is not None:
                raise RuntimeError(f"optillm's proxy ended with status {process.returncode}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=300, help="jobs of one round")
    parser.add_argument("--peers", type=Path, help="folder of the peers' environments, kept; a temporary one if left out")
    parser.add_argument("--only", choices=("n", "no-n", "refuse-n"))
    parser.add_argument("--words", type=int, default=120, help="words of reasoning in each answer of the server")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work", choices=("outthink", "its-hub", "optillm", "floor"), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--approach", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        if given.work == "optillm":
            work_optillm(given.url, given.approach)
        elif given.work == "floor":
            work_floor(given.url, int(given.approach))
        else:
            {"outthink": work_outthink, "its-hub": work_its_hub}[given.work](given.url)
        return
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.peers or Path(temporary)
        its_hub, optillm = peer(folder, "its-hub", "its-hub[lm]"), peer(folder, "optillm", "optillm")
        for mode in [given.only] if given.only else ["n", "no-n", "refuse-n"]:
            command = [sys.executable, str(STUB), "--words", str(given.words), *([] if mode == "n" else [f"--{mode}"])]
            with contextlib.ExitStack() as stack:
                stub = stack.enter_context(running(command, stdout=subprocess.PIPE))
                assert stub.stdout is not None
                url = stub.stdout.readline().strip()
                print(f"the server {WAYS[mode]}:", flush=True)
                ours = Contender("outthink", sys.executable, url)
                stack.callback(ours.process.kill)
                ours.tune(given.jobs)
                floor = Contender("floor", sys.executable, url, "1" if mode == "n" else str(SAMPLES))
                stack.callback(floor.process.kill)
                floor.tune(given.jobs)
                results.append({"n": mode, **compare(ours, floor, given.pairs, given.jobs, given.jobs, None)})
                if its_hub and mode != "refuse-n":  # its-hub never sends n
                    theirs = Contender("its-hub", its_hub, url)
                    stack.callback(theirs.process.kill)
                    theirs.tune(given.jobs)
                    results.append({"n": mode, **compare(ours, theirs, given.pairs, given.jobs, given.jobs, 1.0)})
                if optillm:
                    proxy = stack.enter_context(optillm_proxy(optillm, url))
                    for approach in ("self_consistency", "majority_voting"):
                        if approach == "majority_voting" and mode == "no-n":
                            continue
                        theirs = Contender("optillm", sys.executable, proxy, approach)
                        stack.callback(theirs.process.kill)
                        print(f"  optillm's approach: {approach}")
                        theirs.tune(24)
                        found = compare(ours, theirs, max(3, given.pairs // 2), given.jobs, 24, 50.0)
                        results.append({"n": mode, "approach": approach, **found})
    if given.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
