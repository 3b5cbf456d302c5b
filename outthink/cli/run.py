"""`outthink run`: strategies x problems x budgets x seeds, recorded and resumable."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outthink.cli.options import DEFAULT_MODEL, GraderModel, JudgeModel, MaxTokens, Model, Price, Quiet, Temperature, Template, Threads, TopP

if TYPE_CHECKING:
    from collections.abc import Callable

    from outthink.core.protocols import Model as ServingModel
    from outthink.core.shared import Event
    from outthink.core.spend import Budget
    from outthink.core.spend import Price as ModelPrice
    from outthink.evaluate.plan import Plan
    from outthink.evaluate.run import Run
    from outthink.evaluate.work import Progress

RUNS = Path("outthink-runs")


def run(
    problems: Annotated[str, typer.Argument(help="A set: gsm8k, arithmetic(n=50), ... or a JSONL, CSV or Parquet file.")],
    strategies: Annotated[
        list[str], typer.Option("--strategy", "-s", help="A spec; give it several times to compare. `outthink methods` lists them.")
    ] = ["greedy", "majority_vote"],  # noqa: B006  # typer copies it
    budgets: Annotated[
        str | None, typer.Option("--budgets", "-b", help="Numbers of samples (1,4,16), or caps for each problem (tokens=2000;tokens=8000).")
    ] = None,
    model: Model = DEFAULT_MODEL,
    name: Annotated[str | None, typer.Option("--name", "-o", help="Folder of the run; the same name goes on with it.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="A seeded random part of the set of this size.")] = None,
    seeds: Annotated[str, typer.Option(help="Seeds, such as 0,1,2: independent repetitions.")] = "0",
    prompt: Annotated[str | None, typer.Option(help="A named prompt or a prompt file.")] = None,
    shots: Annotated[int, typer.Option(min=0, help="Worked examples in the prompt, from problems that are not asked.")] = 0,
    answer: Annotated[str | None, typer.Option(help="Kind of answer, where the file does not say: number, math, choice, exact, free.")] = None,
    extract: Annotated[str | None, typer.Option(help="A regular expression that finds the answer in a reply.")] = None,
    question_field: Annotated[str, typer.Option(help="Field of the question in a file of your own.")] = "question",
    answer_field: Annotated[str, typer.Option(help="Field of the key in a file of your own.")] = "answer",
    judge_model: JudgeModel = None,
    grader_model: GraderModel = None,
    temperature: Temperature = 0.8,
    top_p: TopP = 1.0,
    max_tokens: MaxTokens = 512,
    price: Price = None,
    template: Template = None,
    threads: Threads = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Problems at once.")] = 8,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Predict calls, tokens and dollars; spend nothing.")] = False,
    quiet: Quiet = False,
) -> None:
    """Measure what more compute buys: solve a problem set with several strategies at growing budgets.

    Every call is recorded: killed or interrupted, the same command goes on where it was, and strategies share samples.

    Example: outthink run "arithmetic(n=50)" -s greedy -s majority_vote -s best_of_n --budgets 1,4,16 --name sums
    """
    from functools import partial

    from outthink.cli.progress import display
    from outthink.core.request import Sampling
    from outthink.core.spec import build
    from outthink.evaluate.plan import Plan
    from outthink.evaluate.run import interruptible
    from outthink.problems.sets import load

    chosen = load(
        problems, prompt=prompt, shots=shots, limit=limit, answer=answer, extract=extract, question_field=question_field, answer_field=answer_field
    )
    plan = Plan(
        tuple(build(spec) for spec in strategies),  # type: ignore[misc]  # build returns what is registered as a strategy
        chosen,
        read_budgets(budgets),
        read_seeds(seeds),
        Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens, stop=chosen.stop),
        model,
        {role: wanted for role, wanted in (("judge", judge_model), ("grader", grader_model)) if wanted},
        command_line(),
    )
    folder = RUNS / (name or default_name(plan))
    if dry_run:
        import anyio

        anyio.run(_forecast, plan, folder, read_price(price), threads, template)
        return
    with display(quiet) as (step, event):
        done = interruptible(partial(run_plan, plan, folder, read_price(price), threads, concurrency, step, event, template), folder)
    with done:
        from outthink.evaluate.report import terminal

        terminal(done)
    done.require_samples()
    typer.echo(f"\nrecorded in {folder}; next: outthink report {folder} --html report.html, or outthink show {folder} --wrong")


async def run_plan(
    plan: Plan, folder: Path, price: ModelPrice | None, threads: int | None, concurrency: int,
    step: Callable[[Progress], None] | None, event: Callable[[Event], None] | None, template: str | None = None,
) -> Run:  # fmt: skip
    """Open the plan's models, do what is left of it, close them."""
    from outthink.evaluate.run import run as work

    async with opened(plan.model, plan.roles, price, threads, template) as models:
        return await work(plan, models, folder, progress=step, listen=event, concurrency=concurrency)


