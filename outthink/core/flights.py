"""Samples on their way: looked up in the journal, admitted, streamed, recorded, settled. Used by `Session.sample_each` only."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from outthink.core.admission import admitted
from outthink.core.completion import Completion, Failure, Usage
from outthink.core.errors import CapabilityError, ModelError, StoreError
from outthink.core.journal import Call, CallState, call_key
from outthink.core.meter import Ticket
from outthink.core.problem import Problem
from outthink.core.protocols import Verifier
from outthink.core.request import Draw, Request
from outthink.core.shared import Event
from outthink.core.solution import Candidate, Candidates
from outthink.core.spend import Spend
from outthink.core.together import Work

if TYPE_CHECKING:
    from outthink.core.session import Session


@dataclass(eq=False, slots=True)
class Flight:
    """One sample from its admission to its end."""

    draw: Draw
    problem: Problem | None
    ticket: Ticket
    key: str
    prompt_bound: int
    completion: Completion | None = None
    failure: Failure | None = None
    siblings: Sequence[Flight] = ()
    prompt_tokens: int = 0
    tokens: int = 0
    text: str = ""
    settled: bool = False


Ask = Problem | Request | tuple[Problem, Request]


def prepare(session: Session, asks: Sequence[Ask], n: int, judged_by: Verifier | None, aside: Sequence[Spend] | None) -> list[list[Flight]]:
    """The flights of n samples of each prompt, with their upper bounds; nothing is dispatched yet."""
    wave = object()
    return [_prepare(session, ask, n, judged_by, aside, wave) for ask in asks]


def _prepare(session: Session, ask: Ask, n: int, judged_by: Verifier | None, aside: Sequence[Spend] | None, wave: object) -> list[Flight]:
    problem: Problem | None
    match ask:
        case Problem():
            problem, request = ask, ask.request(session.sampling)
        case Request():
            problem, request = None, ask
        case (problem, request):
            pass
    model = session.model
    refusal = model.refuses(request)
    if refusal:
        raise CapabilityError(refusal)
    share = Spend()
    if judged_by is not None:
        if problem is None:
            raise ValueError("judged_by needs a problem: pass (problem, request) to sample")
        share = judged_by.bound(problem, request.sampling, session.role("judge"))
    prompt = model.prompt_bound(request)
    bound = model.price.of(Usage(prompt, request.sampling.max_tokens))
    shared = model.price.of(Usage(0, request.sampling.max_tokens)) if model.shares_prompt else bound
    batch = (wave, request.digest)  # equal prompts of one call are one prompt
    first_seed = session.seed(request.digest)
    flights = []
    path, model_key, of_problem = session.path, session.model_key, problem.id if problem else problem_of(session)
    for index, more in zip(session.shared.draws(path, request.digest, n), aside or [Spend()] * n, strict=True):
        draw = Draw(request, index, (first_seed + index) & 0x7FFFFFFF, of_problem)
        key = call_key(path, request.digest, model_key, index)
        flights.append(Flight(draw, problem, session.ticket(bound, shared, batch, share + more if aside else share), key, prompt))
    return flights


def problem_of(session: Session) -> str | None:
    """The problem that is being solved at this place, by its name; None where the place has none."""
    return str(session.place[0]) if session.place and not str(session.place[0]).startswith("seed=") else None


async def fly(session: Session, flights: Sequence[Flight]) -> None:
    """Admit the flights in order, answer from the journal what it knows, stream the rest, record and settle all."""
    known = session.shared.journal.find([flight.key for flight in flights])

    def start(positions: list[int]) -> list[Work]:
        granted = [flights[position] for position in positions]
        batches: dict[object, list[Flight]] = {}
        for flight in granted:
            flight.siblings = batches.setdefault(flight.ticket.batch, [])
            flight.siblings.append(flight)
        for flight in granted:
            if flight.key in known:
                _from_journal(session, flight, known[flight.key])
        fresh = [flight for flight in granted if not flight.settled]
        return [_Stream(session, fresh).serve] if fresh else []

    await admitted(session.shared, session.place, [flight.ticket for flight in flights], start)


def collect(session: Session, flights: Sequence[Flight]) -> Candidates:
    """The candidates of one prompt's flights, and what is missing."""
    found, missing = [], dict[str, int]()
    for flight in flights:
        if flight.completion is not None:
            answer = flight.problem.answer.parse(flight.completion.text) if flight.problem else None
            found.append(Candidate(flight.completion, answer, flight.key, flight.draw.index))
            continue
        if flight.failure is not None:
            reason, said = flight.failure.kind, flight.failure.message
        else:
            reason, said = flight.ticket.excuse
            if reason == "budget":
                _tell(session, flight, "refused", text=flight.ticket.refused or "")
        missing[reason] = missing.get(reason, 0) + 1
        session.shared.miss(reason, said)
    return Candidates(found, missing)


def _charge(session: Session, flight: Flight, usage: Usage) -> Spend:
    # by rule, not by service: one prompt a wave where the model shares it, whatever came from the journal
    model, ticket = session.model, flight.ticket
    flight.prompt_tokens = usage.prompt_tokens
    if not model.shares_prompt:
        return model.price.of(usage)
    prompt = usage.prompt_tokens
    if ticket.carries_prompt and not prompt:  # it came to nothing before its prompt was read: another one of the wave carries it
        heir = next((other for other in flight.siblings if not other.settled and other is not flight), None)
        if heir is None:
            prompt = max((other.prompt_tokens for other in flight.siblings), default=0)
        else:
            ticket.carries_prompt, heir.ticket.carries_prompt = False, True
    return model.price.of(Usage(prompt if ticket.carries_prompt else 0, usage.generated))


