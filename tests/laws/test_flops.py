"""FLOP accountings against published totals, and what distinguishes them."""

import numpy as np
import pytest

from outthink.core.errors import UsageError
from outthink.laws.flops import Transformer, training_flops

TINY = Transformer(width=384, depth=8, heads=6, head_size=64, key_value_heads=6, feed_forward=1024, vocabulary=50_257, sequence=512)


def test_the_published_totals_of_a_33m_model():
    # printed in the notebook of the schedules repository of [69]
    assert float(TINY.parameters()) == 33_454_464
    assert float(training_flops(TINY, "deepmind")) == 171_834_605_568


def test_six_nd_is_six_times_parameters_and_tokens():
    assert float(training_flops(TINY, "six_nd")) == 6 * 33_454_464 * 512
    body = float(training_flops(TINY, "six_nd_body"))
    assert body == 6 * (33_454_464 - 50_257 * 384) * 512
    assert float(training_flops(TINY, "with_attention")) - float(training_flops(TINY, "six_nd")) == 6 * 8 * 384 * 512 * 512


def test_many_shapes_at_once_and_no_overflow():
    widths = np.array([256, 8192], dtype=np.int64)
    shapes = Transformer(widths, np.array([4, 96]), widths // 128, 128, widths // 256, 4 * widths, 50_304, 2048)
    flops = training_flops(shapes, "gemstones") / 2048 * np.array([1_000_000_000, 30_000_000_000_000], dtype=np.int64)
    assert flops.dtype == np.float64
    assert np.all(flops > 0)
    # the exact count lies between 1.08 and 1.81 times 7 N, or so its authors say of their shapes
    assert 1.0 < float((training_flops(shapes, "gemstones") / training_flops(shapes, "six_nd"))[1]) < 2.5


def test_an_unknown_accounting_names_the_nearest():
    with pytest.raises(UsageError, match="deepmind"):
        training_flops(TINY, "deepmnd")  # type: ignore[arg-type]
