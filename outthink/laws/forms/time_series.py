"""[76] The law of time-series foundation models: one straight line in log-log, written with the size at which the loss would be 1.

    loss = (x0 / x)^a

There is no floor. x0 is not identified by data: it lies tens of decades beyond them where a is small (1e31 at a = .026), and moves by decades
with the noise. Compare predictions and exponents, never x0. A likelihood of continuous values can be 0 or negative, where no logarithm exists:
such losses are refused; shift them, or use `power-floor` on another measure. The lowest of many noisy evaluations is biased downwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import DataError
from outthink.laws.form import Parameter, law
from outthink.laws.forms.power import MEASURE, RESOURCE
from outthink.stats._arrays import FloatArray


@law(
    "time-series", papers=(76,), title="Time-series foundation models: a power law without a floor", formula="loss = (x0 / x)^a",
    variables=(RESOURCE,), target=MEASURE,
    parameters=(
        Parameter("x0", "resource at which the loss would be 1; far outside the data and not identified", "resource", low=0.0, starts=(1e7, 1e45)),
        Parameter("a", "exponent", low=0.0, starts=(0.01, 0.15)),
    ),
    source="Yao et al. 2024, and the figures of their repository",
    valid="872 to 1.0e9 parameters, 1e7 to 1.6e10 time points; losses above 0, far from any floor",
)  # fmt: skip
@dataclass(frozen=True)
class TimeSeries:
    """Loss of a forecaster over one resource."""

    x0: float
    a: float

    def __call__(self, x: FloatArray) -> FloatArray:
        return np.asarray(np.exp(self.a * (np.log(self.x0) - np.log(x))))


def fit_log_line(x: ArrayLike, loss: ArrayLike) -> TimeSeries:
    """The law by ordinary least squares of log10 loss on log10 x, as published.

    Args:
        x: (points,) parameters, time points or compute, above 0, at least two different ones.
        loss: (points,), above 0.

    Raises:
        DataError: shapes do not fit, a number is not above 0, x does not vary, or the loss does not fall far enough for x0 to be a number.
    """
    size, observed = np.asarray(x, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    if size.ndim != 1 or size.shape != observed.shape or np.unique(size).size < 2:
        raise DataError(f"a line needs as many losses as sizes, and two different sizes; got shapes {size.shape} and {observed.shape}")
    for name, values in (("x", size), ("loss", observed)):
        if not np.all((values > 0.0) & np.isfinite(values)):
            wrong = int(np.argmax(~((values > 0.0) & np.isfinite(values))))
            raise DataError(f"{name} must be above 0 for its logarithm, got {values[wrong]:g} at point {wrong}; a likelihood below 0 needs a shift")
    slope, height = np.polyfit(np.log10(size), np.log10(observed), 1)
    if slope >= 0.0 or not abs(height / slope) < 300.0:
        raise DataError(f"the loss does not fall with x (exponent {-slope:.2g}): (x0 / x)^a has no such curve; fit `power` instead")
    return TimeSeries(float(10.0 ** (-height / slope)), float(-slope))
