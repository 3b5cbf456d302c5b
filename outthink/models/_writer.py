"""Puts the embedded engine's samples together from the pieces of its stream."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from outthink.core.completion import Chunk, Completion, Finish, Usage
from outthink.core.errors import ModelError
from outthink.core.request import Capture
from outthink.models._forced import Place, alternatives


class Writer:
    """One sample, and at which places the engine has not told its token: those that end inside a character.

    Args:
        position: of its draw.
        capture: what to keep.

    `tokens` are its ids where they are known otherwise than from its places, `recovery` the steps of the model that its lost places cost.
    """

    def __init__(self, position: int, capture: Capture) -> None:
        self.position = position
        self.places: dict[int, Place] = {}
        self.count = 0
        self.ended = False
        self.tokens: list[int] | None = None
        self.recovery = 0
        self._capture = capture
        self._texts: list[str] = []
        self._finish: Finish = "stop"
        self._usage = Usage()

    @property
    def text(self) -> str:
        """What it says so far."""
        return "".join(self._texts)

    @property
    def lost(self) -> list[int]:
        """The places that are not told, of a sample that has ended."""
        return [place for place in range(self.count) if place not in self.places]

    def read(self, choice: dict[str, Any], piece: dict[str, Any]) -> Chunk:
        """Take a piece; the chunk has the completion if this was the last one and nothing is lost."""
        told = (choice.get("logprobs") or {}).get("content") or []
        generated = int((piece.get("timings") or {}).get("predicted_n", 0))
        for place, entry in enumerate(told, generated - len(told)):
            self.places[place] = Place(entry["id"], entry["token"], entry["logprob"], alternatives(entry, self._capture.top_logprobs))
        text = choice["text"]
        self._texts.append(text)
        tokens, self.count = generated - self.count, generated
        reason = choice.get("finish_reason")
        if reason is None:
            return Chunk(self.position, text=text, tokens=tokens)
        usage = piece.get("usage")
        if usage is None or usage["completion_tokens"] != generated:
            raise ModelError("llama.cpp ended a sample without the number of its tokens; this version of xllamacpp is not supported")
        self.ended = True
        self._finish = "length" if reason == "length" else "stop"
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        self._usage = Usage(usage["prompt_tokens"], usage["completion_tokens"], cached, "reported")
        return Chunk(self.position, text=text, tokens=tokens, done=None if self.lost else self.completion())

    def completion(self) -> Completion:
        """The whole sample; without log probabilities if a place is still lost, and without token ids if they are not known."""
        usage = replace(self._usage, recovery_tokens=self.recovery) if self.recovery else self._usage
        if self.lost:
            return Completion(self.text, self._finish, usage, token_ids=None if self.tokens is None else tuple(self.tokens))
        places = [self.places[place] for place in range(self.count)]
        logprobs = tuple(place.logprob for place in places)
        return Completion(
            self.text, self._finish, usage, token_ids=tuple(place.token for place in places), logprob=sum(logprobs),
            token_logprobs=logprobs if self._capture.token_logprobs else None,
            top_logprobs=tuple(place.top for place in places) if self._capture.top_logprobs else None,
        )  # fmt: skip


def read(pieces: list[dict[str, Any]], writers: dict[int, Writer]) -> list[Chunk]:
    """One chunk a sample for all its pieces."""
    chunks: dict[int, Chunk] = {}
    for piece in pieces:
        for choice in piece["choices"]:
            new = writers[choice["index"]].read(choice, piece)
            before = chunks.get(new.position)
            chunks[new.position] = new if before is None else Chunk(
                new.position, before.text + new.text, tokens=before.tokens + new.tokens, done=new.done
            )  # fmt: skip
    return list(chunks.values())
