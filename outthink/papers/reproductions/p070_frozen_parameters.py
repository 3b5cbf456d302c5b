"""[70] Is the Number of Trainable Parameters All That Actually Matters?

The paper: transformers doped with frozen random weights, or with structured transforms in the place of dense layers, have the test loss of
their trainable parameters alone; spurious parameters do not deceive a scaling law.

Here: character networks of six widths with 0 to 75% of their hidden layers' weights frozen where they were drawn, three seeds. The regression
asks what the loss follows, log trainable or log total. Not covered: transformers, structured transforms, the front over compute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from outthink.core.errors import need
from outthink.papers.fixtures import Fixture, Progress
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.papers.tiny.rows import Row, rows_of, sweep
from outthink.stats import student_quantile
from outthink.stats._arrays import FloatArray

SEED = 70
DATA = "Python's documentation, characters; perceptrons of 3,800 to 50,000 parameters"
NOT = "transformers; structured transforms; one epoch of 256,000 characters each"
TOTAL, TRAINABLE = "log total", "log trainable"


def _train(folder: Path, params: Mapping[str, str | int | float], progress: Progress) -> None:
    from outthink.papers.tiny.training import one_thread

    plan = [
        (f"width {width}, frozen {share}, seed {seed}", partial(_run, params, int(width), float(share), seed))
        for seed in range(int(params["seeds"]))
        for width in str(params["widths"]).split()
        for share in str(params["frozen"]).split()
    ]
    with one_thread():
        sweep(folder, plan, "networks with frozen weights", progress)


def _run(params: Mapping[str, str | int | float], width: int, share: float, seed: int) -> list[Row]:
    import torch
    from torch import nn

    from outthink.papers.tiny.networks import CharacterPerceptron, count, freeze
    from outthink.papers.tiny.text import documentation
    from outthink.papers.tiny.training import Run, evaluate, next_one

    text, steps = documentation(), int(params["steps"])
    torch.manual_seed(seed)
    network = CharacterPerceptron(width, context=8, embedding=8)
    # the embedding and the output layer learn whole: the paper freezes inside the blocks
    frozen = freeze([layer for layer in network.hidden if isinstance(layer, nn.Linear)], share, seed)
    run = Run(network, next_one(text.train, batch=256, context=8, seed=1000 + seed), float(params["rate"]))
    run.advance(steps, lambda step: min(1.0, (step + 1) / 40) * (1.0 - step / steps))
    held_out = next_one(text.held_out, batch=int(params["held_out"]), context=8, seed=SEED)(0)
    total = count(network)
    return [{"width": width, "frozen": share, "seed": seed, "total": total, "trainable": total - frozen, "loss": evaluate(network, held_out, 4096)}]


RUNS = Fixture(
    "tiny-frozen",
    _train,
    {"seeds": 3, "widths": "16 24 36 54 80 120", "frozen": "0.0 0.25 0.5 0.75", "steps": 1000, "rate": 0.006, "held_out": 16384, "recipe": "2"},
    "about three minutes on one core",
)


def regression(columns: list[FloatArray], target: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Least squares with an intercept: (coefficients without it, their standard errors, residual sum of squares)."""
    design = np.stack([np.ones_like(target), *columns], axis=1)
    coefficients, _, _, _ = np.linalg.lstsq(design, target, rcond=None)
    rest = float(((target - design @ coefficients) ** 2).sum())
    spread = rest / (target.size - design.shape[1]) * np.linalg.inv(design.T @ design).diagonal()
    return np.asarray(coefficients[1:], dtype=np.float64), np.asarray(np.sqrt(spread)[1:]), rest


@reproduction(paper=70, kind="real", needs=("extra:adapt", "extra:laws"), prepare=RUNS)
def tiny_frozen() -> Iterator[Measured]:
    """Log loss over log trainable and log total parameters: only the trainable ones count."""
    table = rows_of(RUNS.path)
    total, trainable, loss = (np.log(table.column(name)) for name in ("total", "trainable", "loss"))
    frozen = table.column("frozen")
    size = f"{len(table)} networks: 6 widths, 4 shares frozen, 3 seeds"
    slopes, errors, _ = regression([trainable, total], loss)
    half = student_quantile(0.975, len(table) - 3) * errors
    yield Measured.below(
        "exponent of trainable parameters at a given total (clearly below 0)", value=float(slopes[0]),
        interval=(float(slopes[0] - half[0]), float(slopes[0] + half[0])), bound=-0.02, data=DATA, seed=SEED, size=size, not_covered=NOT,
    )  # fmt: skip
    yield Measured.within(
        f"exponent of the total at given trainable ones, in its standard errors (exponent {slopes[1]:.4f} ± {errors[1]:.4f})",
        value=float(slopes[1] / errors[1]), target=0.0, tolerance=2.0, data=DATA, seed=SEED, size=size, not_covered=NOT,
    )  # fmt: skip
    yield Measured.at_least(
        "no deception: frozen parameters do not lower the loss at given trainable ones (exponent of the total)", value=float(slopes[1]),
        interval=(float(slopes[1] - half[1]), float(slopes[1] + half[1])), bound=0.0, data=DATA, seed=SEED, size=size, not_covered=NOT,
    )  # fmt: skip
    ratio = abs(float(slopes[1] / slopes[0]))
    yield Measured.at_most(
        "size of the total's exponent as a share of the trainable one's", value=ratio, interval=_ratio_interval(trainable, total, loss),
        bound=0.1, data=DATA, seed=SEED, size=size, not_covered=NOT,
    )  # fmt: skip
    _, _, one = regression([trainable, trainable**2], loss)
    groups = [part for share in (0.25, 0.5, 0.75) for part in (np.where(frozen == share, 1.0, 0.0), np.where(frozen == share, trainable, 0.0))]
    _, _, many = regression([trainable, trainable**2, *groups], loss)
    spare = len(table) - 3 - len(groups)
    statistic = (one - many) / len(groups) / (many / spare)
    tail = float(need("scipy.stats", extra="laws").f.sf(statistic, len(groups), spare))
    yield Measured.at_least(
        f"F-test of one curve in trainable parameters against one for each share frozen: p-value (F = {statistic:.1f})", value=tail, bound=0.05,
        data=DATA, seed=SEED, size=size, not_covered=NOT,
    )  # fmt: skip
    wide = loss[(frozen == 0.75)].reshape(3, -1).mean(axis=0)
    dense = loss[(frozen == 0.0)].reshape(3, -1).mean(axis=0)
    gain = np.exp(dense - wide) - 1.0
    yield Measured.below(
        "the best that freezing 75% of the hidden weights does to the loss at one width (gain as a share)",
        value=float(gain.max()), bound=0.0, data=DATA, seed=SEED, size="6 widths, means of 3 seeds", not_covered=NOT,
    )  # fmt: skip


def _ratio_interval(trainable: FloatArray, total: FloatArray, loss: FloatArray) -> tuple[float, float]:
    """95% bootstrap over runs."""
    rng = np.random.default_rng(SEED)
    ratios = []
    for _ in range(1000):
        rows = rng.integers(loss.size, size=loss.size)
        slopes, _, _ = regression([trainable[rows], total[rows]], loss[rows])
        ratios.append(abs(float(slopes[1] / slopes[0])))
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)
