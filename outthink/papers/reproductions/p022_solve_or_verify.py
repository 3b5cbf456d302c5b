"""[22] When To Solve, When To Verify: Compute-Optimal Problem Solving and Generative Verification for LLM Reasoning.

The paper: at equal compute self-consistency beats generative verification until the budget is large (up to 8 times more to match, 128 times for
a clear gain); along the compute-optimal frontier solutions should grow faster than verifications (S ~ C^a, V ~ C^b, a about .57 and b
about .39 for Llama 3.1 8B).

Here: exact expectations over simulated problems (p ~ Beta, four equal wrong answers, verdicts of known hit and false-alarm rates, a
verification as long as a solution), the estimators against them, and the exponents of the exact frontier. Not covered: a generative
verifier of a real model; its verifications were not published.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from outthink.core.errors import UsageError
from outthink.laws.methods.solve_verify import SimulatedVerifier, compute, measured_grid
from outthink.papers.evidence import SIGMAS
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.stats import best_of_k, majority_at_k

SEED = 22
SOLUTIONS = sorted({round(2 ** (step / 2)) for step in range(17)})  # 1 to 256
VERIFICATIONS = sorted({round(2 ** (step / 4)) for step in range(29)})  # 1 to 128
# p ~ Beta(.8, .8), hit .7, false alarm .4: (self-consistency, best (S, V)) on 60 drawn problems, computed independently of this code
SIXTY = {8: (0.572, 0.528), 16: (0.616, 0.596), 32: (0.649, 0.657), 64: (0.671, 0.733), 256: (0.699, 0.857)}
SIMULATED = "simulated, p ~ Beta, 4 wrong answers"


def beta_problems(alpha: float, beta: float, *, hit: float, false_alarm: float, nodes: int = 28) -> SimulatedVerifier:
    """Problems at the midpoints of equal cells of arcsine-spaced p, weighted by the Beta density: the mean is an expectation."""
    angle = (np.arange(nodes) + 0.5) * math.pi / (2 * nodes)
    p = np.sin(angle) ** 2
    # dp = 2 sin cos d(angle), so the weight is p^(alpha - 1/2) (1 - p)^(beta - 1/2)
    weights = p ** (alpha - 0.5) * (1.0 - p) ** (beta - 0.5)
    return SimulatedVerifier(p, hit, false_alarm, weights=weights / weights.sum())


@reproduction(paper=22, kind="exact", fast=True)
def limits() -> Iterator[Measured]:
    """The exact law of best-of-S by V verdicts has the right limits, and the estimator is the average over all subsets."""
    p = np.linspace(0.0, 1.0, 21)
    perfect = SimulatedVerifier(p, 1.0, 0.0).best_of([1, 4, 64], 1)
    coverage = 1.0 - (1.0 - p[:, None]) ** np.array([1, 4, 64])
    yield Measured.at_most(
        "a perfect verdict (t = 1, f = 0, V = 1) gives pass@S: largest deviation", value=float(np.abs(perfect - coverage).max()), bound=1e-12
    )
    blind = SimulatedVerifier(p, 0.4, 0.4).best_of([1, 4, 64], 8)
    yield Measured.at_most(
        "a verifier that cannot tell (t = f) gives one sample's accuracy: largest deviation", value=float(np.abs(blind - p[:, None]).max()),
        bound=1e-12,
    )  # fmt: skip
    rng = np.random.default_rng(SEED)
    scores, correct = rng.integers(0, 4, size=8) / 3.0, rng.random(8) < 0.4
    worst = 0.0
    for k in range(1, 9):
        picks = []
        for subset in map(list, itertools.combinations(range(8), k)):
            top = scores[subset] == scores[subset].max()
            picks.append(float(correct[subset][top].mean()))
        worst = max(worst, abs(float(best_of_k(scores, correct, k)[0, 0]) - float(np.mean(picks))))
    yield Measured.at_most("best-of-k against the average over all subsets of 8 samples with ties: largest deviation", value=worst, bound=1e-12)
    yield Measured.within("compute of 8 solutions, 4 verifications of twice the length", value=float(compute(8, 4, 2.0)), target=72.0, tolerance=0.0)


@reproduction(paper=22, kind="simulated", fast=True)
def crossover() -> Iterator[Measured]:
    """At equal compute self-consistency wins at small budgets and verification at large ones."""
    problems = beta_problems(0.8, 0.8, hit=0.7, false_alarm=0.4)
    grid = problems.grid(SOLUTIONS, VERIFICATIONS, ratio=1.0)
    budgets = list(SIXTY)
    each = problems.vote(budgets)  # (problems, budgets)
    votes = problems.mean(each)
    p = np.asarray(problems.right)
    for column, (budget, vote) in enumerate(zip(budgets, votes.tolist(), strict=True)):
        choice = grid.best(budget)
        picked = problems.best_of([int(grid.solutions[choice.index])], int(grid.verifications[choice.index]))[:, 0]
        paired = each[:, column] - picked
        spread = math.sqrt(float(problems.mean((paired - problems.mean(paired)) ** 2)))
        sampled = SIXTY[budget][0] - SIXTY[budget][1]
        yield Measured.within(
            f"C = {budget}: vote ({vote:.3f}) less best S, V ({choice.score:.3f} at S {grid.solutions[choice.index]}, V "
            f"{grid.verifications[choice.index]}), exact, against 60 drawn problems", value=vote - choice.score, target=sampled,
            tolerance=SIGMAS * spread / math.sqrt(60), data=SIMULATED, size="60 problems set the tolerance",
        )  # fmt: skip
    gains = {budget: float(vote) - grid.best(budget).score for budget, vote in zip(budgets, votes, strict=True)}
    yield Measured.above("the vote wins at C = 8 and 16 (smaller lead)", value=min(gains[8], gains[16]), bound=0.02, data=SIMULATED)
    yield Measured.below("verification wins at C = 64 and 256 (vote less verification, larger)", value=max(gains[64], gains[256]), bound=-0.02)
    finest = np.arange(8, 65, 8)
    wins = np.array([grid.best(int(c)).score for c in finest]) >= problems.mean(problems.vote(finest.tolist()))
    yield Measured.within(
        "smallest compute, in steps of 8, from which verification wins at every larger one up to 64",
        value=float(finest[np.flatnonzero(~wins)[-1] + 1]), target=32.0, tolerance=16.0, expected="near 32 (16 to 48)", data=SIMULATED,
        not_covered="the paper's 8 and 128 times belong to its models; here the wrong answers and the verdicts are simple",
    )  # fmt: skip
    blind = beta_problems(0.8, 0.8, hit=0.7, false_alarm=0.7).grid(SOLUTIONS, VERIFICATIONS, ratio=1.0)
    never = max(blind.best(budget).score - float(vote) for budget, vote in zip(budgets, votes, strict=True))
    yield Measured.below("false alarms as frequent as hits: no crossover, largest lead of verification", value=never, bound=0.0, data=SIMULATED)
    groups = ((p > 0.25, "the right answer is modal (p > .25)"), (p < 0.2, "a wrong answer is (p < .2)"))
    for group, named in groups:
        weights = np.asarray(problems.weights)[group]
        part = SimulatedVerifier(p[group], 0.7, 0.4, weights=weights / weights.sum())
        own = part.mean(each[group])
        lead = [float(own[budgets.index(c)]) - part.grid(SOLUTIONS, VERIFICATIONS, ratio=1.0).best(c).score for c in (8, 256)]
        if group is groups[0][0]:
            yield Measured.above(f"where {named} the vote wins at C = 8", value=lead[0], bound=0.0, data=SIMULATED)
        else:
            yield Measured.below(f"where {named} verification wins at C = 256 (vote less verification)", value=lead[1], bound=-0.3, data=SIMULATED)


@reproduction(paper=22, kind="simulated", fast=True)
def frontier() -> Iterator[Measured]:
    """Along the compute-optimal frontier solutions and verifications both grow, solutions faster if the verifier is good enough."""
    budgets = 2.0 ** np.arange(2, 13)
    found = {}
    for alpha, hit, false_alarm in ((0.6, 0.75, 0.35), (0.6, 0.6, 0.5)):
        grid = beta_problems(alpha, 0.8, hit=hit, false_alarm=false_alarm).grid(SOLUTIONS, VERIFICATIONS, ratio=1.0)
        found[hit] = a, b = grid.exponents(budgets)
        for said, one in (("S ~ C^a", a), ("V ~ C^b", b)):
            half = SIGMAS * one.standard_error
            yield Measured.above(
                f"hit {hit}, false alarm {false_alarm}: exponent of {said}", value=one.exponent, bound=0.2, data=SIMULATED,
                interval=(one.exponent - half, one.exponent + half), size=f"{one.points} budgets, {one.clipped} at the end of the grid left out",
            )  # fmt: skip
    a, b = found[0.75]
    half = SIGMAS * math.hypot(a.standard_error, b.standard_error)
    gap = a.exponent - b.exponent
    yield Measured.above(
        f"solutions grow faster (a {a.exponent:.2f}, b {b.exponent:.2f}; the paper's .57 and .39): a - b at hit .75, false alarm .35", value=gap,
        interval=(gap - half, gap + half), bound=0.0, data=SIMULATED, not_covered="the paper's own exponents, which belong to Llama 3.1 8B on MATH",
    )  # fmt: skip
    a, b = found[0.6]
    half = SIGMAS * math.hypot(a.standard_error, b.standard_error)
    gap = a.exponent - b.exponent
    yield Measured.below(
        f"it turns around for a verifier near chance (a {a.exponent:.2f}, b {b.exponent:.2f}): a - b at hit .6, false alarm .5", value=gap,
        interval=(gap - half, gap + half), bound=0.0, data=SIMULATED,
    )  # fmt: skip
    small = beta_problems(0.6, 0.8, hit=0.9, false_alarm=0.1).grid([1, 2, 4], [1, 2], ratio=1.0)
    try:
        small.exponents([64, 128, 256])
        refused = 0.0
    except UsageError:
        refused = 1.0
    yield Measured.within("an exponent through budgets that the grid clips is refused", value=refused, target=1.0, tolerance=0.0)


@reproduction(paper=22, kind="simulated")
def estimators() -> Iterator[Measured]:
    """The grid estimated from recorded solutions and verdicts is unbiased: it agrees with the exact law."""
    count, n, m, ratio = 1500, 16, 8, 1.0
    rng = np.random.default_rng(SEED)
    problems = SimulatedVerifier(rng.beta(0.6, 0.8, size=count), 0.75, 0.35)
    answers, verdicts = problems.draw(n, m, seed=SEED)
    solutions, verifications = [1, 2, 4, 8, 16], [1, 2, 4, 8]
    estimated = measured_grid(answers, answers == 0, verdicts, solutions, verifications, ratio=ratio)
    exact = problems.grid(solutions, verifications, ratio=ratio)
    # given p the estimates of problems are independent, each with a variance of at most a Bernoulli's
    error = SIGMAS * 0.5 / math.sqrt(count)
    gap = estimated.accuracy - exact.accuracy
    yield Measured.within(
        "largest deviation over 20 (S, V) of the estimated from the exact best-of-S", value=float(gap[np.abs(gap).argmax()]), target=0.0,
        tolerance=error, data="simulated, p ~ Beta(.6, .8), hit .75, false alarm .35", seed=SEED, size=f"{count} problems, {n} x {m} verdicts",
    )  # fmt: skip
    equal_count = float(problems.mean(problems.vote([16]))[0])
    at_16 = float(exact.accuracy[(exact.solutions == 16) & (exact.verifications == 8)][0])
    fair = float(problems.mean(problems.vote([int(16 * (1 + 8 * ratio))]))[0])
    yield Measured.above(
        f"compared at equal S = 16 the verifier (V = 8) leads by more than at equal compute ({at_16 - equal_count:.3f} against {at_16 - fair:.3f})",
        value=fair - equal_count, bound=0.0, size=f"{count} problems",
    )  # fmt: skip
    weighted = measured_grid(answers[:400, :8], answers[:400, :8] == 0, verdicts[:400, :8], [8], [8], ratio=ratio, select="vote", seed=SEED)
    best = measured_grid(answers[:400, :8], answers[:400, :8] == 0, verdicts[:400, :8], [8], [8], ratio=ratio)
    plain = majority_at_k(answers[:400, :8], answers[:400, :8] == 0, 8, seed=SEED).mean()
    yield Measured.above(
        f"votes weighted by the mean verdict ({weighted.accuracy[0]:.3f}; best-of-8 {best.accuracy[0]:.3f}) beat the vote of 8 ({plain[0]:.3f})",
        value=float(weighted.accuracy[0] - plain[0]), bound=0.03, seed=SEED, size="400 problems",
    )  # fmt: skip
