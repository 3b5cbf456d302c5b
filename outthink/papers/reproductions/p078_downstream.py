"""[78] Why has predicting downstream capabilities of frontier AI models with scale remained elusive?

The paper: on multiple-choice benchmarks the correlation of an item's score with compute falls along the chain of transformations from the
log-probability of the right choice to accuracy; the break comes where wrong choices enter, since their mass moves on its own.

Here: what the chain leaves unchanged, exactly, and the order of the fall on simulated families with known truth, with the case in which
wrong choices move along as the control. The range of simulated slopes was set after a first one showed no fall, so the order of the fall is a
property of such families, not evidence that real ones have it. Not covered: the paper's own arrays (5 GB), real families of models.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from outthink.laws.methods.degradation import STEPS, chain, correlations, survival, wrong_mass
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.stats import paired_bootstrap

SEED = 78
MODELS, ITEMS, CHOICES = 12, 600, 4
COMPUTE = np.logspace(19, 23, MODELS)
SIZE = f"{ITEMS} items of {CHOICES} choices, {MODELS} models of one family"


def _family(*, independent: bool, noise: float = 0.15) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Log-probabilities (models, items, choices): the right one is linear in log compute; wrong ones go their own way, or along with it."""
    rng = np.random.default_rng(SEED)
    right = rng.integers(CHOICES, size=ITEMS)
    decades = (np.log10(COMPUTE) - 21.0)[:, None]
    level, slope = rng.normal(-7.0, 1.5, ITEMS), rng.uniform(0.2, 0.8, ITEMS)
    mine = level + slope * decades + rng.normal(0.0, noise, (MODELS, ITEMS))
    gaps = rng.normal(-0.3, 1.2, (ITEMS, CHOICES))
    if independent:
        own = rng.normal(0.3, 0.4, (ITEMS, CHOICES))  # slopes of the wrong choices: lower on average, each its own
        logs = (level[:, None] + gaps) + own * decades[:, :, None] + rng.normal(0.0, noise, (MODELS, ITEMS, CHOICES))
    else:
        # perfectly correlated with the right one: half its slope and half its noise
        logs = (level[:, None] + gaps) + 0.5 * (mine - level)[:, :, None]
    np.put_along_axis(logs, np.broadcast_to(right[None, :, None], (MODELS, ITEMS, 1)), mine[:, :, None], axis=2)
    return np.minimum(logs, -1e-6), right


@reproduction(paper=78, kind="exact", fast=True)
def what_the_chain_keeps() -> Iterator[Measured]:
    """A common shift of an item's log-probabilities changes neither p_choices, Brier nor accuracy; ranks survive the exponential."""
    logs, right = _family(independent=True)
    scores = chain(logs, right)
    shifted = chain(logs - np.random.default_rng(SEED).uniform(0.0, 30.0, (MODELS, ITEMS, 1)), right)
    for name in ("p_choices", "brier", "accuracy"):
        change = float(np.abs(shifted.steps()[name] - scores.steps()[name]).max())
        yield Measured.at_most(f"{name} under shifts of up to 30 nats (largest change)", value=change, bound=1e-12, size=SIZE)
    # the shift has to matter where it should
    moved = float(np.abs(shifted.log_p_vocab - scores.log_p_vocab).min())
    yield Measured.above("log p_vocab under the same shifts (smallest change)", value=moved, bound=0.0, size=SIZE)
    for measure in ("spearman", "kendall"):
        two = [correlations(values, COMPUTE, measure=measure) for values in (scores.log_p_vocab, scores.p_vocab)]
        same = float(np.abs(two[0] - two[1]).max())
        yield Measured.at_most(f"{measure} of log p_vocab against that of p_vocab (largest difference)", value=same, bound=0.0, size=SIZE)
    two_choices = chain(logs[:, :, :2], np.zeros(ITEMS, dtype=np.int64))
    gap = np.abs(two_choices.accuracy - (two_choices.p_choices > 0.5)).max()
    yield Measured.at_most("two choices: accuracy against p_choices > 1/2 (largest difference)", value=float(gap), bound=0.0, size=SIZE)


@reproduction(paper=78, kind="simulated", fast=True)
def the_fall() -> Iterator[Measured]:
    """With wrong choices that move on their own, correlation with compute falls along the chain, most where they enter."""
    logs, right = _family(independent=True)
    found = {name: correlations(values, COMPUTE) for name, values in chain(logs, right).steps().items()}
    # what has no correlation says nothing about compute: it counts as none, or accuracy would be judged on the few items that vary
    kept = {name: np.abs(np.nan_to_num(values)) for name, values in found.items()}
    yield Measured.at_least(
        "mean |Spearman| of log p_vocab", value=float(kept["log_p_vocab"].mean()), bound=0.9, data="simulated", seed=SEED, size=SIZE
    )
    order = ("p_vocab", "p_choices", "accuracy")
    for first, second in itertools.pairwise(order):
        drop = paired_bootstrap(kept[first], kept[second], seed=SEED)
        yield Measured.above(
            f"mean |Spearman| of {first} ({kept[first].mean():.3f}) less that of {second} ({kept[second].mean():.3f})", value=drop.estimate,
            interval=(drop.low, drop.high), bound=0.05, data="simulated", seed=SEED, size=SIZE, not_covered="real families of models",
        )  # fmt: skip
    pearson = {name: correlations(values, COMPUTE, measure="pearson") for name, values in chain(logs, right).steps().items()}
    curve = paired_bootstrap(pearson["log_p_vocab"], pearson["p_vocab"], seed=SEED)
    yield Measured.above(
        "mean Pearson of log p_vocab less that of p_vocab",
        value=curve.estimate,
        interval=(curve.low, curve.high),
        bound=0.0,
        data="simulated",
        seed=SEED,
        size=SIZE,
    )
    areas = {name: survival(values).area for name, values in found.items() if name in ("p_vocab", "p_choices")}
    yield Measured.above(
        "area under the survival function, p_vocab less p_choices",
        value=areas["p_vocab"] - areas["p_choices"],
        bound=0.1,
        data="simulated",
        seed=SEED,
        size=SIZE,
    )


@reproduction(paper=78, kind="simulated", fast=True)
def wrong_choices_along() -> Iterator[Measured]:
    """Control: where wrong choices move exactly with the right one, p_choices keeps the correlation, so the chain itself is not the cause."""
    kept = {}
    for independent in (True, False):
        logs, right = _family(independent=independent)
        scores = chain(logs, right)
        before, after = (np.nan_to_num(correlations(values, COMPUTE)) for values in (scores.p_vocab, scores.p_choices))
        kept[independent] = float(np.abs(before - after).mean())
        mass = wrong_mass(logs, right)
        if not independent:
            yield Measured.at_least(
                "correlation of wrong and right mass in the control (smallest)",
                value=float(mass.correlations.min()),
                bound=0.999999,
                data="simulated",
                seed=SEED,
            )
    yield Measured.at_most(
        "mean change of an item's Spearman from p_vocab to p_choices, control", value=kept[False], bound=1e-9, data="simulated", seed=SEED, size=SIZE
    )
    yield Measured.at_least(
        "the same with wrong choices on their own", value=kept[True], bound=0.2, data="simulated", seed=SEED, size=f"{SIZE}; steps {', '.join(STEPS)}"
    )
