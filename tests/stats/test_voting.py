from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from outthink.stats import best_of_k, majority_at_k, majority_law, prefix_majority, weighted_majority_at_k


def winner(labels, correct, weights, subset):
    sums = {}
    for i in subset:
        if labels[i] >= 0 and not np.isnan(weights[i]):
            sums[labels[i]] = sums.get(labels[i], 0.0) + weights[i]
    if not sums:
        return 0.0
    top = max(sums.values())
    voters = ~np.isnan(weights)
    return np.mean([np.mean(correct[(labels == a) & voters]) for a, total in sums.items() if total >= top - 1e-9])


def brute(labels, correct, weights):
    n = len(labels)
    return [np.mean([winner(labels, correct, weights, s) for s in combinations(range(n), k)]) for k in range(1, n + 1)]


@st.composite
def votes(draw, largest=8):
    n = draw(st.integers(1, largest))
    labels = draw(hnp.arrays(np.int64, n, elements=st.integers(-1, 4)))
    correct = draw(hnp.arrays(float, n, elements=st.sampled_from([0.0, 1.0])))
    weights = draw(hnp.arrays(float, n, elements=st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.7, np.nan])))
    return labels, correct, weights


@given(votes())
def test_exact_majority_equals_the_average_over_all_subsets(case):
    labels, correct, _ = case
    curve = majority_at_k(labels, correct, method="exact")
    assert curve.method == "exact"
    assert curve.values[0] == pytest.approx(brute(labels, correct, np.ones(len(labels))), abs=1e-11)


@given(votes(7))
def test_exact_weighted_majority_equals_the_average_over_all_subsets(case):
    labels, correct, weights = case
    assert weighted_majority_at_k(labels, weights, correct, method="exact").values[0] == pytest.approx(brute(labels, correct, weights), abs=1e-11)


@given(votes(), st.randoms(use_true_random=False))
def test_names_order_and_scale_do_not_matter(case, random):
    labels, correct, weights = case
    order = random.sample(range(len(labels)), len(labels))
    renamed = np.where(labels >= 0, 90 - 7 * labels, -1)
    plain = majority_at_k(labels, correct).values
    weighted = weighted_majority_at_k(labels, weights, correct).values
    assert majority_at_k(renamed[order], correct[order]).values == pytest.approx(plain, abs=1e-11)
    assert weighted_majority_at_k(renamed[order], weights[order] * 37.3, correct[order]).values == pytest.approx(weighted, abs=1e-11)
    assert weighted_majority_at_k(labels, np.full(len(labels), 0.3), correct).values == pytest.approx(plain, abs=1e-11)


def test_exact_majority_at_ten_thousand_samples_matches_integer_arithmetic():
    n, c, k = 10_000, 5_100, 501
    wins = sum(comb(c, j) * comb(n - c, k - j) for j in range(251, k + 1))
    labels = np.repeat([0, 1], [c, n - c])
    assert majority_at_k(labels, labels == 0, k, method="exact").values[0, 0] == pytest.approx(wins / comb(n, k), abs=1e-9)


def test_where_nobody_has_a_weight_every_answer_counts_if_asked_to():
    labels, correct, nan = [0, 1, 0, -1], [1, 0, 1, 0], float("nan")
    silent = weighted_majority_at_k(labels, [nan] * 4, correct, weightless="count", method="exact")
    assert silent.values == pytest.approx(majority_at_k(labels, correct).values, abs=1e-12)
    assert weighted_majority_at_k(labels, [nan] * 4, correct).values == pytest.approx(0.0)
    # 0, 1, 0 at weight 0: two votes to one for the right answer, where a tie of the two would be one half
    assert weighted_majority_at_k(labels[:3], [0.0] * 3, correct[:3], 3, weightless="count").values == pytest.approx(1.0)
    assert weighted_majority_at_k(labels[:3], [0.0] * 3, correct[:3], 3).values == pytest.approx(0.5)
    walked = weighted_majority_at_k(labels, [0.0, 0.4, nan, 0.0], correct, weightless="count", method="permutations", draws=20000, seed=0)
    exact = weighted_majority_at_k(labels, [0.0, 0.4, nan, 0.0], correct, weightless="count", method="exact")
    assert np.all(np.abs(walked.values - exact.values) <= 4 * walked.standard_error + 1e-12)
    with pytest.raises(ValueError, match="weightless"):
        weighted_majority_at_k(labels, [0.0] * 4, correct, weightless="drop")


