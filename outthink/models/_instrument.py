"""What the instruments (simulated and scripted models) share: words as tokens, a timed stream, and counts of what was served."""

from __future__ import annotations

import heapq
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import anyio
from anyio import lowlevel

from outthink.core.completion import Chunk, Completion, Failure, Usage
from outthink.core.request import Draw, Request


@dataclass
class Served:
    """What an instrument has really served, counted by itself: what a session says it paid must equal it.

    Args:
        completion_tokens: generated tokens that left the model, those of cut and failed draws included.
        prompt_tokens: prompts read; once for each distinct request of a call where the model shares prompts, and only if a token came.
        calls: draws that were handed in.
        done, failed, cut: how they ended.
        in_flight: draws that are being served at this moment.
        streams: calls of `stream`.
    """

    completion_tokens: int = 0
    prompt_tokens: int = 0
    calls: int = 0
    done: int = 0
    failed: int = 0
    cut: int = 0
    in_flight: int = 0
    streams: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """How one draw goes: its words (each one token), then its end. A failure may come after some words."""

    words: tuple[str, ...]
    end: Completion | Failure
    delay_s: float = 0.0


def words_of(request: Request) -> int:
    """Prompt tokens of a request to an instrument: the words of its messages and of its prefix."""
    return sum(len(message.text.split()) for message in request.messages) + len(request.prefix.text.split() if request.prefix else ())


def spoken(request: Request, words: Sequence[str], logprobs: Sequence[float] | None = None) -> Completion:
    """The completion of these words, cut at the request's `max_tokens` words, with its usage and captured log probabilities (nats)."""
    kept = tuple(words[: request.sampling.max_tokens])
    given = None if logprobs is None else tuple(logprobs[: len(kept)])
    return Completion(
        text=" ".join(kept),
        finish="stop" if len(kept) == len(words) else "length",
        usage=Usage(words_of(request), len(kept)),
        logprob=None if given is None else sum(given),
        token_logprobs=given if request.capture.token_logprobs else None,
    )


async def timed(draws: Sequence[Draw], replies: Sequence[Reply], served: Served, *, shares_prompt: bool) -> AsyncGenerator[Chunk, None]:
    """Stream replies, each at its own speed, in the order in which their words come due; count everything.

    A reply without delay comes in one piece. Closing the stream cuts what is left.
    """
    served.streams += 1
    served.calls += len(draws)
    served.in_flight += len(draws)
    live = set(range(len(draws)))
    prompts: set[str] = set()
    spoken_words = [0] * len(draws)
    start = anyio.current_time()

    def serve(position: int, tokens: int) -> None:
        request = draws[position].request
        if tokens and not spoken_words[position] and not (shares_prompt and request.digest in prompts):
            prompts.add(request.digest)
            served.prompt_tokens += words_of(request)
        spoken_words[position] += tokens
        served.completion_tokens += tokens

    try:
        await lowlevel.checkpoint()
        due = [(reply.delay_s, position) for position, reply in enumerate(replies)]
        heapq.heapify(due)
        while due:
            at, position = heapq.heappop(due)
            reply, said = replies[position], spoken_words[position]
            if reply.delay_s:
                await anyio.sleep(max(0.0, start + at - anyio.current_time()))
            tokens = min(1, len(reply.words)) if reply.delay_s else len(reply.words)
            text = "".join(word if place == 0 else f" {word}" for place, word in enumerate(reply.words[said : said + tokens], said))
            serve(position, tokens)
            if spoken_words[position] < len(reply.words):
                heapq.heappush(due, (at + reply.delay_s, position))
                yield Chunk(position, text, tokens=tokens)
                continue
            live.discard(position)
            served.in_flight -= 1
            served.failed += isinstance(reply.end, Failure)
            served.done += isinstance(reply.end, Completion)
            yield Chunk(position, text, tokens=tokens, done=reply.end)
    finally:
        served.in_flight -= len(live)
        served.cut += len(live)
