"""[81] The dynamical theory as a law: loss over training steps and size, with both exponents from two numbers of the task.

    loss = T steps^-((a - 1) / b) + P parameters^-min(a - 1, 2 b)

a: how the task's power falls over features, b: how the features' variances do. For b > 1 the optimal number of steps grows faster with compute
than the size. The sum of both limits is an approximation between them; `outthink.laws.methods.dynamical` simulates the model exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outthink.laws.form import Parameter, Variable, law
from outthink.laws.forms.chinchilla import LOSS, PARAMETERS
from outthink.stats._arrays import FloatArray


@law(
    "dynamical", papers=(81,), title="Dynamical theory: steps and size from one task's spectrum",
    formula="loss = T steps^-((a - 1)/b) + P parameters^-min(a - 1, 2 b)", variables=(PARAMETERS, Variable("steps", "updates so far", "steps")),
    target=LOSS,
    parameters=(
        Parameter("T", "coefficient of the time-limited loss", "nats per token", low=0.0, starts=(0.1, 1e3)),
        Parameter("P", "coefficient of the size-limited loss", "nats per token", low=0.0, starts=(0.1, 1e3)),
        Parameter("a", "exponent of the task's power over features", low=1.0, high=10.0, starts=(1.1, 3.0)),
        Parameter("b", "exponent of the features' variances", low=0.0, starts=(0.5, 3.0)),
    ),
    linear=("T", "P"), source="Bordelon, Atanasov and Pehlevan 2024, their limits of infinite size and of infinite time",
    valid="gradient flow on random features with power-law spectra, inside the spectrum: steps below M^b / 10, size below M / 10 features",
)  # fmt: skip
@dataclass(frozen=True)
class Dynamical:
    """Loss of a model of some size after some steps."""

    T: float
    P: float
    a: float
    b: float

    @property
    def exponents(self) -> tuple[float, float]:
        """Of the steps and of the size."""
        return (self.a - 1.0) / self.b, np.where(np.real(self.a) - 1.0 < 2.0 * np.real(self.b), self.a - 1.0, 2.0 * self.b)  # type: ignore[return-value]

    def __call__(self, parameters: FloatArray, steps: FloatArray) -> FloatArray:
        by_time, by_size = self.exponents
        return np.asarray(self.T * np.exp(-by_time * np.log(steps)) + self.P * np.exp(-by_size * np.log(parameters)))
