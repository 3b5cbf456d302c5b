"""[72] A Simple and Provable Scaling Law for the Test-Time Compute of LLMs: knockout and league tournaments.

The paper: with p_gen > 0 and p_comp > 1/2 the chance that the winner is wrong falls exponentially in N and K, by the bound
(1 - p_gen)^N + ceil(log2 N) exp(-2 K (p_comp - 1/2)^2); majority voting stalls on problems where a wrong answer dominates.

Here: the bound is vacuous (> 1) at practical K, so the exact law for independent candidates is checked in its place, against
published-size simulations and against the real strategy. Not covered: MMLU-Pro with large models.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from outthink.models.simulated import LatentAnswers
from outthink.papers.evidence import SIGMAS, share_matches, standard_error, wilson
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.papers.stack import RIGHT, right_ones, same_problems, solve_each, truths
from outthink.stats import knockout_failure_bound, knockout_success, majority_law
from outthink.stats.tournament_trials import knockout_trials
from outthink.strategies.knockout import Knockout
from outthink.strategies.league import League
from outthink.strategies.majority_vote import MajorityVote
from outthink.verifiers.simulated import SimulatedComparer

# (p_gen, p_comp, N, K) -> success to three digits, computed independently of this code
SUCCESS = {
    (0.3, 0.7, 8, 1): 0.578,
    (0.3, 0.7, 64, 1): 0.836,
    (0.3, 0.7, 64, 5): 0.984,
    (0.1, 0.6, 64, 5): 0.452,
    (0.1, 0.6, 64, 41): 0.947,
    (0.3, 0.45, 64, 5): 0.116,
}
# (p_gen, p_comp, N, K) -> (failures of 6000 independent simulated tournaments as a share, published bound)
FAILURE = {
    (0.4, 0.8, 8, 16): (0.0173, 0.1852),
    (0.3, 0.75, 16, 32): (0.0033, 0.0766),
    (0.3, 0.75, 16, 64): (0.0033, 0.0047),
    (0.2, 0.8, 32, 32): (0.0003, 0.0165),
}
RECORDED_TRIALS = 6000
TRIALS = 20_000
SEED = 72


def _named(case: tuple[float, float, int, int]) -> str:
    return "p_gen {}, p_comp {}, N {}, K {}".format(*case)


@reproduction(paper=72, kind="exact", fast=True)
def exact_law() -> Iterator[Measured]:
    """The exact law q' = q² + 2q(1-q)W and the published bound."""
    for case, success in SUCCESS.items():
        yield Measured.within(f"success of the knockout at {_named(case)}", value=knockout_success(*case), target=success, tolerance=0.0005)
    for case, (failure, bound) in FAILURE.items():
        law = 1.0 - knockout_success(*case)
        tolerance = 3.0 * (law * (1.0 - law) / RECORDED_TRIALS) ** 0.5 + 0.5 / RECORDED_TRIALS
        yield Measured.within(
            f"failure of the knockout at {_named(case)}", value=law, target=failure, tolerance=tolerance, size="against 6000 recorded trials"
        )
        yield Measured.within(f"published bound at {_named(case)}", value=knockout_failure_bound(*case), target=bound, tolerance=0.00006)
    grid = list(itertools.product((0.05, 0.3, 0.7), (0.55, 0.7, 0.9), (2, 16, 256), (1, 4, 33, 256)))
    slack = [knockout_failure_bound(*case) - (1.0 - knockout_success(*case)) for case in grid]
    yield Measured.at_least(
        "the bound is never violated by the exact law (smallest slack)", value=min(slack), bound=-1e-12, expected="≥ 0 up to rounding",
        size=f"{len(grid)} settings",
    )  # fmt: skip
    vacuous = [knockout_failure_bound(0.3, 0.7, 64, k) for k in range(1, 10)]
    yield Measured.above(
        "at K = 1..9 the bound exceeds 1 and says nothing (smallest bound)", value=min(vacuous), bound=1.0, size="p_gen 0.3, p_comp 0.7, N 64",
        not_covered="a planner must use the exact law in its place",
    )  # fmt: skip
    identity = max(abs(knockout_success(p, 1.0, n, 3) - (1.0 - (1.0 - p) ** n)) for p in (0.05, 0.3) for n in (4, 64))
    yield Measured.at_most(
        "a perfect comparison finds a right candidate whenever there is one: 1 - (1 - p_gen)^N (largest deviation)", value=identity, bound=1e-12
    )
    worse = [knockout_success(0.3, 0.45, 64, k) for k in (1, 5, 41)]
    yield Measured.below("p_comp 0.45 makes it worse than one sample (p_gen 0.3), at K 1, 5, 41 (best of them)", value=max(worse), bound=0.3)
    yield Measured.above("and larger K then hurts more: success at K 1 less that at K 41", value=worse[0] - worse[-1], bound=0.05)