async def _forecast(plan: Plan, folder: Path, price: ModelPrice | None, threads: int | None, template: str | None) -> None:
    from outthink.core.journal import Journal
    from outthink.evaluate.dry_run import dry_run
    from outthink.evaluate.run import JOURNAL

    recorded = Journal(folder / JOURNAL, writable=False) if (folder / JOURNAL).exists() else None
    async with opened(plan.model, plan.roles, price, threads, template) as models:
        forecast = await dry_run(plan, models, recorded=recorded)
    typer.echo(f"{forecast}\nNothing was spent.")


class opened:
    """Models by role, opened on entry and closed on exit."""

    def __init__(self, model: str, roles: Mapping[str, str], price: ModelPrice | None, threads: int | None, template: str | None = None) -> None:
        self.wanted = {"policy": model, **roles}
        self.price = price
        self.threads = threads
        self.template = template
        self.models: dict[str, ServingModel] = {}

    async def __aenter__(self) -> dict[str, ServingModel]:
        from outthink.models.resolve import open_model

        for role, reference in self.wanted.items():
            self.models[role] = await open_model(reference, price=self.price, threads=self.threads, template=self.template)
        return self.models

    async def __aexit__(self, *exception: object) -> None:
        import anyio

        with anyio.CancelScope(shield=True):
            for model in self.models.values():
                await model.aclose()


def read_budgets(text: str | None) -> tuple[Budget | int | None, ...]:
    """`1,4,16` as numbers of samples; `tokens=2000;tokens=8000,calls=4` as caps, one budget between semicolons."""
    from outthink.core.errors import UsageError
    from outthink.core.spend import Budget

    if text is None:
        return (None,)
    if "=" in text:
        return tuple(Budget.parse(piece) for piece in text.split(";") if piece.strip())
    try:
        return tuple(int(piece) for piece in text.split(",") if piece.strip())
    except ValueError:
        raise UsageError(f"budgets {text!r}: write numbers of samples such as 1,4,16, or caps such as tokens=2000;tokens=8000") from None


def read_seeds(text: str) -> tuple[int, ...]:
    """`0,1,2` as seeds."""
    from outthink.core.errors import UsageError

    try:
        return tuple(int(piece) for piece in text.split(","))
    except ValueError:
        raise UsageError(f"seeds {text!r}: write whole numbers with commas between, such as 0,1,2") from None


def read_price(text: str | None) -> ModelPrice | None:
    """`0.15,0.60` as dollars for a million prompt and completion tokens."""
    from outthink.core.errors import UsageError
    from outthink.core.spend import Price

    if text is None:
        return None
    try:
        prompt, completion = (float(piece) for piece in text.split(","))
    except ValueError:
        raise UsageError(f"price {text!r}: write dollars for a million prompt and completion tokens, such as 0.15,0.60") from None
    return Price(prompt=prompt, completion=completion)


def default_name(plan: Plan) -> str:
    """A folder name that the same plan always gets."""
    import re

    from outthink.core.keys import digest

    readable = re.sub(r"[^a-z0-9]+", "-", Path(plan.problems.name).stem.lower()).strip("-")[:40]
    parts = [plan.problems.fingerprint, plan.model, repr(plan.strategies), repr(plan.budgets), repr(plan.seeds), repr(plan.sampling)]
    return f"{readable}-{digest(*parts)[:8]}"


def command_line() -> str:
    """The command that the user gave, for reports."""
    return shlex.join(["outthink", *sys.argv[1:]])
