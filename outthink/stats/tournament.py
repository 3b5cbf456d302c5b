"""[72] Knockout tournament among N candidates: the exact law for independent candidates beside the published bound.

    q_0 = p_gen,   q_{r+1} = q_r^2 + 2 q_r (1 - q_r) W      r = 1..log2 N
    W = P(the majority of K comparisons picks the right one of a right and a wrong candidate, a draw decided by a fair coin)

Exact because the two sides of a match are independent with the same chance q_r of being right. The published bound
P(wrong) <= (1 - p_gen)^N + ceil(log2 N) exp(-2 K (p_comp - 1/2)^2) says nothing (it exceeds 1) at practical K: plan with
the law, which also shows that p_comp < 1/2 makes the result worse than one sample.
"""

from math import ceil, exp, log2

import numpy as np

from outthink.stats._hypergeometric import log_factorials


def match_win_probability(p_comp: float, k: int) -> float:
    """W above. p_comp: chance in [0, 1] that one comparison picks the right candidate; k: comparisons a match, at least 1."""
    _check_chance("p_comp", p_comp)
    if k < 1:
        raise ValueError(f"k must be at least 1 comparison a match, got {k}.")
    table = log_factorials(k)
    wins = np.arange(k + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_for = np.where(wins > 0, wins * np.log(p_comp), 0.0)
        log_against = np.where(wins < k, (k - wins) * np.log1p(-p_comp), 0.0)
    chance = np.exp(table[k] - table[wins] - table[k - wins] + log_for + log_against)
    return min(1.0, float(chance[2 * wins > k].sum() + 0.5 * chance[2 * wins == k].sum()))


def knockout_success(p_gen: float, p_comp: float, n: int, k: int) -> float:
    """[72] Exact chance that the winner is right.

    p_gen: chance that a candidate is right; p_comp, k: as in `match_win_probability`; n: candidates, a power of two (with a bye
    the two sides of a match differ in their chances). Raises ValueError otherwise. p_comp = 1 gives 1 - (1 - p_gen)^n.
    """
    _check_chance("p_gen", p_gen)
    if n < 1 or n & (n - 1):
        raise ValueError(f"n must be a power of two for the exact law, got {n}.")
    win = match_win_probability(p_comp, k)
    right = p_gen
    for _ in range(n.bit_length() - 1):
        right = right * right + 2.0 * right * (1.0 - right) * win
    return right


def knockout_failure_bound(p_gen: float, p_comp: float, n: int, k: int) -> float:
    """[72] The published upper bound on the chance that the winner is wrong, as printed: often above 1. Needs p_comp > 1/2."""
    _check_chance("p_gen", p_gen)
    _check_chance("p_comp", p_comp)
    if p_comp <= 0.5:
        raise ValueError(f"the bound of [72] needs p_comp above 1/2, got {p_comp}; knockout_success holds for any.")
    if n < 1 or k < 1:
        raise ValueError(f"n and k must be at least 1, got n = {n}, k = {k}.")
    return (1.0 - p_gen) ** n + ceil(log2(n)) * exp(-2.0 * k * (p_comp - 0.5) ** 2)


def _check_chance(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must be a probability in [0, 1], got {value}.")
