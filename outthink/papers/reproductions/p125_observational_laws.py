"""[125] Observational Scaling Laws and the Predictability of Language Model Performance.

The paper: the benchmark scores of public models lie near a space of few dimensions; the first is log-linear in training FLOPs within
each family; through it the performance of large models on complex tasks is predicted from small ones, better than from FLOPs.

Here: the three claims on the published tables (148 models, newer than the paper's 77), and the choice of families to evaluate. The
third holds on some tasks and not on others: both are shown. Not covered: agents, post-training methods.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from outthink.core import data
from outthink.laws.methods.capability import Capabilities, choose_families, fit_capabilities, fit_family_lines, fit_link
from outthink.laws.table import Table, read_table, table_of
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.stats import paired_bootstrap

SEED = 125
SCORES, TASKS = "base_llm_benchmark_eval.csv", "base_llm_emergent_capability_eval.csv"
NEEDS = (f"data:laws/obs-scaling/{SCORES}", f"data:laws/obs-scaling/{TASKS}")
BENCHMARKS = ["MMLU", "ARC-C", "HellaSwag", "Winograd", "TruthfulQA", "GSM8K", "XWinograd", "HumanEval"]
# the paper leaves GSM8K out where the task is arithmetic
WITHOUT_GSM8K = [name for name in BENCHMARKS if name != "GSM8K"]
CUT = 84e21  # FLOPs; larger models, and those of unknown FLOPs, are predicted
EXPLAINED = (0.853, 0.093, 0.027)
LINES = {"Pythia": 0.984, "OPT": 0.985, "Llama": 0.978, "Qwen1.5": 0.970, "Llama-2": 1.000, "StableLM": 0.075, "OLMo": 0.511}
PREDICTED = {
    # task -> (column, benchmarks)
    "word unscrambling": ("word_unscrambling_2_exact_match", BENCHMARKS),
    "Persian question answering": ("parsinlu_qa_2_acc", BENCHMARKS),
    "2-digit multiplication": ("arithmetic_2dm_2_acc", WITHOUT_GSM8K),
    "3-digit addition": ("arithmetic_3da_2_acc", WITHOUT_GSM8K),
    "3-digit subtraction": ("arithmetic_3ds_2_acc", WITHOUT_GSM8K),
}


@functools.cache
def _table(file: str) -> Table:
    return read_table(data.find("laws/obs-scaling", file)[0])


def _flops(table: Table) -> NDArray[np.float64]:
    return table.column("FLOPs (1E21)") * 1e21


def _fit(table: Table, components: int = 3) -> Capabilities:
    return fit_capabilities(table, BENCHMARKS, components=components)


@reproduction(paper=125, kind="recorded", fast=True, needs=NEEDS)
def few_dimensions() -> Iterator[Measured]:
    """Three components explain nearly all variance of the published benchmark scores."""
    table = _table(SCORES)
    fitted = _fit(table)
    size = f"{len(table)} models, {len(BENCHMARKS)} benchmarks"
    for place, target in enumerate(EXPLAINED):
        yield Measured.within(
            f"variance explained by component {place + 1}", value=float(fitted.explained[place]), target=target, tolerance=0.0006,
            data="obs-scaling", size=size,
        )  # fmt: skip
    some = table.where(np.isin(table.label("Model"), _table(TASKS).label("Model")))
    yield Measured.within(
        "variance explained by three components of the models with emergent tasks", value=float(_fit(some).explained.sum()), target=0.977,
        tolerance=0.0006, data="obs-scaling", size=f"{len(some)} models",
    )  # fmt: skip


@reproduction(paper=125, kind="recorded", fast=True, needs=NEEDS)
def log_linear_families() -> Iterator[Measured]:
    """Within a family the first component is linear in log FLOPs; two families with changing recipes are not."""
    table = _table(SCORES)
    first = _fit(table).of(table)[:, 0]
    lines = fit_family_lines(first, _flops(table), table.label("Model Family"))
    for family, target in LINES.items():
        yield Measured.within(
            f"{family}: R² of component 1 on log FLOPs", value=lines[family].r2, target=target, tolerance=0.0006, data="obs-scaling",
            size=f"{lines[family].models} models",
        )  # fmt: skip
    straight = [line.r2 for line in lines.values() if line.models >= 3]
    yield Measured.at_least(
        "median R² over the families of three models or more", value=float(np.median(straight)), bound=0.95, data="obs-scaling",
        size=f"{len(straight)} families",
    )  # fmt: skip
    published = fit_family_lines(first, _flops(table), table.label("Model Family"), as_published=True)
    yield Measured.within(
        "slope under log10 over the slope of the official code (natural log under that label)",
        value=lines["Pythia"].slope / published["Pythia"].slope, target=math.log(10.0), tolerance=1e-9, data="obs-scaling",
    )  # fmt: skip
    same = max(abs(line.r2 - published[family].r2) for family, line in lines.items())
    yield Measured.at_most("that slip changes no R² (largest difference)", value=same, bound=1e-9, data="obs-scaling")


@reproduction(paper=125, kind="recorded", fast=True, needs=(*NEEDS, "extra:laws"))
def emergent_tasks() -> Iterator[Measured]:
    """Three components of models below 8.4e22 FLOPs predict larger ones on emergent tasks with less error than FLOPs do."""
    table, tasks = _table(SCORES), _table(TASKS)
    flops = _flops(table)
    for task, (column, benchmarks) in PREDICTED.items():
        by_model = dict(zip(tasks.label("Model").tolist(), tasks.column(column).tolist(), strict=True))
        truth = np.array([by_model.get(model, math.nan) for model in table.label("Model").tolist()])
        seen, held = np.isfinite(truth) & (flops <= CUT), np.isfinite(truth) & np.isfinite(flops) & (flops > CUT)
        fitted = fit_capabilities(table.where(seen), benchmarks)
        by_skill = fit_link(fitted.of(table.where(seen)), truth[seen])(fitted.of(table.where(held)))
        logs = np.log10(flops)[:, None]
        by_flops = fit_link(logs[seen], truth[seen])(logs[held])
        skill, compute = (by_skill - truth[held]) ** 2, (by_flops - truth[held]) ** 2
        gain = paired_bootstrap(compute, skill, seed=SEED)
        yield Measured.above(
            f"{task}: mean squared error from FLOPs ({compute.mean():.4f}) less that from three components ({skill.mean():.4f})",
            value=gain.estimate, interval=(gain.low, gain.high), bound=0.0, data="obs-scaling", seed=SEED,
            size=f"{int(seen.sum())} models fitted, {int(held.sum())} predicted",
            not_covered="models of unknown FLOPs; the paper's table is older and smaller",
        )  # fmt: skip


@reproduction(paper=125, kind="recorded", fast=True, needs=(*NEEDS, "extra:laws"))
def chosen_families() -> Iterator[Measured]:
    """A few families, chosen V-optimally, predict nearly as well as all of them, and better than families taken at random."""
    table, tasks = _table(SCORES), _table(TASKS)
    some = table.where(np.isin(table.label("Model"), tasks.label("Model")) & (_flops(table) <= CUT))
    column, benchmarks = PREDICTED["2-digit multiplication"]
    by_model = dict(zip(tasks.label("Model").tolist(), tasks.column(column).tolist(), strict=True))
    truth = np.array([by_model[model] for model in some.label("Model").tolist()])
    families = some.label("Model Family")
    points = fit_capabilities(some, benchmarks).of(some)
    chosen = choose_families(points, families, most_models=20, most_families=5)

    def error(mine: NDArray[np.bool_]) -> float:
        link = fit_link(points[mine], truth[mine])
        return float(((link(points) - truth) ** 2).mean())

    rng = np.random.default_rng(SEED)
    known = np.unique(families)
    random: list[float] = []
    while len(random) < 60:
        mine = np.isin(families, rng.choice(known, len(chosen.families), replace=False))
        if 6 <= mine.sum() <= 20:
            random.append(error(mine))
    value = error(np.isin(families, chosen.families))
    yield Measured.below(
        f"2-digit multiplication: mean squared error with {', '.join(chosen.families)} ({chosen.models} models) less the median over random "
        f"sets ({np.median(random):.4f})",
        value=value - float(np.median(random)), bound=0.0, data="obs-scaling", seed=SEED, size=f"{len(some)} models, {len(random)} random sets",
    )  # fmt: skip
    yield Measured.at_most(
        "its error over that of a fit on all models", value=value / error(np.ones(len(some), dtype=bool)), bound=1.5, data="obs-scaling",
        size=f"{len(some)} models",
    )  # fmt: skip


@reproduction(paper=125, kind="simulated", fast=True, needs=("extra:laws",))
def known_truth() -> Iterator[Measured]:
    """Where families differ in efficiency but share one capability, the component predicts a task beyond the cut and FLOPs do not."""
    rng = np.random.default_rng(SEED)
    models = 80
    family = np.arange(models) % 8
    logs = rng.uniform(20.0, 24.5, models)
    skill = 0.6 * (logs - 22.0) + np.linspace(-1.0, 1.0, 8)[family]  # (models,): a family's efficiency is its intercept
    loadings, ease = rng.uniform(0.4, 0.9, 6), rng.normal(0.0, 0.5, 6)
    clean = 1.0 / (1.0 + np.exp(-(skill[:, None] * loadings + ease)))
    scores = np.clip(clean + rng.normal(0.0, 0.01, clean.shape), 0.0, 1.0)
    scores[rng.random(scores.shape) < 0.05] = math.nan
    truth = 0.1 + 0.9 / (1.0 + np.exp(-(2.0 * skill - 0.8)))
    names = [f"benchmark {number}" for number in range(6)]
    table = table_of({name: scores[:, number] for number, name in enumerate(names)})
    seen = logs < 22.8
    fitted = fit_capabilities(table.where(seen), names, components=1)
    by_skill = fit_link(fitted.of(table.where(seen)), truth[seen])(fitted.of(table.where(~seen)))
    by_flops = fit_link(logs[seen, None], truth[seen])(logs[~seen, None])
    size = f"{models} models in 8 families, {int(seen.sum())} below the cut"
    error = float(np.abs(by_skill - truth[~seen]).mean())
    yield Measured.at_most("mean error of the component's prediction", value=error, bound=0.03, data="simulated", seed=SEED, size=size)
    yield Measured.at_least(
        "error of the prediction from FLOPs over that of the component's", value=float(np.abs(by_flops - truth[~seen]).mean()) / error,
        bound=3.0, data="simulated", seed=SEED, size=size,
    )  # fmt: skip
