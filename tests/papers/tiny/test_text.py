"""The text: symbols, a split that shares nothing, disturbed snippets that keep their characters."""

from __future__ import annotations

import numpy as np

from outthink.papers.tiny.text import MASK, acceptability, documentation, encode


def test_symbols():
    assert encode("\n ~é").tolist() == [0, 1, 95, ord("?") - 31]


def test_documentation_is_long_and_held_out_by_a_tenth():
    text = documentation()
    total = text.train.size + text.held_out.size
    assert total > 200_000
    assert abs(text.held_out.size / total - 0.1) < 0.02
    assert max(text.train.max(), text.held_out.max()) < MASK


def test_disturbed_snippets_keep_their_characters_and_others_their_order():
    symbols = np.arange(5000)
    snippets, labels = acceptability(symbols, snippets=100, characters=32, swaps=4, seed=0)
    assert labels.sum() == 50
    for row, label in zip(snippets, labels, strict=True):
        assert np.array_equal(np.sort(row), np.arange(row.min(), row.min() + 32))
        assert (row != np.arange(row.min(), row.min() + 32)).sum() == 8 * label
