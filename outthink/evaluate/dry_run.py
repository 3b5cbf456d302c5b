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
from outthink.core.text import utf8
from outthink.evaluate.plan import Plan
from outthink.evaluate.record import latest


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


class _Assumed:
    """A model whose draws all generate a share of max_tokens, and of whose answers no two agree, so that no vote ends early."""

    def __init__(self, model: Model, *, share: float, prompt: float, shares_prompt: bool) -> None:
        self.model = model
        self.share = share
        self.prompt = prompt
        self.name, self.engine, self.price, self.exact_prompt = model.name, model.engine, model.price, model.exact_prompt
        self.shares_prompt = shares_prompt
        self.scores: Scores = model.scores if shares_prompt or model.scores == "no" else "each"

    def refuses(self, request: Request) -> str | None:
        return self.model.refuses(request)

    def prompt_bound(self, request: Request) -> int:
        return self.model.prompt_bound(request)

    def _read(self, request: Request) -> int:
        return round(self.prompt_bound(request) * self.prompt)

    async def stream(self, draws: Sequence[Draw]) -> AsyncGenerator[Chunk, None]:
        for position, draw in enumerate(draws):
            mean = max(1.0, draw.request.sampling.max_tokens * self.share)
            tokens = int((draw.index + 1) * mean) - int(draw.index * mean)  # whole numbers with this mean
            usage = Usage(self._read(draw.request), tokens, basis="estimated")
            yield Chunk(position, tokens=tokens, done=Completion(self._text(draw.seed, tokens), "length", usage, logprob=0.0))

    def _text(self, seed: int, tokens: int) -> str:
        # as long as it may be, in single letters, which take more tokens than words: a judge's prompt shows it
        answer = f"The answer is {seed}."
        filler = "q z x j " * tokens if self.share == 1.0 else "word " * tokens
        return f"{filler[: max(0, (6 if self.share == 1.0 else 5) * tokens - len(answer))]}{answer}"

    async def score(self, request: Request, continuations: Sequence[Prefix]) -> list[TokenLogprobs]:
        prompt, found = self._read(request), []
        for continuation in continuations:
            size = len(utf8(continuation.text))
            tokens = len(continuation.token_ids or ()) or (size + 8 if self.share == 1.0 else -(-size // 4))
            found.append(TokenLogprobs(("",) * tokens, (0.0,) * tokens, prompt))
        return found

    async def embed(self, texts: Sequence[str]) -> list[Embedding]:
        raise ModelError("embeddings have no forecast; run the plan without --dry-run")

    async def aclose(self) -> None:
        """Nothing to free: the real model belongs to its owner."""


async def dry_run(plan: Plan, models: Model | Mapping[str, Model], *, recorded: Journal | None = None) -> Forecast:
    """Forecast a plan, or what is left of it.

    The bound comes from running the plan on a model that spends everything and whose answers all differ, with samples shared among cells
    as in the run; and no cell pays more than its caps. A strategy that asks for more the more its answers agree could exceed it. What is
    expected comes from running it again, under its own budgets, on a model whose answers have the expected length; prompts are as long as
    the model's tokenizer and template make them, where it has them here.

    Args:
        plan: what would be run.
        models: the model, or role -> model. They are asked for bounds and prices only, never for a token.
        recorded: a journal whose samples say how long answers are; records of this plan in it are not forecast again.

    Raises:
        CapabilityError: the model cannot serve what a strategy asks.
    """
    roles = models if isinstance(models, Mapping) else {"policy": models}
    capped = any(cell.caps for cell in plan.cells())
    # under a cap samples are admitted in waves, each with a prompt of its own; in the end each alone
    worst = {role: _Assumed(model, share=1.0, prompt=1.0, shares_prompt=model.shares_prompt and not capped) for role, model in roles.items()}
    share, lengths = _answers(recorded, plan)
    read, prompts = _prompts(recorded, roles)
    likely = {role: _Assumed(model, share=share, prompt=read[role], shares_prompt=model.shares_prompt) for role, model in roles.items()}
    left, bound = await _played(plan, worst, recorded, loose=True)
    _, expected = await _played(plan, likely, recorded, loose=False)
    return Forecast(left, bound, expected.at_most(bound), f"{lengths}; {prompts}")


async def _played(plan: Plan, models: Mapping[str, _Assumed], recorded: Journal | None, *, loose: bool) -> tuple[int, Spend]:
    # how many results are left to make, and what they pay
    known = {name for name, (record, _) in latest(recorded.records("solution")).items() if record.settled} if recorded else set()
    cells = sorted(plan.cells(), key=lambda cell: -(cell.samples or 0))
    paid, charged, left = Spend(), Spend(), 0
    for problem in plan.problems.problems:
        with Journal() as journal:
            for cell in cells:
                if cell.name(problem.id) in known:
                    continue
                left += 1
                budget = _loose(cell.budget, models["policy"]) if loose else dataclasses.replace(cell.budget, seconds=None)
                session = Session.open(
                    dict[str, Model](models), journal=journal, budget=budget, sampling=plan.sampling, seed=cell.seed, place=(problem.id,)
                )
                solution = await attempt(cell.strategy, problem, session)
                charged += _capped(solution.charged, cell.budget)
                paid += solution.paid
    return left, paid.at_most(charged)


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


def _answers(recorded: Journal | None, plan: Plan) -> tuple[float, str]:
    # the share of max_tokens that answers are expected to use
    spent = [call.paid.completion_tokens for call in recorded.calls("sample", state="done")] if recorded else []
    if not spent:
        return 0.5, "assumed, not measured: answers of half of max_tokens"
    mean = sum(spent) / len(spent)
    return min(1.0, mean / plan.sampling.max_tokens), f"answers as long as the {len(spent)} recorded ones ({mean:.0f} tokens)"


def _prompts(recorded: Journal | None, roles: Mapping[str, Model]) -> tuple[dict[str, float], str]:
    # the share of its bound that a prompt is expected to have, by role
    exact = [role for role, model in roles.items() if model.exact_prompt]
    if len(exact) == len(roles):
        return dict.fromkeys(roles, 1.0), "prompts: counted by the model's own tokenizer and template"
    shares, measured = dict.fromkeys(roles, 1.0), 0
    for role, model in roles.items():
        if role in exact:
            continue
        known = (
            {call.digest: call for call in recorded.calls("sample", state="done") if call.model == f"{model.name}@{model.engine}"} if recorded else {}
        )
        bounds = {digest: model.prompt_bound(Request.from_json(data)) for digest in known if (data := recorded.request(digest))} if recorded else {}
        if sum(bounds.values()):
            read = sum(Completion.from_json(known[digest].body).usage.prompt_tokens for digest in bounds)
            shares[role], measured = min(1.0, read / sum(bounds.values())), measured + len(bounds)
    if measured:
        return shares, f"prompts: the share of their bounds that {measured} recorded ones had"
    return (
        shares,
        "prompts: their upper bounds (a token a byte, and the template), since the server's tokenizer is not here; English has 4 bytes a token",
    )
