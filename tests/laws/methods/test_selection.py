"""Accept, then stop: exact on power laws, and blind to the flat phase."""

import numpy as np
import pytest

from outthink.core.errors import DataError, UsageError
from outthink.laws.methods.selection import accept_then_stop, relative_accuracy

SIZES = np.array([200.0 * 2**k for k in range(10)])


def test_a_power_law_is_continued_exactly_in_any_order_of_sizes():
    losses = np.stack([5 * SIZES**-0.1, 3 * SIZES**-0.05])
    full = accept_then_stop(SIZES, losses, 1e6)
    assert full == pytest.approx([5 * 1e6**-0.1, 3 * 1e6**-0.05])
    order = np.random.default_rng(0).permutation(len(SIZES))
    assert accept_then_stop(SIZES[order], losses[:, order], 1e6) == pytest.approx(full)


def test_the_flat_phase_is_not_used():
    bent = np.where(SIZES < 1600, 1600.0, SIZES) ** -0.2 * (1 + 1e-4 * np.sin(np.arange(10)))
    stopped = accept_then_stop(SIZES, bent[None], 1e6)[0]
    assert stopped == pytest.approx(1e6**-0.2, rel=0.01)
    # a line through everything is far off
    assert accept_then_stop(SIZES, bent[None], 1e6, tolerance=1e9)[0] > 1.05 * stopped


def test_the_smallest_size_is_dropped_even_if_nothing_stops():
    losses = 5 * SIZES**-0.1
    spoilt = losses.copy()
    spoilt[0] *= 1.5
    assert accept_then_stop(SIZES, spoilt[None], 1e6, tolerance=1e9)[0] == pytest.approx(5 * 1e6**-0.1)


def test_relative_accuracy_ends():
    actual = [1.0, 2.0, 3.0]
    assert [relative_accuracy(guess, actual) for guess in ([0, 1, 2], [1, 0, 2], [2, 1, 0])] == [1.0, 0.5, 0.0]


@pytest.mark.parametrize(
    ("samples", "losses", "error"),
    [
        ([1.0, 2.0], [[1.0, 2.0]], DataError), ([1.0, 2.0, 2.0], [[1.0, 2.0, 3.0]], DataError), ([1.0, 2.0, 4.0], [[1.0, 0.0, 3.0]], DataError),
        ([1.0, 2.0, 4.0], [1.0, 2.0, 3.0], DataError),
    ],
)  # fmt: skip
def test_bad_tables_are_refused(samples, losses, error):
    with pytest.raises(error):
        accept_then_stop(samples, losses, 1e6)
    with pytest.raises(UsageError):
        accept_then_stop(SIZES, np.ones((1, 10)), 1e6, least=1)
