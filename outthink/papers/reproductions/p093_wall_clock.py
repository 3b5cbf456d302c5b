"""[93] Time Matters: Scaling Laws for Any Budget.

The paper: estimates of training time from FLOPs are poor and one from memory copies is good; put into a scaling law it gives the loss in a
budget of time from the shape alone, and prescribes wider, shallower models.

Here: our own count of bytes (outthink.laws.methods.wall_clock; the paper's formula is not public) against FLOPs, on step times measured here on one
CPU core and on the published times of 22 Gemstones shapes; the shape that a law then prescribes. Not covered: the paper's own 1,535 models.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from outthink.core import data
from outthink.laws.forms.chinchilla import Chinchilla
from outthink.laws.methods.wall_clock import StepTime, TransformerShape, best_shape, fit_step_time
from outthink.laws.table import read_table
from outthink.papers.fixtures import Fixture, Progress
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.papers.tiny.rows import Row, rows_of, sweep
from outthink.stats._arrays import FloatArray

T = TypeVar("T")

SEED = 93
SYMBOLS = 97
GEMSTONES = "wandb_df_for_fitting_hot.jsonl"
# Besiroglu et al. 2024 on the published Chinchilla points; the reproduction of [111] and [96] fits them again
CHINCHILLA = Chinchilla(A=477.83, B=2143.4, E=1.81722, alpha=0.34731, beta=0.36717)


def _shapes(params: Mapping[str, str | int | float]) -> list[TransformerShape]:
    """About equal layer weights; depth, width and context differ, the tokens a step do not."""
    tokens = int(params["tokens"])
    return [
        TransformerShape(depth, width, 4 * width, width // 32, context, tokens // context, SYMBOLS, fused_attention=True)
        for width, depth in (tuple(map(int, pair.split("x"))) for pair in str(params["shapes"]).split())
        for context in (int(part) for part in str(params["contexts"]).split())
    ]


def _time(folder: Path, params: Mapping[str, str | int | float], progress: Progress) -> None:
    from outthink.papers.tiny.training import one_thread

    # every repeat goes through all shapes, so that whatever else the machine does falls on all of them
    plan = [(f"repeat {number}", partial(_repeat, params, number)) for number in range(int(params["repeats"]))]
    with one_thread():
        sweep(folder, plan, "steps of 24 shapes", progress)


def _repeat(params: Mapping[str, str | int | float], number: int) -> list[Row]:
    import torch

    from outthink.papers.tiny.networks import Shape, Transformer
    from outthink.papers.tiny.training import Run

    rows: list[Row] = []
    for index, shape in enumerate(_shapes(params)):
        torch.manual_seed(number)
        symbols = torch.randint(SYMBOLS, (shape.batch, shape.context + 1))
        batch = (symbols[:, :-1].contiguous(), symbols[:, 1:].contiguous())
        run = Run(Transformer(Shape(shape.width, shape.depth, shape.heads, shape.context)), partial(_same, batch), 1e-4)
        run.advance(1, lambda step: 1.0)  # allocations and the optimiser's state are made in the first step
        before = time.process_time()  # CPU time of this process: other processes on the machine do not count
        run.advance(1 + int(params["steps"]), lambda step: 1.0)
        rows.append({"shape": index, "repeat": number, "seconds": (time.process_time() - before) / int(params["steps"])})
    return rows


TIMES = Fixture(
    "tiny-step-times",
    _time,
    {
        "shapes": "64x24 96x11 128x6 192x3 256x2 320x1", "contexts": "16 64 128 256", "tokens": 512, "repeats": 9, "steps": 2, "recipe": "1",
    },
    "about one minute on one core",
)  # fmt: skip


def _same(batch: T, step: int) -> T:
    return batch


@reproduction(paper=93, kind="real", needs=("extra:adapt",), prepare=TIMES)
def steps_on_this_machine() -> Iterator[Measured]:
    """On one CPU core, at equal parameters and tokens, bytes tell the time of a step where FLOPs do not."""
    table = rows_of(TIMES.path)
    shapes = _shapes(TIMES.params)
    repeats = int(TIMES.params["repeats"])
    seconds = np.array([table.where(table.column("shape") == index).column("seconds") for index in range(len(shapes))])  # (shapes, repeats)
    drawn = np.random.default_rng(SEED).integers(repeats, size=(1000, repeats))
    size = f"{len(shapes)} shapes, medians of {repeats} interleaved repeats, CPU time"
    yield from _compared(
        shapes, np.median(seconds, axis=1), np.median(seconds[:, drawn], axis=2).T, "24 shapes timed here", size, np.ones(len(shapes))
    )


@reproduction(paper=93, kind="recorded", needs=(f"data:laws/gemstones/{GEMSTONES}",))
def gemstones_times() -> Iterator[Measured]:
    """The published seconds a step of 22 shapes on 8 to 64 nodes follow bytes a node better than FLOPs a node."""
    shapes, nodes, seconds = _gemstones()
    draws = np.random.default_rng(SEED).integers(len(shapes), size=(1000, len(shapes)))
    size = f"{len(shapes)} shapes; interval by bootstrap over shapes"
    yield from _compared(shapes, seconds, None, "gemstones, seconds_per_step", size, nodes, draws)


def _gemstones() -> tuple[list[TransformerShape], FloatArray, FloatArray]:
    table = read_table(data.find("laws/gemstones", GEMSTONES)[0])
    _, first = np.unique(table.label("run_name"), return_index=True)
    one = table.where(first)
    # 4,194,304 tokens a step in sequences of 2,048; 15 d^2 weights a layer (gated feed-forward, grouped queries) are 5.5 d here
    shapes = [
        TransformerShape(int(depth), int(width), int(5.5 * width), max(1, int(width) // 128), 2048, 2048, 50304, bytes_each=2, fused_attention=True)
        for depth, width in zip(one.column("depth"), one.column("width"), strict=True)
    ]
    return shapes, one.column("num_nodes"), one.column("seconds_per_step")


def _compared(
    shapes: list[TransformerShape], seconds: FloatArray, resampled: FloatArray | None, told_by: str, size: str, nodes: FloatArray,
    draws: np.ndarray | None = None,
) -> Iterator[Measured]:  # fmt: skip
    amounts = {proxy: np.array([shape.of(proxy) for shape in shapes]) / nodes for proxy in ("bytes", "flops")}
    by_bytes, by_flops = fit_step_time(amounts["bytes"], seconds, "bytes"), fit_step_time(amounts["flops"], seconds, "flops")
    differences = []
    for number in range(1000):
        rows = np.arange(len(shapes)) if draws is None else draws[number]
        times = seconds[rows] if resampled is None else resampled[number]
        one, other = fit_step_time(amounts["bytes"][rows], times, "bytes"), fit_step_time(amounts["flops"][rows], times, "flops")
        differences.append(one.r2 - other.r2)
    low, high = np.quantile(differences, [0.025, 0.975])
    yield Measured.at_least(
        f"R² of time over bytes less R² over FLOPs ({by_bytes.r2:.3f} and {by_flops.r2:.3f})", value=by_bytes.r2 - by_flops.r2,
        interval=(float(low), float(high)), bound=0.05, data=told_by, seed=SEED, size=size, not_covered="the paper's own count of memory copies",
    )  # fmt: skip
    yield Measured.below(
        f"mean error of a left-out shape by bytes ({_error(by_flops):.1%} by FLOPs)", value=_error(by_bytes), bound=0.15, data=told_by, seed=SEED,
        size=size,
    )  # fmt: skip


def _error(fit: StepTime) -> float:
    return float(np.mean(np.abs(fit.left_out)))


@reproduction(paper=93, kind="recorded", needs=(f"data:laws/gemstones/{GEMSTONES}",), fast=True)
def prescribed_shape() -> Iterator[Measured]:
    """With the time model of the Gemstones shapes and a Chinchilla law, a budget of time goes to shallower models than Gemstones has on average."""
    shapes, nodes, seconds = _gemstones()
    amounts = np.array([shape.bytes_moved for shape in shapes]) / nodes
    time_model = fit_step_time(amounts, seconds, "bytes")
    # one node's worth of work: a batch of 32 sequences, so that bytes a step are those that a node of a 64-node job moves
    grid = [
        TransformerShape(depth, width, int(5.5 * width), width // 128, 2048, 32, 50304, bytes_each=2, fused_attention=True)
        for depth in (2, 4, 8, 16, 32, 64)
        for width in (256, 512, 768, 1024, 1536, 2048, 3072)
    ]
    typical = float(np.median([shape.width / shape.depth for shape in shapes]))
    for days in (1.0, 8.0):
        chosen = best_shape(grid, time_model, CHINCHILLA, days * 86_400.0)
        yield Measured.above(
            f"width over depth that {days:.0f} days prescribe ({chosen.shape.width} x {chosen.shape.depth}, {chosen.tokens / 1e9:.1f}B tokens), "
            "against the shapes' median", value=chosen.shape.width / chosen.shape.depth, bound=typical, data="gemstones times, Chinchilla law",
            size=f"{len(grid)} shapes", not_covered="worth of depth; shapes beyond 3072 x 2; a time model in FLOPs, which fits better here",
        )  # fmt: skip
