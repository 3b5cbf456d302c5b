"""[57] Loss along a training run: over model size, steps and batch size, without an irreducible loss.

    L = (N_c / N)^alpha_N + (S_c / S_min)^alpha_S,   S_min = S / (1 + B_crit(L) / B),   B_crit(L) = B_star / L^(1 / alpha_B)

L stands on both sides; the right one falls as L grows, so there is one solution, found by bisection. At B = B_crit exactly twice the least number
of steps and twice the least number of examples are used. Beyond its data the law goes to zero, where a law with a floor does not.
`fit_trajectory` estimates it in the paper's four steps; leave warm-up and the last decay out of what it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import DataError
from outthink.laws.form import Parameter, Variable, law
from outthink.laws.forms.chinchilla import LOSS, PARAMETERS
from outthink.laws.frontier import power_fit
from outthink.stats._arrays import FloatArray

_HALVINGS, _NEWTON, _DECADES, _DEGREE = 24, 3, 30.0, 3


@law(
    "trajectory", papers=(57,), title="Loss over size, steps and batch size",
    formula="loss = (N_c/parameters)^alpha_N + (S_c/S_min)^alpha_S,  S_min = steps/(1 + B_star/(batch loss^(1/alpha_B)))",
    variables=(PARAMETERS, Variable("steps", "updates so far", "steps"), Variable("batch", "tokens a step", "tokens")), target=LOSS,
    parameters=(
        Parameter("N_c", "size at which the first term is 1", "parameters", low=0.0, starts=(1e12, 1e16)),
        Parameter("alpha_N", "exponent of the size", low=0.0, starts=(0.05, 0.12)),
        Parameter("S_c", "least steps at which the second term is 1", "steps", low=0.0, starts=(5e2, 1e4)),
        Parameter("alpha_S", "exponent of the steps", low=0.0, starts=(0.5, 0.9)),
        Parameter("B_star", "critical batch at a loss of 1", "tokens", low=0.0, starts=(3e7, 1e9)),
        Parameter("alpha_B", "how the critical batch falls with the loss", low=0.0, starts=(0.17, 0.25)),
    ),
    source="Kaplan et al. 2020, section 5; estimated step by step as in [57]",
    valid="1M to 33B parameters in [57]; constants belong to tokenizer, context and warm-up, exponents less so",
)  # fmt: skip
@dataclass(frozen=True)
class Trajectory:
    """Loss of a model of some size after some steps at some batch size."""

    N_c: float
    alpha_N: float
    S_c: float
    alpha_S: float
    B_star: float
    alpha_B: float

    def critical_batch(self, loss: FloatArray) -> FloatArray:
        """Tokens a step at which steps and examples are traded evenly."""
        return np.asarray(self.B_star * np.exp(-np.log(loss) / self.alpha_B))

    def converged(self, parameters: FloatArray) -> FloatArray:
        """Loss after infinitely many steps."""
        return np.asarray(np.exp(self.alpha_N * (np.log(self.N_c) - np.log(parameters))))

    def __call__(self, parameters: FloatArray, steps: FloatArray, batch: FloatArray) -> FloatArray:
        loss = self._bisected(parameters, steps, batch)
        least, slow = self.converged(parameters), self.alpha_S * (np.log(self.S_c) - np.log(steps))
        for _ in range(_NEWTON):  # to the last digit, with the exact derivatives by the parameters that a bisection does not carry
            ratio = self.critical_batch(loss) / batch
            term = np.exp(slow + self.alpha_S * np.log1p(ratio))
            loss = loss + (least + term - loss) / (1.0 + term * self.alpha_S * ratio / (1.0 + ratio) / (self.alpha_B * loss))
        return np.asarray(loss)

    def gradient(self, parameters: FloatArray, steps: FloatArray, batch: FloatArray) -> tuple[FloatArray, ...]:
        """d loss / d field, in the order of the fields: of the implicit equation, so one solution serves all."""
        loss = self(parameters, steps, batch)
        least = self.converged(parameters)
        ratio = self.critical_batch(loss) / batch
        wasted = np.log(self.S_c) - np.log(steps) + np.log1p(ratio)
        term = np.exp(self.alpha_S * wasted)
        bend = term * self.alpha_S * ratio / (1.0 + ratio)  # how the second term grows with the logarithm of the critical batch
        whole = 1.0 + bend / (self.alpha_B * loss)
        slopes = (
            self.alpha_N / self.N_c * least, (np.log(self.N_c) - np.log(parameters)) * least, self.alpha_S / self.S_c * term, wasted * term,
            bend / self.B_star, bend * np.log(loss) / self.alpha_B**2,
        )  # fmt: skip
        return tuple(np.asarray(slope / whole) for slope in slopes)

    def _bisected(self, parameters: FloatArray, steps: FloatArray, batch: FloatArray) -> FloatArray:
        # in real numbers, on log loss from the converged one upwards
        fields = (self.N_c, self.alpha_N, self.S_c, self.alpha_S, self.B_star, self.alpha_B)
        n_c, alpha_n, s_c, alpha_s, star, alpha_b = (np.real(field) for field in fields)
        low = alpha_n * (np.log(n_c) - np.log(parameters))
        least, slow = np.exp(low), alpha_s * (np.log(s_c) - np.log(steps))
        relative = np.log(star) - np.log(batch)
        low, high = low + 0.0 * slow, low + 0.0 * slow + _DECADES
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            larger = least + np.exp(slow + alpha_s * np.logaddexp(0.0, relative - middle / alpha_b)) > np.exp(middle)
            low, high = np.where(larger, middle, low), np.where(larger, high, middle)
        return np.asarray(np.exp((low + high) / 2.0))


def fit_trajectory(
    converged: tuple[ArrayLike, ArrayLike], runs: Sequence[tuple[float, float, ArrayLike, ArrayLike]], *, levels: int = 12
) -> Trajectory:
    """The four steps of [57].

    1. N_c and alpha_N by a line in log-log through converged losses. 2. At each of several losses, the steps at which each batch size of one model
    size reaches it: steps = S_min (1 + B_crit / batch), so a line in 1 / batch gives B_crit. 3. B_star and alpha_B by a line through these. 4. All
    logged steps as S_min; S_c and alpha_S by a line through what the loss has above the converged one.

    Args:
        converged: (sizes, losses) of models trained to convergence at a large batch.
        runs: (parameters, batch, steps (points,), losses (points,)) each, at least three batch sizes for one of the sizes; all sizes that have
            them are used, where the paper takes one.
        levels: losses at which the critical batch is read.

    Raises:
        DataError: no size has three batch sizes whose losses overlap.
    """
    exponent, coefficient = power_fit(*converged)
    size_law = (coefficient ** (-1.0 / exponent), -exponent)
    found = [pair for size in sorted({size for size, *_ in runs}) for pair in _critical([run for run in runs if run[0] == size], levels)]
    if len(found) < 2:
        raise DataError(
            f"a critical batch was found at {len(found)} losses and two are needed: some size must be trained at three or more batch sizes that pass "
            "the same losses"
        )
    loss_exponent, star = power_fit(*zip(*found, strict=True))
    law_so_far = Trajectory(*size_law, 1.0, 1.0, star, -1.0 / loss_exponent)
    fastest, gap = [], []
    for size, batch, steps, losses in runs:
        loss = np.asarray(losses, dtype=np.float64)
        rest = loss - law_so_far.converged(np.array(size))
        kept = rest > 0.02 * loss  # what is left is noise
        fastest.append((np.asarray(steps, dtype=np.float64) / (1.0 + law_so_far.critical_batch(loss) / batch))[kept])
        gap.append(rest[kept])
    step_exponent, step_coefficient = power_fit(np.concatenate(fastest), np.concatenate(gap))
    return Trajectory(*size_law, float(step_coefficient ** (-1.0 / step_exponent)), -step_exponent, float(star), -1.0 / loss_exponent)


def _critical(runs: Sequence[tuple[float, float, ArrayLike, ArrayLike]], levels: int) -> list[tuple[float, float]]:
    # (loss, critical batch) pairs of one model size
    if len({batch for _, batch, *_ in runs}) < 3:
        return []
    curves = [(batch, *_smoothed(np.asarray(steps, dtype=np.float64), np.asarray(losses, dtype=np.float64))) for _, batch, steps, losses in runs]
    high, low = min(losses[0] for *_, losses in curves), max(losses[-1] for *_, losses in curves)
    if not high > low:
        return []
    inverse = 1.0 / np.array([batch for batch, *_ in curves])
    found = []
    for level in np.geomspace(low * 1.01, high * 0.99, levels):
        needed = np.array([np.exp(np.interp(-level, -losses, np.log(steps))) for _, steps, losses in curves])
        # relative errors: every batch size counts alike
        slope, least = np.linalg.lstsq(np.stack([inverse, np.ones_like(inverse)], axis=1) / needed[:, None], np.ones_like(needed), rcond=None)[0]
        if slope > 0.0 and least > 0.0:
            found.append((float(level), float(slope / least)))
    return found


def _smoothed(steps: FloatArray, losses: FloatArray) -> tuple[FloatArray, FloatArray]:
    # a low polynomial in log-log: the critical batch is read off levels, where noise would move the steps by its share over the slope
    x = np.log(steps)
    curve = np.exp(np.polyval(np.polyfit(x, np.log(losses), min(_DEGREE, len(x) - 1)), x))
    return steps, np.minimum.accumulate(curve)
