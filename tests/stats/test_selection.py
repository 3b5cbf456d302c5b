from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from outthink.stats import best_of_k, oracle_choice, pass_at_k, random_choice, rank_weights


def brute(scores, correct, k, unjudged):
    total = []
    for subset in combinations(range(len(scores)), k):
        judged = [i for i in subset if not np.isnan(scores[i])]
        if judged:
            top = max(scores[i] for i in judged)
            total.append(np.mean([correct[i] for i in judged if scores[i] == top]))
        else:
            total.append(np.mean([correct[i] for i in subset]) if unjudged == "random" else 0.0)
    return np.mean(total)


samples = st.integers(1, 7).flatmap(
    lambda n: st.tuples(
        hnp.arrays(float, n, elements=st.sampled_from([0.0, 0.3, 0.9, np.nan])), hnp.arrays(float, n, elements=st.sampled_from([0.0, 0.5, 1.0]))
    )
)


@given(samples, st.sampled_from(["abstain", "random"]))
def test_equals_the_average_over_all_subsets(case, unjudged):
    scores, correct = case
    curve = best_of_k(scores, correct, unjudged=unjudged)[0]
    assert curve == pytest.approx([brute(scores, correct, k, unjudged) for k in range(1, len(scores) + 1)], abs=1e-12)


@given(samples, st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter_and_neither_does_the_scale(case, random):
    scores, correct = case
    order = random.sample(range(len(scores)), len(scores))
    expected = best_of_k(scores, correct)
    assert best_of_k(scores[order], correct[order]) == pytest.approx(expected, abs=1e-12)
    assert best_of_k(scores * 4 - 1, correct) == pytest.approx(expected, abs=1e-12)


def test_random_and_perfect_scores_are_the_brackets():
    correct = np.random.default_rng(0).random((5, 40)) < 0.3
    counts = correct.sum(axis=1)
    assert oracle_choice(correct) == pytest.approx(pass_at_k(40, counts, np.arange(1, 41)), abs=1e-12)
    assert random_choice(correct) == pytest.approx(np.tile(correct.mean(axis=1)[:, None], 40), abs=1e-12)


@pytest.mark.parametrize("k", [1, 3, 500, 9_999, 10_000])
def test_rank_weights_match_integer_arithmetic_at_ten_thousand(k):
    n = 10_000
    weights = rank_weights(n, k)[0]
    assert weights.sum() == pytest.approx(1.0, abs=1e-11)
    for i in (1, 2, 17, 5000, n - k + 1):
        expected = comb(n - i, k - 1) / comb(n, k) if i <= n - k + 1 else 0.0
        assert weights[i - 1] == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_budgets_beyond_n_are_nan_and_bad_input_is_refused():
    assert np.isnan(best_of_k([0.1, 0.2], [0, 1], [2, 3])[0]).tolist() == [False, True]
    with pytest.raises(ValueError, match="shape"):
        best_of_k([0.1, 0.2], [0, 1, 1])
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        best_of_k([0.1, 0.2], [0, 2])
    with pytest.raises(ValueError, match="nan and -inf"):
        best_of_k([np.nan, -np.inf], [0, 1])
