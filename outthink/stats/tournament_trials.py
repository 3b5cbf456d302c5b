"""[72] Knockout tournaments simulated many at once, for any N: the check of the exact law, and the answer where it has none (byes)."""

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]

# Comparisons drawn at once, as float64 entries: 32 MB.
_CHUNK = 1 << 22


def knockout_trials(p_gen: float, p_comp: float, n: int, k: int, *, trials: int, seed: int) -> BoolArray:
    """Whether the winner is right, in each of `trials` tournaments: (trials,).

    p_gen: chance that a candidate is right; p_comp: chance that one comparison of a right with a wrong one picks the right one; n:
    candidates; k: comparisons a match, a draw decided by a fair coin; an odd one passes. Every comparison is drawn, none is reused.
    Raises ValueError on chances outside [0, 1] or counts below 1.
    """
    if not (0.0 <= p_gen <= 1.0 and 0.0 <= p_comp <= 1.0):
        raise ValueError(f"p_gen and p_comp must be probabilities, got {p_gen} and {p_comp}.")
    if min(n, k, trials) < 1:
        raise ValueError(f"n, k and trials must be at least 1, got {n}, {k} and {trials}.")
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // (n * k))
    return np.concatenate([_play(p_gen, p_comp, n, k, min(step, trials - start), rng) for start in range(0, trials, step)])


def _play(p_gen: float, p_comp: float, n: int, k: int, trials: int, rng: np.random.Generator) -> BoolArray:
    right = rng.random((trials, n)) < p_gen  # (trials, candidates still in)
    while right.shape[1] > 1:
        pairs = right.shape[1] // 2
        first, second, passing = right[:, 0 : 2 * pairs : 2], right[:, 1 : 2 * pairs : 2], right[:, 2 * pairs :]
        for_right = (rng.random((trials, pairs, k)) < p_comp).sum(axis=2)
        coin = rng.random((trials, pairs)) < 0.5
        right_wins = (2 * for_right > k) | ((2 * for_right == k) & coin)
        right = np.concatenate([np.where(first == second, first, right_wins), passing], axis=1)
    return np.asarray(right[:, 0])
