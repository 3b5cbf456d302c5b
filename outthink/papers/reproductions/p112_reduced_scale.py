"""[112] Honey, I Shrunk the Language: Language Model Behavior at Reduced Scale.

The paper: pre-training pays from 1.25M parameters on; pre-training perplexity and GLUE go together; below 2.2e15 FLOPs the loss of
compute-optimal models does not follow the power law.

Here: the detection of a break on simulated envelopes; masked character transformers of 4,000 to 160,000 parameters with a linear probe that
tells text from the same text with neighbouring characters swapped. Not covered: GLUE, fine-tuning, words, models of a million parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from outthink.laws.methods.breaks import envelope, find_break
from outthink.papers.evidence import SIGMAS, standard_error, wilson
from outthink.papers.fixtures import Fixture, Progress
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.papers.tiny.rows import Row, rows_of, sweep
from outthink.papers.tiny.seeds import mean_interval, spearman
from outthink.stats._arrays import FloatArray

SEED = 112
TRIALS = 400
NOISE = 0.02
DATA = "Python's documentation, characters; masked transformers of 4,000 to 160,000 parameters"
NOT = "GLUE, words, fine-tuning; the paper has 1M to 20M parameters, and here the probe stays near chance, where ranks are mostly noise"


@reproduction(paper=112, kind="simulated", fast=True)
def known_breaks() -> Iterator[Measured]:
    """A known change of exponent in an envelope of 30 points with 2% noise is found where it is, and none is found where there is none."""
    rng = np.random.default_rng(SEED)
    compute = np.geomspace(1e13, 1e17, 30)
    errors, found, false = [], 0, 0
    for trial in range(TRIALS):
        noise = np.exp(NOISE * rng.standard_normal((2, compute.size)))
        at = 10.0 ** rng.uniform(14.5, 15.8)
        broken = find_break(compute, _law(compute, at, -0.05, -0.20) * noise[0], seed=trial, permutations=199)
        errors.append(abs(np.log10(broken.at / at)))
        found += broken.found()
        false += find_break(compute, _law(compute, at, -0.10, -0.10) * noise[1], seed=trial, permutations=199).found()
    size = f"{TRIALS} envelopes of 30 points, 2% noise"
    yield Measured.at_most(
        "error of the break's place, 95th percentile, decades (exponents -.05 and -.20)", value=float(np.quantile(errors, 0.95)), bound=0.2,
        data="simulated", seed=SEED, size=size,
    )  # fmt: skip
    yield Measured.at_least("share of breaks found", value=found / TRIALS, interval=wilson(found, TRIALS), bound=0.95, seed=SEED, size=size)
    yield Measured.at_most(
        "false alarms on one exponent, with 3 standard errors for the number of trials", value=false / TRIALS,
        bound=0.05 + SIGMAS * standard_error(0.05, TRIALS), expected="≤ 0.05 and sampling error", data="simulated", seed=SEED, size=size,
    )  # fmt: skip


def _law(compute: FloatArray, at: float, before: float, after: float) -> FloatArray:
    return 3.0 * np.where(compute < at, (compute / at) ** before, (compute / at) ** after)


def _train(folder: Path, params: Mapping[str, str | int | float], progress: Progress) -> None:
    from outthink.papers.tiny.training import one_thread

    plan = [
        (f"{shape}, seed {seed}", partial(_run, params, shape, seed))
        for seed in range(int(params["seeds"]))
        for shape in str(params["shapes"]).split()
    ]
    with one_thread():
        sweep(folder, plan, "masked models", progress)


def _run(params: Mapping[str, str | int | float], named: str, seed: int) -> list[Row]:
    import torch

    from outthink.papers.tiny.networks import Shape, Transformer, count
    from outthink.papers.tiny.text import acceptability, documentation
    from outthink.papers.tiny.training import Run, evaluate, masked

    width, depth, heads = (int(part) for part in named.split("x"))
    text, context, batch = documentation(), int(params["context"]), int(params["batch"])
    snippets, labels = acceptability(text.held_out, snippets=int(params["snippets"]), characters=context, swaps=4, seed=SEED)
    torch.manual_seed(seed)
    network = Transformer(Shape(width, depth, heads, context, causal=False))
    run = Run(network, masked(text.train, batch=batch, context=context, seed=1000 + seed), float(params["rate"]))
    held_out = masked(text.held_out, batch=512, context=context, seed=SEED)(0)
    steps = [int(step) for step in str(params["steps"]).split()]
    rows: list[Row] = []
    for until in [0, *steps]:
        # a constant rate after the warm-up: the checkpoints of one run are comparable, none is cooled down
        run.advance(until, lambda step: min(1.0, (step + 1) / 40))
        with torch.no_grad():
            places = network.features(torch.from_numpy(snippets)).double()  # (snippets, context, width)
        features = torch.cat([places.mean(dim=1), places.std(dim=1)], dim=1).numpy()
        rows.append({
            "shape": named, "seed": seed, "parameters": count(network), "step": until, "flops": 6.0 * count(network) * until * batch * context,
            "loss": evaluate(network, held_out), "accuracy": probe(features, labels),
        })  # fmt: skip
    return rows


def probe(features: FloatArray, labels: np.ndarray) -> float:
    """Accuracy of a ridge classifier on one half of the snippets after training on the other, both ways.

    Halves are contiguous: neighbouring snippets overlap.
    """
    targets = np.eye(int(labels.max()) + 1)[labels]
    first = np.arange(labels.size) < labels.size // 2
    right = 0
    for train in (first, ~first):
        centre, scale = features[train].mean(axis=0), features[train].std(axis=0) + 1e-9
        inputs = np.concatenate([(features - centre) / scale, np.ones((labels.size, 1))], axis=1)
        weights = np.linalg.solve(inputs[train].T @ inputs[train] + 3.0 * np.eye(inputs.shape[1]), inputs[train].T @ targets[train])
        right += int(((inputs[~train] @ weights).argmax(axis=1) == labels[~train]).sum())
    return right / labels.size


RUNS = Fixture(
    "tiny-masked",
    _train,
    {
        "seeds": 3, "shapes": "12x1x2 16x1x2 24x1x2 24x2x2 32x2x2 48x2x3 64x3x4", "steps": "50 100 200 400 800", "context": 32, "batch": 24,
        "snippets": 3000, "rate": 0.004, "recipe": "2",
    },
    "about three minutes on one core",
)  # fmt: skip


@reproduction(paper=112, kind="real", needs=("extra:adapt",), prepare=RUNS)
def tiny_masked_models() -> Iterator[Measured]:
    """Masked loss and probe accuracy go together; pre-training pays at every size; the envelope far below 2.2e15 FLOPs is no power law."""
    table = rows_of(RUNS.path)
    seeds, last = int(RUNS.params["seeds"]), float(str(RUNS.params["steps"]).split()[-1])
    end, untrained = table.where(table.column("step") == last), table.where(table.column("step") == 0.0)
    shapes = str(RUNS.params["shapes"]).split()
    loss, accuracy = (np.array([end.where(end.label("shape") == shape).column(name) for shape in shapes]) for name in ("loss", "accuracy"))
    before = np.array([untrained.where(untrained.label("shape") == shape).column("accuracy") for shape in shapes])  # (shapes, seeds)
    rank = float(-spearman(loss.mean(axis=1), accuracy.mean(axis=1)))
    size = f"{len(shapes)} shapes, {seeds} seeds, {last:.0f} steps"
    yield Measured.above(
        f"rank correlation of masked loss and probe accuracy over shapes, sign turned (accuracy {accuracy.mean(axis=1).min():.2f} to "
        f"{accuracy.mean(axis=1).max():.2f})", value=rank, bound=0.7, data=DATA, seed=SEED, size=size, not_covered=NOT,
    )  # fmt: skip
    for place in (0, len(shapes) - 1):
        gain = mean_interval(accuracy[place] - before[place])
        yield Measured.above(
            f"shape {shapes[place]}: probe accuracy after pre-training less before ({before[place].mean():.2f} before)", value=gain.estimate,
            interval=(gain.low, gain.high), bound=0.0, data=DATA, seed=SEED, size=f"{seeds} seeds", not_covered=NOT,
        )  # fmt: skip
    trained = table.where(table.column("step") > 0.0)
    chosen = envelope(trained.column("flops"), trained.column("loss"))
    broken = find_break(trained.column("flops")[chosen], trained.column("loss")[chosen], seed=SEED)
    yield Measured.at_most(
        f"p-value against one power law on the envelope of {trained.column('flops').min():.1e} to {trained.column('flops').max():.1e} FLOPs "
        f"(exponents {broken.before:.3f} and {broken.after:.3f}, meeting at {broken.at:.1e})", value=broken.p_value, bound=0.05, data=DATA,
        seed=SEED, size=f"{broken.points} points of the envelope",
        not_covered=NOT + "; the lowest points are limited by the smallest model, which looks like a break, too",
    )  # fmt: skip
