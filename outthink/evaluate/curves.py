"""What every number of samples would have bought, from one recorded pool: exact or unbiased over subsets of the samples.

A curve's value at k is the expectation over k random samples of the pool (ties in expectation), averaged over problems. Its interval is
a bootstrap over problems (Wilson's where all problems are right, or all wrong, as in the table): several seeds of a problem are averaged
first, since they are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from outthink import stats
from outthink.evaluate.table import FloatArray, IntArray, SampleTable

CONTROLS = ("random choice", "oracle ceiling")


_WORK = 4e6  # samples walked over by the random orders of one vote, where it has no exact form: about a second


@dataclass(frozen=True)
class Curve:
    """Accuracy of one way to use k samples.

    Args:
        name: `majority`, `random choice`, `oracle ceiling`, `weighted (VERIFIER)` or `best of n (VERIFIER)`.
        k: (budgets,) samples.
        values: (problems, budgets) expected correctness.
        accuracy, low, high: (budgets,) mean over problems and its interval; low and high are nan for one problem.
        tokens: (budgets,) mean completion tokens a problem.
        method: how it was computed: `exact`, or `permutations` with the largest standard error in `error`.
        error: largest standard error of `accuracy` from random orders; 0 where exact.
    """

    name: str
    k: IntArray
    values: FloatArray
    accuracy: FloatArray
    low: FloatArray
    high: FloatArray
    tokens: FloatArray
    method: str
    error: float

    def rows(self) -> list[dict[str, object]]:
        """One plain row a budget, for charts and tables."""
        columns = (self.k.tolist(), self.tokens.tolist(), self.accuracy.tolist(), self.low.tolist(), self.high.tolist())
        return [
            {"method": self.name, "samples": k, "tokens": t, "accuracy": a, "low": None if np.isnan(lo) else lo, "high": None if np.isnan(hi) else hi}
            for k, t, a, lo, hi in zip(*columns, strict=True)
        ]


def curves(
    table: SampleTable,
    k: Sequence[int] | None = None,
    *,
    seed: int = 0,
    draws: int = 1000,
    level: float = 0.95,
    verifiers: Sequence[str] | None = None,
) -> list[Curve]:
    """The curves of a pool: majority, random choice, oracle ceiling, and two for each verifier that judged it.

    Args:
        table: graded samples.
        k: budgets, each from 1 to n; None for every one.
        seed: of the bootstrap, and of the random orders where a vote has no exact form.
        draws: bootstrap draws.
        level: of the intervals.
        verifiers: which of the table's scores to use; None for all.

    Raises:
        ValueError: a budget outside 1..n, or a verifier that the table does not have.
    """
    budgets = np.arange(1, table.n + 1) if k is None else np.unique(np.asarray(k, dtype=np.int64))
    if budgets.size == 0 or budgets[0] < 1 or budgets[-1] > table.n:
        raise ValueError(f"k must lie in 1..{table.n}, the samples of this pool; got {budgets.tolist()}")
    chosen = list(table.scores) if verifiers is None else list(verifiers)
    for verifier in chosen:
        if verifier not in table.scores:
            raise ValueError(f"no scores of {verifier!r} in this pool, only of {', '.join(table.scores) or 'no verifier'}")
    right = table.correct.sum(axis=1)
    covered = stats.pass_at_k(table.n, right, budgets)
    single = np.repeat(table.correct.mean(axis=1)[:, None], budgets.size, axis=1)
    orders = int(min(2000, max(4, _WORK / table.labels.size)))
    found = [("majority", stats.majority_at_k(table.labels, table.correct, budgets, draws=orders, seed=seed))]
    exact: list[tuple[str, FloatArray]] = []
    for verifier in chosen:
        scores = table.scores[verifier]
        weighted = stats.weighted_majority_at_k(table.labels, weights(scores), table.correct, budgets, draws=orders, seed=seed, weightless="count")
        found.append((f"weighted ({verifier})", weighted))
        best = stats.best_of_k(_answered_first(table, scores), table.correct, budgets, unjudged="random")
        exact.append((f"best of n ({verifier})", best))
    votes = [(name, vote.values, vote.method, vote.standard_error) for name, vote in found]
    bootstrap = _resampling(len(dict.fromkeys(table.problems)), seed, draws)
    tokens = np.asarray(budgets * table.tokens_per_sample, dtype=np.float64)

    def curve(name: str, values: FloatArray, method: str = "exact", errors: FloatArray | None = None) -> Curve:
        averaged = table.by_problem(values)
        low, high = _band(averaged, bootstrap, level)
        error = 0.0 if errors is None else float(np.sqrt((errors**2).sum(axis=0)).max() / len(errors))
        return Curve(name, budgets, averaged, np.asarray(averaged.mean(axis=0), dtype=np.float64), low, high, tokens, method, error)

    return [
        *(curve(*vote) for vote in votes),
        *(curve(name, values) for name, values in exact),
        curve("random choice", single),
        curve("oracle ceiling", covered),
    ]


def weights(scores: FloatArray) -> FloatArray:
    """Scores as vote weights: as they are, or exp(score) where any is negative (log probabilities, logits)."""
    return np.exp(scores) if np.nanmin(scores, initial=0.0) < 0 else scores


def _answered_first(table: SampleTable, scores: FloatArray) -> FloatArray:
    # as best_of_n chooses: a judged answer, else any answer, else any sample
    unjudged = np.nextafter(np.nanmin(scores, initial=0.0), -np.inf)
    return np.where(table.labels < 0, np.nan, np.where(np.isnan(scores), unjudged, scores))


def _resampling(problems: int, seed: int, draws: int) -> FloatArray | None:
    # (draws, problems) shares of each problem in a resampled mean; one matrix product then serves all budgets
    if problems < 2:
        return None
    counts = np.random.default_rng(seed).multinomial(problems, np.full(problems, 1.0 / problems), size=draws)
    return counts / problems


def _band(values: FloatArray, bootstrap: FloatArray | None, level: float) -> tuple[FloatArray, FloatArray]:
    if bootstrap is None:
        return np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    tail = stats.bootstrap_tail(len(values), level)
    low, high = np.quantile(bootstrap @ values, [tail, 1 - tail], axis=0)
    problems = len(values)
    for right in (0, problems):  # of what is all alike a bootstrap has no width, as if that proved the next problem
        alike = np.isclose(values, right / problems, rtol=0.0, atol=1e-9).all(axis=0)
        low[alike], high[alike] = stats.wilson_interval(right, problems, level=level)
    return low, high


@dataclass(frozen=True)
class Matched:
    """Majority vote at the same completion tokens.

    Args:
        samples: how many samples those tokens buy on average, at least 1 and at most the pool's n.
        accuracy: of a vote that draws floor(samples) or one more sample, so that it costs `samples` samples on average.
        limited: `too few` where the tokens do not even buy one sample (the baseline then costs more), `pool` where they buy more than the
            pool holds (it then costs less), "" where it is matched exactly.
    """

    samples: float
    accuracy: float
    limited: str = ""


def matched_majority(table: SampleTable, tokens: float, *, seed: int = 0) -> Matched:
    """The majority vote that spends `tokens` completion tokens a problem on average.

    With m = mean tokens of a sample and k = tokens / m, a vote on floor(k) samples with probability 1 - (k - floor(k)) and on one more
    otherwise costs exactly k m in expectation, and has the accuracy interpolated between the two.
    """
    wanted = tokens / table.tokens_per_sample if table.tokens_per_sample > 0 else float(table.n)
    samples = min(max(wanted, 1.0), float(table.n))
    below = int(samples + 1e-9)
    ks = [below, min(below + 1, table.n)]
    vote = stats.majority_at_k(table.labels, table.correct, np.asarray(ks), seed=seed)
    first, second = (float(value) for value in table.by_problem(vote.values).mean(axis=0))
    limited = "too few" if wanted < 1 - 1e-9 else "pool" if wanted > table.n + 1e-9 else ""
    share = max(0.0, samples - below)
    return Matched(samples, first * (1 - share) + second * share, limited)
