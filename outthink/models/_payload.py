"""From a request to the JSON that a server takes, in its dialect."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Literal

from outthink.core.request import Capture, Image, Message, Request, Sampling, Text
from outthink.models.templates import Template

Api = Literal["chat", "completions"]
Continuation = Literal["echo", "plain", "flag"]
Scoring = Literal["echo", "stepwise"]

_MODELS_OWN = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
# how to turn off the samplers that an engine adds by itself, which change the distribution: llama.cpp's defaults (top_k 40, min_p .05), and
# for the others what the model's generation_config.json says
_OFF: dict[str, dict[str, float]] = {"llama.cpp": {"top_k": 0, "min_p": 0.0}, "vllm": _MODELS_OWN, "sglang": _MODELS_OWN}
_GREEDY_BELOW = 1e-5  # vLLM takes temperatures below this as 0
_TOKENS_PER_MESSAGE = 16  # role markers and turn ends of every template we know need fewer
_TOKENS_PER_REQUEST = 256  # system text that a template adds by itself (gpt-oss and Llama 3 add most, under 150)
TOKENS_PER_IMAGE = 49_152  # dearest we know: gpt-4o-mini bills 48,169 tokens for one image of high detail; most others stay under 2,000


@dataclass(frozen=True, slots=True)
class Dialect:
    """What is known of a server's ways, from its engine, from the probe, and from what it refused.

    Args:
        engine: `llama.cpp`, `vllm`, ... or `openai` where unknown.
        n: most choices that one request may ask; None where no limit is known.
        logprobs: whether it returns them; None where unknown.
        seed: whether `seed` may be sent.
        max_tokens: the name of that field.
        stream_usage: whether `stream_options` may be sent.
        continuation: how it continues assistant text: `echo` (last message; the reply repeats it), `plain` (last message; the reply
            goes on), `flag` (`continue_final_message`); None where it cannot or nobody knows.
        usage_of_one: whether the usage of n choices counts the first alone; None where unknown.
        top_logprobs: most alternatives of a token that it returns; None where no limit is known.
        greedy_n: whether several choices may be asked at temperature 0, which vLLM refuses.
    """

    engine: str = "openai"
    n: int | None = None
    logprobs: bool | None = None
    seed: bool = True
    max_tokens: str = "max_tokens"
    stream_usage: bool = True
    continuation: Continuation | None = None
    usage_of_one: bool | None = None
    top_logprobs: int | None = None
    greedy_n: bool = True

    def most(self, sampling: Sampling) -> int | None:
        """The most choices that one request of this sampling may ask; None where no limit is known."""
        return 1 if sampling.temperature < _GREEDY_BELOW and not self.greedy_n else self.n

    def lacks(self, capture: Capture) -> str | None:
        """Which log probabilities the server does not return that are captured, and what to use in its place; None where it may have all."""
        if (capture.token_logprobs or capture.top_logprobs) and self.logprobs is False:
            return "no log probabilities; use the embedded engine, or a server that has them"
        if self.top_logprobs is not None and capture.top_logprobs > self.top_logprobs:
            return f"at most {self.top_logprobs} alternatives of a token, not {capture.top_logprobs}; capture fewer, or use the embedded engine"
        return None


def body_of(request: Request, n: int, *, model: str, api: Api, dialect: Dialect, template: Template | None, stream: bool, logprobs: bool) -> bytes:
    """The JSON of one HTTP request for n samples, without a seed (see `seeded`).

    Args:
        request: what to ask.
        n: choices wanted; sent where it is more than 1.
        model: as the server calls it.
        api: which endpoint it is for.
        dialect: the server's ways.
        template: renders the conversation for raw completions.
        stream: whether the answer comes in pieces.
        logprobs: whether to ask for them.
    """
    sampling, capture = request.sampling, request.capture
    body: dict[str, object] = {"model": model}
    if api == "chat":
        body["messages"] = _messages(request)
        if request.prefix is not None and dialect.continuation == "flag":
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        if logprobs:
            # llama.cpp returns 20 alternatives a token where the number is left out
            body |= {"logprobs": True, "top_logprobs": max(1, capture.top_logprobs)}
    else:
        assert template is not None  # refused before
        body["prompt"] = template(request.messages) + (request.prefix.text if request.prefix else "")
        if logprobs:
            body["logprobs"] = max(1, capture.top_logprobs)
    body |= {"temperature": sampling.temperature, "top_p": sampling.top_p, dialect.max_tokens: sampling.max_tokens}
    body |= _OFF.get(dialect.engine, {})
    if sampling.top_k:
        body["top_k"] = sampling.top_k
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.grammar is not None:
        body["grammar"] = sampling.grammar
    if sampling.json_schema is not None:
        schema = {"name": "answer", "schema": json.loads(sampling.json_schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if n > 1:
        body["n"] = n
    if stream:
        body["stream"] = True
        if dialect.stream_usage:
            body["stream_options"] = {"include_usage": True}
    return json.dumps(body, ensure_ascii=False).encode()


def seeded(body: bytes, seed: int) -> bytes:
    """The same body with a seed: all draws of a request differ in it alone."""
    return body[:-1] + b', "seed": %d}' % seed


def _messages(request: Request) -> list[dict[str, object]]:
    messages = [_message(message) for message in request.messages]
    if request.prefix is not None:
        messages.append({"role": "assistant", "content": request.prefix.text})
    return messages


def _message(message: Message) -> dict[str, object]:
    data: dict[str, object] = {"role": message.role}
    if isinstance(message.content, str):
        data["content"] = message.content
    else:
        data["content"] = [_part(part) for part in message.content]
    if message.tool_calls:
        data["tool_calls"] = [{"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in message.tool_calls]
    if message.tool_call_id is not None:
        data["tool_call_id"] = message.tool_call_id
    return data


def _part(part: Text | Image) -> dict[str, object]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": part.url}}


def text_alone(request: Request) -> bool:
    """Whether a conversation can be written out as text: it has no image and no call of a tool."""
    return not any(message.tool_calls or any(isinstance(part, Image) for part in message.content) for message in request.messages)


def prompt_bound(request: Request) -> int:
    """More tokens than the prompt can have: no tokenizer makes more tokens than there are UTF-8 bytes, and templates add a few.

    An image counts `TOKENS_PER_IMAGE`, far more than most servers take.
    """
    total = _TOKENS_PER_REQUEST + len((request.prefix.text if request.prefix else "").encode())
    total += len((request.sampling.json_schema or "").encode())
    for message in request.messages:
        total += _TOKENS_PER_MESSAGE
        if isinstance(message.content, str):
            total += len(message.content.encode())
        else:
            total += sum(len(p.text.encode()) if isinstance(p, Text) else TOKENS_PER_IMAGE for p in message.content)
        total += sum(len((call.id + call.name + call.arguments).encode()) + _TOKENS_PER_MESSAGE for call in message.tool_calls)
    return total


def adapted(dialect: Dialect, words: str, n: int, tops: int = 1) -> Dialect:
    """The dialect after the server refused a request with these words; the same one where they teach nothing.

    Only what does not change the distribution of samples is given up: how many come at once, log probabilities, the seed, field names.

    Args:
        dialect: what was known.
        words: the server's.
        n: choices that were asked.
        tops: alternatives of a token that were asked.
    """
    low = words.lower()
    if "max_completion_tokens" in low and dialect.max_tokens == "max_tokens":
        return replace(dialect, max_tokens="max_completion_tokens")
    if "logprob" in low and dialect.logprobs is not False:
        most = _cap(low, tops)
        return replace(dialect, logprobs=False) if most is None else replace(dialect, top_logprobs=most)
    if "stream_options" in low and dialect.stream_usage:
        return replace(dialect, stream_usage=False)
    if n > 1 and "greedy" in low and dialect.greedy_n:
        return replace(dialect, greedy_n=False)
    if n > 1 and re.search(r"(?<![\w.-])n(?![\w-])", low) and (dialect.n is None or dialect.n >= n):
        return replace(dialect, n=_cap(low, n) or 1)
    if re.search(r"\bseed\b", low) and dialect.seed:
        return replace(dialect, seed=False)
    return dialect


def _cap(words: str, asked: int) -> int | None:
    # the smallest number below the one that was asked which the words give as a limit
    pattern = r"(?:<=|at most|maximum(?: of)?|max allowed:?|less than or equal to|up to)\s*(?:value\s*<=\s*)?(\d+)"
    return min((cap for cap in map(int, re.findall(pattern, words)) if 1 <= cap < asked), default=None)
