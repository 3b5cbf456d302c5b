"""`outthink solve`: one question, one strategy, one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from outthink.cli.options import DEFAULT_MODEL, Json, JudgeModel, MaxTokens, Model, Price, Quiet, Seed, Temperature, Template, TopP
from outthink.core.errors import ModelError, OutthinkError, UsageError

if TYPE_CHECKING:
    from outthink.core.solution import Solution


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
    price: Price = None,
    template: Template = None,
    journal: Annotated[str | None, typer.Option(help="A file that records every call; the same question again then costs nothing.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Answer one question, spending a budget on it. Exits with 1 if it abstained, with 4 if the model gave nothing.

    Example: outthink solve "What is 17 + 25?" --strategy "majority_vote(n=16)"
    """
    import sys

    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from outthink import api
    from outthink.cli.progress import Tally
    from outthink.cli.run import read_price
    from outthink.core.request import Sampling
    from outthink.core.shared import Event
    from outthink.core.spend import Budget

    asked = sys.stdin.read() if question == "-" else question
    if not asked.strip():
        raise UsageError("solve: the question is empty; write it in quotes after `outthink solve`")
    sampling = Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens)
    caps = Budget.parse(budget) if budget else Budget()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=quiet or as_json or not console.is_terminal, transient=True) as progress:
        task = progress.add_task(f"{strategy} on {model}", total=None)
        tally = Tally()

        def listen(event: Event) -> None:
            tally.event(event)
            progress.update(task, description=f"{strategy}: {tally}")

        solution = api.solve(
            asked, model, strategy, answer=answer, budget=caps, sampling=sampling, seed=seed, journal=journal, judge=judge_model,
            price=read_price(price), template=template, listen=listen,
        )  # fmt: skip
    _show(solution, as_json)
    if solution.answer is None:
        raise _no_answer(solution, answer)


class Abstained(OutthinkError):
    """There is no answer, although the model replied or the budget allowed no reply."""

    exit_code = 1


def _no_answer(solution: Solution, kind: str) -> OutthinkError:
    lost = {reason: count for reason, count in solution.missing.items() if reason not in ("budget", "seconds")}
    if solution.candidate is None and lost:
        return ModelError(f"no answer: {sum(lost.values())} calls gave nothing; the first: {solution.reasons[next(iter(lost))]}")
    if solution.candidate is None:
        said = "; ".join(solution.reasons.values())
        return Abstained(f"no answer: {said or 'nothing was sampled'}; raise --budget, or lower --max-tokens")
    completion, text = solution.candidate.completion, solution.text.strip()
    if completion.finish == "length":
        thinking = bool(completion.reasoning) or not text or ("<think>" in text and "</think>" not in text)
        spent = "spent its whole allowance on thinking" if thinking else "ended before it gave an answer"
        return Abstained(f"no answer: the first sample {spent}, {completion.usage.completion_tokens:,} tokens; raise --max-tokens")
    if not text:
        return Abstained("no answer: the model replied with an empty text; look at its chat template, its stop texts and its content filter")
    return Abstained(f"no answer: no sample holds what --answer {kind} looks for; ask for it in the question, or take another kind, such as free")


def _show(solution: Solution, as_json: bool) -> None:
    import dataclasses
    import json

    from rich.console import Console
    from rich.text import Text

    from outthink.cli.plain import plain

    value = solution.answer.value if solution.answer else None
    if as_json:
        record = {
            "answer": value, "text": solution.text, "confidence": solution.confidence, "candidates": solution.candidates,
            "stopped": solution.stopped, "missing": solution.missing, "reasons": solution.reasons,
            "ledgers": {role: dataclasses.asdict(ledger) for role, ledger in solution.ledgers.items()},
        }  # fmt: skip
        typer.echo(json.dumps(record, indent=1, ensure_ascii=False))
        return
    console = Console()
    if solution.text.strip():
        console.print(Text(f"{plain(solution.text.strip())}\n"))
    console.print(Text.assemble(("answer", "bold"), f"  {plain(value) if value is not None else 'none: it abstained'}"))
    spent = solution.charged
    share = f", agreement or score {solution.confidence:.2f}" if solution.confidence is not None else ""
    dollars = f", ${spent.dollars:.6f}" if spent.dollars else ""
    console.print(
        f"{solution.candidates} samples{share}; {spent.completion_tokens} tokens generated, {spent.prompt_tokens} read, {spent.calls} calls{dollars}",
        highlight=False, style="dim",
    )  # fmt: skip
    if solution.answer is None:
        return  # what is missing is said with why there is no answer
    if solution.stopped != "done":
        cap = "time" if solution.stopped == "seconds" else solution.stopped
        console.print(f"ended early by its {cap} cap", style="yellow", highlight=False)
    for reason, count in solution.missing.items():
        console.print(Text(f"missing: {count} ({reason}): {plain(solution.reasons.get(reason, ''))}", style="yellow"))
