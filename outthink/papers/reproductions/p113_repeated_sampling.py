"""[113] Large Language Monkeys: Scaling Inference Compute with Repeated Sampling.

The paper: coverage, the chance that any of k samples is right, grows over four orders of magnitude of k, nearly as an exponentiated
power law log c(k) = a k^b; without a checker, majority voting and reward models stop gaining after some hundred samples.

Here: the unbiased estimator, the law on the published Pythia counts (fit on k <= 100, held against k = 10,000), coverage through the
real session with known truth, and a recorded pool of the default model. Not covered: SWE-bench, GSM8K and MATH with large models,
reward models.
"""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from outthink.core.journal import Journal
from outthink.core.request import Sampling
from outthink.models import store
from outthink.models.simulated import LatentAnswers
from outthink.papers.arithmetic import Exercise, sums
from outthink.papers.evidence import SIGMAS
from outthink.papers.fixtures import Fixture, Progress
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.papers.monkeys import DRAWS, original_counts
from outthink.papers.stack import RIGHT, answers_in, record_samples, same_problems, solve_each, truths
from outthink.stats import coverage, majority_at_k, paired_bootstrap, pass_at_k
from outthink.stats.coverage_law import fit_coverage_law
from outthink.strategies.repeated_sampling import RepeatedSampling

SEED = 113
SEEN = [1, 2, 5, 10, 20, 50, 100]
# model -> (law fitted on k <= 100 at k = 10,000; what the counts say), on the part of the problems that the data has
PREDICTED = {"Pythia 12B": (0.860, 0.852), "Pythia 1B": (0.710, 0.728), "Pythia 70M": (0.281, 0.296)}
# exponents over 30 k in 1..10,000 on all 128 problems
EXPONENTS = {"Pythia 12B": 0.370, "Pythia 1B": 0.312, "Pythia 70M": 0.191}
RESAMPLES = 1000


@reproduction(paper=113, kind="exact", fast=True)
def unbiased_estimator() -> Iterator[Measured]:
    """1 - C(n-c,k)/C(n,k) is the average over all k-subsets; the plug-in 1 - (1-c/n)^k is biased."""
    n, worst = 10, 0.0
    for right in range(n + 1):
        marks = [sample < right for sample in range(n)]
        for k in range(1, n + 1):
            average = sum(map(any, itertools.combinations(marks, k))) / math.comb(n, k)
            worst = max(worst, abs(float(pass_at_k(n, right, k)[0, 0]) - average))
    yield Measured.at_most("pass@k at n = 10 against all subsets, every c and k (largest deviation)", value=worst, bound=1e-12)
    large = float(pass_at_k(10_000, 3, 5_000)[0, 0])
    exact = 1.0 - math.comb(9_997, 5_000) / math.comb(10_000, 5_000)
    yield Measured.within("pass@5000 at n = 10,000 and c = 3 against integer binomials", value=large, target=exact, tolerance=1e-12)


@reproduction(paper=113, kind="recorded", fast=True, needs=("data:monkeys/counts",))
def plug_in_bias() -> Iterator[Measured]:
    """From 100 of the 10,000 published samples the plug-in estimate of coverage at 100 is far too low."""
    right = original_counts()["Pythia 12B"]
    rng = np.random.default_rng(SEED)
    drawn = rng.hypergeometric(right, DRAWS - right, 100, size=(400, right.size))  # (redraws, problems): right ones of 100
    plug_in = 1.0 - (1.0 - drawn / 100) ** 100
    unbiased = (drawn > 0).astype(float)  # pass@100 from 100 samples
    truth = float(coverage(DRAWS, right, 100)[0])
    for named, values, target, tolerance in (
        # whole set: .405 and .484 where the truth is .483
        ("plug-in less truth at k = 100, Pythia 12B", plug_in, 0.405 - 0.483, 0.02),
        ("unbiased less truth at k = 100, Pythia 12B", unbiased, 0.0, 0.006),
    ):
        bias = values.mean(axis=1) - truth
        error = SIGMAS * float(bias.std()) / math.sqrt(bias.size)
        yield Measured.within(
            named, value=float(bias.mean()), target=target, tolerance=tolerance, interval=(float(bias.mean()) - error, float(bias.mean()) + error),
            data="monkeys/counts", seed=SEED, size=f"{bias.size} redraws of 100 of 10,000 samples, {right.size} problems",
        )  # fmt: skip


