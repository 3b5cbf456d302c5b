"""[132] Laws of a model's shape: loss over width, depth, tokens and, in the four-term law, parameters as well.

    width-depth         loss = E + A width^-alpha + B depth^-beta + D tokens^-delta
    width-depth-size    the same, + C parameters^-gamma

The published three-term fit has no floor at all (its logarithm is below -100): a fit says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outthink.laws.form import Parameter, Variable, law
from outthink.laws.forms.chinchilla import LOSS, PARAMETERS, TOKENS
from outthink.stats._arrays import FloatArray

WIDTH = Variable("width", "of the residual stream", "units")
DEPTH = Variable("depth", "layers", "layers")
_RANGE = "Gemstones: 50M to 2B parameters, widths 256 to 3072, depths 3 to 80, up to 350B tokens"
_SOURCE = "McLeish et al. 2025, approach 3"


def _falling(data: FloatArray, exponent: float) -> FloatArray:
    return np.asarray(np.exp(-exponent * np.log(data)))


@law(
    "width-depth", papers=(132,), title="Width, depth and tokens", formula="loss = E + A width^-alpha + B depth^-beta + D tokens^-delta",
    variables=(WIDTH, DEPTH, TOKENS), target=LOSS,
    parameters=(
        Parameter("A", "coefficient of the width", "nats per token", low=0.0, starts=(0.1, 1e4)),
        Parameter("B", "coefficient of the depth", "nats per token", low=0.0, starts=(0.1, 1e3)),
        Parameter("D", "coefficient of the data", "nats per token", low=0.0, starts=(1.0, 1e7)),
        Parameter("E", "loss that no shape and no data removes", "nats per token", low=0.0, starts=(0.3, 4.0)),
        Parameter("alpha", "exponent of the width", low=0.0, starts=(0.05, 1.5)),
        Parameter("beta", "exponent of the depth", low=0.0, starts=(0.05, 1.5)),
        Parameter("delta", "exponent of the data", low=0.0, starts=(0.05, 1.5)),
    ),
    linear=("A", "B", "D", "E"), source=_SOURCE, valid=_RANGE,
)  # fmt: skip
@dataclass(frozen=True)
class WidthDepth:
    """Loss of a model of some width and depth after some tokens."""

    A: float
    B: float
    D: float
    E: float
    alpha: float
    beta: float
    delta: float

    def __call__(self, width: FloatArray, depth: FloatArray, tokens: FloatArray) -> FloatArray:
        return self.E + self.A * _falling(width, self.alpha) + self.B * _falling(depth, self.beta) + self.D * _falling(tokens, self.delta)

    def gradient(self, width: FloatArray, depth: FloatArray, tokens: FloatArray) -> tuple[FloatArray, ...]:
        """d loss / d field, in the order of the fields."""
        wide, deep, data = _falling(width, self.alpha), _falling(depth, self.beta), _falling(tokens, self.delta)
        by_exponent = (-self.A * wide * np.log(width), -self.B * deep * np.log(depth), -self.D * data * np.log(tokens))
        return wide, deep, data, np.ones_like(wide), *by_exponent


@law(
    "width-depth-size", papers=(132,), title="Width, depth, parameters and tokens",
    formula="loss = E + A width^-alpha + B depth^-beta + C parameters^-gamma + D tokens^-delta", variables=(WIDTH, DEPTH, PARAMETERS, TOKENS),
    target=LOSS,
    parameters=(
        Parameter("A", "coefficient of the width", "nats per token", low=0.0, starts=(0.1, 1e4)),
        Parameter("B", "coefficient of the depth", "nats per token", low=0.0, starts=(0.1, 1e3)),
        Parameter("C", "coefficient of the size", "nats per token", low=0.0, starts=(1.0, 1e5)),
        Parameter("D", "coefficient of the data", "nats per token", low=0.0, starts=(1.0, 1e7)),
        Parameter("E", "loss that no shape and no data removes", "nats per token", low=0.0, starts=(0.3, 4.0)),
        Parameter("alpha", "exponent of the width", low=0.0, starts=(0.05, 1.5)),
        Parameter("beta", "exponent of the depth", low=0.0, starts=(0.05, 1.5)),
        Parameter("gamma", "exponent of the size", low=0.0, starts=(0.05, 1.5)),
        Parameter("delta", "exponent of the data", low=0.0, starts=(0.05, 1.5)),
    ),
    linear=("A", "B", "C", "D", "E"), source=_SOURCE, valid=_RANGE,
)  # fmt: skip
@dataclass(frozen=True)
class WidthDepthSize:
    """Loss of a model of some width, depth and size after some tokens."""

    A: float
    B: float
    C: float
    D: float
    E: float
    alpha: float
    beta: float
    gamma: float
    delta: float

    def __call__(self, width: FloatArray, depth: FloatArray, parameters: FloatArray, tokens: FloatArray) -> FloatArray:
        shape = self.A * _falling(width, self.alpha) + self.B * _falling(depth, self.beta)
        return self.E + shape + self.C * _falling(parameters, self.gamma) + self.D * _falling(tokens, self.delta)

    def gradient(self, width: FloatArray, depth: FloatArray, parameters: FloatArray, tokens: FloatArray) -> tuple[FloatArray, ...]:
        """d loss / d field, in the order of the fields."""
        pairs = ((self.A, self.alpha, width), (self.B, self.beta, depth), (self.C, self.gamma, parameters), (self.D, self.delta, tokens))
        terms = [_falling(data, exponent) for _, exponent, data in pairs]
        return *terms, np.ones_like(terms[0]), *(-size * term * np.log(data) for (size, _, data), term in zip(pairs, terms, strict=True))