@reproduction(paper=72, kind="simulated", fast=True)
def simulated_tournaments() -> Iterator[Measured]:
    """Simulated tournaments match the exact law."""
    for number, (case, success) in enumerate(SUCCESS.items()):
        won = knockout_trials(*case, trials=TRIALS if case[3] < 40 else 4000, seed=SEED + number)
        yield share_matches(f"simulated success at {_named(case)}", successes=int(won.sum()), trials=won.size, chance=success, seed=SEED + number)
    for number, (case, (_, bound)) in enumerate(FAILURE.items()):
        won = knockout_trials(*case, trials=4000, seed=SEED + 100 + number)
        yield Measured.at_most(
            f"simulated failure stays under the published bound at {_named(case)}", value=float((~won).mean()),
            bound=bound + SIGMAS * standard_error(bound, won.size), expected=f"≤ {bound} and 3 standard errors", seed=SEED + 100 + number,
            size="4000 trials",
        )  # fmt: skip


@reproduction(paper=72, kind="simulated")
def real_strategy() -> Iterator[Measured]:
    """The strategies `knockout` and `league`, run through real sessions on a model with known p_gen and a judge with known p_comp."""
    for case, trials in (((0.3, 0.7, 8, 1), 2400), ((0.3, 0.7, 8, 4), 600), ((0.3, 0.45, 16, 5), 400), ((0.1, 0.6, 64, 5), 400)):
        p_gen, p_comp, n, k = case
        problems = same_problems(trials)
        truth = truths(problems)
        model = LatentAnswers({problem.id: _many_wrong(p_gen) for problem in problems}, truth)
        solutions = solve_each(Knockout(n, k, SimulatedComparer(truth, p_comp)), model, problems, seed=SEED)
        yield share_matches(
            f"knockout strategy at {_named(case)}", successes=right_ones(solutions), trials=trials, chance=knockout_success(*case), seed=SEED
        )
    problems = same_problems(600)
    truth = truths(problems)
    model = LatentAnswers({problem.id: _many_wrong(0.3) for problem in problems}, truth)
    biased = SimulatedComparer(truth, 0.7, position_bias=1.0)
    solutions = solve_each(Knockout(8, 2, biased), model, problems, seed=SEED)
    yield share_matches(
        "a judge with nothing but position bias is a coin when orders are turned: success stays p_gen", successes=right_ones(solutions),
        trials=600, chance=0.3, seed=SEED,
    )  # fmt: skip
    solutions = solve_each(League(8, 1, comparer=SimulatedComparer(truth, 1.0)), model, problems, seed=SEED)
    yield share_matches("league with a perfect judge: 1 - (1 - p_gen)^N", successes=right_ones(solutions), trials=600, chance=1 - 0.7**8, seed=SEED)
    solutions = solve_each(League(8, 1, comparer=SimulatedComparer(truth, 0.7)), model, problems, seed=SEED)
    right = right_ones(solutions)
    yield Measured.above(
        "league with p_comp 0.7, N 8, K 1 beats one sample by 20 points", value=right / 600, interval=wilson(right, 600), bound=0.5, seed=SEED,
        size="600 trials", not_covered="the league has no exact law here",
    )  # fmt: skip


@reproduction(paper=72, kind="simulated")
def majority_contrast() -> Iterator[Measured]:
    """Where one wrong answer dominates, majority voting gets worse with N and the knockout better."""
    chances, correct = [0.3, 0.7], [True, False]
    limit = float(majority_law(chances, correct, [64])[0])
    yield Measured.at_most("vote of 64 at p_gen 0.3 against one wrong answer of 0.7 (exact)", value=limit, bound=0.001)
    problems = same_problems(300)
    truth = truths(problems)
    model = LatentAnswers({problem.id: {RIGHT: 0.3, "7": 0.7} for problem in problems}, truth)
    voted = right_ones(solve_each(MajorityVote(16), model, problems, seed=SEED))
    law = float(majority_law(chances, correct, [16])[0])
    # a tied vote goes to the answer seen first, which by symmetry of a tie is either with chance 1/2, as the law has it
    yield share_matches("vote of 16 on the same problems", successes=voted, trials=300, chance=law, seed=SEED)
    won = right_ones(solve_each(Knockout(16, 5, SimulatedComparer(truth, 0.7)), model, problems, seed=SEED))
    yield share_matches(
        "knockout of 16 with K 5, p_comp 0.7 on the same problems", successes=won, trials=300, chance=knockout_success(0.3, 0.7, 16, 5), seed=SEED
    )
    yield Measured.above("knockout less vote, in points", value=100 * (won - voted) / 300, bound=60.0, size="300 trials", seed=SEED)


def _many_wrong(p_gen: float) -> dict[str | None, float]:
    return {RIGHT: p_gen, **{str(wrong): (1.0 - p_gen) / 10 for wrong in range(10)}}
