"""[86] Sloth: scaling laws for LLM skills to predict multi-benchmark performance across families.

The paper: benchmark scores depend on a few skills, which depend on size, tokens and family in the same way everywhere; with one model of
a family seen, its larger ones are predicted with less error than by laws on FLOPs; skills also predict coverage under repeated sampling.

Here: the error on the paper's own split of the new leaderboard, the published table of errors, what is identified, and the coverage of
Pythia 12B predicted without a sample of it. Not covered: the trainable link (the paper's best variant), geomin rotation.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from outthink.core import data
from outthink.laws.methods.item_response import fit_item_response
from outthink.laws.methods.sloth import fit_sloth
from outthink.laws.table import Table, read_table, table_of
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.papers.sloth_tables import FLOORS, GROUPS, LEADERBOARD, held_out, models
from outthink.stats import coverage, paired_bootstrap

SEED = 86
MODELS = "data:laws/sloth/data_v2.csv"
PUBLISHED_BASELINE = 4.86  # points: one benchmark at a time on log FLOPs, one intercept
PUBLISHED_SLOTH = 3.65  # points: two skills, family intercept, sigmoid
RANGE = 0.45  # points: what four other numbers of skills and links span about it


def _error_in_points(predictions: NDArray[np.float64], held: Table) -> float:
    return 100.0 * float(np.abs(predictions - np.column_stack([held.column(name) for name in LEADERBOARD])).mean())


@reproduction(paper=86, kind="recorded", needs=(MODELS, "extra:laws"))
def unseen_models_of_a_family() -> Iterator[Measured]:
    """With the smallest model of each tested family seen, two skills predict its other models within 3.2 to 4.1 points, FLOPs worse."""
    table = models()
    by_skill, by_flops = [], []
    for group in GROUPS:
        held = held_out(group)
        seen, unseen = table.where(~held), table.where(held)
        by_skill.append(_error_in_points(fit_sloth(seen, LEADERBOARD, skills=2, floors=FLOORS, starts=3, seed=SEED)(unseen), unseen))
        lone = [
            fit_sloth(seen, [name], skills=1, floors=FLOORS, intercept="shared", inputs="flops", fit_floors=True, starts=2, seed=SEED)(unseen)
            for name in LEADERBOARD
        ]
        by_flops.append(_error_in_points(np.column_stack(lone), unseen))
    size = f"{len(table)} models, {len(GROUPS)} groups of families tested in turn"
    error = float(np.mean(by_skill))
    yield Measured.within(
        "mean error in points, two skills with family intercepts", value=error, target=PUBLISHED_SLOTH, tolerance=RANGE, data="sloth",
        seed=SEED, size=size,
    )  # fmt: skip
    yield Measured.below(
        f"the same against the published baseline on FLOPs ({PUBLISHED_BASELINE})", value=error, bound=PUBLISHED_BASELINE, data="sloth", size=size
    )
    gain = paired_bootstrap(np.array(by_flops), np.array(by_skill), seed=SEED)
    yield Measured.above(
        f"our baseline on FLOPs ({np.mean(by_flops):.2f} points) less the error of two skills", value=gain.estimate,
        interval=(gain.low, gain.high), bound=0.0, data="sloth", seed=SEED, size=size, not_covered="the trainable link",
    )  # fmt: skip


@reproduction(paper=86, kind="recorded", fast=True, needs=("data:laws/sloth/published_mean_errors.csv",))
def published_errors() -> Iterator[Measured]:
    """In the published table the best Sloth beats the best other method in each of six settings."""
    table = read_table(data.find("laws/sloth", "published_mean_errors.csv")[0])
    errors = {
        (int(experiment), int(seen), method): float(error)
        for experiment, seen, method, error in zip(
            table.column("experiment"),
            table.column("n_train_models"),
            table.label("method").tolist(),
            table.column("mean_abs_error_points"),
            strict=True,
        )
    }
    # experiment 0: the old leaderboard, 1: the new one, 2: all twelve benchmarks
    for experiment, ours, other in ((0, 4.06, 4.41), (1, 2.86, 3.79), (2, 3.52, 4.11)):
        mine = {method: error for (number, seen, method), error in errors.items() if (number, seen) == (experiment, 1)}
        best = min(error for method, error in mine.items() if method.startswith("sloth"))
        rest = min(error for method, error in mine.items() if not method.startswith("sloth"))
        for named, value, target in (("best Sloth", best, ours), ("best other method", rest, other)):
            yield Measured.within(f"experiment {experiment}, one model seen: {named}", value=value, target=target, tolerance=0.005, data="sloth")
    margins = []
    for setting in {key[:2] for key in errors}:
        mine = {key[2]: error for key, error in errors.items() if key[:2] == setting}
        margins.append(
            min(error for method, error in mine.items() if not method.startswith("sloth"))
            - min(error for method, error in mine.items() if method.startswith("sloth"))
        )
    yield Measured.above(
        "smallest margin of the best Sloth in the six settings, points", value=min(margins), bound=0.0, data="sloth",
        not_covered="the best of sixteen Sloths is chosen on the test errors, of twelve others likewise",
    )  # fmt: skip


@reproduction(paper=86, kind="exact", fast=True, needs=("extra:laws",))
def what_is_identified() -> Iterator[Measured]:
    """Skills are fixed up to an invertible map, which changes no prediction; the law is recovered where it is true."""
    rng = np.random.default_rng(SEED)
    names = [f"benchmark {number}" for number in range(5)]
    count = 48
    family = np.array([f"family {number % 6}" for number in range(count)])
    tokens, parameters = 10 ** rng.uniform(11, 13.3, count), 10 ** rng.uniform(8, 11, count)
    logs = [np.log(tokens / 1e12), np.log(parameters / 1e9)]
    theta = np.column_stack([*logs, logs[0] * logs[1]]) @ rng.uniform(0.05, 0.4, (3, 2)) + rng.normal(0.0, 0.5, (6, 2))[np.arange(count) % 6]
    scores = 1.0 / (1.0 + np.exp(-(theta @ rng.uniform(0.2, 1.0, (2, 5)) + rng.normal(0.0, 0.5, 5))))
    table = table_of(
        {**{name: scores[:, place] for place, name in enumerate(names)}, "tokens": tokens, "parameters": parameters, "family": family.tolist()}
    )
    held = np.arange(count) >= 36
    law = fit_sloth(table.where(~held), names, skills=2, starts=2, seed=SEED)
    mapped = law.mapped([[2.0, -1.0], [0.5, 3.0]])
    yield Measured.at_most("predictions after an invertible map (largest change)", value=float(np.abs(mapped(table) - law(table)).max()), bound=1e-12)
    white = law.whitened(table)
    yield Measured.at_most("predictions with whitened skills (largest change)", value=float(np.abs(white(table) - law(table)).max()), bound=1e-10)
    spread = np.cov(white.skills(table).T, bias=True)
    yield Measured.at_most(
        "covariance of whitened skills against the identity (largest difference)", value=float(np.abs(spread - np.eye(2)).max()), bound=1e-9
    )
    error = float(np.abs(law(table.where(held)) - scores[held]).mean())
    yield Measured.at_most(
        "mean error on models that were not fitted, scores without noise",
        value=error,
        bound=0.01,
        seed=SEED,
        size=f"{count - 12} models fitted, 12 held",
    )


@reproduction(paper=86, kind="simulated", fast=True, needs=("extra:laws",))
def coverage_without_sampling_simulated() -> Iterator[Measured]:
    """Known skills and other models' samples predict the coverage curve of a model that was not sampled."""
    rng = np.random.default_rng(SEED)
    skills = np.linspace(-2.0, 2.0, 9)[:, None] + rng.normal(0.0, 0.1, (9, 1))
    chances = 1.0 / (1.0 + np.exp(-(skills * rng.uniform(0.5, 1.5, 200) + rng.normal(-3.0, 1.5, 200))))
    held = 6
    seen = np.arange(9) != held
    law = fit_item_response(skills[seen], rng.binomial(1000, chances[seen]), 1000, penalty=1e-5)
    budgets = np.array([1, 10, 100, 1000])
    truth = (1.0 - (1.0 - chances[held])[:, None] ** budgets).mean(axis=0)
    for budget, predicted, expected in zip(budgets, law.coverage(skills[held : held + 1], budgets)[0], truth, strict=True):
        yield Measured.within(
            f"coverage at {budget} of the model left out", value=float(predicted), target=float(expected), tolerance=0.02, data="simulated",
            seed=SEED, size="8 models fitted on 200 problems, 1,000 samples each",
        )  # fmt: skip


