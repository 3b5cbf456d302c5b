"""What a run would cost, before its first token."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass

from outthink.core.attempt import attempt
from outthink.core.completion import Chunk, Completion, TokenLogprobs, Usage
from outthink.core.errors import ModelError
from outthink.core.journal import Journal
from outthink.core.protocols import Model
from outthink.core.request import Draw, Prefix, Request
from outthink.core.session import Session
from outthink.core.spend import Budget, Spend
from outthink.evaluate.plan import Plan

_BYTES_A_TOKEN = 4.0  # of English text, roughly; only where nothing was measured


@dataclass(frozen=True)
class Forecast:
    """What is left of a plan would cost.

    Args:
        records: how many are left to make.
        bound: upper bound of what is paid: every sample as long as its max_tokens, every prompt at its bound, no early stop.
        expected: the same with lengths as they are expected.
        basis: where the expected lengths come from, in words.
    """

    records: int
    bound: Spend
    expected: Spend
    basis: str

    def __str__(self) -> str:
        def line(what: str, spend: Spend) -> str:
            money = f", ${spend.dollars:,.4f}" if spend.dollars else ""
            return f"{what:9} {spend.calls:,} calls, {spend.completion_tokens:,} completion tokens, {spend.prompt_tokens:,} prompt tokens{money}"

        head = f"{self.records:,} results to make"
        return "\n".join([head, line("at most", self.bound), line("expected", self.expected), f"expected: {self.basis}"])


class _Worst:
    """A model that says nothing at the highest price: every draw generates max_tokens tokens without an answer."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.name, self.engine, self.price, self.shares_prompt = model.name, model.engine, model.price, model.shares_prompt
        self.prompt_characters = 0

    def refuses(self, request: Request) -> str | None:
        return self.model.refuses(request)

    def prompt_bound(self, request: Request) -> int:
        return self.model.prompt_bound(request)

    async def stream(self, draws: Sequence[Draw]) -> AsyncGenerator[Chunk, None]:
        seen: set[str] = set()
        for position, draw in enumerate(draws):
            request = draw.request
            if not (self.shares_prompt and request.digest in seen):
                self.prompt_characters += sum(len(message.text) for message in request.messages)
            seen.add(request.digest)
            usage = Usage(self.prompt_bound(request), request.sampling.max_tokens, basis="estimated")
            yield Chunk(position, tokens=usage.completion_tokens, done=Completion("", "length", usage, logprob=0.0))

    async def score(self, request: Request, continuations: Sequence[Prefix]) -> list[TokenLogprobs]:
        prompt = self.prompt_bound(request)
        self.prompt_characters += sum(len(message.text) for message in request.messages) * len(continuations)
        return [TokenLogprobs(("",) * (len(c.text.encode()) + 8), (0.0,) * (len(c.text.encode()) + 8), prompt) for c in continuations]

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        raise ModelError("embeddings have no forecast; run the plan without --dry-run")

    async def aclose(self) -> None:
        """Nothing to free: the real model belongs to its owner."""


async def dry_run(plan: Plan, models: Model | Mapping[str, Model], *, recorded: Journal | None = None) -> Forecast:
    """Forecast a plan, or what is left of it.

    The bound comes from running the plan on a model that spends everything and answers nothing, with samples shared among cells as in
    the run. A strategy that asks for more only after it has found an answer could exceed it; none of the built-in ones does.

    Args:
        plan: what would be run.
        models: the model, or role -> model. They are asked for bounds and prices only, never for a token.
        recorded: a journal whose samples say how long answers are; records of this plan in it are not forecast again.

    Raises:
        CapabilityError: the model cannot serve what a strategy asks.
    """
    roles = models if isinstance(models, Mapping) else {"policy": models}
    worst = {role: _Worst(model) for role, model in roles.items()}
    known = {name for name, _ in recorded.records("solution")} if recorded else set()
    cells = sorted(plan.cells(), key=lambda cell: -(cell.samples or 0))
    paid, left = dict.fromkeys(roles, Spend()), 0
    for problem in plan.problems.problems:
        with Journal() as journal:
            for cell in cells:
                if cell.name(problem.id) in known:
                    continue
                left += 1
                budget = dataclasses.replace(cell.budget, seconds=None) if cell.budget != Budget() else cell.budget
                session = Session.open(
                    dict[str, Model](worst), journal=journal, budget=budget, sampling=plan.sampling, seed=cell.seed, place=(problem.id,)
                )
                solution = await attempt(cell.strategy, problem, session)
                for role, ledger in solution.ledgers.items():
                    served = role if role in roles else "policy"
                    paid[served] += ledger.paid
    completion, prompt, basis = _lengths(recorded, paid, worst, plan)
    expected = sum((_expected(roles[role], spend, completion, prompt) for role, spend in paid.items()), Spend())
    return Forecast(left, sum(paid.values(), Spend()), expected, basis)


def _lengths(recorded: Journal | None, paid: Mapping[str, Spend], worst: Mapping[str, _Worst], plan: Plan) -> tuple[float, float, str]:
    # shares of the bounds that are expected to be used
    bound = sum(spend.prompt_tokens for spend in paid.values())
    characters = sum(model.prompt_characters for model in worst.values())
    by_text = min(1.0, characters / _BYTES_A_TOKEN / bound) if bound else 1.0
    spent = [call.paid.completion_tokens for call in recorded.calls("sample", state="done")] if recorded else []
    if spent:
        share = min(1.0, sum(spent) / len(spent) / plan.sampling.max_tokens)
        basis = f"answers as long as the {len(spent)} recorded ones ({sum(spent) / len(spent):.0f} tokens); prompts: 4 characters a token"
        return share, by_text, basis
    return 0.5, by_text, "assumed, not measured: answers of half of max_tokens; prompts: 4 characters a token"


def _expected(model: Model, bound: Spend, completion: float, prompt: float) -> Spend:
    usage = Usage(round(bound.prompt_tokens * prompt), round(bound.completion_tokens * completion))
    return dataclasses.replace(model.price.of(usage, calls=bound.calls), cpu_seconds=bound.cpu_seconds)
