"""`outthink laws plan`: how many samples, tokens, FLOPs and dollars an accuracy or a loss needs, or what a budget reaches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from outthink.cli.laws.source import OfModel
from outthink.cli.options import Json, Seed

if TYPE_CHECKING:
    from outthink.evaluate.law_table import Recorded
    from outthink.laws.plan import TrainingPlan
    from outthink.laws.test_time import SamplesPlan, Unit

_DRAWS = 100
"""Draws of the law that a plan's interval is made of: each needs a search of its own."""


def plan(
    fitted: Annotated[str, typer.Argument(metavar="FIT|RUN|POOL", help="A fit of `outthink laws fit --out`; or a run or pool, for test time.")],
    loss: Annotated[float | None, typer.Option(help="Training: the loss to reach.")] = None,
    flops: Annotated[float | None, typer.Option(help="Training: the FLOPs to spend.")] = None,
    dollars: Annotated[float | None, typer.Option(help="Training: the dollars to spend, with --dollars-per-hour and --flops-per-second.")] = None,
    tokens_per_parameter: Annotated[
        float | None, typer.Option(help="Training: fixes tokens / parameters; without it the compute-optimal split.")
    ] = None,
    dollars_per_hour: Annotated[float | None, typer.Option(help="Training: price of one device.")] = None,
    flops_per_second: Annotated[float | None, typer.Option(help="Training: peak of one device.")] = None,
    utilisation: Annotated[float, typer.Option(help="Training: share of the peak that is reached.")] = 0.4,
    coverage: Annotated[float | None, typer.Option(help="Test time: share of problems that any sample must solve.")] = None,
    accuracy: Annotated[
        float | None, typer.Option(help="Test time: accuracy that a vote or a verifier's choice must reach; of a run or pool.")
    ] = None,
    price: Annotated[float | None, typer.Option(help="Test time: dollars for a million generated tokens.")] = None,
    tokens_per_sample: Annotated[float | None, typer.Option(help="Test time: generated tokens of a sample; a run or pool knows its own.")] = None,
    size: Annotated[float | None, typer.Option("--parameters", help="Test time: of the model, for FLOPs.")] = None,
    model: OfModel = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Plan a training run, or the samples of a problem.

    Every answer says how far it lies beyond the data, and a target above a law's ceiling is out of reach.

    Examples: outthink laws plan my-fit --flops 1e23; outthink laws plan my-fit --loss 2.0 --dollars-per-hour 2.5 --flops-per-second 1e15;
    outthink laws plan sums.sqlite --coverage 0.95 --price 0.6
    """
    import dataclasses
    import json

    from outthink.core.errors import UsageError

    targets = {"loss": loss, "flops": flops, "dollars": dollars, "coverage": coverage, "accuracy": accuracy}
    asked = [name for name, value in targets.items() if value is not None]
    if len(asked) != 1:
        raise UsageError(
            f"plan for one of --loss, --flops, --dollars (training), --coverage or --accuracy (test time); got {', '.join(asked) or 'none'}"
        )
    found: Sequence[TrainingPlan | SamplesPlan]
    if asked[0] in ("coverage", "accuracy"):
        found = _test_time(fitted, coverage, accuracy, price, tokens_per_sample, size, model, seed)
    else:
        found = [_training(fitted, loss, flops, dollars, tokens_per_parameter, dollars_per_hour, flops_per_second, utilisation)]
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(one) for one in found], indent=1))
        return
    for one in found:
        typer.echo(one.sentence())


def _training(
    fitted: str, loss: float | None, flops: float | None, dollars: float | None, ratio: float | None, per_hour: float | None,
    per_second: float | None, utilisation: float,
) -> TrainingPlan:  # fmt: skip
    from outthink.core.errors import UsageError
    from outthink.evaluate.law_report import read_report
    from outthink.laws.plan import Hardware, plan_budget, plan_loss

    found, draws, largest = read_report(fitted)
    names = [variable.name for variable in found.form.variables]
    if names != ["parameters", "tokens"]:
        raise UsageError(
            f"planning a training run needs a law of parameters and tokens, such as chinchilla; {found.form.name!r} is of {', '.join(names)}"
        )
    if (per_hour is None) != (per_second is None):
        raise UsageError("hardware needs both --dollars-per-hour and --flops-per-second")
    hardware = None if per_hour is None or per_second is None else Hardware(per_hour, per_second, utilisation)
    laws = [] if draws is None else [found.form.law(*values) for values in draws.values[:_DRAWS]]
    if loss is not None:
        return plan_loss(found.law, loss, tokens_per_parameter=ratio, largest=largest, hardware=hardware, draws=laws)
    return plan_budget(found.law, flops=flops, dollars=dollars, tokens_per_parameter=ratio, largest=largest, hardware=hardware, draws=laws)


def _test_time(
    fitted: str,
    coverage: float | None,
    accuracy: float | None,
    price: float | None,
    tokens: float | None,
    size: float | None,
    model: str | None,
    seed: int,
) -> Sequence[SamplesPlan]:
    from outthink.core.errors import UsageError
    from outthink.evaluate.law_report import read_report
    from outthink.evaluate.law_table import is_recorded, samples_table
    from outthink.laws.test_time import Unit, plan_coverage, plan_samples

    if not _is_fit(fitted) and is_recorded(fitted):
        recorded = samples_table(fitted, model=model)
        unit = Unit(tokens or recorded.tokens_per_sample or 1.0, price, size)
        if coverage is not None:
            assert recorded.samples is not None
            assert recorded.right is not None
            return plan_coverage(recorded.samples, recorded.right, coverage, unit=unit, seed=seed)
        return _measured(recorded, float(accuracy or 0.0), unit)
    found, draws, _ = read_report(fitted)
    if coverage is None or [variable.name for variable in found.form.variables] != ["k"] or found.form.target.name != "coverage":
        raise UsageError(f"an accuracy needs a run or a pool, a coverage those or a fit of 'coverage'; {fitted} is a fit of {found.form.name!r}")
    if tokens is None:
        raise UsageError("a fit does not know how long a sample is: give --tokens-per-sample")
    curves = [] if draws is None else [found.form.law(*values) for values in draws.values]
    measured = found.domain["k"][1]
    return [plan_samples(found.law, coverage, unit=Unit(tokens, price, size), measured=measured, name="coverage law", ceiling=1.0, draws=curves)]


def _measured(recorded: Recorded, accuracy: float, unit: Unit) -> Sequence[SamplesPlan]:
    """Each way to choose among samples, as far as it was measured: a vote has no law that could be extended."""
    import numpy as np

    from outthink.laws.test_time import MeasuredCurve, plan_samples

    k = tuple(map(float, recorded.fixed["k"]))
    rng = np.random.default_rng(0)
    rows = rng.integers(recorded.problems, size=(_DRAWS, recorded.problems))
    plans = []
    for name, values in recorded.means.items():
        if name not in ("coverage", "single"):
            curves = [MeasuredCurve(k, tuple(map(float, values[chosen].mean(axis=0)))) for chosen in rows]
            curve = MeasuredCurve(k, tuple(map(float, values.mean(axis=0))))
            plans.append(plan_samples(curve, accuracy, unit=unit, measured=k[-1], name=name, draws=curves))
    return plans


def _is_fit(path: str) -> bool:
    from pathlib import Path

    return Path(path).suffix == ".json" or (Path(path) / "fit.json").exists()
