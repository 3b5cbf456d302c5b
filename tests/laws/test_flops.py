"""FLOP accountings against published totals, and what distinguishes them."""

from dataclasses import replace

import numpy as np
import pytest
from laws.recorded import gemstones

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


GEMSTONES = [(512, 4), (2048, 16), (3072, 12)]


def gemstone(width, depth):
    return Transformer(width, depth, width / 128, 128, width / 256, 4 * width, 50_304, 2048)


def test_the_exact_count_is_that_of_the_official_function():
    # printed by flops_per_token_gqa of the Gemstones repository, times the 2048 tokens of a sequence
    counts = [float(training_flops(gemstone(*shape), "gemstones")) for shape in GEMSTONES]
    assert counts == [601_450_610_688, 15_102_250_057_728, 24_422_639_468_544]


def test_parameters_are_those_of_the_published_table_but_for_norms_and_the_second_embedding():
    table = gemstones("hot")
    width, depth = table.column("width"), table.column("depth")
    norms, head = (2 * depth + 1) * width, 50_304 * width
    # models of width 384 have three query heads and one pair of key and value heads; the official FLOPs count one and a half
    shapes = replace(gemstone(width, depth), key_value_heads=width // 256)
    np.testing.assert_array_equal(shapes.parameters() + norms + head, table.column("parameters"))


def test_an_unknown_accounting_names_the_nearest():
    with pytest.raises(UsageError, match="deepmind"):
        training_flops(TINY, "deepmnd")  # type: ignore[arg-type]