@reproduction(paper=86, kind="recorded", needs=(MODELS, "data:laws/monkeys-pythia/monkeys_pythia_math.csv", "extra:laws"))
def coverage_without_sampling() -> Iterator[Measured]:
    """The coverage of Pythia 12B follows from its skills and the samples of smaller models.

    A tenth is asked, and half of the coverage where that is less: a flat tenth at one sample, which this had before, lets a forecast of 0 pass.
    The half was chosen with the number known.
    """
    counts = read_table(data.find("laws/monkeys-pythia", "monkeys_pythia_math.csv")[0])
    table = models()
    law = fit_sloth(table, LEADERBOARD, skills=2, floors=FLOORS, starts=3, seed=SEED)
    named = {
        name.lower().replace("pythia-", "Pythia ").replace("m", "M").replace("b", "B"): name
        for name in table.label("model")
        if name.startswith("pythia")
    }
    pythia = sorted(set(counts.label("model").tolist()) & set(named))
    right = np.array([counts.where(counts.label("model") == name).column("c") for name in pythia])
    problems = [counts.where(counts.label("model") == name).label("problem").tolist() for name in pythia]
    right = np.array([row[np.argsort(order)] for row, order in zip(right, problems, strict=True)])
    rows = [table.label("model").tolist().index(named[name]) for name in pythia]
    skills = law.skills(table)[rows]
    skills = (skills - skills.mean(axis=0)) / skills.std(axis=0)
    held = pythia.index("Pythia 12B")
    seen = np.arange(len(pythia)) != held
    response = fit_item_response(skills[seen], right[seen], 10_000, penalty=1e-5)
    for budget in (1, 100, 10_000):
        truth = float(coverage(10_000, right[held].astype(np.int64), budget)[0])
        yield Measured.within(
            f"coverage of Pythia 12B at {budget}, predicted from the others", value=float(response.coverage(skills[held : held + 1], budget)[0, 0]),
            target=truth, tolerance=min(0.1, truth / 2), data="monkeys-pythia, sloth", seed=SEED,
            size=f"{int(seen.sum())} models, {right.shape[1]} problems",
            not_covered="models of other families",
        )  # fmt: skip
