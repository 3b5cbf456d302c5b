"""A pool of processes that run math-verify, each call with a limit on its wall time: a process that exceeds it is killed and replaced.

math-verify's own limits use signals, which work only in the main thread; and a power tower inside SymPy does not return to Python to
see one. Processes start at the first question (about a second each) and stay until the program ends.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import queue
import select
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

from outthink.core.errors import MissingExtra, VerifierError

START_SECONDS = 120.0  # importing SymPy on a busy machine
LONGEST = 2000  # characters of an expression that is worth a try


class _Worker:
    """One process. Not shared between threads: who takes it from the pool has it alone."""

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "outthink.problems.math_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # an interrupt from the keyboard is for us
        )
        if self._line(START_SECONDS) != b"ready\n":
            self.kill()
            raise VerifierError(f"the process for math answers does not start; try: {sys.executable} -m outthink.problems.math_worker")

    def ask(self, request: list[str], seconds: float) -> bool | None:
        """The reply; None, and the process is dead, if it took too long or died."""
        assert self.process.stdin
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.kill()
            return None
        line = self._line(seconds)
        if not line:
            self.kill()
            return None
        reply = json.loads(line)
        return None if reply is None else bool(reply)

    def _line(self, seconds: float) -> bytes:
        # replies are far shorter than a pipe's buffer, so what is readable is a whole line
        assert self.process.stdout
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        return self.process.stdout.readline() if ready else b""

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe
            try:
                pipe.close()
            except BrokenPipeError:
                continue  # what was not yet written is for nobody


class Pool:
    """Up to `size` processes, started when they are needed. Calls block: make them from a thread."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._started = 0
        self._lock = threading.Lock()
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(size):
            self._idle.put(None)  # a place for a process that is not started yet

    def equal(self, gold: str, text: str, seconds: float) -> bool | None:
        """Whether two expressions mean the same, by math-verify in a process.

        None if that took longer than `seconds`, or if a text is longer than `LONGEST`.

        Raises:
            MissingExtra: math-verify is not installed.
            VerifierError: a process does not start.
        """
        if max(len(gold), len(text)) > LONGEST:
            return None
        worker = self._idle.get()
        try:
            if worker is None or not worker.alive:
                worker = self._start()
            return worker.ask([gold, text], seconds)
        finally:
            self._idle.put(worker)

    def _start(self) -> _Worker:
        if importlib.util.find_spec("math_verify") is None:
            raise MissingExtra("math answers need math_verify, which is not installed; install it with: pip install 'outthink[math]'")
        worker = _Worker()
        with self._lock:
            self._started += 1
        return worker

    @property
    def started(self) -> int:
        """How many processes were started in all, replacements included."""
        return self._started

    def close(self) -> None:
        """End all idle processes. The pool can be used again."""
        places: list[None] = []
        while not self._idle.empty():
            worker = self._idle.get()
            if worker is not None:
                worker.kill()
            places.append(None)
        for place in places:
            self._idle.put(place)


@cache
def shared() -> Pool:
    """The pool of this program: a process a core, at most four."""
    pool = Pool(min(4, os.cpu_count() or 1))
    atexit.register(pool.close)
    return pool
