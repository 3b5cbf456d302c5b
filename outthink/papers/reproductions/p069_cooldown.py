"""[69] Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations.

The paper: a constant learning rate with a short cooldown matches the cosine schedule at every length, so one run serves all lengths and
laws are fitted with far fewer runs; a mean of weights improves the constant part at no cost.

Here: the schedules' identities and the cost; the FLOP count of the published notebook; character networks of 7,000 parameters trained with
both schedules at three lengths. Not covered: language models, laws fitted from cooldowns (Gemstones has them, see [132]).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from outthink.laws.flops import Transformer, training_flops
from outthink.laws.methods.schedules import COOLDOWNS, CosineDecay, WarmupStableDecay, WeightAverage, cooldown, training_cost
from outthink.papers.fixtures import Fixture, Progress
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.papers.tiny.rows import Row, rows_of, sweep
from outthink.papers.tiny.seeds import mean_interval

SEED = 69
DATA = "Python's documentation, characters; a perceptron of 7,113 parameters"
NOT = "one network of 7,113 parameters; the paper has transformers of 33M to 360M"


@reproduction(paper=69, kind="exact", fast=True)
def schedules() -> Iterator[Measured]:
    """The schedule is continuous, 1 on the plateau and 0 at its end, and three lengths of training cost 0.6 of the cosine's."""
    yield Measured.within("1 - sqrt(t) half way through the cooldown", value=float(cooldown("1-sqrt", 0.5)), target=0.293, tolerance=0.0005)
    ends = max(abs(float(cooldown(shape, 0.0)) - 1.0) + abs(float(cooldown(shape, 1.0))) for shape in COOLDOWNS)
    yield Measured.at_most("every shape goes from 1 to 0 (largest deviation)", value=ends, bound=1e-12)
    plan = WarmupStableDecay(10_000, decay=0.2, warmup=300)
    plateau = float(np.max(np.abs(plan(np.arange(300, plan.start + 1)) - 1.0)))
    yield Measured.at_most("1 on the whole plateau up to the cooldown's first step (largest deviation)", value=plateau, bound=0.0)
    yield Measured.within("first step of the cooldown of 10,000 steps with f = 0.2", value=plan.start, target=8000, tolerance=0)
    ours, cosine = training_cost(np.array([2400.0, 5600.0, 8000.0]) / 0.8, 0.2)
    yield Measured.within(
        "cost of three lengths against a cosine run for each (published notebook: 0.53 to 0.60)", value=ours / cosine, target=0.6, tolerance=1e-12
    )
    # the notebook's model: 8 layers of width 384 with 6 heads, sequences of 512
    model = Transformer(384, 8, 6, 64, 6, 1536, 50257, 512, gated=False)
    yield Measured.within("parameters of the notebook's model", value=float(model.parameters()), target=33_454_464, tolerance=0)
    yield Measured.within(
        "its training FLOPs a sequence, to the last digit", value=float(training_flops(model, "deepmind")), target=171_834_605_568, tolerance=0
    )


def _train(folder: Path, params: Mapping[str, str | int | float], progress: Progress) -> None:
    from outthink.papers.tiny.training import one_thread

    with one_thread():
        sweep(folder, [(f"seed {seed}", partial(_seed, params, seed)) for seed in range(int(params["seeds"]))], "both schedules", progress)