@reproduction(paper=113, kind="recorded", fast=True, needs=("data:monkeys/counts",))
def published_counts() -> Iterator[Measured]:
    """On published counts an exponentiated power law fitted on k <= 100 predicts coverage at k = 10,000."""
    counts = original_counts()
    for name, (predicted, observed) in PREDICTED.items():
        right = counts[name]
        seen, truth = pass_at_k(DRAWS, right, SEEN), pass_at_k(DRAWS, right, DRAWS)[:, 0]
        size = f"{right.size} problems, 10,000 samples each"
        prediction = float(fit_coverage_law(SEEN, seen.mean(axis=0))(DRAWS))
        two = (("law fitted on k <= 100, at k = 10,000", prediction, predicted), ("coverage at 10,000", float(truth.mean()), observed))
        for said, value, target in two:
            yield Measured.within(f"{name}: {said}", value=value, target=target, tolerance=0.0006, data="monkeys/counts", size=size)
        low, high = _prediction_error(seen, truth)
        yield Measured.covers(
            f"{name}: error of the prediction two decades ahead", value=prediction - float(truth.mean()), target=0.0, widest=0.25,
            interval=(low, high), data="monkeys/counts", seed=SEED, size=f"{size}, {RESAMPLES} resamples of problems",
            not_covered="the limit at infinite k: problems never solved are either unsolvable or rare",
        )  # fmt: skip
    grid = np.unique(np.round(np.logspace(0, 4, 30)).astype(int))
    for name, exponent in EXPONENTS.items():
        table = pass_at_k(DRAWS, counts[name], grid)
        whole = fit_coverage_law(grid, table.mean(axis=0))
        exponents = [fit_coverage_law(grid, sample.mean(axis=0)).b for sample in _resampled(table)]
        yield Measured.covers(
            f"{name}: exponent over k = 1..10,000", value=whole.b, target=exponent, widest=0.2, interval=_middle(exponents),
            expected=f"{exponent} on all 128 problems, in the interval", data="monkeys/counts", seed=SEED, size=f"{table.shape[0]} of 128 problems",
        )  # fmt: skip
        residual = np.log(-np.log(table.mean(axis=0))) - np.log(-np.log(whole(grid)))
        spread = np.log(-np.log(table.mean(axis=0)))
        explained = 1.0 - float((residual**2).sum() / ((spread - spread.mean()) ** 2).sum())
        yield Measured.at_least(f"{name}: R² of the straight line in log(-log c) on log k", value=explained, bound=0.99, data="monkeys/counts")


@reproduction(paper=113, kind="simulated")
def known_truth() -> Iterator[Measured]:
    """Coverage of a model with known chances, sampled through the real strategy and session, is 1 - (1-p)^k averaged over problems."""
    n = 64
    problems = same_problems(100)
    model = LatentAnswers.drawn(truths(problems), 0.3, 2.0, seed=SEED)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.sqlite"
        with Journal(path) as journal:
            solve_each(RepeatedSampling(n), model, problems, seed=SEED, journal=journal)
        answers = answers_in(path, problems)
    right = [sum(answer == RIGHT for answer in answers[problem.id]) for problem in problems]
    chance = np.array([model.p_right(problem.id) for problem in problems])
    for k in (1, 4, 16, 64):
        law = 1.0 - (1.0 - chance) ** k
        yield Measured.within(
            f"coverage at k = {k}", value=float(coverage(n, right, k)[0]), target=float(law.mean()), tolerance=SIGMAS * _coverage_error(chance, n, k),
            data="simulated, p ~ Beta(0.3, 2)", seed=SEED, size=f"{len(problems)} problems, {n} samples each",
        )  # fmt: skip


def _coverage_error(chance: NDArray[np.float64], n: int, k: int) -> float:
    # exact standard error of the unbiased coverage given the chances: each problem's count is binomial
    counts = np.arange(n + 1)
    ways = np.array([math.comb(n, count) for count in counts], dtype=float)
    mass = ways * chance[:, None] ** counts * (1.0 - chance[:, None]) ** (n - counts)  # (problems, counts)
    value = pass_at_k(n, counts, k)[:, 0]
    variance = mass @ value**2 - (mass @ value) ** 2
    return float(np.sqrt(variance.sum()) / chance.size)


def _exercises(params: Mapping[str, str | int | float]) -> list[Exercise]:
    return sums(int(params["problems"]), digits=int(params["digits"]), seed=SEED)


