"""[119] Common 7B Language Models Already Possess Strong Math Capabilities (Xwin-Math).

The paper: the best of 256 answers of a 7B model is right on 97.7% of GSM8K and 72.0% of MATH where its first answer is right on
49.5% and 7.9%; per-step accuracy p gives p^steps; fine-tuning should close the gap.

Here: the gap on published counts of Pythia models, the guess baseline that a pass@256 must be held against, best-of-n under an
oracle, and the step law. Not covered: the models of the paper, and its training half.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from outthink.core.journal import Journal
from outthink.core.problem import Problem
from outthink.models.simulated import LatentAnswers
from outthink.models.simulated_chains import StepChain
from outthink.papers.evidence import share_matches
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.papers.monkeys import DRAWS, original_counts
from outthink.papers.stack import RIGHT, right_ones, same_problems, solve_each, truths
from outthink.stats import bootstrap_mean, pass_at_k
from outthink.strategies.best_of_n import BestOfN
from outthink.strategies.repeated_sampling import RepeatedSampling
from outthink.verifiers.simulated import SimulatedVerifier

# model -> (pass@1, pass@256) over all 128 problems; a third of them is held out of the data here
WHOLE_SET = {"Pythia 70M": (0.0006, 0.0628), "Pythia 160M": (0.0027, 0.2688), "Pythia 1B": (0.0083, 0.3945), "Pythia 12B": (0.0232, 0.6047)}
SEED = 119
N = 256


@reproduction(paper=119, kind="recorded", fast=True, needs=("data:monkeys/counts",))
def published_counts() -> Iterator[Measured]:
    """Pass@256 lies far above pass@1 on published counts of 10,000 samples a problem."""
    counts = original_counts()
    for name, (first, latent) in WHOLE_SET.items():
        right = counts[name]
        table = pass_at_k(DRAWS, right, [1, N])
        size = f"{right.size} of 128 MATH problems"
        for column, (k, whole) in enumerate(((1, first), (N, latent))):
            found = bootstrap_mean(table[:, column], seed=SEED)
            yield Measured.covers(
                f"pass@{k} of {name}", value=found.estimate, target=whole, widest=0.25, interval=(found.low, found.high),
                expected=f"{whole:.4f} on all 128 problems, in the interval", data="monkeys/counts", seed=SEED, size=size,
            )  # fmt: skip
    table = pass_at_k(DRAWS, counts["Pythia 12B"], [1, N])
    gap = bootstrap_mean(table[:, 1] - table[:, 0], seed=SEED)
    yield Measured.above(
        "latent ability: pass@256 less pass@1 of Pythia 12B exceeds 45 points", value=gap.estimate, interval=(gap.low, gap.high), bound=0.45,
        data="monkeys/counts", seed=SEED, size=f"{table.shape[0]} problems",
        not_covered="LLaMA-2-7B's 97.7 / 72.0 against 49.5 / 7.9: its samples are not published",
    )  # fmt: skip


@reproduction(paper=119, kind="exact", fast=True)
def guess_baseline() -> Iterator[Measured]:
    """Guessing among five options reads as ability at 256 draws."""
    counts = np.arange(N + 1)
    binomial = np.array([math.comb(N, c) * 0.2**c * 0.8 ** (N - c) for c in counts])
    budgets = [1, 4, 16, 64, N]
    expected = binomial @ pass_at_k(N, counts, budgets)
    law = 1.0 - 0.8 ** np.array(budgets, dtype=float)
    yield Measured.at_most(
        "a guesser's expected pass@k is 1 - 0.8^k, k 1, 4, 16, 64, 256 (largest deviation)", value=float(np.abs(expected - law).max()), bound=1e-9
    )
    yield Measured.above("a guesser's pass@256 on five options", value=float(expected[-1]), bound=0.999999)
    yield Measured.within("and its pass@16", value=float(expected[2]), target=0.972, tolerance=0.0005)


@reproduction(paper=119, kind="simulated", fast=True)
def oracle_best_of_n() -> Iterator[Measured]:
    """Best-of-n under a perfect verifier has accuracy 1 - (1-p)^n, through the real strategy and session."""
    problems = same_problems(200)
    truth = truths(problems)
    model = LatentAnswers({problem.id: {RIGHT: 0.2, "7": 0.8} for problem in problems}, truth)
    solutions = solve_each(BestOfN(8, SimulatedVerifier(truth, tpr=1.0, fpr=0.0)), model, problems, seed=SEED)
    yield share_matches(
        "best of 8 with a perfect verifier, p 0.2: 1 - (1-p)^8", successes=right_ones(solutions), trials=200, chance=1 - 0.8**8, seed=SEED
    )


@reproduction(paper=119, kind="simulated")
def step_law() -> Iterator[Measured]:
    """Accuracy falls as p^L in the number L of reasoning steps: the slope of log accuracy on L is log p."""
    p_step, lengths, draws = 0.85, range(1, 9), 500
    problems = same_problems(8)
    truth = truths(problems)
    accuracy = np.array([_chain_accuracy(StepChain(truth, steps=steps, p_step=p_step), problems, draws, SEED + steps) for steps in lengths])
    trials = draws * len(problems)
    # least squares weighted by the binomial error of log accuracy, its variance (1 - a) / (a trials)
    weight = accuracy * trials / (1.0 - accuracy)
    steps = np.array(lengths, dtype=float)
    centre = float((weight * steps).sum() / weight.sum())
    spread = float((weight * (steps - centre) ** 2).sum())
    slope = float((weight * (steps - centre) * np.log(accuracy)).sum() / spread)
    error = spread**-0.5
    yield Measured.within(
        "slope of log accuracy on the number of steps, per-step accuracy 0.85", value=slope, target=math.log(p_step),
        tolerance=0.05 * abs(math.log(p_step)), interval=(slope - 1.96 * error, slope + 1.96 * error),
        expected=f"log 0.85 = {math.log(p_step):.4f} within 5%", seed=SEED, size=f"{trials} samples at each L of 1..8",
        not_covered="real chains of thought, whose steps are not independent",
    )  # fmt: skip


def _chain_accuracy(model: StepChain, problems: list[Problem], draws: int, seed: int) -> float:
    journal = Journal()
    solve_each(RepeatedSampling(draws), model, problems, seed=seed, journal=journal)
    texts = [str(call.body["text"]) for call in journal.calls("sample")]
    kind = problems[0].answer
    answers = [kind.parse(text) for text in texts]
    return sum(answer is not None and answer.value == RIGHT for answer in answers) / len(texts)