@pytest.mark.parametrize("weighted", [False, True])
def test_permutations_agree_with_the_exact_value_within_their_error(weighted):
    rng = np.random.default_rng(1)
    labels = rng.integers(-1, 4, (12, 12))
    correct = labels == 0
    weights = np.round(rng.random((12, 12)), 1)
    if weighted:
        exact = weighted_majority_at_k(labels, weights, correct, method="exact")
        guess = weighted_majority_at_k(labels, weights, correct, method="permutations", draws=3000, seed=0)
    else:
        exact = majority_at_k(labels, correct, method="exact")
        guess = majority_at_k(labels, correct, method="permutations", draws=3000, seed=0)
    assert (guess.method, guess.draws) == ("permutations", 3000)
    # 144 comparisons: 4.5 sigma, with a floor where all draws but a few agree.
    assert np.all(np.abs(guess.values - exact.values) <= 4.5 * np.maximum(guess.standard_error, 1e-3))
    assert np.all(np.abs(guess.mean() - exact.mean()) <= 4.5 * guess.mean_standard_error() + 1e-9)
    spread = (guess.values - exact.values)[:, 1:-1] / np.maximum(guess.standard_error[:, 1:-1], 1e-9)
    assert 0.7 < np.sqrt(np.mean(spread[guess.standard_error[:, 1:-1] > 1e-3] ** 2)) < 1.3


def test_limits():
    rng = np.random.default_rng(2)
    labels = rng.integers(-1, 3, (20, 200))
    correct = labels == 1
    curve = majority_at_k(labels, correct, [1, 2, 200], method="exact").values
    assert curve[:, 0] == pytest.approx(correct.mean(axis=1), abs=1e-11)
    whole = [np.bincount(row[row >= 0], minlength=3) for row in labels]
    assert curve[:, 2] == pytest.approx([(v[1] == v.max()) / np.sum(v == v.max()) for v in whole], abs=1e-9)
    complete = rng.integers(0, 3, (20, 200))  # with no blanks a vote of two is one of the two
    two = majority_at_k(complete, complete == 1, [1, 2], method="exact").values
    assert two[:, 1] == pytest.approx(two[:, 0], abs=1e-11)


def test_one_overwhelming_weight_is_best_of_k():
    labels = np.arange(8)
    correct = (labels == 2) | (labels == 5)
    weights = 3.0**labels  # each outweighs all below it
    assert weighted_majority_at_k(labels, weights, correct).values == pytest.approx(best_of_k(weights, correct), abs=1e-12)


def test_no_answer_never_wins_unless_alone():
    assert majority_at_k([-1, -1, -1, 0], [0, 0, 0, 1], [1, 2, 4]).values[0] == pytest.approx([0.25, 0.5, 1.0])
    assert majority_at_k([-1, -1], [1, 1]).values[0].tolist() == [0.0, 0.0]


def test_vote_law_values():
    assert majority_law([0.4, 0.15, 0.15, 0.15, 0.15], [1, 0, 0, 0, 0], 15)[0] == pytest.approx(0.7796, abs=1e-4)  # [5]: .779
    tail = sum(comb(15, j) * 0.4**j * 0.6 ** (15 - j) for j in range(8, 16))
    assert majority_law([0.4, 0.6], [1, 0], 15)[0] == pytest.approx(tail, abs=1e-12)
    assert tail == pytest.approx(0.2131, abs=5e-5)
    assert majority_law([0.6, 0.4], [1, 0], [301])[0] > 0.999
    assert majority_law([0.3], [1], [3])[0] == pytest.approx(1 - 0.7**3, abs=1e-12)


def test_vote_law_is_the_limit_of_many_samples():
    labels = np.repeat([0, 1, 2, -1], [4000, 3000, 2000, 1000])
    law = majority_law([0.4, 0.3, 0.2], [1, 0, 0], [5, 20])
    finite = majority_at_k(labels, labels == 0, [5, 20], method="exact").values[0]
    assert finite == pytest.approx(law, abs=2e-3)


def test_prefix_majority_follows_the_stored_order():
    labels, correct = [7, 3, 3, 7, -1], [0, 1, 1, 0, 0]
    assert prefix_majority(labels, correct)[0].tolist() == [0.0, 0.5, 1.0, 0.5, 0.5]
    assert prefix_majority(labels, correct, ties="first")[0].tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]
    assert prefix_majority(labels, correct, [1, 9], weights=[0.1, 0.2, 0.1, 0.2, 1.0])[0, 0] == 0.0
    # .1 + .2 against .3 is a tie in whatever order it is added
    assert prefix_majority([0, 0, 1], [1, 1, 0], 3, weights=[0.1, 0.2, 0.3])[0, 0] == 0.5


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="seed"):
        majority_at_k([[0, 1]], [[1, 0]], method="permutations")
    with pytest.raises(ValueError, match="at least 0"):
        weighted_majority_at_k([0, 1], [-1.0, 1.0], [1, 0])
    with pytest.raises(ValueError, match="16"):
        weighted_majority_at_k(np.zeros(17, int), np.ones(17), np.ones(17), method="exact")
    with pytest.raises(ValueError, match="labels"):
        majority_at_k([-2, 1], [1, 0])
    with pytest.raises(ValueError, match="method"):
        majority_at_k([0, 1], [1, 0], method="guess")  # type: ignore[arg-type]
    assert np.isnan(majority_at_k([0, 1], [1, 0], 3).values[0, 0])
