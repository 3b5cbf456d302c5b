"""What is asked of a model, as a value: messages, how to sample, what to capture. Its digest is part of a call's key."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Literal

from outthink.core.errors import UsageError
from outthink.core.text import utf8

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text in a message."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a message: an address, or a `data:` URL that holds the bytes."""

    url: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asked for; `arguments` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. `content` is plain text, or parts where there are images."""

    role: Role
    content: str | tuple[Text | Image, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The text of the message, its parts joined; images left out."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Prefix:
    """Assistant text to continue. With `token_ids` a backend that has them continues exactly these tokens."""

    text: str
    token_ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw a completion. The seed is not here: it comes from the place of the call.

    Args:
        temperature: 0 is greedy.
        top_p: nucleus mass in (0, 1].
        top_k: 0 leaves it off.
        max_tokens: upper bound of generated tokens, reasoning included.
        stop: texts that end the completion; they are not part of it.
        grammar: a GBNF grammar that the completion must follow, for engines that have it.
        json_schema: a JSON schema as text that the completion must follow.

    Raises:
        UsageError: a number outside its range.
    """

    temperature: float = 0.8
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    grammar: str | None = None
    json_schema: str | None = None

    def __post_init__(self) -> None:
        if not (self.temperature >= 0 and math.isfinite(self.temperature)):
            raise UsageError(f"temperature must be 0 or more, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p must be in (0, 1], got {self.top_p}")
        if self.top_k < 0:
            raise UsageError(f"top_k must be 0 (off) or more, got {self.top_k}")
        if self.max_tokens < 1:
            raise UsageError(f"max_tokens must be 1 or more, got {self.max_tokens}")

    def greedy(self) -> Sampling:
        """The same at temperature 0."""
        return dataclasses.replace(self, temperature=0.0, top_p=1.0, top_k=0)


@dataclass(frozen=True, slots=True)
class Capture:
    """What to keep of the model's inside, reduced in the backend. The log probability of the whole text is always kept where the backend has it.

    Args:
        token_logprobs: the log probability (nats) of every generated token.
        top_logprobs: that many most likely tokens at each place, with their log probabilities.
        self_certainty: the exact self-certainty over the full vocabulary. No backend of outthink returns it; one of your own may.
        hidden: name of a reducer of hidden states, such as `last`. Likewise.
    """

    token_logprobs: bool = False
    top_logprobs: int = 0
    self_certainty: bool = False
    hidden: str | None = None

    @property
    def unserved(self) -> str | None:
        """What is asked for that no backend of outthink returns, and what there is in its place; None where there is nothing of the kind."""
        if self.self_certainty:
            return (
                "exact self-certainty needs the probabilities of the whole vocabulary, which no backend returns; "
                "capture top_logprobs and take it over these, or judge by sequence_likelihood"
            )
        if self.hidden is not None:
            return "no backend returns hidden states; session.embed gives one vector for a text, or serve them by a Model of your own"
        return None


@dataclass(frozen=True)
class Request:
    """One prompt and how to sample from it. Equal requests have equal digests.

    Args:
        messages: the conversation; ends with the turn to answer.
        prefix: assistant text to continue instead of starting a new answer.
        sampling: how to draw.
        capture: what to keep besides text.
        prompt_version: name and version of the prompt that wrote the messages, such as `verify/2`; part of the digest.
    """

    messages: tuple[Message, ...]
    prefix: Prefix | None = None
    sampling: Sampling = Sampling()
    capture: Capture = Capture()
    prompt_version: str = ""

    def __post_init__(self) -> None:
        if not self.messages:
            raise ValueError("a request needs at least one message")

    @classmethod
    def ask(cls, text: str, *, sampling: Sampling | None = None, system: str | None = None, prompt_version: str = "") -> Request:
        """A request of one user turn, with an optional system turn."""
        turns = (Message("user", text),)
        messages = (Message("system", system), *turns) if system else turns
        return cls(messages, sampling=sampling or Sampling(), prompt_version=prompt_version)

    def to_json(self) -> dict[str, object]:
        """Plain data for the journal; `from_json` undoes it. The same object at every call: do not change it."""
        return self._plain

    @functools.cached_property
    def _plain(self) -> dict[str, object]:
        # the same as dataclasses.asdict, which copies every value on its way
        prefix = self.prefix
        return {
            "messages": tuple(_plain_message(message) for message in self.messages),
            "prefix": None if prefix is None else _flat(prefix),
            "sampling": _flat(self.sampling),
            "capture": _flat(self.capture),
            "prompt_version": self.prompt_version,
        }

    @classmethod
    def from_json(cls, data: dict[str, object]) -> Request:
        """Rebuild a request from `to_json` data that went through JSON."""
        return _request(json.loads(json.dumps(data)))

    @functools.cached_property
    def digest(self) -> str:
        """32 hexadecimal digits that identify the request's content."""
        text = _CANONICAL.encode(self.to_json())
        return hashlib.blake2b(utf8(text), digest_size=16).hexdigest()


_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _flat(thing: Prefix | Sampling | Capture | Text | Image | ToolCall) -> dict[str, object]:
    return {name: getattr(thing, name) for name in thing.__slots__}


def _plain_message(message: Message) -> dict[str, object]:
    content = message.content
    return {
        "role": message.role,
        "content": content if isinstance(content, str) else tuple(_flat(part) for part in content),
        "tool_calls": tuple(_flat(call) for call in message.tool_calls),
        "tool_call_id": message.tool_call_id,
    }


def _request(data: dict) -> Request:  # type: ignore[type-arg]
    def part(piece: dict[str, str]) -> Text | Image:
        return Text(piece["text"]) if "text" in piece else Image(piece["url"])

    messages = tuple(
        Message(
            m["role"],
            m["content"] if isinstance(m["content"], str) else tuple(part(p) for p in m["content"]),
            tuple(ToolCall(**c) for c in m["tool_calls"]),
            m["tool_call_id"],
        )
        for m in data["messages"]
    )
    prefix = data["prefix"]
    if prefix is not None:
        ids = prefix["token_ids"]
        prefix = Prefix(prefix["text"], None if ids is None else tuple(ids))
    sampling = Sampling(**{**data["sampling"], "stop": tuple(data["sampling"]["stop"])})
    return Request(messages, prefix, sampling, Capture(**data["capture"]), data["prompt_version"])


@dataclass(frozen=True, slots=True)
class Draw:
    """One sample to be drawn: the request, which of its samples this is, and the seed that belongs to that place.

    Args:
        request: what to ask.
        index: 0 for the first sample of this request at its place, 1 for the second, and so on.
        seed: 31-bit seed derived from run seed, place and request, plus the index (so that engines which seed the i-th of n samples
            with seed + i draw the same in one request as in n); equal at any concurrency.
        problem: id of the problem that is being solved, for models that answer from records or from a known truth.
    """

    request: Request
    index: int
    seed: int
    problem: str | None = None
