"""Calls that do not stream: scores, embeddings, runs of code. Looked up in the journal, admitted, made, recorded, settled.

Used by `Session` only.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from outthink.core.admission import admitted
from outthink.core.completion import Embedding, TokenLogprobs, Usage
from outthink.core.errors import ModelError
from outthink.core.flights import problem_of
from outthink.core.journal import Call, CallKind, CallState, call_key
from outthink.core.keys import digest
from outthink.core.protocols import Job, Model, Outcome, Sandbox
from outthink.core.request import Prefix, Request
from outthink.core.spend import Spend
from outthink.core.text import utf8
from outthink.core.together import Work

if TYPE_CHECKING:
    from outthink.core.session import Session

Body = dict[str, Any]
_BEYOND_BYTES = 8  # no tokenizer makes more tokens than bytes, but for a few at the ends


@dataclass(frozen=True, slots=True)
class _Item:
    """One call: what identifies it, what it costs at most (with and without its prompt), and which others are made together with it."""

    digest: str
    bound: Spend
    shared: Spend
    batch: Hashable
    group: int


def score_digest(request: Request, continuation: Prefix) -> str:
    """What identifies the score of a continuation, wherever it is asked."""
    return digest("score", request.digest, continuation.text, json.dumps(continuation.token_ids))


def _score_bounds(model: Model, request: Request, continuations: Sequence[Prefix]) -> list[tuple[Spend, Spend]]:
    # of each continuation, with its prompt and, where the model bills it once, without
    prompt, bounds = model.prompt_bound(request), []
    for continuation in continuations:
        ids = continuation.token_ids
        tokens = len(ids) if ids is not None else len(utf8(continuation.text)) + _BEYOND_BYTES
        bounds.append((model.price.of(Usage(prompt + tokens)), model.price.of(Usage(tokens if model.scores == "once" else prompt + tokens))))
    return bounds


def score_bound(model: Model, request: Request, continuations: Sequence[Prefix]) -> Spend:
    """See `Session.score_bound`."""
    bounds = _score_bounds(model, request, continuations)
    return sum((shared if place else whole for place, (whole, shared) in enumerate(bounds)), Spend())


async def score_each(session: Session, asks: Sequence[tuple[Request, Sequence[Prefix]]]) -> list[list[TokenLogprobs | None]]:
    """See `Session.score_each`."""
    model, wave = session.model, object()
    items: list[_Item] = []
    flat: list[tuple[Request, Prefix]] = []
    for group, (request, continuations) in enumerate(asks):
        for continuation, (whole, shared) in zip(continuations, _score_bounds(model, request, continuations), strict=True):
            batch = (wave, request.digest) if model.scores == "once" else object()
            items.append(_Item(score_digest(request, continuation), whole, shared, batch, group))
            flat.append((request, continuation))

    async def make(positions: Sequence[int]) -> list[Body]:
        scored = await model.score(flat[positions[0]][0], [flat[position][1] for position in positions])
        if len(scored) != len(positions):
            raise ModelError(f"{session.model_key} returned {len(scored)} scores for {len(positions)} continuations; this backend needs a repair")
        asked = flat[positions[0]][0].digest
        return [{"tokens": s.tokens, "logprobs": s.logprobs, "prompt_tokens": s.prompt_tokens, "request": asked} for s in scored]

    def cost(body: Body, with_prompt: bool) -> Spend:
        return model.price.of(Usage(len(body["tokens"]) + (body["prompt_tokens"] if with_prompt else 0)))

    bodies = iter(await _metered(session, "score", session.model_key, items, make, cost))
    scores = [None if b is None else TokenLogprobs(tuple(b["tokens"]), tuple(b["logprobs"]), b["prompt_tokens"]) for b in bodies]
    start, found = 0, []
    for _, continuations in asks:
        found.append(scores[start : start + len(continuations)])
        start += len(continuations)
    return found


async def embed(session: Session, texts: Sequence[str]) -> list[Embedding | None]:
    """See `Session.embed`."""
    model = session.model
    bounds = [model.price.of(Usage(len(utf8(text)) + _BEYOND_BYTES)) for text in texts]
    items = [_Item(digest("embed", text), bound, bound, object(), 0) for text, bound in zip(texts, bounds, strict=True)]

    async def make(positions: Sequence[int]) -> list[Body]:
        embedded = await model.embed([texts[position] for position in positions])
        if len(embedded) != len(positions):
            raise ModelError(f"{session.model_key} returned {len(embedded)} embeddings for {len(positions)} texts; this backend needs a repair")
        return [{"vector": e.vector, "prompt_tokens": e.prompt_tokens, "basis": e.basis} for e in embedded]

    def cost(body: Body, with_prompt: bool) -> Spend:
        return model.price.of(Usage(body["prompt_tokens"]))

    bodies = await _metered(session, "embed", session.model_key, items, make, cost)
    return [None if b is None else Embedding(tuple(b["vector"]), b["prompt_tokens"], b["basis"]) for b in bodies]


async def execute(session: Session, sandbox: Sandbox, jobs: Sequence[Job]) -> list[Outcome | None]:
    """See `Session.execute`."""
    bounds = [Spend(calls=1, cpu_seconds=job.cpu_seconds) for job in jobs]
    contents = [digest("execute", json.dumps(dataclasses.asdict(job))) for job in jobs]
    items = [_Item(content, bound, bound, object(), group) for group, (content, bound) in enumerate(zip(contents, bounds, strict=True))]

    async def make(positions: Sequence[int]) -> list[Body]:
        return [dataclasses.asdict(outcome) for outcome in await sandbox.run([jobs[position] for position in positions])]

    def cost(body: Body, with_prompt: bool) -> Spend:
        return Spend(calls=1, cpu_seconds=body["cpu_seconds"])

    bodies = await _metered(session, "execute", sandbox.name, items, make, cost)
    return [None if body is None else Outcome(**body) for body in bodies]


async def _metered(
    session: Session, kind: CallKind, model: str, items: Sequence[_Item], make: Callable[[Sequence[int]], Awaitable[list[Body]]],
    cost: Callable[[Body, bool], Spend],
) -> list[Body | None]:  # fmt: skip
    shared = session.shared
    draws = [shared.draws(session.path, item.digest + kind, 1)[0] for item in items]
    keys = [call_key(session.path, item.digest, model, draw) for item, draw in zip(items, draws, strict=True)]
    known = shared.journal.find(keys)
    tickets = [session.ticket(item.bound, item.shared, item.batch) for item in items]
    results: list[Body | None] = [None] * len(items)

    def call(position: int, state: CallState, charged: Spend, paid: Spend, body: Body) -> Call:
        basis = str(body.get("basis", "counted")) if state == "done" else "estimated"
        return Call(
            session.path, items[position].digest, draws[position], kind, state, session.role_name, problem_of(session), model, None,
            charged, paid, basis, body,
        )  # fmt: skip

    async def serve(positions: Sequence[int]) -> None:
        fresh = [position for position in positions if keys[position] not in known]
        spent: dict[int, tuple[Spend, Spend]] = {}
        failed = False
        try:
            for position in positions:
                if keys[position] in known:
                    results[position] = body = known[keys[position]].body
                    spent[position] = cost(body, tickets[position].carries_prompt), Spend()
            if fresh:
                bodies = await make(fresh)
                calls = []
                for position, body in zip(fresh, bodies, strict=True):
                    charged = cost(body, tickets[position].carries_prompt)
                    # what is served now has one prompt, whoever of the wave is charged with it
                    alone = items[position].shared == items[position].bound
                    paid = Spend() if getattr(session.model, "recorded", False) else cost(body, alone or position == fresh[0])
                    spent[position] = charged, paid
                    calls.append(call(position, "done", charged, paid, body))
                shared.journal.append(calls)
                for position, body in zip(fresh, bodies, strict=True):
                    results[position] = body
        except Exception:
            failed = True
            raise
        finally:
            cut = [position for position in fresh if results[position] is None]
            for position in cut:
                # a job that is stopped early has cost little; a model may have read all that it was given
                spent[position] = (Spend(), Spend()) if failed or kind == "execute" else (tickets[position].reserved,) * 2
            if not failed and kind != "execute":
                shared.journal.append([call(position, "cut", *spent[position], {}) for position in cut])
            for position in positions:
                if results[position] is None:
                    tickets[position].refused = "seconds"
                charged, paid = spent[position]
                shared.enter(session.role_name, [charged], [paid])
                shared.turnstile.settle(tickets[position], charged)

    def start(positions: list[int]) -> list[Work]:
        groups: dict[int, list[int]] = {}
        for position in positions:
            groups.setdefault(items[position].group, []).append(position)
        return [partial(serve, group) for group in groups.values()]

    await admitted(shared, session.place, tickets, start)
    for ticket in tickets:
        if ticket.refused:
            shared.miss(*ticket.excuse)
    return results
