"""Laws of loss over parameters and training tokens: the Chinchilla form, its tied variant, and the joint form of Kaplan et al.

chinchilla        loss = E + A N^-alpha + B D^-beta
chinchilla-tied   loss = E + A N^-alpha + B D^-alpha            (parameters and tokens then grow alike with compute)
kaplan            loss = E + ((A / N)^(alpha / beta) + B / D)^beta   (Kaplan et al. have E = 0)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outthink.laws.form import Parameter, Variable, law
from outthink.stats._arrays import FloatArray

PARAMETERS = Variable("parameters", "size of the model", "parameters")
TOKENS = Variable("tokens", "training data seen", "tokens")
LOSS = Variable("loss", "loss", "nats per token")
_RANGE = "dense language models of 44M to 16B parameters on 0.2B to 0.5T tokens, each trained with a schedule of that length"


@law(
    "chinchilla", papers=(96, 111, 132), title="Chinchilla: additive law of parameters and tokens",
    formula="loss = E + A parameters^-alpha + B tokens^-beta", variables=(PARAMETERS, TOKENS), target=LOSS,
    parameters=(
        Parameter("A", "coefficient of the model's size", "nats per token", low=0.0, starts=(1.0, 1e5)),
        Parameter("B", "coefficient of the data", "nats per token", low=0.0, starts=(1.0, 1e7)),
        Parameter("E", "loss that no size and no data removes", "nats per token", low=0.0, starts=(0.3, 4.0)),
        Parameter("alpha", "exponent of the model's size", low=0.0, starts=(0.05, 1.5)),
        Parameter("beta", "exponent of the data", low=0.0, starts=(0.05, 1.5)),
    ),
    linear=("A", "B", "E"), source="Hoffmann et al. 2022, equation 2; refitted by Besiroglu et al. 2024; used in [96], [111], [132]",
    valid=_RANGE,
)  # fmt: skip
@dataclass(frozen=True)
class Chinchilla:
    """Loss of a model of some size after some tokens."""

    A: float
    B: float
    E: float
    alpha: float
    beta: float

    def __call__(self, parameters: FloatArray, tokens: FloatArray) -> FloatArray:
        return self.E + self.A * np.exp(-self.alpha * np.log(parameters)) + self.B * np.exp(-self.beta * np.log(tokens))

    def gradient(self, parameters: FloatArray, tokens: FloatArray) -> tuple[FloatArray, ...]:
        """d loss / d (A, B, E, alpha, beta), each (rows,) or with the fields' leading axis."""
        log_n, log_d = np.log(parameters), np.log(tokens)
        by_size, by_data = np.exp(-self.alpha * log_n), np.exp(-self.beta * log_d)
        return by_size, by_data, np.ones_like(by_size), -self.A * by_size * log_n, -self.B * by_data * log_d


@law(
    "chinchilla-tied", papers=(96,), title="Chinchilla with one exponent", formula="loss = E + A parameters^-alpha + B tokens^-alpha",
    variables=(PARAMETERS, TOKENS), target=LOSS,
    parameters=(
        Parameter("A", "coefficient of the model's size", "nats per token", low=0.0, starts=(1.0, 1e5)),
        Parameter("B", "coefficient of the data", "nats per token", low=0.0, starts=(1.0, 1e7)),
        Parameter("E", "loss that no size and no data removes", "nats per token", low=0.0, starts=(0.3, 4.0)),
        Parameter("alpha", "exponent of both", low=0.0, starts=(0.05, 1.5)),
    ),
    linear=("A", "B", "E"), source="the tied option of [96]'s code; Muennighoff et al. 2023", valid=_RANGE,
)  # fmt: skip
@dataclass(frozen=True)
class ChinchillaTied:
    """Loss of a model of some size after some tokens, size and data falling off alike."""

    A: float
    B: float
    E: float
    alpha: float

    def __call__(self, parameters: FloatArray, tokens: FloatArray) -> FloatArray:
        return self.E + self.A * np.exp(-self.alpha * np.log(parameters)) + self.B * np.exp(-self.alpha * np.log(tokens))


@law(
    "kaplan", papers=(57, 61, 96), title="Kaplan's joint law of parameters and tokens",
    formula="loss = E + ((A/parameters)^(alpha/beta) + B/tokens)^beta",
    variables=(PARAMETERS, TOKENS), target=LOSS,
    parameters=(
        Parameter("A", "size at which its term alone is 1 nat per token", "parameters at 1 nat", low=0.0, starts=(1e4, 1e15)),
        Parameter("B", "data at which their term alone is 1 nat per token", "tokens at 1 nat", low=0.0, starts=(1e4, 1e15)),
        Parameter("E", "loss that no size and no data removes", "nats per token", low=0.0, starts=(0.05, 4.0)),
        Parameter("alpha", "exponent of the model's size", low=0.0, starts=(0.03, 1.0)),
        Parameter("beta", "exponent of the data", low=0.0, starts=(0.03, 1.0)),
    ),
    linear=("E",), source="Kaplan et al. 2020, equation 1.5; with a floor in [61] and [96]", valid=_RANGE,
)  # fmt: skip
@dataclass(frozen=True)
class Kaplan:
    """Loss of a model of some size after some tokens, size and data limiting each other."""

    A: float
    B: float
    E: float
    alpha: float
    beta: float

    def __call__(self, parameters: FloatArray, tokens: FloatArray) -> FloatArray:
        by_size = (np.log(self.A) - np.log(parameters)) * self.alpha / self.beta
        by_data = np.log(self.B) - np.log(tokens)
        larger = np.where(np.real(by_size) > np.real(by_data), by_size, by_data)
        both = larger + np.log(np.exp(by_size - larger) + np.exp(by_data - larger))
        return np.asarray(self.E + np.exp(self.beta * both))
