"""Character-level text from Python's own documentation: the topics of `pydoc`, which come with the interpreter. Nothing is downloaded.

The text differs a little between versions of Python, so a fixture records its length, and no claim rests on an absolute loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outthink.core.errors import need

Symbols = NDArray[np.int64]

SYMBOLS = 97
"""Newline, the 95 printable characters of ASCII, and one that stands for a masked place; other characters are read as '?'."""
MASK = 96

_BLOCK = 2000  # characters; every tenth block is held out, so that held-out text comes from all topics


@dataclass(frozen=True)
class Text:
    """Symbols to train on and symbols held out, each (characters,) in 0..95."""

    train: Symbols
    held_out: Symbols


def encode(text: str) -> Symbols:
    """(characters,) symbol numbers."""
    codes = np.array([ord(character) for character in text], dtype=np.int64)
    return np.where(codes == 10, 0, np.where((codes >= 32) & (codes <= 126), codes - 31, ord("?") - 31))


def documentation() -> Text:
    """The topics of `pydoc` (about 700,000 characters), every tenth block of 2,000 characters held out."""
    topics: dict[str, str] = need("pydoc_data.topics", extra="adapt").topics
    symbols = encode("\n".join(topics[name] for name in sorted(topics)))
    held_out = (np.arange(symbols.size) // _BLOCK) % 10 == 9
    return Text(symbols[~held_out], symbols[held_out])


def acceptability(symbols: Symbols, *, snippets: int, characters: int, swaps: int, seed: int) -> tuple[Symbols, Symbols]:
    """Snippets of a text, half of them with characters that have changed places with their right neighbour: a task of telling which.

    A bag of characters is the same either way, so only what knows the order of the language can tell.

    Args:
        symbols: (characters of the text,).
        snippets: how many, at even distances.
        characters: length of a snippet, at least twice the swaps.
        swaps: pairs that change places in a disturbed snippet.
        seed: of the choice of snippets and places.

    Returns:
        (snippets, characters) symbols and (snippets,) labels, 1 where it was disturbed.
    """
    rng = np.random.default_rng(seed)
    starts = np.linspace(0, symbols.size - characters, snippets).astype(np.int64)
    found = symbols[starts[:, None] + np.arange(characters)]
    labels = rng.permutation(np.arange(snippets) % 2)
    for row in np.flatnonzero(labels):
        left = 2 * rng.choice(characters // 2, swaps, replace=False)
        found[row, left], found[row, left + 1] = found[row, left + 1], found[row, left]
    return found, labels
