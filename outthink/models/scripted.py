"""A scripted model: exact replies with exact token counts, and a record of what it was asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence

from outthink.core.completion import Chunk, Completion, Embedding, Failure, TokenLogprobs
from outthink.core.errors import CapabilityError, ModelError
from outthink.core.protocols import Scores
from outthink.core.request import Draw, Prefix, Request
from outthink.core.spend import Price
from outthink.models._instrument import Reply, Served, spoken, timed, words_of

Line = str | Completion | Failure
"""One scripted reply: a text (a token a word, cut at `max_tokens`), a whole completion as it is, or a failure."""


class ScriptedModel:
    """Says what it is told to, and keeps the draws that it was given in `draws`.

    Args:
        replies: the replies in the order in which draws come, whatever is asked; or last user turn -> the replies to it, where draw i
            of a request gets the i-th (so the order in which requests come does not matter).
        delay_s: seconds a token.
        price: what its tokens cost.
        shares_prompt: whether the draws of one request in one call are billed one prompt.
        logprob: log probability (nats) that every token of a text reply gets; None leaves it out.
        name: identity, part of every call's key.
    """

    engine = "scripted"
    exact_prompt = True

    def __init__(
        self,
        replies: Sequence[Line] | Mapping[str, Sequence[Line]],
        *,
        delay_s: float = 0.0,
        price: Price = Price(),
        shares_prompt: bool = False,
        logprob: float | None = None,
        name: str = "script",
    ) -> None:
        self.replies = dict(replies) if isinstance(replies, Mapping) else tuple(replies)
        self.delay_s = delay_s
        self.price = price
        self.shares_prompt = shares_prompt
        self.scores: Scores = "no" if logprob is None else "once" if shares_prompt else "each"
        self.logprob = logprob
        self.name = name
        self.served = Served()
        self.draws: list[Draw] = []

    @property
    def requests(self) -> list[Request]:
        """The requests that it was given, one for each draw, in order."""
        return [draw.request for draw in self.draws]

    def refuses(self, request: Request) -> str | None:
        """It serves whatever it is asked."""
        return None

    def prompt_bound(self, request: Request) -> int:
        """The words of the prompt: exact for text replies."""
        return words_of(request)

    def stream(self, draws: Sequence[Draw]) -> AsyncGenerator[Chunk, None]:
        """Serve the next replies.

        Raises:
            ModelError: the script has no reply for a draw.
        """
        first = len(self.draws)
        self.draws += draws
        replies = [self._reply(draw, first + position) for position, draw in enumerate(draws)]
        return timed(draws, replies, self.served, shares_prompt=self.shares_prompt)

    def _reply(self, draw: Draw, position: int) -> Reply:
        if isinstance(self.replies, dict):
            turn = next((message.text for message in reversed(draw.request.messages) if message.role == "user"), "")
            lines, position = self.replies.get(turn, ()), draw.index
            where = f"to {turn!r}"
        else:
            lines, where = self.replies, "in all"
        if position >= len(lines):
            raise ModelError(f"{self.name}: the script has {len(lines)} replies {where}, and reply {position + 1} was asked for")
        line = lines[position]
        if isinstance(line, Failure):
            return Reply((), line, self.delay_s)
        if isinstance(line, Completion):
            tokens = line.usage.generated
            words = line.text.split()[:tokens]
            return Reply((*words, *[""] * (tokens - len(words))), line, self.delay_s)
        spoken_words = line.split()
        logprobs = None if self.logprob is None else [self.logprob] * len(spoken_words)
        return Reply(tuple(spoken_words[: draw.request.sampling.max_tokens]), spoken(draw.request, spoken_words, logprobs), self.delay_s)

    async def score(self, request: Request, continuations: Sequence[Prefix]) -> list[TokenLogprobs]:
        """Scores every word with `logprob`.

        Raises:
            CapabilityError: no `logprob` was given.
        """
        if self.logprob is None:
            raise CapabilityError(f"{self.name} has no log probabilities; give it logprob=...")
        prompt = words_of(request)
        return [TokenLogprobs(tuple(c.text.split()), (self.logprob,) * len(c.text.split()), prompt) for c in continuations]

    async def embed(self, texts: Sequence[str]) -> list[Embedding]:
        """Refused."""
        raise CapabilityError(f"{self.name} has no embeddings")

    async def aclose(self) -> None:
        """Nothing to free."""
