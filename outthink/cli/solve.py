"""`outthink solve`: one question, one strategy, one answer."""

from __future__ import annotations

from typing import Annotated

import typer

from outthink.cli.options import DEFAULT_MODEL, Json, JudgeModel, MaxTokens, Model, Quiet, Seed, Temperature, TopP


def solve(
    question: Annotated[str, typer.Argument(help="What to ask; - reads it from standard input.")],
    model: Model = DEFAULT_MODEL,
    strategy: Annotated[str, typer.Option("--strategy", "-s", envvar="OUTTHINK_STRATEGY", help="A spec; `outthink methods` lists them.")] = (
        "majority_vote(n=8)"
    ),
    answer: Annotated[str, typer.Option(help="Kind of answer that is compared: number, math, choice, exact, free.")] = "number",
    budget: Annotated[str | None, typer.Option(envvar="OUTTHINK_BUDGET", help="Caps, such as tokens=4096,calls=16,dollars=0.05,seconds=30.")] = None,
    judge_model: JudgeModel = None,
    temperature: Temperature = 0.8,
    top_p: TopP = 1.0,
    max_tokens: MaxTokens = 512,
    seed: Seed = 0,
    journal: Annotated[str | None, typer.Option(help="A file that records every call; the same question again then costs nothing.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Answer one question, spending a budget on it.

    Example: outthink solve "What is 17 + 25?" --strategy "majority_vote(n=16)"
    """
    import sys

    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from outthink import api
    from outthink.core.errors import UsageError
    from outthink.core.request import Sampling
    from outthink.core.shared import Event
    from outthink.core.spend import Budget

    asked = sys.stdin.read() if question == "-" else question
    if not asked.strip():
        raise UsageError("solve: the question is empty; write it in quotes after `outthink solve`")
    sampling = Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens)
    caps = Budget.parse(budget) if budget else Budget()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet or as_json, transient=True) as progress:
        task = progress.add_task(f"{strategy} on {model}", total=None)
        seen = {"calls": 0, "tokens": 0}

        def listen(event: Event) -> None:
            seen["tokens"] += event.tokens if event.kind in ("text", "done", "cached") else 0
            seen["calls"] += event.kind in ("done", "cached", "failed")
            progress.update(task, description=f"{strategy}: {seen['calls']} samples, {seen['tokens']} tokens")

        solution = api.solve(
            asked, model, strategy, answer=answer, budget=caps, sampling=sampling, seed=seed, journal=journal, judge=judge_model, listen=listen
        )
    _show(solution, as_json)


def _show(solution, as_json: bool) -> None:  # type: ignore[no-untyped-def]
    import dataclasses
    import json

    from rich.console import Console

    value = solution.answer.value if solution.answer else None
    if as_json:
        record = {
            "answer": value, "text": solution.text, "confidence": solution.confidence, "candidates": solution.candidates,
            "stopped": solution.stopped, "missing": solution.missing,
            "ledgers": {role: dataclasses.asdict(ledger) for role, ledger in solution.ledgers.items()},
        }  # fmt: skip
        typer.echo(json.dumps(record, indent=1, ensure_ascii=False))
        return
    console = Console()
    if solution.text.strip():
        console.print(solution.text.strip(), markup=False, highlight=False)
    console.print(f"\n[bold]answer[/bold]  {value if value is not None else 'none: it abstained'}", highlight=False)
    spent = solution.charged
    share = f", agreement or score {solution.confidence:.2f}" if solution.confidence is not None else ""
    console.print(
        f"{solution.candidates} samples{share}; {spent.completion_tokens} tokens generated, {spent.prompt_tokens} read, {spent.calls} calls",
        highlight=False, style="dim",
    )  # fmt: skip
    if solution.stopped != "done":
        console.print(f"stopped early by its {solution.stopped} cap", style="yellow", highlight=False)
    if solution.missing:
        console.print(f"missing: {', '.join(f'{count} {reason}' for reason, count in solution.missing.items())}", style="yellow", highlight=False)
