"""Wall clock: counting identities, an exact line, tokens in a budget, the choice of a shape."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.core.errors import UsageError
from outthink.laws.methods.wall_clock import StepTime, TransformerShape, best_shape, fit_step_time

SHAPE = TransformerShape(4, 64, 256, 2, 32, 8, 100)


def test_parameters_and_flops_counted_by_hand():
    assert SHAPE.parameters == 4 * (4 * 64 * 64 + 2 * 64 * 256) + 2 * 100 * 64
    assert SHAPE.flops == 6 * 256 * (4 * 12 * 64 * 64 + 100 * 64) + 12 * 4 * 256 * 32 * 64


@given(st.integers(1, 64))
def test_the_batch_repeats_activations_and_not_weights(times):
    one, many = (dataclasses.replace(SHAPE, batch=batch) for batch in (1, times))
    weights = 4 * 10 * SHAPE.parameters
    assert many.flops == pytest.approx(times * one.flops)
    assert many.bytes_moved - weights == pytest.approx(times * (one.bytes_moved - weights))


def test_scores_are_all_that_fusing_saves():
    fused = dataclasses.replace(SHAPE, fused_attention=True)
    assert SHAPE.bytes_moved - fused.bytes_moved == 4 * 3 * 4 * 4 * 8 * 2 * 32**2
    assert fused.flops == SHAPE.flops


def test_at_equal_weights_depth_moves_more_bytes_for_equal_flops():
    deep, wide = TransformerShape(16, 64, 256, 2, 1, 256, 1), TransformerShape(1, 256, 1024, 8, 1, 256, 1)
    assert deep.layer_weights == wide.layer_weights
    assert deep.bytes_moved > 1.5 * wide.bytes_moved


@given(st.floats(-0.01, 1.0), st.floats(1e-12, 1e-9))
def test_an_exact_line_is_found_and_predicts_what_it_left_out(fixed, rate):
    amounts = np.array([1e9, 2e9, 5e9, 1e10, 3e10]) + 1e11
    found = fit_step_time(amounts, fixed + rate * amounts, "bytes")
    assert found.rate == pytest.approx(rate, rel=1e-4)
    assert found.left_out == pytest.approx(np.zeros(5), abs=1e-6)


def test_left_out_errors_are_those_of_refits():
    rng = np.random.default_rng(0)
    amounts, seconds = rng.uniform(1, 9, 8), rng.uniform(1, 3, 8)
    found = fit_step_time(amounts, seconds, "flops")
    for row in range(8):
        kept = np.arange(8) != row
        slope, level = np.polyfit(amounts[kept], seconds[kept], 1)
        assert found.left_out[row] == pytest.approx((seconds[row] - level - slope * amounts[row]) / seconds[row])


def test_tokens_come_in_whole_steps():
    time = StepTime(1.0, 0.0, 1.0, np.zeros(1), "bytes")
    assert time.tokens_within(SHAPE, 10.5) == 10 * 256
    assert time.tokens_within(SHAPE, 0.5) == 0


def test_a_law_without_limit_on_size_takes_what_the_budget_reaches():
    small, large = SHAPE, dataclasses.replace(SHAPE, width=640)
    time = StepTime(0.0, 1e-9, 1.0, np.zeros(1), "bytes")
    only_tokens = best_shape([large, small], time, lambda parameters, tokens: 1.0 / tokens, 10.0)
    only_size = best_shape([small, large], time, lambda parameters, tokens: 1.0 / parameters, 10.0)
    assert (only_tokens.shape, only_size.shape) == (small, large)
    assert only_tokens.loss == 1.0 / only_tokens.tokens
    too_short = time.seconds(large) * 0.99
    assert best_shape([small, large], time, lambda parameters, tokens: 1.0 / parameters, too_short).shape == small


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: dataclasses.replace(SHAPE, depth=0), "depth"),
        (lambda: fit_step_time([1, 2, 3], [1, 2, 3], "bytes"), "four or more"),
        (lambda: fit_step_time([1, 1, 1, 1], [1, 2, 3, 4], "bytes"), "differ"),
        (lambda: fit_step_time([1, 2, 3, 4], [1, 2, 3, np.nan], "bytes"), "positive finite"),
        (lambda: StepTime(-1.0, 0.0, 1.0, np.zeros(1), "bytes").seconds(SHAPE), "no positive time|gives"),
        (lambda: best_shape([SHAPE], StepTime(9.0, 0.0, 1.0, np.zeros(1), "bytes"), lambda n, d: n, 1.0), "none of 1 shapes"),
    ],
)
def test_bad_input_is_refused(make, said):
    with pytest.raises(UsageError, match=said):
        make()
