"""[118] The Fine Line: navigating large language model pretraining with down-streaming capability analysis.

The paper: benchmark scores of intermediate checkpoints follow trajectories that tasks of one ability share across model sizes, so that
small models and a few early stable metrics tell much about large ones.

Here: 22 Gemstones runs with 35 checkpoints on nine benchmarks, Pythia checkpoints on mathematics, and simulated abilities. The paper gives
no formulas: what is measured is in `outthink.laws.methods.checkpoints`. That Pythia's rankings are compared at 200B tokens was chosen after
seeing from where on they agree. Not covered: models of 7B parameters and more, the paper's benchmarks.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from outthink.core import data
from outthink.core.errors import DataError
from outthink.laws.methods.checkpoints import align, cluster_abilities, earliest_stable, monotone_fit
from outthink.laws.table import read_table
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.stats import paired_bootstrap

SEED = 118
EVALUATED = "data:laws/gemstones/light_eval_df.parquet"
GEMSTONES = "gemstones (light_eval)"
TOKENS = ("2M", "64M", "2B", "6B", "20B", "60B", "200B", "300B")
SIZES = ("14M", "70M", "160M", "410M", "1B", "1.4B", "2.8B", "6.9B", "12B")


@functools.cache
def _trajectories() -> dict[str, NDArray[np.float64]]:
    """Benchmark -> (runs, checkpoints), checkpoints equally spaced, the last is the end of the training."""
    table = read_table(data.find("laws/gemstones", "light_eval_df.parquet")[0])
    places: dict[str, list[tuple[float, int]]] = {}
    for row, name in enumerate(table.label("__index_level_0__").tolist()):
        found = re.fullmatch(r"Gemstone-(\d+x\d+)-(?:step_(\d+)|main)", name)
        if found is None:
            raise DataError(f"{table.place(row)}: {name!r} names no checkpoint of a Gemstone")
        places.setdefault(found[1], []).append((float(found[2] or "inf"), row))
    rows = np.array([[row for _, row in sorted(run)] for run in places.values()])
    return {benchmark: column[rows] for benchmark, column in table.columns.items()}


@reproduction(paper=118, kind="recorded", fast=True, needs=(EVALUATED, "extra:tables"))
def small_runs_for_large() -> Iterator[Measured]:
    """A benchmark's trajectory in small runs is more like the same benchmark's in large runs than like another's."""
    tables = _trajectories()
    final = tables["hellaswag"][:, -1]
    order = np.argsort(final)  # better at the end is larger here
    small = {name: table[order[:6]].mean(axis=0) for name, table in tables.items()}
    large = {name: table[order[-6:]].mean(axis=0) for name, table in tables.items()}
    gaps = np.array([[align(monotone_fit(one), monotone_fit(other)).distance for other in large.values()] for one in small.values()])
    count = len(tables)
    own = np.diag(gaps)
    others = (gaps.sum(axis=1) - own) / (count - 1)
    gain = paired_bootstrap(others, own, seed=SEED)
    yield Measured.above(
        f"distance to other benchmarks ({others.mean():.3f}) less that to the same one ({own.mean():.3f}), standard deviations",
        value=gain.estimate, interval=(gain.low, gain.high), bound=0.0, data=GEMSTONES, seed=SEED,
        size=f"{count} benchmarks; the 6 weakest and the 6 strongest runs, means", not_covered="models beyond 2B parameters",
    )  # fmt: skip


@reproduction(
    paper=118, kind="recorded", fast=True, needs=("data:laws/monkeys-pythia/pythia_ckpts_math.csv", "data:laws/monkeys-pythia/pythia_ckpts_gsm8k.csv")
)
def pythia_on_mathematics() -> Iterator[Measured]:
    """Pythia's sizes rank on mathematics before the end of the training as they do at its end, but not early on, when all are near 0."""
    for benchmark in ("math", "gsm8k"):
        table = read_table(data.find("laws/monkeys-pythia", f"pythia_ckpts_{benchmark}.csv")[0])
        rates: dict[tuple[str, str], list[float]] = {}
        for model, drawn, right in zip(table.label("model").tolist(), table.column("n"), table.column("c"), strict=True):
            _, parameters, tokens = model.split("_")
            rates.setdefault((parameters, tokens), []).append(float(right / drawn))
        means = np.array([[float(np.mean(rates[parameters, tokens])) for tokens in TOKENS] for parameters in SIZES])
        stable = earliest_stable(means)
        size = f"{len(SIZES)} sizes, {len(TOKENS)} token counts, 128 problems"
        before = TOKENS.index("200B")
        yield Measured.at_least(
            f"{benchmark}: Kendall's tau of the ranking at 200B tokens with the final one (agrees for good from {TOKENS[stable.first]} on)",
            value=float(stable.agreement[before]), bound=0.8, data=f"monkeys-pythia/pythia_ckpts_{benchmark}", size=size,
        )  # fmt: skip
        yield Measured.below(
            f"{benchmark}: the same at 64M tokens", value=float(stable.agreement[TOKENS.index("64M")]), bound=0.8,
            data=f"monkeys-pythia/pythia_ckpts_{benchmark}", size=size,
            not_covered="samples a problem were chosen by its difficulty, so rates are not unbiased",
        )  # fmt: skip


@reproduction(paper=118, kind="simulated", fast=True, needs=("extra:laws",))
def two_abilities() -> Iterator[Measured]:
    """Benchmarks of two abilities, one early and one late, fall into their groups at a signal of three times the noise."""
    rng = np.random.default_rng(SEED)
    progress = np.linspace(0.0, 1.0, 40)
    shapes = {"early": 1.0 - np.exp(-progress / 0.12), "late": 1.0 / (1.0 + np.exp(-(progress - 0.75) / 0.06))}
    truth = {f"{ability} {number}": ability for ability in shapes for number in range(4)}
    trials = 24
    for ratio, bound in ((3.0, 0.9), (0.0, 0.1)):
        right = 0
        for _ in range(trials):
            noisy = {name: ratio * shapes[ability] * rng.uniform(0.5, 2.0) for name, ability in truth.items()}
            drawn = {name: curve + rng.normal(0.0, max(float(np.ptp(curve)) / 3.0, 1e-3), progress.size) for name, curve in noisy.items()}
            groups = cluster_abilities(drawn, 2)
            right += len({(groups[name], ability) for name, ability in truth.items()}) == 2
        make = Measured.at_least if ratio else Measured.at_most
        yield make(
            "share of trials in which all eight benchmarks are grouped right, " + ("signal 3 times the noise" if ratio else "control without signal"),
            value=right / trials, bound=bound, data="simulated", seed=SEED, size=f"{trials} trials, 8 benchmarks, {progress.size} checkpoints",
        )  # fmt: skip
