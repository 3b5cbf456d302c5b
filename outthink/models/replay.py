"""A recorded pool in a model's place: every method that only samples can be run on it again, at no cost and with the same results.

Which recorded sample answers a draw:

1. the one that was drawn with the same request and the same seed (same run seed and place): a repeated run gets exactly its samples;
2. else, for draw i of a request that was recorded for this problem, the i-th recorded sample of it (by place, then index);
3. else, where the problem has samples of exactly one request with a temperature above 0 (an imported recording has one, perhaps
   without its prompt), the i-th of these, if the draw asks for a temperature above 0 too.

A score is the one that was recorded for the same request and continuation, wherever it was asked.

A failed draw fails again as it was recorded. Whatever else is asked was not recorded, and is a failure that says so. By rule 2 and 3
two places that ask for the same request get the same samples.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from anyio import lowlevel

from outthink.core.calls import score_digest
from outthink.core.completion import Chunk, Completion, Embedding, Failure, TokenLogprobs
from outthink.core.errors import CapabilityError, DataError, ModelError
from outthink.core.journal import Call
from outthink.core.keys import place_seed
from outthink.core.pool import Pool
from outthink.core.protocols import Scores
from outthink.core.request import Draw, Prefix, Request
from outthink.core.spend import Price


@dataclass(frozen=True, slots=True)
class _Record:
    """A recorded end of a draw, and the tokens that were served for it."""

    end: Completion | Failure
    tokens: int


class ReplayModel:
    """Serves a pool's samples. It takes the name and engine of the model that it replays, so that a run on it has the same call keys.

    What it replays is charged as it was, and paid nothing.

    Args:
        pool: what was recorded; read once, here.
        model: `name@engine` of what to replay; needed where the pool holds answers (role `policy`) of several models, or for a judge's.
        price: what the recorded model's tokens cost.
        shares_prompt: whether the recorded model billed one prompt for the samples of one request; None: as its recorded charges say.
        bound: the recorded model's `prompt_bound`, where caps on prompt tokens, FLOPs or dollars must admit exactly what they admitted
            then. Without it a request's bound is the prompt tokens that were recorded, which is tighter.

    Raises:
        DataError: the pool has no sample, none of this model, or several models' answers and `model` does not say which.
    """

    recorded = True

    def __init__(
        self,
        pool: Pool,
        *,
        model: str | None = None,
        price: Price = Price(),
        shares_prompt: bool | None = None,
        bound: Callable[[Request], int] | None = None,
    ) -> None:
        calls = [call for call in pool.journal.calls("sample") if call.state != "cut" and call.problem is not None]
        models = sorted({call.model for call in calls if call.role == "policy"})
        where = pool.journal.path or "this pool"
        if model is None and len(models) != 1:
            several = f"holds samples of {', '.join(models)}; say which with model=..."
            raise DataError(f"{where}: {several if models else 'holds no sample; record some with `outthink run`'}")
        chosen = model or models[0]
        everyone = sorted({call.model for call in calls})
        if chosen not in everyone:
            raise DataError(f"{where}: has no sample of {chosen!r}, only of {', '.join(everyone) or 'no model'}")
        self.name, _, self.engine = chosen.rpartition("@")
        self.price = price
        self._bound = bound
        self.exact_prompt = bound is None
        self._exact: dict[tuple[str, int], _Record] = {}
        self._listed: dict[tuple[str, str], list[_Record]] = {}
        self._sampled: dict[str, list[str]] = defaultdict(list)
        self._prompts: dict[str, int] = defaultdict(int)
        shared = self._index(pool, [call for call in calls if call.model == chosen])
        self.shares_prompt = shared if shares_prompt is None else shares_prompt
        self._scored = {call.digest: call for call in pool.journal.calls("score", state="done") if call.model == chosen}
        self.scores: Scores = self._score_rule()

    def _index(self, pool: Pool, calls: Sequence[Call]) -> bool:
        # whether a prompt was charged with another sample's, as models do that share it
        shared = False
        found: dict[tuple[str, str], dict[tuple[str, int], _Record]] = defaultdict(dict)
        for call in sorted(calls, key=lambda call: call.state == "done"):  # a draw that failed first and then was done is done
            record = _record(call)
            found[call.problem or "", call.digest][call.place, call.draw] = record
            for seed in _seeds(call):
                self._exact[call.digest, seed] = record
            if isinstance(record.end, Completion):
                prompt = record.end.usage.prompt_tokens
                self._prompts[call.digest] = max(self._prompts[call.digest], prompt)
                shared = shared or call.charged.prompt_tokens < prompt
        greedy = {digest for digest in {digest for _, digest in found} if _is_greedy(pool, digest)}
        for (problem, digest), records in found.items():
            self._listed[problem, digest] = [records[place] for place in sorted(records)]
            if digest not in greedy:
                self._sampled[problem].append(digest)
        return shared

    def _score_rule(self) -> Scores:
        rule: Scores = "each" if self._scored else "no"
        for call in self._scored.values():
            scored = _scored(call)
            self._prompts[str(call.body["request"])] = scored.prompt_tokens
            if call.charged.prompt_tokens < scored.prompt_tokens + len(scored.tokens):
                rule = "once"  # its prompt was charged with another one
        return rule

    def refuses(self, request: Request) -> str | None:
        """A greedy request that was not recorded cannot be answered by samples."""
        if request.digest not in self._prompts and request.sampling.temperature == 0:
            return (
                f"the recording of {self.name}@{self.engine} has no greedy sample of this request, and samples at a temperature above 0 "
                "are not one; record it with the strategy greedy, or replay a strategy that samples"
            )
        return None

    def prompt_bound(self, request: Request) -> int:
        """As given; else the recorded prompt tokens of this request, or the most of any."""
        if self._bound is not None:
            return self._bound(request)
        return self._prompts.get(request.digest) or max(self._prompts.values(), default=0)

    async def stream(self, draws: Sequence[Draw]) -> AsyncGenerator[Chunk, None]:
        """Serve what was recorded."""
        await lowlevel.checkpoint()
        for position, draw in enumerate(draws):
            record = self._find(draw)
            yield Chunk(position, tokens=record.tokens, done=record.end)

    def _find(self, draw: Draw) -> _Record:
        digest, problem = draw.request.digest, draw.problem or ""
        exact = self._exact.get((digest, draw.seed))
        if exact is not None:
            return exact
        listed = self._listed.get((problem, digest))
        if listed is None and draw.request.sampling.temperature > 0:
            sampled = self._sampled.get(problem, [])
            if len(sampled) > 1:
                return _absent(f"{len(sampled)} other requests of problem {problem!r} were recorded, but not this one; replay what was run")
            listed = self._listed[problem, sampled[0]] if sampled else None
        if listed is None:
            return _absent(f"nothing of problem {problem!r} that answers this request was recorded")
        if draw.index >= len(listed):
            return _absent(f"{len(listed)} samples of problem {problem!r} were recorded, and sample {draw.index + 1} is asked for")
        return listed[draw.index]

    async def score(self, request: Request, continuations: Sequence[Prefix]) -> list[TokenLogprobs]:
        """The recorded scores.

        Raises:
            CapabilityError: no score was recorded at all.
            ModelError: one of these was not.
        """
        if not self._scored:
            raise CapabilityError(f"the recording of {self.name} cannot score continuations; use the model itself")
        found = [self._scored.get(score_digest(request, continuation)) for continuation in continuations]
        if None in found:
            raise ModelError(
                f"the recording of {self.name} has no score of {continuations[found.index(None)].text!r} after this request; replay what was run"
            )
        return [_scored(call) for call in found if call is not None]

    async def embed(self, texts: Sequence[str]) -> list[Embedding]:
        """Refused."""
        raise CapabilityError(f"the recording of {self.name} has no embeddings; use the model itself")

    async def aclose(self) -> None:
        """Nothing to free: the pool stays with whoever opened it."""


def _is_greedy(pool: Pool, digest: str) -> bool:
    # a request without its prompt (imported) counts as sampled
    data = pool.journal.request(digest)
    return data is not None and Request.from_json(data).sampling.temperature == 0


def _record(call: Call) -> _Record:
    if call.state == "done":
        completion = Completion.from_json(call.body)
        return _Record(completion, completion.usage.generated)
    failure = Failure(str(call.body.get("kind", "failed")), str(call.body.get("message", "failed when it was recorded")))
    return _Record(failure, call.charged.completion_tokens)


def _scored(call: Call) -> TokenLogprobs:
    scored: dict[str, Any] = call.body
    return TokenLogprobs(tuple(scored["tokens"]), tuple(scored["logprobs"]), scored["prompt_tokens"])


def _absent(why: str) -> _Record:
    return _Record(Failure("not recorded", why), 0)


def _seeds(call: Call) -> list[int]:
    # the seeds that the draw of this place can have had: a part that looks like a number may have been a number or a text
    parts = [part.replace("∕", "/") for part in call.place.split("/")]
    run = next((part.removeprefix("seed=") for part in parts if part.startswith("seed=")), "")
    if not run.removeprefix("-").isdecimal():
        return []
    readings: list[tuple[str | int, ...]] = [(int(part), part) if part.isdecimal() and str(int(part)) == part else (part,) for part in parts[:12]]
    places = itertools.islice(itertools.product(*readings), 64)
    return [(place_seed(int(run), (*place, *parts[12:], call.digest)) + call.draw) & 0x7FFFFFFF for place in places]
