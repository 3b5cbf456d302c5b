"""The smoothly broken power law: two slopes in log-log, joined over a width that is fitted too.

    loss = floor + a x^-b (1 + (x / break)^(1 / width))^(-change width)

Slope -b far below the break and -(b + change) far above; width is the number of e-foldings over which it turns. change < -b gives a curve
that rises after the break. Limit: change = 0 is the power law above a floor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outthink.laws.form import Parameter, law
from outthink.laws.forms.power import MEASURE, RESOURCE
from outthink.stats._arrays import FloatArray


def softplus(z: FloatArray) -> FloatArray:
    """log(1 + e^z) without overflow, for complex z with a small imaginary part too."""
    above = np.real(z) > 0.0
    return np.where(above, z, 0.0) + np.log1p(np.exp(np.where(above, -z, z)))


@law(
    "broken", papers=(76, 122), title="Smoothly broken power law", formula="loss = floor + a x^-b (1 + (x/x_break)^(1/width))^(-change width)",
    variables=(RESOURCE,), target=MEASURE,
    parameters=(
        Parameter("floor", "that no resource removes", low=0.0, starts=(0.01, 3.0)),
        Parameter("a", "of the falling term, at x = 1", low=0.0, starts=(1e-3, 1e4)),
        Parameter("b", "exponent below the break", starts=(-0.2, 1.0)),
        Parameter("change", "added to the exponent above the break", starts=(-1.0, 1.0)),
        Parameter("x_break", "place of the break", "resource", low=0.0, starts=(1e-3, 1e24)),
        Parameter("width", "of the break, in e-foldings of x", low=0.0, starts=(0.1, 1.5)),
    ),
    linear=("floor", "a"), source="Caballero et al. 2022, equation 1 with one break; repository broken_neural_scaling_laws",
    valid="at least ten rows with some on either side of the break; a break beyond the data cannot be known",
)  # fmt: skip
@dataclass(frozen=True)
class Broken:
    """Two power laws joined smoothly."""

    floor: float
    a: float
    b: float
    change: float
    x_break: float
    width: float

    def __call__(self, x: FloatArray) -> FloatArray:
        log_x = np.log(x)
        turned = self.width * softplus((log_x - np.log(self.x_break)) / self.width)
        return self.floor + self.a * np.exp(-self.b * log_x - self.change * turned)
