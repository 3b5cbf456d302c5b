"""The allocation law [12]: nothing retrieved or shown leaves the constant, and each setting adds its logarithm."""

import numpy as np
import pytest

from outthink.laws.forms.rag_allocation import RagAllocation

LAW = RagAllocation(0.3, 0.2, 0.5, 0.8, 0.6, -1.0)


def logit(score: np.ndarray) -> float:
    return float(np.log(score / (1.0 - score)))


def test_nothing_retrieved_leaves_the_constant():
    assert logit(LAW(0, 0, 1, 0.3, 0.3)) == pytest.approx(-1.0)


def test_doubling_adds_a_constant_that_depends_on_the_task():
    step = logit(LAW(7, 0, 1, 0.25, 0.0)) - logit(LAW(3, 0, 1, 0.25, 0.0))
    assert step == pytest.approx((0.3 + 0.8 * 0.25) * np.log(2.0))
    assert logit(LAW(0, 0, 4, 0.9, 0.9)) - logit(LAW(0, 0, 2, 0.9, 0.9)) == pytest.approx(0.5 * np.log(2.0))
