"""Chances of drawing none of a marked set when k of n samples are drawn without replacement, stable for n = 10,000 and beyond.

    miss(n, m, k) = C(n - m, k) / C(n, k) = prod_{i < m} (1 - k / (n - i))
                                          = prod_{i < k} (1 - m / (n - i))

Both products are summed in logs as log1p terms of one sign, so nothing overflows and nothing cancels; a difference of four
log-factorials would lose about six digits of a small pass@k at n = 10,000.
"""

import numpy as np

from outthink.stats._arrays import FloatArray, IntArray


def log_miss_table(n: int, k: IntArray, marked: int) -> FloatArray:
    """log miss(n, m, k) for m = 0..marked at every k: shape (len(k), marked + 1). Needs marked <= n and every k <= n."""
    left = (n - np.arange(marked)).astype(np.float64)  # (marked,) samples left when the i-th marked one is considered
    chance = np.minimum(k[:, None] / left[None, :], 1.0)
    table = np.zeros((len(k), marked + 1))
    with np.errstate(divide="ignore"):
        np.cumsum(np.log1p(-chance), axis=1, out=table[:, 1:])
    return table


def log_factorials(n: int) -> FloatArray:
    """log i! for i = 0..n, as one running sum of logs."""
    table = np.zeros(n + 1)
    np.cumsum(np.log(np.arange(1, n + 1)), out=table[1:])
    return table