def _from_journal(session: Session, flight: Flight, call: Call) -> None:
    flight.completion = Completion.from_json(call.body)
    flight.settled = True
    charged = _charge(session, flight, flight.completion.usage)
    session.shared.enter(session.role_name, [charged], [])
    _tell(session, flight, "cached", text=flight.completion.text, tokens=flight.completion.usage.completion_tokens)
    session.shared.turnstile.settle(flight.ticket, charged)


def _tell(session: Session, flight: Flight, kind: str, *, text: str = "", tokens: int = 0) -> None:
    if session.shared.listen:  # mostly nobody listens, and there is an event for every piece of text
        session.shared.listen(Event(kind, session.path, session.role_name, flight.draw.index, text, tokens))


class _Stream:
    """One call of the model's `stream`, whose prompts are paid once for each distinct request where the model shares them.

    Flights that end in one turn of the event loop are recorded and settled together, in the next turn or where the stream ends.
    """

    def __init__(self, session: Session, flights: Sequence[Flight]) -> None:
        self.session = session
        self.model = session.model
        self.model_key = session.model_key
        self.flights = flights
        self.prompts_paid: set[str] = set()
        self.landed: list[tuple[Flight, Spend, Spend, bool]] = []
        self.trouble: StoreError | None = None

    async def serve(self) -> None:
        """Stream the flights to their ends; whatever ends early is recorded as cut."""
        session, flights = self.session, self.flights
        try:
            async with contextlib.aclosing(self.model.stream([flight.draw for flight in flights])) as chunks:
                async for chunk in chunks:
                    if self.trouble:
                        raise self.trouble
                    flight = flights[chunk.position]
                    if flight.settled:
                        raise ModelError(f"{session.model_key} sent a piece of a sample after its end; this backend needs a repair")
                    flight.tokens += chunk.tokens
                    flight.text += chunk.text
                    if chunk.done is None:
                        if session.shared.listen:
                            _tell(session, flight, "text", text=chunk.text, tokens=chunk.tokens)
                    else:
                        self._end(flight, chunk.done)
            for flight in flights:
                if not flight.settled:
                    self._end(flight, Failure("protocol", f"{session.model_key} ended its stream without finishing this sample"))
        finally:
            try:
                for flight in flights:
                    if not flight.settled:
                        self._cut(flight)
            finally:
                self._land()

    def _end(self, flight: Flight, done: Completion | Failure) -> None:
        if isinstance(done, Failure):
            flight.failure = done
            self._lost(flight, "failed", {"kind": done.kind, "message": done.message})
            _tell(self.session, flight, "failed", text=done.message)
        else:
            flight.completion = done
            charged = _charge(self.session, flight, done.usage)
            self._settle(flight, "done", charged, self._paid(flight, done.usage, charged), done.usage.basis, done.to_json())
            if self.session.shared.listen:
                _tell(self.session, flight, "done", tokens=done.usage.completion_tokens)

    def _cut(self, flight: Flight) -> None:
        flight.ticket.refused = "seconds"
        self._lost(flight, "cut", {"text": flight.text})
        _tell(self.session, flight, "cut")

    def _lost(self, flight: Flight, state: CallState, body: dict[str, object]) -> None:
        # the server has read the prompt and generated what we have seen; it may have generated a little more
        usage = Usage(flight.prompt_bound if flight.tokens else 0, flight.tokens, basis="estimated")
        charged = _charge(self.session, flight, usage)
        self._settle(flight, state, charged, self._paid(flight, usage, charged), "estimated", body)

    def _paid(self, flight: Flight, usage: Usage, charged: Spend) -> Spend:
        model = self.model
        if getattr(model, "recorded", False):  # a replay serves nothing
            return Spend()
        if not model.shares_prompt:
            return charged
        digest = flight.draw.request.digest
        prompt = 0 if digest in self.prompts_paid else usage.prompt_tokens
        if usage.prompt_tokens:
            self.prompts_paid.add(digest)
        return model.price.of(Usage(prompt, usage.generated))

    def _settle(self, flight: Flight, state: CallState, charged: Spend, paid: Spend, basis: str, body: dict[str, object]) -> None:
        session, request = self.session, flight.draw.request
        flight.settled = True
        if not self.landed:
            asyncio.get_running_loop().call_soon(self._land_soon)
        self.landed.append((flight, charged, paid, state == "done"))
        session.shared.journal.add([
            Call(
                session.path, request.digest, flight.draw.index, "sample", state, session.role_name, flight.draw.problem, self.model_key, None,
                charged, paid, basis, body, request.to_json(),
            )
        ])  # fmt: skip

    def _land_soon(self) -> None:
        try:
            self._land()
        except StoreError as error:
            self.trouble = error  # raised where the next piece arrives; the journal keeps the calls for the next commit, here or at the end

    def _land(self) -> None:
        # what has ended is committed, then its reservations are freed
        landed, self.landed = self.landed, []
        shared = self.session.shared
        try:
            shared.journal.commit()
        finally:
            if landed:
                shared.enter(self.session.role_name, [charged for _, charged, _, _ in landed], [paid for _, _, paid, _ in landed])
                for flight, charged, _, judged in landed:
                    shared.turnstile.settle(flight.ticket, charged, judged=judged)
