"""The learning rate and the batch size at which loss is lowest, as power laws of size and data.

    learning-rate   rate  = c N^size D^data
    batch-size      batch = c D^data

Fit them to the best setting of each (N, D) in a sweep. Published (Li et al. 2025, the "Step Law", over 3,700 models, N without the
vocabulary): c = 1.79, size = -0.713, data = 0.307 for the peak rate of AdamW, and c = 0.58, data = 0.571 for the batch in tokens. [111]
tunes both per size and finds that this, not the schedule, is the last step from Kaplan's exponent to Chinchilla's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outthink.laws.form import Parameter, Variable, law
from outthink.laws.forms.chinchilla import PARAMETERS, TOKENS
from outthink.stats._arrays import FloatArray

_SOURCE = "Li et al. 2025, arXiv 2503.04715; compare DeepSeek 2024 (powers of compute) and [111]"
_VALID = "60M to 1B parameters, 2B to 100B tokens; a setting's optimum is flat, so a sweep in factors of 2 finds it within about a factor of 1.4"


@law(
    "learning-rate", papers=(111,), title="Best learning rate by size and data", formula="learning_rate = c parameters^size tokens^data",
    variables=(PARAMETERS, TOKENS), target=Variable("learning_rate", "peak learning rate of the best run"),
    parameters=(
        Parameter("c", "coefficient", low=0.0, starts=(1e-4, 1e4)),
        Parameter("size", "exponent of the model's size", starts=(-1.5, 0.5)),
        Parameter("data", "exponent of the data", starts=(-1.0, 1.0)),
    ),
    linear=("c",), source=_SOURCE, valid=_VALID,
)  # fmt: skip
@dataclass(frozen=True)
class LearningRate:
    """Peak learning rate at which loss is lowest."""

    c: float
    size: float
    data: float

    def __call__(self, parameters: FloatArray, tokens: FloatArray) -> FloatArray:
        return self.c * np.exp(self.size * np.log(parameters) + self.data * np.log(tokens))


@law(
    "batch-size", papers=(111,), title="Best batch size by data", formula="batch = c tokens^data", variables=(TOKENS,),
    target=Variable("batch", "tokens per step of the best run", "tokens per step"),
    parameters=(Parameter("c", "coefficient", low=0.0, starts=(1e-3, 1e5)), Parameter("data", "exponent of the data", starts=(-0.5, 1.5))),
    linear=("c",), source=_SOURCE, valid=_VALID,
)  # fmt: skip
@dataclass(frozen=True)
class BatchSize:
    """Batch at which loss is lowest."""

    c: float
    data: float

    def __call__(self, tokens: FloatArray) -> FloatArray:
        return self.c * np.exp(self.data * np.log(tokens))
