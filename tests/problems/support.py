"""Texts meant to break a parser, a megabyte each, and what several test files need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

MEGABYTE = 10**6

HUGE = {
    "digits": "1" * MEGABYTE,
    "open boxes": "\\boxed{" * 140_000,
    "open braces": "{" * MEGABYTE,
    "marks": "answer is " * 100_000,
    "spaces": " " * MEGABYTE,
    "mark and spaces": "answer" + " " * MEGABYTE,
    "groups of three": "1" + ",123" * 250_000,
    "slashes": "1/" * 500_000,
    "mixed numbers": "1 " * 500_000,
    "fractions": "\\frac{1}{2}" * 90_000,
    "equations": "1=" * 500_000,
    "lines": "\n" * MEGABYTE,
    "hashes": "#" * MEGABYTE,
    "brackets": "(" * MEGABYTE,
    "sums": "(1+" * 300_000,
    "dollars": "$" * MEGABYTE,
    "open formulas": "\\[1" * 300_000,
    "one long formula": "\\(" + "x" * MEGABYTE,
    "letters": "A " * 500_000,
    "minus signs": "é−" * 500_000,
    "stars": "answer" + "*" * MEGABYTE,
}


def recorded(*files: str) -> Path:
    """The folder of recorded data; skips the test if a file is not there."""
    root = os.environ.get("OUTTHINK_DATA")
    if not root:
        pytest.skip("OUTTHINK_DATA is not set: the recorded data are not here")
    for file in files:
        if not (Path(root) / file).exists():
            pytest.skip(f"{file} is not in OUTTHINK_DATA")
    return Path(root)
