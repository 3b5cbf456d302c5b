"""Several pieces of work at once, ended as one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import anyio

Work = Callable[[], Awaitable[None]]


async def together(works: Iterable[Work]) -> None:
    """Run all pieces at once and return when every one has ended.

    Raises:
        Exception: the first one that a piece raised, as itself and not in a group; the other pieces are cancelled.
    """
    raised: list[Exception] = []

    async def guarded(work: Work) -> None:
        try:
            await work()
        except Exception as error:
            raised.append(error)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for work in works:
            group.start_soon(guarded, work)
    if raised:
        raise raised[0]
