"""`outthink demo`: the main job in miniature, with the embedded model and generated problems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from outthink.cli.options import DEFAULT_MODEL, Model, Quiet, Threads


def demo(
    problems: Annotated[int, typer.Option(min=2, max=75, help="How many products of one-digit numbers.")] = 30,
    model: Model = DEFAULT_MODEL,
    seed: Annotated[int, typer.Option(help="Seed of problems and samples.")] = 0,
    folder: Annotated[str, typer.Option("--name", "-o", help="Folder of the run; the same name goes on with it.")] = "outthink-runs/demo",
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Watch a small model get better with more compute: 16 samples a problem, drawn once, then voted on and ranked at 1, 4 and 16.

    Takes two to four minutes on two cores and writes a report with the scaling curve.
    """
    from functools import partial

    from outthink.cli.progress import display
    from outthink.cli.run import command_line, run_plan
    from outthink.core.request import Sampling
    from outthink.core.spec import build
    from outthink.evaluate.plan import Plan
    from outthink.evaluate.report import build as report_of
    from outthink.evaluate.report import terminal, write_html
    from outthink.evaluate.run import interruptible
    from outthink.evaluate.summary import gain_interval, groups, paired
    from outthink.problems.sets import load

    # The model counts its way to the product, and loses its way now and then: ways differ, so a vote finds what most of them lead to. Of an
    # answer without a way, greedy decoding already gives the likeliest, and a vote can add little.
    chosen = load(f"arithmetic(n={problems}, seed={seed}, digits=1, ops='*')", prompt="multiples")
    sampling = Sampling(temperature=1.0, max_tokens=48, stop=chosen.stop)
    strategies = tuple(build(spec) for spec in ("greedy", "majority_vote", "best_of_n"))
    plan = Plan(strategies, chosen, (1, 4, 16), (seed,), sampling, model, {}, command_line())  # type: ignore[arg-type]
    with display(quiet) as (step, event):
        # one problem at once: its 16 samples fill the engine, where a greedy one of another problem would hold up the next sixteen
        done = interruptible(partial(run_plan, plan, Path(folder), None, threads, 1, step, event), folder)
    with done:
        report = report_of(done)
        terminal(report)
        page = Path(folder) / "report.html"
        write_html(report, page)
    done.require_samples()
    voted = {records[0].samples: records for records in groups(done).values() if records[0].family == "majority_vote"}
    many, one = paired(voted[16], voted[1])
    gain = gain_interval(many, one, seed=0)
    typer.echo(
        f"\none sample is right for {one.mean():.1%} of the problems, the majority vote of 16 for {many.mean():.1%}: "
        f"{100 * gain.estimate:+.1f} points [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}] (paired, 95%)"
    )
    typer.echo(f"\nscaling curve: {page}\nevery sample: {folder}; wrong answers: outthink show {folder} --wrong")
