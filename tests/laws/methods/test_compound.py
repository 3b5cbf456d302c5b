"""Compound scaling: what is kept whatever the split, and what can be built."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.core.errors import UsageError
from outthink.laws.methods.compound import activation_exponent, bottleneck_network, compound, convolution, group_width, rounded

weights = st.tuples(*[st.floats(0, 10)] * 3).filter(lambda w: sum(w) > 0.1)


@given(st.floats(0.1, 20), weights)
def test_operations_grow_by_the_factor_and_activations_by_its_power(factor, split):
    depth, width, resolution = split
    grown = compound(factor, depth=depth, width=width, resolution=resolution)
    assert grown.depth * grown.width**2 * grown.resolution**2 == pytest.approx(factor)
    exponent = activation_exponent(depth=depth, width=width, resolution=resolution)
    assert grown.depth * grown.width * grown.resolution**2 == pytest.approx(factor**exponent)


def test_rounding_gives_networks_that_can_be_built():
    assert rounded(3, 64, 224, compound(4.0)) == (3, 112, 240)
    assert rounded(1, 8, 4, compound(0.01)) == (1, 8, 4)
    assert [group_width(width) for width in (0.3, 1.4, 1.6, 3.1, 5.0, 6.5, 13.0)] == [1, 1, 2, 4, 4, 8, 16]
    with pytest.raises(UsageError, match="above 0"):
        compound(0.0)


def test_a_convolution_is_counted_by_hand():
    part = convolution(8, 4, 6, 3, stride=2, groups=2)
    assert (part.side, part.activations) == (4, 6 * 16)
    assert part.multiply_adds == 9 * 4 * 6 // 2 * 16
    assert part.parameters == 9 * 4 * 6 // 2 + 12


def test_resnet_50_to_the_last_unit():
    whole = bottleneck_network((3, 4, 6, 3))
    assert (whole.multiply_adds, whole.parameters, whole.activations) == (4_089_185_256, 25_557_032, 11_315_688)
