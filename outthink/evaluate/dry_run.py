"""What a run would cost, before its first token."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass

from outthink.core.attempt import attempt
from outthink.core.completion import Chunk, Completion, Embedding, TokenLogprobs, Usage
from outthink.core.errors import ModelError
from outthink.core.journal import Journal
from outthink.core.protocols import Model, Scores
from outthink.core.request import Draw, Prefix, Request
from outthink.core.session import Session
from outthink.core.spend import SPEND_FIELDS, Budget, Spend
from outthink.evaluate.plan import Plan
from outthink.evaluate.record import latest

_BYTES_A_TOKEN = 4.0  # of English text, roughly; only where nothing was measured


@dataclass(frozen=True)
class Forecast:
    """What is left of a plan would cost.

    Args:
        records: how many are left to make.
        bound: upper bound of what is paid: every sample as long as its max_tokens, every prompt at its bound, no early stop. What a server
            fails to answer and is asked again comes on top, and so does a judge that grades free text.
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
    """A model at its highest price: every draw generates max_tokens tokens, and no two answers agree, so that no vote ends early."""

    def __init__(self, model: Model, capped: bool) -> None:
        self.model = model
        self.name, self.engine, self.price = model.name, model.engine, model.price
        # under a cap samples are admitted in waves, each with a prompt of its own; in the end each alone
        self.shares_prompt = model.shares_prompt and not capped
        self.scores: Scores = "each" if model.scores == "once" and capped else model.scores
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
            yield Chunk(position, tokens=usage.completion_tokens, done=Completion(f"The answer is {draw.seed}.", "length", usage, logprob=0.0))

    async def score(self, request: Request, continuations: Sequence[Prefix]) -> list[TokenLogprobs]:
        prompt = self.prompt_bound(request)
        self.prompt_characters += sum(len(message.text) for message in request.messages) * len(continuations)
        return [TokenLogprobs(("",) * (len(c.text.encode()) + 8), (0.0,) * (len(c.text.encode()) + 8), prompt) for c in continuations]

    async def embed(self, texts: Sequence[str]) -> list[Embedding]:
        raise ModelError("embeddings have no forecast; run the plan without --dry-run")

    async def aclose(self) -> None:
        """Nothing to free: the real model belongs to its owner."""


async def dry_run(plan: Plan, models: Model | Mapping[str, Model], *, recorded: Journal | None = None) -> Forecast:
    """Forecast a plan, or what is left of it.

    The bound comes from running the plan on a model that spends everything and whose answers all differ, with samples shared among cells
    as in the run; and no cell pays more than its caps. A strategy that asks for more the more its answers agree could exceed it.

    Args:
        plan: what would be run.
        models: the model, or role -> model. They are asked for bounds and prices only, never for a token.
        recorded: a journal whose samples say how long answers are; records of this plan in it are not forecast again.

    Raises:
        CapabilityError: the model cannot serve what a strategy asks.
    """
    roles = models if isinstance(models, Mapping) else {"policy": models}
    worst = {role: _Worst(model, any(cell.caps for cell in plan.cells())) for role, model in roles.items()}
    known = {name for name, (record, _) in latest(recorded.records("solution")).items() if not record.lost} if recorded else set()
    cells = sorted(plan.cells(), key=lambda cell: -(cell.samples or 0))
    paid, capped, left = dict.fromkeys(roles, Spend()), Spend(), 0
    for problem in plan.problems.problems:
        with Journal() as journal:
            for cell in cells:
                if cell.name(problem.id) in known:
                    continue
                left += 1
                loose = _loose(cell.budget, roles["policy"])
                session = Session.open(
                    dict[str, Model](worst), journal=journal, budget=loose, sampling=plan.sampling, seed=cell.seed, place=(problem.id,)
                )
                solution = await attempt(cell.strategy, problem, session)
                capped += _capped(solution.charged, cell.budget)
                for role, ledger in solution.ledgers.items():
                    served = role if role in roles else "policy"
                    paid[served] += ledger.paid
    completion, prompt, basis = _lengths(recorded, paid, worst, plan)
    expected = sum((_expected(roles[role], spend, completion, prompt) for role, spend in paid.items()), Spend())
    return Forecast(left, sum(paid.values(), Spend()).at_most(capped), expected.at_most(capped), basis)


def _loose(budget: Budget, model: Model) -> Budget:
    # long answers reach a cap with few calls, short ones with many: only the number of calls that no answer can exceed is kept
    least = model.price.of(Usage(1, 1))
    calls = [
        int(cap / getattr(least, name))
        for name in ("completion_tokens", "prompt_tokens", "calls", "flops", "dollars")
        if (cap := getattr(budget, name)) is not None and getattr(least, name) > 0
    ]
    return Budget(calls=min(calls)) if calls else Budget()


def _capped(charged: Spend, budget: Budget) -> Spend:
    caps = {name: getattr(budget, name) for name in SPEND_FIELDS}
    return charged.at_most(Spend(**{name: getattr(charged, name) if cap is None else cap for name, cap in caps.items()}))


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
