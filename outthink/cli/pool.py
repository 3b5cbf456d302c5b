"""`outthink pool` and `outthink replay`: sample once, then vote, rank and tune from the record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from outthink.cli.options import DEFAULT_MODEL, Json, MaxTokens, Model, Quiet, Seed, Temperature, Threads, TopP

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Recorded samples: build, import, show.")
File = Annotated[Path, typer.Argument(help="The pool file, such as gsm8k.sqlite.")]


@app.command()
def build(
    problems: Annotated[str, typer.Argument(help="A set: gsm8k, arithmetic(n=50), ... or a JSONL, CSV or Parquet file.")],
    path: File,
    n: Annotated[int, typer.Option("--samples", "-n", min=1, help="Samples of each problem; a larger number later adds to the pool.")] = 16,
    model: Model = DEFAULT_MODEL,
    limit: Annotated[int | None, typer.Option(min=1, help="A seeded random part of the set of this size.")] = None,
    prompt: Annotated[str | None, typer.Option(help="A named prompt or a prompt file.")] = None,
    shots: Annotated[int, typer.Option(min=0, help="Worked examples in the prompt.")] = 0,
    temperature: Temperature = 0.8,
    top_p: TopP = 1.0,
    max_tokens: MaxTokens = 512,
    seed: Seed = 0,
    threads: Threads = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Problems at once.")] = 8,
    quiet: Quiet = False,
) -> None:
    """Draw and record n samples of every problem; interrupted, the same command goes on.

    Example: outthink pool build "arithmetic(n=100)" sums.sqlite -n 16
    """
    import anyio

    from outthink.cli.progress import display
    from outthink.cli.run import opened
    from outthink.core.request import Sampling
    from outthink.evaluate import pools
    from outthink.evaluate.run import Run
    from outthink.problems.sets import load

    chosen = load(problems, prompt=prompt, shots=shots, limit=limit)
    sampling = Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens, stop=chosen.stop)
    with display(quiet) as (step, event):

        async def work() -> None:
            async with opened(model, {}, None, threads) as models:
                await pools.build(
                    chosen, models["policy"], n, path, sampling=sampling, seeds=(seed,), progress=step, listen=event, concurrency=concurrency
                )

        anyio.run(work)
    with Run.open(path) as done:
        done.require_samples()
        if done.loss:
            typer.echo(f"{done.loss}; the same command asks for them again", err=True)
    show(path)


@app.command("import")
def import_recording(
    source: Annotated[str, typer.Argument(help="A published recording such as gsm8k_verifier, or a JSONL file of samples.")],
    path: File,
) -> None:
    """Import recorded generations, with their labels and scores, as a pool."""
    from outthink.cli.working import working
    from outthink.evaluate.recordings import import_recording as bring

    with working(False) as say:
        say(f"importing {source}", None, None)
        bring(source, path)
    show(path)


@app.command()
def show(path: File, as_json: Json = False) -> None:
    """What a pool holds, and what one sample, the vote of all and perfect choice would score on it."""
    import dataclasses
    import json

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from outthink.evaluate.pools import show as rows_of

    rows = rows_of(path)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(row) for row in rows], indent=1))
        return
    console = Console()
    for row in rows:
        table = Table(box=None, pad_edge=False)
        for head in ("problems", "samples of each", "one sample", "majority", "coverage", "tokens a sample"):
            table.add_column(head, justify="right")
        tokens = f"{row.tokens:.1f}" if row.tokens else "–"
        table.add_row(f"{row.problems:,}", f"{row.samples:,}", f"{row.single:.1%}", f"{row.majority:.1%}", f"{row.coverage:.1%}", tokens)
        console.print(f"[bold]{escape(row.model)}[/bold]  judged by {escape(', '.join(row.verifiers)) or 'nobody'}", highlight=False)
        console.print(table, highlight=False)
        if row.absent:
            console.print(f"{row.absent} samples failed and count as unanswered", style="yellow", highlight=False)
        if row.unfinished:
            console.print(f"{row.unfinished} samples ended at --max-tokens before an answer", style="yellow", highlight=False)


def replay(
    pool: Annotated[Path, typer.Argument(help="A pool, or the journal.sqlite of a run.")],
    problems: Annotated[str, typer.Option("--problems", "-p", help="The set that the pool was drawn from.")],
    strategies: Annotated[list[str], typer.Option("--strategy", "-s", help="A spec; give it several times to compare.")] = ["majority_vote"],  # noqa: B006
    budgets: Annotated[str | None, typer.Option("--budgets", "-b", help="Numbers of samples (1,4,16), or caps (tokens=2000;tokens=8000).")] = None,
    seeds: Annotated[str, typer.Option(help="Seeds under which the pool was drawn.")] = "0",
    limit: Annotated[int | None, typer.Option(min=1, help="As when the pool was built.")] = None,
    prompt: Annotated[str | None, typer.Option(help="As when the pool was built.")] = None,
    shots: Annotated[int, typer.Option(min=0, help="As when the pool was built.")] = 0,
    temperature: Temperature = 0.8,
    top_p: TopP = 1.0,
    max_tokens: MaxTokens = 512,
    html: Annotated[Path | None, typer.Option(help="Write a page with charts.")] = None,
    as_json: Json = False,
) -> None:
    """Run strategies on recorded samples: the same answers as live, at no cost.

    Example: outthink replay sums.sqlite -p "arithmetic(n=100)" -s majority_vote -s best_of_n --budgets 1,4,16
    """
    import json
    from functools import partial

    import anyio

    from outthink.cli.progress import display
    from outthink.cli.run import read_budgets, read_seeds
    from outthink.core.pool import Pool
    from outthink.core.request import Sampling
    from outthink.core.spec import build as spec
    from outthink.evaluate.replay import replay as work
    from outthink.evaluate.report import build as report_of
    from outthink.evaluate.report import terminal, write_html
    from outthink.problems.sets import load

    chosen = load(problems, prompt=prompt, shots=shots, limit=limit)
    sampling = Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens, stop=chosen.stop)
    built = tuple(spec(one) for one in strategies)
    wanted = read_budgets(budgets), read_seeds(seeds)
    with display(as_json) as (step, event):
        task = partial(work, Pool.open(pool), built, chosen, wanted[0], seeds=wanted[1], sampling=sampling, progress=step, listen=event)  # type: ignore[arg-type]
        done = anyio.run(task)
    report = report_of(done)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=1, ensure_ascii=False))
    else:
        terminal(report)
    if html is not None:
        write_html(report, html)
        typer.echo(f"written: {html}", err=True)
    done.require_samples()
