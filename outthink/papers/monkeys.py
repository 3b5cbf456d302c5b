"""The published counts of Large Language Monkeys [113]: right answers among 10,000 samples, seven Pythia models on MATH problems."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from outthink.core import data
from outthink.core.errors import DataError

DRAWS = 10_000
"""Samples a problem."""


def original_counts() -> dict[str, NDArray[np.int64]]:
    """Model -> right answers of each problem, (problems,), problems in one order for all models.

    Raises:
        DataError: the data is not here or not as published.
    """
    counts: dict[str, list[int]] = {}
    for row in data.read("monkeys", "counts"):
        runs = row.get("runs")
        if not isinstance(runs, list):
            raise DataError(f"monkeys/counts: {row.get('id')} has no list of runs; each line needs id, bench, problem, runs")
        for source, model, n, right in runs:
            if source == "original":
                if n != DRAWS:
                    raise DataError(f"monkeys/counts: {row.get('id')}, {model} has {n} samples; the original runs have {DRAWS}")
                counts.setdefault(model, []).append(right)
    return {model: np.array(right, dtype=np.int64) for model, right in counts.items()}
