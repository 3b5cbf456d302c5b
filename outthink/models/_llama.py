"""The llama.cpp engine in this process: starts it, applies its chat template, counts its tokens, and carries its streams into asyncio.

xllamacpp runs llama.cpp's own server inside the process: generation by a call that releases the interpreter lock, template and
tokeniser through its loopback address.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from outthink.core.errors import ModelError, need

# groups of samples that wait inside the engine: enough to fill its slots when short samples end early
IN_FLIGHT = 4
# How often its threads look again before they sleep, when they wait for each other at every layer. Sleeping at once costs a quarter of the
# speed on an idle machine; the default of 300,000 costs nine tenths of it beside one busy process, this count a sixth. It is what GNU's OpenMP
# takes by itself where it knows that cores are shared.
SPINS = "1000"
# A thread that wakes at every token takes a core from the engine's own threads, which wait for each other at every token.
PIECES_S = 0.1


class Refused(Exception):
    """The engine answered a request with an error."""


class Engine:
    """One loaded model. Starting takes a second; it is freed by `close`.

    Args:
        path: a GGUF file.
        context: tokens of one sample, prompt included.
        slots: samples that are generated at once.
        threads: for generation and prefill.
        pooling: start it for embeddings that are pooled so (`mean`, `cls`, `last`); None starts it for generation.

    Raises:
        ModelError: not a GGUF file, or one that the engine cannot load.
    """

    def __init__(self, path: Path, *, context: int, slots: int, threads: int, pooling: str | None = None) -> None:
        if "OMP_WAIT_POLICY" not in os.environ:  # both are read when the library loads
            os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
        xllamacpp = need("xllamacpp", extra="local")
        try:
            with path.open("rb") as file:
                magic = file.read(4)
        except OSError as error:
            raise ModelError(f"model {path}: cannot be read: {error.strerror}") from error
        if magic != b"GGUF":
            raise ModelError(f"model {path}: not a GGUF file (it starts with {magic!r}); give a GGUF file, or bring one with `outthink models get`")
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_parallel = slots
        parameters.n_ctx = slots * context
        parameters.cpuparams.n_threads = threads
        parameters.cpuparams_batch.n_threads = threads
        parameters.verbosity = -1
        parameters.fit_params = False
        parameters.cache_ram_mib = 0  # idle prompts kept in memory slow the hand-over of slots
        parameters.ui = False
        if pooling is not None:
            parameters.embedding = True
            parameters.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{pooling.upper()}")
            parameters.n_batch = parameters.n_ubatch = context  # a text is pooled in one piece
        self._key = secrets.token_urlsafe()  # its address is open to every user of this machine
        parameters.api_keys = [self._key]
        try:
            self._server: Any = xllamacpp.Server(parameters)
        except RuntimeError as error:
            raise ModelError(f"model {path}: llama.cpp cannot load it ({error}); the file may be cut short, or of a newer architecture") from error
        self._pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="llama")
        self._pid = os.getpid()

    def ask(self, path: str, body: dict[str, object] | None = None) -> dict[str, Any]:
        """A short call to the engine's own address (`/tokenize`, `/apply-template`, `/props`).

        Raises:
            Refused: the engine's own message.
        """
        request = urllib.request.Request(
            self._server.listening_address + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                found: dict[str, Any] = json.loads(reply.read())
                return found
        except urllib.error.HTTPError as error:
            raise Refused(error.read().decode(errors="replace")) from error

    @functools.cached_property
    def letter(self) -> int:
        """A token that is one letter."""
        tokens: list[int] = self.ask("/tokenize", {"content": "a", "add_special": False})["tokens"]
        return tokens[-1]

    async def embed(self, texts: list[str]) -> dict[str, Any]:
        """The engine's reply about these texts, in OpenAI's shape. A call cannot be cut: it is waited for.

        Raises:
            Refused: the engine's own message (a text that is empty, or too long).
        """
        future = asyncio.get_running_loop().run_in_executor(self._pool, self._server.handle_embeddings, json.dumps({"input": texts}))
        await _ended(future)
        reply: dict[str, Any] = json.loads(future.result())
        if "error" in reply:
            raise Refused(str(reply["error"].get("message", reply["error"])))
        return reply

    async def complete(self, body: dict[str, object]) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Stream a completion, the pieces of a `PIECES_S` together; closing the generator stops it and waits until the engine has let go.

        Raises:
            Refused: the engine's own message (prompt too long, bad grammar).
        """
        loop = asyncio.get_running_loop()
        pieces: deque[bytes] = deque()
        arrived = asyncio.Event()
        stop, over = threading.Event(), threading.Event()
        told = 0.0

        def on_piece(raw: bytes) -> bool:  # in the worker thread; True ends the generation
            nonlocal told
            pieces.append(raw)
            now = time.monotonic()
            if now - told >= PIECES_S:
                told = now
                loop.call_soon_threadsafe(arrived.set)
            return stop.is_set()

        def work() -> None:
            try:
                if not stop.is_set():
                    self._server.handle_completions(json.dumps(body).encode(), on_piece)
            finally:
                over.set()
                loop.call_soon_threadsafe(arrived.set)

        future = loop.run_in_executor(self._pool, work)
        ended = False
        try:
            while not ended:
                await arrived.wait()
                arrived.clear()
                ended = over.is_set()  # before the pieces are taken: after it none comes
                read = [json.loads(pieces.popleft()) for _ in range(len(pieces))]
                for piece in read:
                    if "error" in piece:
                        raise Refused(str(piece["error"].get("message", piece["error"])))
                if read:
                    yield read
        finally:
            stop.set()
            await _ended(future)  # a few milliseconds: the engine looks at the flag at every token
        future.result()

    def close(self) -> None:
        """Wait for what runs and free the model."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._pid == os.getpid():  # a forked child has no engine threads to stop, and would wait for them forever
            self._server = None


async def _ended(future: asyncio.Future[Any]) -> None:
    # the thread goes on whatever becomes of who waits for it; a cancellation is passed on when it has ended
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError as error:
            if future.cancelled():
                raise
            cancelled = error
        except Exception:
            break  # raised by whoever asks for the result
    if cancelled is not None:
        raise cancelled
