"""What llama.cpp's server leaves out of the log probabilities of a chat, and what is kept of the rest.

The tokens of a stop text are left out: those of the answer are all there, and stay. Of a character of several tokens only the last one is
told, under the text of all; streamed, so is what was held back because a stop text could begin there. Then nothing is kept, for the sum
over some of the tokens is no log probability of the text, and their ids are no prefix that could be continued.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from outthink.core.completion import Completion, Usage
from outthink.core.errors import ModelError
from outthink.core.request import Sampling
from outthink.models._errors import Rejected, Unserved
from outthink.models._reply import BYTES_PER_TOKEN

if TYPE_CHECKING:
    from outthink.models._service import Server


async def kept(server: Server, choice: object, completion: Completion, sampling: Sampling, reported: int | None) -> Completion:
    """The completion as far as its tokens are told: without ids and log probabilities where one inside its text is not.

    Args:
        server: a llama.cpp server.
        choice: as the server wrote it.
        completion: what was read from it, with the number of its log probabilities as completion tokens.
        sampling: how it was asked for.
        reported: the tokens of this choice, None where the server does not say them.
    """
    logprobs = choice.get("logprobs") if isinstance(choice, dict) else None
    told: list[dict[str, Any]] | None = logprobs.get("content") if isinstance(logprobs, dict) else None
    if completion.logprob is None or told is None:
        return completion
    pieces = [str(entry.get("token", "")).encode() for entry in told]
    if reported is None and completion.finish == "length":
        reported = sampling.max_tokens
    by_stop_text = completion.finish == "stop" and bool(sampling.stop) and bool(pieces) and pieces[-1] != b""  # the end of a turn has no text
    whole = b"".join(pieces)
    if (
        (reported is None or reported == len(told) or by_stop_text)
        and completion.text.strip().encode() in whole
        and completion.reasoning.strip().encode() in whole
        and await _single(server, [entry for entry, piece in zip(told, pieces, strict=True) if not piece.isascii()])
    ):
        least = len(told)
    else:
        completion = replace(completion, logprob=None, token_logprobs=None, top_logprobs=None, token_ids=None)
        least = sum(1 if piece.isascii() else len(piece) for piece in pieces)  # a character has at most as many tokens as bytes
    if reported is not None:
        return replace(completion, usage=Usage(completion_tokens=reported))
    untold = max(1, round(max(len(text.encode()) for text in sampling.stop) / BYTES_PER_TOKEN)) if by_stop_text else 0
    guessed = bool(untold) or completion.logprob is None
    return replace(completion, usage=Usage(completion_tokens=least + untold, basis="estimated" if guessed else "counted"))


async def _single(server: Server, entries: Sequence[dict[str, Any]]) -> bool:
    # whether each of these tokens makes its text by itself
    if not entries:
        return True
    body = json.dumps({"tokens": [entry.get("id") for entry in entries]}).encode()
    try:
        made = (await server.transport.post(server.beside("/detokenize"), body)).get("content")
    except (Rejected, Unserved, ModelError):
        return False
    return isinstance(made, str) and made.split() == "".join(str(entry["token"]) for entry in entries).split()
