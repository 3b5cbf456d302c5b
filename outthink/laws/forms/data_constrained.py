"""Loss where data repeat: repeated tokens and parameters in excess of the data are worth less and less.

    loss = E + A N'^-alpha + B D'^-alpha
    D' = U_D (1 + repeats_D (1 - e^(-R_D / repeats_D)))     U_D unique tokens, R_D = D / U_D - 1 repetitions
    N' = U_N (1 + repeats_N (1 - e^(-R_N / repeats_N)))     U_N = min(N, (A / B)^(1/alpha) U_D), R_N = N / U_N - 1

U_N is the size that is compute-optimal for the unique tokens. Limit: one epoch of enough data is the tied Chinchilla law exactly; no number
of epochs is worth more than (1 + repeats_D) times the unique tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outthink.laws.form import Parameter, Variable, law
from outthink.laws.forms.chinchilla import LOSS, PARAMETERS, TOKENS
from outthink.stats._arrays import FloatArray

UNIQUE = Variable("unique_tokens", "different tokens among those seen", "tokens")
PUBLISHED = {"A": 520.8, "B": 1487.7, "E": 1.869, "alpha": 0.3526596, "repeats_D": 15.387756, "repeats_N": 5.309743}
"""On C4: exp(6.255414), exp(7.3049974), exp(0.6254804) and so on, Muennighoff et al. 2023, appendix A."""


def _worth(unit: FloatArray, whole: FloatArray, repeats: float) -> FloatArray:
    """`whole` as if fresh, when all beyond `unit` repeats it."""
    again = whole / unit - 1.0
    return unit * (1.0 - repeats * np.expm1(-again / repeats))


@law(
    "data-constrained", papers=(96,), title="Data-constrained law: repeated tokens are worth less",
    formula="loss = E + A N'^-alpha + B D'^-alpha, D' and N' counting repetitions less and less", variables=(PARAMETERS, TOKENS, UNIQUE), target=LOSS,
    parameters=(
        Parameter("A", "coefficient of the model's size", "nats per token", low=0.0, starts=(10.0, 1e4)),
        Parameter("B", "coefficient of the data", "nats per token", low=0.0, starts=(10.0, 1e5)),
        Parameter("E", "loss that no size and no data removes", "nats per token", low=0.0, starts=(0.3, 4.0)),
        Parameter("alpha", "exponent of both", low=0.0, starts=(0.1, 0.8)),
        Parameter("repeats_D", "repetitions of the data that are worth e-fold less", low=0.0, starts=(1.0, 50.0)),
        Parameter("repeats_N", "the same of parameters in excess", low=0.0, starts=(1.0, 50.0)),
    ),
    linear=("E",), source="Muennighoff et al. 2023, equations 5, 6 and 17",
    valid="7M to 9B parameters on C4, 1 to 500 epochs with dropout and weight decay 0.1; loss that rises with too many epochs is outside it",
)  # fmt: skip
@dataclass(frozen=True)
class DataConstrained:
    """Loss of a model of some size after some tokens of which some are different."""

    A: float
    B: float
    E: float
    alpha: float
    repeats_D: float
    repeats_N: float

    def __call__(self, parameters: FloatArray, tokens: FloatArray, unique_tokens: FloatArray) -> FloatArray:
        seen = np.minimum(unique_tokens, tokens)
        enough = np.exp(np.log(self.A / self.B) / self.alpha) * seen
        base = np.where(np.real(enough) < parameters, enough, parameters)
        size = _worth(base, parameters, self.repeats_N)
        data = _worth(seen, tokens, self.repeats_D)
        return self.E + self.A * np.exp(-self.alpha * np.log(size)) + self.B * np.exp(-self.alpha * np.log(data))
