"""Waiting for admission: runs what is granted, withdraws the rest at the wall-time cap, and leaves nothing reserved behind."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

import anyio
from anyio import lowlevel

from outthink.core.meter import Place, Ticket
from outthink.core.shared import Shared
from outthink.core.spend import Spend
from outthink.core.together import Work, together


async def admitted(shared: Shared, place: Place, tickets: list[Ticket], start: Callable[[list[int]], list[Work]]) -> None:
    """Hand in tickets; whenever some are granted, run what `start` makes of their positions; return when all are done or refused.

    Ends at the wall-time cap: what runs is cancelled (its own `finally` records it), the rest is refused with `seconds`.

    Raises:
        Exception: the first one that a piece of work raised; the others are cancelled.
    """
    if not tickets:
        return
    if not any(ticket.meter.capped for ticket in tickets):
        await _at_once(shared, place, tickets, start)
    else:
        await _in_waves(shared, place, tickets, start)
    if any(ticket.refused == "seconds" for ticket in tickets):
        shared.stopped = "seconds"
    elif any(ticket.refused for ticket in tickets) and shared.stopped == "done":
        shared.stopped = "budget"


async def _at_once(shared: Shared, place: Place, tickets: list[Ticket], start: Callable[[list[int]], list[Work]]) -> None:
    # without a cap all tickets are granted where they are handed in: nothing to wait for
    try:
        with anyio.CancelScope(deadline=shared.deadline) if shared.deadline < math.inf else contextlib.nullcontext():
            await lowlevel.checkpoint()  # what comes from the journal alone must not keep the others from their turns
            shared.turnstile.submit(place, tickets, _nobody_waits)
            works = start(list(range(len(tickets))))
            if len(works) == 1:
                await works[0]()
            else:
                await together(works)
    finally:
        _leave_nothing(shared, tickets)


def _nobody_waits() -> None:
    pass


def _leave_nothing(shared: Shared, tickets: list[Ticket]) -> None:
    for ticket in tickets:
        if not ticket.granted:
            ticket.refused = ticket.refused or "seconds"
        elif not ticket.settled:  # its work was cancelled before its first step
            shared.turnstile.settle(ticket, Spend(), judged=False)
            ticket.refused = "seconds"


async def _in_waves(shared: Shared, place: Place, tickets: list[Ticket], start: Callable[[list[int]], list[Work]]) -> None:
    undecided, raised = set(range(len(tickets))), list[Exception]()
    wake = anyio.Event()

    def woken() -> None:
        wake.set()

    async def guarded(work: Work) -> None:
        try:
            await work()
        except Exception as error:
            raised.append(error)
            group.cancel_scope.cancel()

    scope = anyio.CancelScope(deadline=shared.deadline)
    try:
        with scope:
            async with anyio.create_task_group() as group:
                if anyio.current_time() >= shared.deadline:
                    scope.cancel()
                else:
                    shared.turnstile.submit(place, tickets, woken)
                while undecided:
                    await wake.wait()
                    wake = anyio.Event()
                    decided = sorted(p for p in undecided if tickets[p].granted or tickets[p].refused)
                    undecided.difference_update(decided)
                    try:
                        works = start([p for p in decided if tickets[p].granted])
                    except Exception as error:
                        raised.append(error)
                        group.cancel_scope.cancel()
                        break
                    for work in works:
                        group.start_soon(guarded, work)
    finally:
        shared.turnstile.withdraw([tickets[p] for p in undecided])
        _leave_nothing(shared, tickets)
    if raised:
        raise raised[0]
