"""Admission under budgets: every cap is reserved before dispatch, and who is admitted does not depend on timing.

A request is admitted if what has been charged, what is reserved for requests before it, and its own upper bound fit under every cap
above it. Reservations only shrink when they settle, so admitting together what already fits refuses nothing that the sequential run
would admit, and nothing overruns a cap.

Concurrent branches take turns in rounds: when every live branch waits for admission, their requests are decided in order of place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from outthink.core.spend import SPEND_FIELDS, Budget, Spend

Place = tuple[str | int, ...]


class Hold:
    """Spending set aside for judging samples that are already admitted; only the session that holds it and its judges may use it.

    `parts` has one entry for each sample that is still to be judged; `amount` is what is left of their sum.
    """

    def __init__(self) -> None:
        self.amount = Spend()
        self.parts: list[Spend] = []
        self.meter: Meter | None = None

    def forgo(self, parts: Sequence[Spend]) -> None:
        """These parts are not needed any more: free what exceeds the others."""
        if not parts:
            return
        for part in parts:
            if part in self.parts:
                self.parts.remove(part)
        kept = self.amount.at_most(sum(self.parts, Spend()))
        if self.meter:
            self.meter.settle(self.amount - kept, Spend())
        self.amount = kept


class Meter:
    """What has been charged and reserved under one budget. A child's reservation debits its parents.

    A turnstile leaves a meter alone that has no cap, nor one above it: nothing can overrun it, and nobody asks it.
    """

    def __init__(self, budget: Budget = Budget(), parent: Meter | None = None) -> None:
        self.budget = budget
        self.parent = parent
        self.charged = Spend()
        self.reserved = Spend()
        self.capped: bool = budget.capped or (parent is not None and parent.capped)

    def chain(self) -> list[Meter]:
        """This meter and those above it."""
        return [self, *(self.parent.chain() if self.parent else ())]

    def exceeded(self, amount: Spend, hold: Hold) -> str | None:
        """Name of the first cap that this amount could overrun, None if it fits everywhere."""
        held = set(map(id, hold.meter.chain())) if hold.meter else set()
        for meter in self.chain():
            own = hold.amount if id(meter) in held else Spend()
            for name in SPEND_FIELDS:
                cap = getattr(meter.budget, name)
                if cap is None:
                    continue
                used = getattr(meter.charged, name) + getattr(meter.reserved, name) - getattr(own, name)
                # relative slack: sums of dollars and FLOPs in another order differ in the last bits
                if used + getattr(amount, name) > cap * (1 + 1e-12):
                    return name
        return None

    def reserve(self, amount: Spend) -> None:
        """Set an amount aside here and above."""
        for meter in self.chain():
            meter.reserved += amount

    def settle(self, reserved: Spend, charged: Spend) -> None:
        """Replace a reservation by what was really charged."""
        for meter in self.chain():
            meter.reserved -= reserved
            meter.charged += charged


@dataclass(eq=False, slots=True)
class Ticket:
    """One sample (or judgement, or execution) that wants to be admitted.

    Args:
        meter: where it is charged.
        bound: upper bound of its own cost, its prompt included.
        shared: the same where its prompt is already paid for by another ticket of its batch in the same wave.
        share: cost of a later judgement to set aside with it.
        hold: where that share is kept.
        judged: whether this is the judgement, which may draw on the hold.
        refused: the cap that it did not fit under; `seconds` if the wall-time cap ended it, before it was granted or after.
        batch: equal for tickets of one request; their prompt is billed once a wave if `shared` differs from `bound`.
    """

    meter: Meter
    bound: Spend
    shared: Spend
    share: Spend
    hold: Hold
    judged: bool
    batch: Hashable
    refused: str | None = None
    granted: bool = False
    carries_prompt: bool = True
    settled: bool = False

    @property
    def reserved(self) -> Spend:
        """What was set aside for it when it was granted."""
        return self.bound if self.carries_prompt else self.shared

    @property
    def excuse(self) -> tuple[str, str]:
        """Why nothing came of it: `budget` or `seconds`, and one sentence."""
        if self.refused is None or self.refused == "seconds":
            return "seconds", "the time was over"
        need = getattr(self.bound + self.share, self.refused)
        return "budget", f"the cap on {self.refused.replace('_', ' ')} leaves less than one more call may need ({need:g})"


@dataclass(eq=False)
class _Group:
    place: Place
    tickets: list[Ticket]
    wake: Callable[[], None]


class Turnstile:
    """Decides tickets in a fixed order. One for each root session; not thread-safe (it lives in one event loop).

    Under a cap, tickets are granted in waves: what fits now goes together, the next wave waits until all of it has settled. So a
    wave depends on amounts and never on timing, and a server that bills one prompt for n samples is asked once a wave.
    """

    def __init__(self) -> None:
        self.live = 1
        self._waiting: list[_Group] = []
        self._queue: deque[tuple[Ticket, _Group]] = deque()
        self._outstanding = 0
        self._blocked = False
        self._wave: set[Hashable] = set()
        self._freed: list[tuple[Hold, list[Spend]]] = []

    def submit(self, place: Place, tickets: list[Ticket], wake: Callable[[], None]) -> None:
        """Hand in the tickets of one request. `wake` is called whenever some of them have been decided."""
        group = _Group(place, tickets, wake)
        if any(ticket.meter.capped for ticket in tickets):
            self._waiting.append(group)
            self.pump()
        else:
            batches: set[Hashable] = set()
            for ticket in tickets:
                ticket.carries_prompt = ticket.batch not in batches
                batches.add(ticket.batch)
                ticket.granted = True
            self._outstanding += len(tickets)
            wake()

    def settle(self, ticket: Ticket, charged: Spend, *, judged: bool = True) -> None:
        """Report what a granted ticket was charged; its reserved rest is free again.

        Its judging share stays held if the sample will be judged; otherwise it is free too.
        """
        ticket.settled = True
        if ticket.meter.capped:
            if not judged and ticket.share != Spend():
                ticket.hold.forgo([ticket.share])
            ticket.meter.settle(ticket.reserved, charged)
        self._outstanding -= 1
        if self._outstanding == 0:
            self._blocked = False
            self._wave.clear()
            self.pump()

    def withdraw(self, tickets: list[Ticket]) -> None:
        """Take back tickets that have not been decided (their work was cancelled)."""
        if not tickets:
            return
        gone = {id(ticket) for ticket in tickets}
        self._waiting = [group for group in self._waiting if not any(id(t) in gone for t in group.tickets)]
        self._queue = deque(entry for entry in self._queue if id(entry[0]) not in gone)
        self.pump()

    def branch(self, change: int) -> None:
        """Tell that the number of branches that may still ask has changed."""
        self.live += change
        self.pump()

    def release(self, hold: Hold, count: int | None = None) -> None:
        """Free the shares of the first `count` samples of a hold, which have been judged; all of them if None.

        Under a cap they become free when the next round is decided: when exactly a branch has judged must not matter to the others.
        """
        parts = hold.parts[:count]
        if hold.meter is not None and hold.meter.capped:
            self._freed.append((hold, parts))
        else:
            hold.forgo(parts)

    def pump(self) -> None:
        """Decide what can be decided now."""
        woken: dict[int, _Group] = {}
        while not self._blocked:
            if not self._queue:
                if not self._waiting or len(self._waiting) < self.live:
                    break
                for hold, parts in self._freed:
                    hold.forgo(parts)
                self._freed.clear()
                for group in sorted(self._waiting, key=lambda g: [(isinstance(p, str), p) for p in g.place]):
                    self._queue.extend((ticket, group) for ticket in group.tickets)
                self._waiting.clear()
                continue
            ticket, group = self._queue[0]
            ticket.carries_prompt = ticket.batch not in self._wave
            cap = ticket.meter.exceeded(ticket.reserved + ticket.share, ticket.hold if ticket.judged else Hold())
            if cap is None:
                self._wave.add(ticket.batch)
                self._grant(ticket)
            elif self._outstanding:
                self._blocked = True  # reservations before it may still shrink: ask again when they have settled
                break
            else:
                ticket.refused = cap
            self._queue.popleft()
            woken[id(group)] = group
        for group in woken.values():
            group.wake()

    def _grant(self, ticket: Ticket) -> None:
        ticket.granted = True
        self._outstanding += 1
        if not ticket.meter.capped:
            return
        hold = ticket.hold
        if ticket.judged and hold.meter:
            freed = hold.amount.at_most(ticket.reserved)
            hold.amount -= freed
            hold.meter.settle(freed, Spend())
        ticket.meter.reserve(ticket.reserved + ticket.share)
        if ticket.share != Spend():
            hold.amount += ticket.share
            hold.parts.append(ticket.share)
            hold.meter = ticket.meter
