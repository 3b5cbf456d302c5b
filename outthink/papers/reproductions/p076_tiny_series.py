"""[76] A sweep of tiny forecasters: what more data gains in distribution and out of it.

Networks of 5,600 parameters read sixteen values of a series and give mean and spread of the next. Series are autoregressive with a wave; those
out of distribution have longer and stronger waves than any in training. The loss is the mean negative log-likelihood, lowest over evaluations
as published, which biases it down a little and for all alike. Not covered: transformers, real series, exponents of the size at this scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from outthink.laws.forms.time_series import fit_log_line
from outthink.papers.fixtures import Fixture, Progress
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.papers.tiny.rows import Row, rows_of, sweep
from outthink.stats._arrays import FloatArray
from outthink.stats.intervals import bootstrap_mean

if TYPE_CHECKING:
    from torch import Tensor

_CONTEXT, _LENGTH, _TESTED = 16, 64, 512
_INSIDE, _OUTSIDE = ((4.0, 12.0), 1.0), ((20.0, 48.0), 2.0)  # periods and amplitude of the waves


def series(count: int, rng: np.random.Generator, kind: tuple[tuple[float, float], float]) -> FloatArray:
    """(count, length) series: two autoregressive coefficients drawn inside the stable triangle, unit noise, and a wave."""
    (shortest, longest), amplitude = kind
    second = rng.uniform(-0.6, 0.2, count)
    first = rng.uniform(-0.9, 0.9, count) * (1.0 - second)
    values = np.zeros((count, _LENGTH + 20))
    for step in range(2, values.shape[1]):
        values[:, step] = first * values[:, step - 1] + second * values[:, step - 2] + rng.standard_normal(count)
    places = np.arange(_LENGTH) * 2 * np.pi / rng.uniform(shortest, longest, (count, 1)) + rng.uniform(0, 2 * np.pi, (count, 1))
    return np.asarray(values[:, -_LENGTH:] + amplitude * np.sin(places))


def _windows(values: FloatArray) -> tuple[Tensor, Tensor]:
    import torch

    cut = np.lib.stride_tricks.sliding_window_view(values, _CONTEXT + 1, axis=1).reshape(-1, _CONTEXT + 1)
    both = torch.from_numpy(np.ascontiguousarray(cut, dtype=np.float32))
    return both[:, :-1], both[:, -1]


def _trained(params: Mapping[str, str | int | float], count: int, seed: int) -> list[Row]:
    import torch
    from torch import nn

    rng = np.random.default_rng((seed, count))
    context, target = _windows(series(count, rng, _INSIDE))
    held = {name: _windows(series(_TESTED, np.random.default_rng(76), kind)) for name, kind in (("in", _INSIDE), ("out", _OUTSIDE))}
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(_CONTEXT, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 2))
    optimiser = torch.optim.AdamW(network.parameters(), lr=float(params["rate"]), weight_decay=0.01)
    steps = int(params["steps"])

    def loss(inputs: Tensor, following: Tensor) -> Tensor:
        mean, spread = network(inputs).unbind(1)
        nats: Tensor = (spread + 0.5 * ((following - mean) * torch.exp(-spread)) ** 2).mean() + 0.5 * float(np.log(2 * np.pi))
        return nats

    best = {name: float("inf") for name in held}
    for step in range(steps):
        rows = torch.from_numpy(rng.integers(len(context), size=256))
        optimiser.zero_grad()
        loss(context[rows], target[rows]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if (step + 1) % 50 == 0:
            with torch.no_grad():
                best = {name: min(best[name], float(loss(*windows))) for name, windows in held.items()}
    return [{"points": len(context), "seed": seed, "parameters": sum(p.numel() for p in network.parameters()), **best}]


def _train(folder: Path, params: Mapping[str, str | int | float], progress: Progress) -> None:
    from outthink.papers.tiny.training import one_thread

    counts = [int(count) for count in str(params["series"]).split()]
    plan = [(f"{count} series, seed {seed}", partial(_trained, params, count, seed)) for seed in range(int(params["seeds"])) for count in counts]
    with one_thread():
        sweep(folder, plan, "tiny forecasters", progress)


RUNS = Fixture(
    "tiny-series", _train, {"seeds": 6, "series": "4 8 16 32 64 128 256 512", "steps": 800, "rate": 0.003, "recipe": "1"},
    "about a minute on one core",
)  # fmt: skip


@reproduction(paper=76, kind="real", needs=("extra:adapt",), prepare=RUNS)
def data_in_and_out_of_distribution() -> Iterator[Measured]:
    """The exponent of the data is larger in distribution than out of it, as in the published models."""
    table = rows_of(RUNS.path)
    seeds = np.unique(table.column("seed"))
    exponents = {}
    for where in ("in", "out"):
        slopes = []
        for seed in seeds:
            part = table.where(table.column("seed") == seed)
            slopes.append(fit_log_line(part.column("points"), part.column(where)).a)
        exponents[where] = np.array(slopes)
    said = f"{len(seeds)} seeds, {len(np.unique(table.column('points')))} amounts of data, {int(table.column('parameters')[0]):,} parameters"
    gap = bootstrap_mean(exponents["in"] - exponents["out"], seed=0)
    inside = bootstrap_mean(exponents["in"], seed=0)
    yield Measured.above(
        "exponent of the data in distribution", value=inside.estimate, interval=(inside.low, inside.high), bound=0.0, data="autoregressive series",
        seed=0, size=said,
    )  # fmt: skip
    yield Measured.above(
        "exponent of the data, in distribution less out of it", value=gap.estimate, interval=(gap.low, gap.high), bound=0.0,
        data="autoregressive series", seed=0, size=said, not_covered="the size of the gap, which depends on how far out the other series are",
    )  # fmt: skip
