"""Power laws of one resource: plain, above a floor, and shifted along the resource.

power           loss = a x^-b
power-floor     loss = floor + a x^-b
power-shifted   loss = floor + a (x + shift)^-b
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outthink.laws.form import Parameter, Variable, law
from outthink.stats._arrays import FloatArray

RESOURCE = Variable("x", "resource: parameters, tokens, FLOPs, samples", "resource")
MEASURE = Variable("loss", "loss or error")
_COEFFICIENT = Parameter("a", "of the falling term, at x = 1", low=0.0, starts=(1e-3, 1e4))
_FLOOR = Parameter("floor", "that no resource removes", low=0.0, starts=(0.01, 3.0))
_EXPONENT = Parameter("b", "exponent", low=0.0, starts=(0.02, 1.5))


@law(
    "power", papers=(57, 76, 96), title="Power law", formula="loss = a x^-b", variables=(RESOURCE,), target=MEASURE,
    parameters=(_COEFFICIENT, Parameter("b", "exponent; negative for what grows", starts=(-0.5, 1.5))), linear=("a",),
    source="Hestness et al. 2017; Kaplan et al. 2020, equation 1.1", valid="far from any floor: the local slope must not change over the data",
)  # fmt: skip
@dataclass(frozen=True)
class Power:
    """A straight line in log-log."""

    a: float
    b: float

    def __call__(self, x: FloatArray) -> FloatArray:
        return self.a * np.exp(-self.b * np.log(x))


@law(
    "power-floor", papers=(61, 76, 96, 112), title="Power law above a floor", formula="loss = floor + a x^-b", variables=(RESOURCE,),
    target=MEASURE, parameters=(_FLOOR, _COEFFICIENT, _EXPONENT), linear=("floor", "a"),
    source="Henighan et al. 2020, equation 1.1", valid="at least two decades of x, or the floor and the exponent trade against each other",
)  # fmt: skip
@dataclass(frozen=True)
class PowerFloor:
    """A power law that ends in an irreducible loss."""

    floor: float
    a: float
    b: float

    def __call__(self, x: FloatArray) -> FloatArray:
        return self.floor + self.a * np.exp(-self.b * np.log(x))


@law(
    "power-shifted", papers=(96, 112), title="Power law shifted along the resource", formula="loss = floor + a (x + shift)^-b",
    variables=(RESOURCE,), target=MEASURE,
    parameters=(
        _FLOOR, _COEFFICIENT, Parameter("shift", "resource that counts as spent at x = 0", "resource", low=0.0, starts=(1e-3, 1e24)), _EXPONENT,
    ),
    linear=("floor", "a"), source="Alabdulmohsin et al. 2022, form M3 with the shift on the resource",
    valid="curves that are flat at small x and fall as a power later",
)  # fmt: skip
@dataclass(frozen=True)
class PowerShifted:
    """A power law with a flat beginning."""

    floor: float
    a: float
    shift: float
    b: float

    def __call__(self, x: FloatArray) -> FloatArray:
        return self.floor + self.a * np.exp(-self.b * np.log(x + self.shift))
