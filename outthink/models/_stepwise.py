"""Scores from llama.cpp's server, which echoes no prompt: it writes out the conversation by its own template, and each given token is
generated in its turn, as the embedded engine does (`_forced`): one request a token."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from outthink.core.completion import TokenLogprobs
from outthink.core.errors import CapabilityError, ModelError
from outthink.core.request import Prefix, Request
from outthink.models._errors import Rejected, Unserved
from outthink.models._forced import scores
from outthink.models._reply import Json
from outthink.models._service import Server, refused


class Stepwise:
    """One model of a llama.cpp server, token by token."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._letter: int | None = None

    @property
    def letter(self) -> int:
        """A token that is one letter; known from the first score on."""
        assert self._letter is not None
        return self._letter

    async def score(self, request: Request, continuations: Sequence[Prefix]) -> list[TokenLogprobs]:
        """Log probabilities (nats) of continuations, of exactly the given tokens where they have `token_ids`.

        Raises:
            CapabilityError: the server takes no such messages, has no template or tokenizer at its address, or too small a context.
            ModelError: a token id that is not in the vocabulary, or a server that failed.
        """
        before = await self._written(request)
        prefix = request.prefix.token_ids if request.prefix else None
        prompt = [*await self._tokens(before, special=True), *(prefix or ())]
        tokens = [
            list(given.token_ids) if given.token_ids is not None else await self._continued(None if prefix else before, prompt, given.text)
            for given in continuations
        ]
        if self._letter is None:
            self._letter = (await self._tokens("a", special=False))[-1]
        return await scores(self, prompt, tokens)

    async def complete(self, body: dict[str, object]) -> AsyncGenerator[list[dict[str, Any]], None]:
        """The reply to a completion, as the embedded engine's."""
        yield [await self._ask("/completions", {"model": self._server.model, **body})]

    async def _written(self, request: Request) -> str:
        template = self._server.template
        if template is not None:
            text = template(request.messages)
        else:
            turns = [{"role": message.role, "content": message.text} for message in request.messages]
            text = str((await self._ask(self._server.beside("/apply-template"), {"messages": turns})).get("prompt"))
        return text + request.prefix.text if request.prefix and request.prefix.token_ids is None else text

    async def _continued(self, before: str | None, prompt: list[int], text: str) -> list[int]:
        # the tokens of the text where it stands, if the prompt's own stay as they are; else of the text alone
        whole = await self._tokens(before + text, special=True) if before is not None else []
        return whole[len(prompt) :] if whole[: len(prompt)] == prompt else await self._tokens(text, special=False)

    async def _tokens(self, text: str, *, special: bool) -> list[int]:
        reply = await self._ask(self._server.beside("/tokenize"), {"content": text, "parse_special": True, "add_special": special})
        tokens = reply.get("tokens")
        if not isinstance(tokens, list):
            raise ModelError(f"{self._server.transport.shown_url} returned no tokens of a text; this version of llama.cpp is not supported")
        return tokens

    async def _ask(self, path: str, body: dict[str, object]) -> Json:
        try:
            return await self._server.transport.post(path, json.dumps(body).encode())
        except Rejected as refusal:
            raise CapabilityError(
                f"{self._server.transport.shown_url}: given tokens cannot be scored: {refused(self._server, refusal)[1]}"
            ) from refusal
        except Unserved as unserved:
            raise ModelError(unserved.message) from unserved