def _record_pool(folder: Path, params: Mapping[str, str | int | float], progress: Progress) -> None:
    from outthink.models.embedded import EmbeddedModel

    path = store.find(str(params["model"]))
    if path is None:
        raise FileNotFoundError(f"the model {params['model']} went away while its answers were being recorded")
    problems = [exercise.problem("sum") for exercise in _exercises(params)]
    sampling = Sampling(temperature=float(params["temperature"]), max_tokens=int(params["max_tokens"]), stop=("\n",))
    record_samples(folder / "pool.sqlite", EmbeddedModel(path), problems, n=int(params["samples"]), sampling=sampling, seed=SEED, progress=progress)


POOL = Fixture(
    "coverage-default",
    _record_pool,
    # the prompt's version: a changed prompt needs new samples
    {"model": store.DEFAULT, "problems": 60, "digits": 2, "samples": 32, "temperature": 0.8, "max_tokens": 32, "prompt": "sum/1"},
    "about three minutes on two cores",
)


@reproduction(paper=113, kind="real", needs=("model",), prepare=POOL)
def default_model() -> Iterator[Measured]:
    """Coverage of the default model on generated arithmetic keeps rising as the law says, where majority voting stalls."""
    exercises = _exercises(POOL.params)
    n = int(POOL.params["samples"])
    found = answers_in(POOL.path / "pool.sqlite", [exercise.problem("sum") for exercise in exercises])
    right = np.array([[answer == exercise.key for answer in found[exercise.id]] for exercise in exercises])  # (problems, samples)
    size = f"{len(exercises)} problems, {n} samples each"
    table = pass_at_k(n, right.sum(axis=1), [1, 2, 4, 16])
    prediction = float(fit_coverage_law([1, 2, 4], table[:, :3].mean(axis=0))(16))
    low, high = _prediction_error(table[:, :3], table[:, 3], [1, 2, 4], 16)
    yield Measured.covers(
        "law fitted on k <= 4: error of its prediction at k = 16", value=prediction - float(table[:, 3].mean()), target=0.0, widest=0.25,
        interval=(low, high), data="generated arithmetic, SmolLM2-135M", seed=SEED, size=size,
    )  # fmt: skip
    rise = paired_bootstrap(table[:, 3], table[:, 0], seed=SEED)
    yield Measured.above(
        f"coverage at 16 less pass@1 ({table[:, 0].mean():.3f} to {table[:, 3].mean():.3f})", value=rise.estimate, interval=(rise.low, rise.high),
        bound=0.15, data="generated arithmetic, SmolLM2-135M", seed=SEED, size=size,
    )  # fmt: skip
    labels = np.array([_labels(found[exercise.id]) for exercise in exercises])
    votes = majority_at_k(labels, right, [4, 16], seed=SEED).values
    gain = paired_bootstrap(table[:, 3] - table[:, 2], votes[:, 1] - votes[:, 0], seed=SEED)
    yield Measured.above(
        f"from 4 to 16 samples coverage gains more than majority (vote {votes[:, 0].mean():.3f} to {votes[:, 1].mean():.3f})", value=gain.estimate,
        interval=(gain.low, gain.high), bound=0.0, data="generated arithmetic, SmolLM2-135M", seed=SEED, size=size,
        not_covered="reward-model selection; hundreds of samples",
    )  # fmt: skip


def _labels(answers: list[str | None]) -> list[int]:
    codes: dict[str, int] = {}
    return [-1 if answer is None else codes.setdefault(answer, len(codes)) for answer in answers]


def _prediction_error(seen: NDArray[np.float64], truth: NDArray[np.float64], budgets: list[int] = SEEN, target: int = DRAWS) -> tuple[float, float]:
    """95% bootstrap interval over problems of (law fitted on the seen budgets) less (coverage at the target)."""
    table = np.concatenate([seen, truth[:, None]], axis=1)
    errors = []
    for sample in _resampled(table):
        mean = sample.mean(axis=0)
        errors.append(float(fit_coverage_law(budgets, mean[:-1])(target)) - float(mean[-1]))
    return _middle(errors)


def _resampled(table: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    rng = np.random.default_rng(SEED)
    for _ in range(RESAMPLES):
        yield table[rng.integers(table.shape[0], size=table.shape[0])]


def _middle(values: list[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
