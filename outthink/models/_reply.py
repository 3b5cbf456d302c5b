"""From a server's choices to completions, and from its usage to the tokens of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from outthink.core.completion import Basis, Completion, Failure, Finish, Usage
from outthink.core.request import Request, ToolCall

_FINISH: dict[object, Finish] = {
    "stop": "stop", "eos": "stop", "length": "length", "max_tokens": "length", "content_filter": "filter", "tool_calls": "tool",
    "function_call": "tool", None: "stop",
}  # fmt: skip
_ABORTED = "abort"  # what vLLM writes for a choice that the server gave up before its end
BYTES_PER_TOKEN = 4.0  # of English text, the usual rule; only for servers that report no usage
Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Reported:
    """Usage as a server wrote it; None where it wrote nothing."""

    prompt: int | None = None
    completion: int | None = None
    cached: int = 0

    @classmethod
    def of(cls, reply: Json) -> Reported:
        """Read the `usage` of a reply; what is not a whole number of 0 or more counts as not reported."""
        usage = reply.get("usage")
        if not isinstance(usage, dict):
            return cls()
        details = usage.get("prompt_tokens_details")
        cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
        return cls(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), cached or 0)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def choices_of(reply: Json) -> list[object]:
    """The choices of a reply in the order of their `index`; [] where there are none."""
    choices = reply.get("choices")
    if not isinstance(choices, list):
        return []
    if all(isinstance(choice, dict) and choice.get("index") == position for position, choice in enumerate(choices)):
        return choices

    def place(numbered: tuple[int, object]) -> int:
        position, choice = numbered
        index = choice.get("index") if isinstance(choice, dict) else None
        return index if isinstance(index, int) else position

    return [choice for _, choice in sorted(enumerate(choices), key=place)]


_NOT_YET = Usage()


def read_choice(choice: object, request: Request, echoed: str, wants_logprobs: bool) -> Completion | Failure:
    """One choice as a completion whose usage is still empty, or why it is none.

    Args:
        choice: as the server wrote it.
        request: what was asked.
        echoed: the prefix that the server repeats before its continuation, "" if it does not.
        wants_logprobs: whether a choice without log probabilities lacks something that the caller captures.
    """
    if not isinstance(choice, dict):
        return Failure("garbage", f"a choice of the reply is no object: {str(choice)[:80]!r}")
    message = choice.get("message") if "message" in choice else {"content": choice.get("text")}
    content = message.get("content") if isinstance(message, dict) else 0
    if not isinstance(message, dict) or (content is not None and not isinstance(content, str)):
        return Failure("garbage", f"a choice of the reply has no readable message: {str(choice)[:80]!r}")
    if choice.get("finish_reason") == _ABORTED:
        return Failure("aborted", f"the server gave up a choice before its end, after {len(content or '')} characters")
    text = _whole(content or "")
    reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
    calls = _tool_calls(message.get("tool_calls"))
    finish = _FINISH.get(choice.get("finish_reason"), "stop")
    tokens = _logprobs(choice.get("logprobs"))
    if wants_logprobs and tokens is None and text:
        return Failure("capability", "the server returned no log probabilities, which this request captures; use the embedded engine")
    said = _whole(reasoning if isinstance(reasoning, str) else str(reasoning))
    text, stopped = _until(text.removeprefix(echoed) if echoed else text, request.sampling.stop)
    completion = Completion(text, "stop" if stopped else finish, _NOT_YET, said, tool_calls=calls)
    if tokens is None:
        return completion
    values, tops, ids = tokens
    capture = request.capture
    return replace(
        completion,
        logprob=sum(values),
        token_logprobs=values if capture.token_logprobs else None,
        top_logprobs=tuple(top[: capture.top_logprobs] for top in tops) if capture.top_logprobs else None,
        token_ids=ids,
        usage=Usage(completion_tokens=len(values)),
    )


def _whole(text: str) -> str:
    # servers that escape a character in two halves may cut between them, and half of one is no text that could be sent or written again
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _until(text: str, stop: tuple[str, ...]) -> tuple[str, bool]:
    # `transformers serve` ends an answer with its stop text, and some servers go on behind it
    ends = [place for place in (text.find(mark) for mark in stop if mark) if place >= 0]
    return (text[: min(ends)], True) if ends else (text, False)


def _tool_calls(raw: object) -> tuple[ToolCall, ...]:
    if not isinstance(raw, list):
        return ()
    found = []
    for call in raw:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            found.append(ToolCall(str(call.get("id", "")), str(function.get("name", "")), str(function.get("arguments", ""))))
    return tuple(found)


Tops = tuple[tuple[tuple[str, float], ...], ...]


def _logprobs(raw: object) -> tuple[tuple[float, ...], Tops, tuple[int, ...] | None] | None:
    # chat shape {"content": [{token, logprob, top_logprobs}]}, also sent by llama.cpp for raw completions; legacy shape {"token_logprobs": [...]}
    if not isinstance(raw, dict):
        return None
    content = raw.get("content")
    if isinstance(content, list):
        places = [place for place in content if isinstance(place, dict) and isinstance(place.get("logprob"), int | float)]
        if len(places) != len(content):
            return None
        ids = [place.get("id") for place in places]
        tops = tuple(tuple((str(t["token"]), float(t["logprob"])) for t in place.get("top_logprobs") or ()) for place in places)
        known = tuple(i for i in ids if isinstance(i, int))
        return tuple(float(place["logprob"]) for place in places), tops, known if len(known) == len(ids) else None
    values = raw.get("token_logprobs")
    if not isinstance(values, list) or not all(isinstance(value, int | float) for value in values):
        return None
    alternatives = raw.get("top_logprobs")
    tops = tuple(tuple((str(t), float(v)) for t, v in (place or {}).items()) for place in alternatives) if isinstance(alternatives, list) else ()
    return tuple(float(value) for value in values), tops, None


def share(total: int, weights: Sequence[float]) -> list[int]:
    """Split a total into whole numbers in proportion to weights; they sum to it exactly (largest remainders, first wins a tie)."""
    mass = sum(weights)
    exact = [total * (weight / mass if mass else 1 / len(weights)) for weight in weights]
    parts = [int(part) for part in exact]
    if sum(parts) == total:
        return parts
    by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for position in by_remainder[: total - sum(parts)]:
        parts[position] += 1
    return parts


def covers_one(reported: Reported, completions: Sequence[Completion], max_tokens: int) -> bool | None:
    """Whether the usage reported for several choices counts one of them alone; None where this reply cannot tell.

    Args:
        reported: the usage.
        completions: all choices, with the number of their log probabilities as tokens where they have them.
        max_tokens: a choice that ended by `length` generated that many.
    """
    if reported.completion is None or len(completions) < 2:
        return None
    least = sum(max(c.usage.completion_tokens, max_tokens if c.finish == "length" else 0) for c in completions)
    longest = max(c.usage.completion_tokens for c in completions)
    if reported.completion < 0.75 * least:
        return True
    if all(c.logprob is not None for c in completions) and reported.completion > 1.25 * longest + 2:
        return False
    return None


def with_usage(completions: Sequence[Completion], reported: Reported, prompt_estimate: int, max_tokens: int, of_one: bool) -> list[Completion]:
    """The completions with their tokens: reported (one choice), counted (log probabilities) or estimated (lengths of text).

    A total that covers all choices is split so that the parts sum to it exactly. Where the total covers the first choice alone, the
    others are counted, or estimated at its tokens per byte; a choice that ended by `length` has `max_tokens`.

    Args:
        completions: all choices of one request, with the number of their log probabilities as completion tokens, else 0; a basis of
            `estimated` there says that the number is no count.
        reported: the server's usage.
        prompt_estimate: tokens of the prompt where it is not reported.
        max_tokens: what each choice might generate at most.
        of_one: whether the reported completion tokens are those of the first choice alone.
    """
    counts = [c.usage.completion_tokens for c in completions]
    counted = all(c.logprob is not None or count for c, count in zip(completions, counts, strict=True))
    sizes = [_size(c) for c in completions]
    basis: Basis | None = "estimated"
    if reported.completion is not None and len(completions) == 1:
        tokens, basis = [reported.completion], "reported"
    elif counted and (of_one or reported.completion is None):
        tokens, basis = [min(count, max_tokens) for count in counts], None  # each has its own
    elif reported.completion is None or of_one:
        first = reported.completion or 0
        rate = first / sizes[0] if first and sizes[0] else 1 / BYTES_PER_TOKEN
        guesses = [
            max_tokens if c.finish == "length" else min(max_tokens, max(1, round(size * rate))) for c, size in zip(completions, sizes, strict=True)
        ]
        tokens = [first or guesses[0], *guesses[1:]]
    else:
        tokens, basis = share(reported.completion, counts if counted else sizes), "counted" if counted else "estimated"
    prompt = reported.prompt
    if prompt is None:
        prompt, basis = prompt_estimate, "estimated"
    return [
        _used(c, Usage(prompt, count, reported.cached, c.usage.basis if basis is None else basis))
        for c, count in zip(completions, tokens, strict=True)
    ]


def _size(completion: Completion) -> int:
    size = len(completion.text.encode()) + len(completion.reasoning.encode())
    return size + sum(len(call.arguments) for call in completion.tool_calls) if completion.tool_calls else size


def _used(c: Completion, usage: Usage) -> Completion:
    # it was made here and nobody else has seen it: making another one takes ten times as long, and this runs for every sample
    object.__setattr__(c, "usage", usage)
    return c
