"""[109] Routed language models: loss over the dense size N and the number of experts E, bilinear in their logarithms.

    log10 loss = a log10 N + b log10 Ê + c log10 N log10 Ê + d
    1 / Ê = 1 / (E - 1 + 1 / (1 / E_start - 1 / E_max)) + 1 / E_max

Ê saturates: it is E_start at E = 1 and tends to E_max. Routing helps (b < 0) and helps large models less (c > 0): it stops at N = 10^(-b/c).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outthink.laws.form import Parameter, Variable, law
from outthink.laws.forms.chinchilla import LOSS
from outthink.stats._arrays import FloatArray


@law(
    "routed", papers=(109,), title="Routed (mixture-of-experts) models: size and number of experts",
    formula="log10 loss = a log10 N + b log10 Ê + c log10 N log10 Ê + d,  1/Ê = 1/(E - 1 + 1/(1/E_start - 1/E_max)) + 1/E_max",
    variables=(
        Variable("parameters", "parameters that one token meets: those of the dense model", "parameters"),
        Variable("experts", "experts a routed layer; 1 for a dense model", "experts", low=1.0, open_low=False),
    ),
    target=LOSS,
    parameters=(
        Parameter("a", "exponent of the size", starts=(-0.3, 0.0)),
        Parameter("b", "exponent of the experts at one parameter", starts=(-0.5, 0.0)),
        Parameter("c", "what a factor of ten in size takes from the experts' exponent", starts=(0.0, 0.05)),
        Parameter("d", "log10 loss at one parameter and one effective expert", starts=(0.5, 2.0)),
        Parameter("start", "E_start: effective experts of a dense model", low=1e-3, high=50.0, starts=(1.0, 8.0)),
        Parameter("most", "E_max: effective experts that no number of experts exceeds", low=50.0, starts=(100.0, 2000.0)),
    ),
    linear=("a", "b", "c", "d"), link="log10", source="Clark et al. 2022, equations 5 to 9, and their repository",
    valid="15M to 1.3B dense parameters, 1 to 512 experts, 130B tokens, routing in every second layer, one expert a token",
)  # fmt: skip
@dataclass(frozen=True)
class Routed:
    """Loss of a model with so many parameters a token and so many experts a routed layer."""

    a: float
    b: float
    c: float
    d: float
    start: float
    most: float

    def effective_experts(self, experts: FloatArray) -> FloatArray:
        """Ê, from E_start at 1 up to E_max."""
        return np.asarray(1.0 / (1.0 / (experts - 1.0 + 1.0 / (1.0 / self.start - 1.0 / self.most)) + 1.0 / self.most))

    def __call__(self, parameters: FloatArray, experts: FloatArray) -> FloatArray:
        size, many = np.log10(parameters), np.log10(self.effective_experts(experts))
        return np.asarray(np.exp(np.log(10.0) * (self.a * size + self.b * many + self.c * size * many + self.d)))

    def dense_equivalent(self, parameters: FloatArray, experts: FloatArray) -> FloatArray:
        """Size of the dense model with the same loss: N itself at one expert."""
        many = self.effective_experts(experts)
        dense = self.a + self.c * np.log10(self.start)
        return np.asarray(parameters ** ((self.a + self.c * np.log10(many)) / dense) * (many / self.start) ** (self.b / dense))

    @property
    def cutoff(self) -> float:
        """Parameters at which more experts stop helping."""
        return float(10.0 ** (-self.b / self.c))
