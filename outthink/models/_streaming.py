"""Streamed replies: pieces passed on as they come, and put together to the same shape as a reply that came at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from outthink.models._errors import Broken, Rejected, refused_by, words_of
from outthink.models._reply import Json
from outthink.models._sse import DONE, EventParser

if TYPE_CHECKING:
    import aiohttp

_COLUMNS = ("content", "token_logprobs", "top_logprobs")  # of log probabilities: chat's, and those of raw completions
Emit = Callable[[int, str, str, int], None]
"""Called with (choice, new text, new reasoning, tokens) as pieces arrive."""


@dataclass(eq=False)
class _Partial:
    text: str = ""
    reasoning: str = ""
    finish: str | None = None
    logprobs: dict[str, list[object]] | None = None
    calls: dict[int, Json] = field(default_factory=dict)
    echo: str = ""


class Assembly:
    """Choices of one streamed reply.

    Args:
        n: choices that were asked.
        echoed: the prefix that the server repeats; it is not passed on.
        emit: gets the pieces.
    """

    def __init__(self, n: int, echoed: str, emit: Emit) -> None:
        self.choices: dict[int, _Partial] = {}
        self.usage: object = None
        self.passed_on = False
        self._n = n
        self._echoed = echoed
        self._emit = emit

    def add(self, event: Json) -> None:
        """Take one event."""
        if event.get("usage"):
            self.usage = event["usage"]
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, dict):
                index = choice.get("index", 0)
                if isinstance(index, int) and 0 <= index < self._n:
                    self._add_choice(index, choice)

    def _add_choice(self, index: int, choice: Json) -> None:
        part = self.choices.setdefault(index, _Partial(echo=self._echoed))
        delta = choice.get("delta")
        piece = delta if isinstance(delta, dict) else {"content": choice.get("text")}
        text, reasoning = piece.get("content") or "", piece.get("reasoning_content") or piece.get("reasoning") or ""
        if not isinstance(text, str) or not isinstance(reasoning, str):
            raise Broken("garbage", f"streamed a piece without readable text: {str(choice)[:80]!r}")
        new = self._without_echo(part, text)
        part.text += new
        part.reasoning += reasoning
        tokens = 1 if text or reasoning else 0
        tokens = self._add_logprobs(part, choice.get("logprobs")) or tokens
        calls = piece.get("tool_calls")
        for position, call in enumerate(calls if isinstance(calls, list) else ()):
            self._add_call(part, position, call)
        finish = choice.get("finish_reason")
        if isinstance(finish, str):
            part.finish = finish
        if new or reasoning:
            self.passed_on = True
            self._emit(index, new, reasoning, tokens)

    @staticmethod
    def _without_echo(part: _Partial, text: str) -> str:
        # the echo may come whole, in pieces, or not at all; what differs from it is the continuation
        if not part.echo or not text:
            return text
        if part.echo.startswith(text):
            part.echo = part.echo[len(text) :]
            return ""
        new = text.removeprefix(part.echo)
        part.echo = ""
        return new

    @staticmethod
    def _add_logprobs(part: _Partial, logprobs: object) -> int:
        columns = {name: logprobs[name] for name in _COLUMNS if isinstance(logprobs.get(name), list)} if isinstance(logprobs, dict) else {}
        if not columns:
            return 0
        part.logprobs = part.logprobs or {}
        for name, values in columns.items():
            part.logprobs.setdefault(name, []).extend(values)
        return max(map(len, columns.values()))

    @staticmethod
    def _add_call(part: _Partial, position: int, call: Json) -> None:
        number = call.get("index", position)
        known = part.calls.setdefault(number if isinstance(number, int) else position, {"id": "", "function": {"name": "", "arguments": ""}})
        known["id"] = call.get("id") or known["id"]
        function, piece = known["function"], call.get("function")
        if isinstance(function, dict) and isinstance(piece, dict):
            function["name"] += piece.get("name") or ""
            function["arguments"] += piece.get("arguments") or ""

    def reply(self) -> Json:
        """The finished choices and the usage, as an unstreamed reply has them."""
        return {"choices": [self._choice(i, part) for i, part in sorted(self.choices.items()) if part.finish is not None], "usage": self.usage}

    @staticmethod
    def _choice(index: int, part: _Partial) -> Json:
        message: Json = {"content": part.text, "reasoning_content": part.reasoning, "tool_calls": list(part.calls.values())}
        return {"index": index, "message": message, "finish_reason": part.finish, "logprobs": part.logprobs}

    def unfinished(self) -> list[int]:
        """Choices that began and did not end."""
        return [index for index, part in sorted(self.choices.items()) if part.finish is None]


@dataclass(frozen=True, slots=True)
class Streamed:
    """What a stream gave.

    Args:
        reply: finished choices and usage.
        interrupted: choices that began and were cut off.
        trouble: why the stream ended before its end, None if it did not.
    """

    reply: Json
    interrupted: tuple[int, ...] = ()
    trouble: str | None = None


async def read_stream(response: aiohttp.ClientResponse, assembly: Assembly) -> Streamed:
    """Read a streamed reply to its end, or to where it is cut.

    Raises:
        Broken: nothing usable came; asking again repeats nothing that was passed on.
        Rejected: the server refuses the request, as the first event says.
    """
    import aiohttp

    trouble: Broken | None = None
    try:
        if not await _events(response, assembly) and (assembly.unfinished() or not assembly.choices):
            trouble = Broken("interrupted", "cut the stream before its end")
    except Broken as broken:
        trouble = broken
    except TimeoutError:
        trouble = Broken("timeout", "stopped sending in the middle of a stream")
    except aiohttp.ClientError as error:
        trouble = Broken("interrupted", f"cut the stream before its end ({type(error).__name__})")
    reply, interrupted = assembly.reply(), tuple(assembly.unfinished())
    if trouble is None and interrupted:
        trouble = Broken("interrupted", "ended the stream without a finish reason")
    if not reply["choices"] and not assembly.passed_on:
        raise trouble or Broken("no_choices", "sent a stream without choices")
    return Streamed(reply, interrupted, trouble.message if trouble else None)


async def _events(response: aiohttp.ClientResponse, assembly: Assembly) -> bool:
    # whether the end mark came
    parser = EventParser()
    async for piece in response.content.iter_any():
        for data in parser.feed(piece):
            if data.strip() == DONE:
                return True
            try:
                event = json.loads(data)
            except ValueError as error:
                raise Broken("garbage", f"streamed what is not JSON: {data[:80]!r}") from error
            if not isinstance(event, dict):
                raise Broken("garbage", f"streamed JSON that is not an object: {data[:80]!r}")
            if event.get("error"):
                words = words_of(data.encode())
                status = refused_by(event)
                if status is not None and not assembly.choices:  # vLLM refuses some requests only after it has begun to stream
                    raise Rejected(status, words)
                raise Broken("error", f"reported an error in the stream: {words}")
            assembly.add(event)
    return False
