"""What a model gives back: completions, usage, log probabilities, failures."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from outthink.core.request import ToolCall

Basis = Literal["reported", "counted", "estimated"]
Finish = Literal["stop", "length", "cut", "filter", "tool"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one completion. `basis` says whether the server reported them, we counted them, or they are estimated from text.

    Args:
        prompt_tokens: tokens of the prompt of this completion (the whole prompt, also where its prefill was shared).
        completion_tokens: generated tokens, reasoning included.
        cached_tokens: prompt tokens that the server says it took from its cache.
        basis: where the numbers come from.
        recovery_tokens: tokens that were generated once more to learn ids and log probabilities which the engine's stream left out. They
            are not part of the completion, and cost what its tokens cost.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    basis: Basis = "counted"
    recovery_tokens: int = 0

    @property
    def generated(self) -> int:
        """All tokens that were generated for this completion: what is charged as completion tokens."""
        return self.completion_tokens + self.recovery_tokens

    def row(self) -> tuple[int | Basis, ...]:
        """Its fields in order, for the journal; the last one where it is not 0."""
        row = self.prompt_tokens, self.completion_tokens, self.cached_tokens, self.basis
        return (*row, self.recovery_tokens) if self.recovery_tokens else row


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Teacher-forced scores of one continuation: log probabilities in nats, one for each token, in order."""

    tokens: tuple[str, ...]
    logprobs: tuple[float, ...]
    prompt_tokens: int = 0

    @property
    def total(self) -> float:
        """Log probability of the whole continuation (nats)."""
        return sum(self.logprobs)


@dataclass(frozen=True, slots=True)
class Embedding:
    """The vector of one text, and the tokens that the text was."""

    vector: tuple[float, ...]
    prompt_tokens: int = 0
    basis: Basis = "counted"


_CAPTURED = ("token_ids", "token_logprobs", "top_logprobs", "self_certainty", "hidden")


@dataclass(frozen=True, slots=True)
class Completion:
    """One finished sample.

    Args:
        text: what the model answered; empty where it spent its whole allowance thinking.
        finish: `stop` (it ended), `length` (max_tokens), `cut` (we ended it), `filter`, `tool`.
        usage: tokens.
        reasoning: thinking text that the server returns apart from the answer.
        token_ids: generated token ids where the backend has them. They are those of the text, and those of the end of the turn or of the stop
            text that ended it as far as the backend tells them (llama.cpp's server does not tell the latter). None if one inside the text
            is not told.
        logprob: log probability (nats) of these tokens, None where the backend has none or does not tell them all.
        token_logprobs, top_logprobs, self_certainty, hidden: as captured.
        tool_calls: calls that the model asked for.
    """

    text: str
    finish: Finish
    usage: Usage
    reasoning: str = ""
    token_ids: tuple[int, ...] | None = None
    logprob: float | None = None
    token_logprobs: tuple[float, ...] | None = None
    top_logprobs: tuple[tuple[tuple[str, float], ...], ...] | None = None
    self_certainty: float | None = None
    hidden: tuple[float, ...] | None = None
    tool_calls: tuple[ToolCall, ...] = ()

    @property
    def scored_tokens(self) -> int:
        """How many tokens `logprob` is of: the generated ones, without those of a stop text that the backend does not tell."""
        return self.usage.completion_tokens if self.token_ids is None else len(self.token_ids)

    def to_json(self) -> dict[str, object]:
        """Plain data of what is set, for the journal; `from_json` undoes it."""
        data: dict[str, object] = {"text": self.text, "finish": self.finish, "usage": self.usage.row()}
        if self.reasoning:
            data["reasoning"] = self.reasoning
        if self.logprob is not None:
            data["logprob"] = self.logprob
        for name in _CAPTURED:
            value = getattr(self, name)
            if value is not None:
                data[name] = value
        if self.tool_calls:
            data["tool_calls"] = [dataclasses.astuple(call) for call in self.tool_calls]
        return data

    @classmethod
    def from_json(cls, data: dict) -> Completion:  # type: ignore[type-arg]
        """Rebuild a completion from `to_json` data that went through JSON."""
        known = dict(data)
        known["usage"] = Usage(*data["usage"])
        for name in ("token_ids", "token_logprobs", "hidden"):
            if name in known:
                known[name] = tuple(known[name])
        if "top_logprobs" in known:
            known["top_logprobs"] = tuple(tuple((token, value) for token, value in place) for place in known["top_logprobs"])
        known["tool_calls"] = tuple(ToolCall(*call) for call in data.get("tool_calls", ()))
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that gave nothing usable: a short kind for counting, and one sentence for people."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a stream of draws.

    Args:
        position: which draw of the call this belongs to, from 0.
        text: new answer text, "" where there is none.
        reasoning: new thinking text.
        tokens: how many generated tokens this piece stands for.
        done: the completion or the failure, in the last piece of a draw; None before.
    """

    position: int
    text: str = ""
    reasoning: str = ""
    tokens: int = 0
    done: Completion | Failure | None = None