def _seed(params: Mapping[str, str | int | float], seed: int) -> list[Row]:
    import torch
    from torch.nn.utils import parameters_to_vector, vector_to_parameters

    from outthink.papers.tiny.networks import CharacterPerceptron
    from outthink.papers.tiny.text import documentation
    from outthink.papers.tiny.training import Run, evaluate, next_one

    text = documentation()
    held_out = next_one(text.held_out, batch=int(params["held_out"]), context=8, seed=SEED)(0)
    lengths = [int(length) for length in str(params["lengths"]).split()]
    rate, decay, warmup = float(params["rate"]), float(params["decay"]), int(params["warmup"])
    rows: list[Row] = []

    def fresh(peak: float) -> Run:
        torch.manual_seed(seed)
        return Run(CharacterPerceptron(32, context=8, embedding=8), next_one(text.train, batch=128, context=8, seed=1000 + seed), peak)

    def note(schedule: str, length: int, run: Run) -> None:
        rows.append({"seed": seed, "schedule": schedule, "length": length, "loss": evaluate(run.network, held_out, 4096)})

    def factor(schedule: Callable[[int], np.ndarray]) -> Callable[[int], float]:
        return lambda step: float(schedule(step))

    constant = fresh(rate)
    for length in lengths:
        cosine = fresh(2.0 * rate)  # the paper takes half of the cosine's best peak for the constant rate
        cosine.advance(length, factor(CosineDecay(length, warmup=warmup, floor=0.1)))
        note("cosine", length, cosine)
        plan = WarmupStableDecay(length, decay=decay, warmup=warmup)
        if constant.step <= plan.start:
            constant.advance(plan.start, factor(WarmupStableDecay(length, decay=0.0, warmup=warmup)))
        cooled = constant.branch()
        cooled.advance(length, factor(plan))
        note("cooldown", length, cooled)
        mean = WeightAverage(start=length - int(params["window"]), every=int(params["every"]))
        plateau = constant.branch()

        def take(step: int, mean: WeightAverage = mean, plateau: Run = plateau) -> None:
            mean.add(step, parameters_to_vector(plateau.network.parameters()).detach().numpy())

        plateau.advance(length, factor(WarmupStableDecay(length, decay=0.0, warmup=warmup)), take)
        note("plateau", length, plateau)
        vector_to_parameters(torch.from_numpy(mean.mean).float(), plateau.network.parameters())
        note("average", length, plateau)
    return rows


RUNS = Fixture(
    "tiny-cooldown",
    _train,
    {
        "seeds": 5, "lengths": "1200 2800 4000", "rate": 0.008, "decay": 0.2, "warmup": 40, "window": 500, "every": 10, "held_out": 16384,
        "recipe": "1",
    },
    "about three minutes on one core",
)  # fmt: skip


@reproduction(paper=69, kind="real", needs=("extra:adapt",), prepare=RUNS)
def tiny_trainings() -> Iterator[Measured]:
    """At each of three lengths a cooldown ends within 1% of the cosine and below the plateau; the mean of weights lies between the two."""
    table = rows_of(RUNS.path)
    seeds = int(RUNS.params["seeds"])
    size = f"{seeds} seeds"

    def losses(schedule: str, length: float) -> np.ndarray:
        return table.where((table.label("schedule") == schedule) & (table.column("length") == length)).column("loss")  # (seeds,), seeds in order

    for length in (1200, 2800, 4000):
        cosine, cooled, plateau, mean = (losses(name, length) for name in ("cosine", "cooldown", "plateau", "average"))
        worse = mean_interval(cooled / cosine - 1.0)
        yield Measured.at_most(
            f"{length} steps: cooldown above cosine, share of its loss ({cooled.mean():.3f} and {cosine.mean():.3f})", value=worse.estimate,
            interval=(worse.low, worse.high), bound=0.01, data=DATA, seed=SEED, size=size, not_covered=NOT,
        )  # fmt: skip
        gain = plateau - cooled
        yield Measured.above(
            f"{length} steps: plateau less cooldown, in standard errors over seeds (gap {gain.mean():.3f} nats)",
            value=float(gain.mean() / (gain.std(ddof=1) / np.sqrt(seeds))), bound=3.0, data=DATA, seed=SEED, size=size, not_covered=NOT,
        )  # fmt: skip
        share = mean_interval((plateau - mean) / gain)
        yield Measured.above(
            f"{length} steps: share of the cooldown's gain that a mean of weights has", value=share.estimate, interval=(share.low, share.high),
            bound=0.0, data=DATA, seed=SEED, size=size, not_covered=NOT,
        )  # fmt: skip
        yield Measured.below(
            f"{length} steps: the same, less than the whole gain", value=share.estimate, interval=(share.low, share.high), bound=1.0,
            data=DATA, seed=SEED, size=size, not_covered=NOT,
        )  # fmt: skip
