"""[101] The rectified law of fine-tuning: loss over the samples tuned on, flat first and a power law then.

    rectified   loss = B / (D_l + D^beta) + E

D_l is what pre-training is worth in samples (raised to beta): below it more samples hardly help. With D_l = 0 it is the plain shifted power law,
which bends the wrong way at few samples. E and beta trade off on few points; a fit says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outthink.laws.form import Parameter, Variable, law
from outthink.laws.forms.chinchilla import LOSS
from outthink.stats._arrays import FloatArray


@law(
    "rectified", papers=(101, 114), title="Rectified law of fine-tuning", formula="loss = B / (D_l + samples^beta) + E",
    variables=(Variable("samples", "examples fine-tuned on", "samples"),), target=LOSS,
    parameters=(
        Parameter("B", "coefficient of what tuning removes", "nats per token", low=0.0, starts=(0.1, 1e5)),
        Parameter("E", "loss that no number of samples removes", "nats per token", low=0.0, starts=(0.01, 3.0)),
        Parameter("D_l", "what pre-training is worth: samples^beta of the bend", low=0.0, starts=(1.0, 1e4)),
        Parameter("beta", "exponent of the samples", low=0.0, starts=(0.1, 1.5)),
    ),
    linear=("B", "E"), source="Lin et al. 2024, equation 4, and their repository",
    valid="30 models of 0.1B to 7B parameters tuned on 200 to 1.6M samples of FLAN, WMT19 and Gigaword",
)  # fmt: skip
@dataclass(frozen=True)
class Rectified:
    """Loss after fine-tuning on so many samples."""

    B: float
    E: float
    D_l: float
    beta: float

    def __call__(self, samples: FloatArray) -> FloatArray:
        return self.B / (self.D_l + np.exp(self.beta * np.log(samples))) + self.E
