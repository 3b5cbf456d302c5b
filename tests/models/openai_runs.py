"""What the tests of the OpenAI-compatible backend share: draws, and running a model against the stub server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from outthink.core.completion import Completion, Failure
from outthink.core.request import Draw, Request, Sampling
from outthink.models.openai import OpenAIModel, Retry
from tests.models.stub_server import Stub, serving

FAST = Retry(first_s=0.01, longest_s=0.05, patience_minutes=0.05)
KEY = "sk-secret-0123456789abcdef"
ASK = Request.ask("What is 6 x 7?", sampling=Sampling(max_tokens=64))


def draws(n: int, request: Request = ASK) -> list[Draw]:
    return [Draw(request, index, 1000 + index) for index in range(n)]


async def drain(model: OpenAIModel, asked: list[Draw]) -> list[Completion | Failure]:
    done: dict[int, Completion | Failure] = {}
    async for chunk in model.stream(asked):
        if chunk.done is not None:
            assert chunk.position not in done
            done[chunk.position] = chunk.done
    return [done[position] for position in range(len(asked))]


def run(stub: Stub, work: Callable[[OpenAIModel], Awaitable[object]] | None = None, n: int = 1, request: Request = ASK, **settings: object):
    """What `work` returns, by default the ends of n draws, on a model of this server."""

    async def go() -> object:
        async with serving(stub):
            settings.setdefault("retry", FAST)
            model = OpenAIModel("stub-model", base_url=stub.url, **settings)  # type: ignore[arg-type]
            try:
                return await (work(model) if work else drain(model, draws(n, request)))
            finally:
                await model.aclose()

    return asyncio.run(go())


def texts(done: list[Completion | Failure]) -> list[str]:
    assert all(isinstance(d, Completion) for d in done), done
    return [d.text for d in done]  # type: ignore[union-attr]


SIXTEEN = tuple(f"answer {i}" for i in range(16))
