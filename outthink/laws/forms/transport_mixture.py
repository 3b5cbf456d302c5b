"""[85] Performance of a mixture of two data sources as a law, so that it can be fitted, compared and bootstrapped like any other.

    performance = (d0 + d1 p + d2 p^2) OT + (s0 + s1 p + s2 p^2)        p share of the second source, OT distance of the mixture to the target

With two sources the paper's quadratic without cross terms is the general quadratic in p. For more sources, the transport itself and the choice of
a mixture, see `outthink.laws.methods.mixtures`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.laws.form import Parameter, Variable, law
from outthink.stats._arrays import FloatArray


@law(
    "transport-mixture",
    papers=(85,),
    title="Performance of a mixture of two data sources",
    formula="performance = (d0 + d1 share + d2 share^2) distance + s0 + s1 share + s2 share^2",
    variables=(
        Variable("share", "of the second source in the mixture", "share", high=1.0, open_low=False),
        Variable("distance", "optimal transport from the mixture to the validation set, debiased", open_low=False),
    ),
    target=Variable("performance", "accuracy, or any score of one training size", low=-np.inf),
    parameters=(
        Parameter("d0", "change for each unit of distance, first source alone"),
        Parameter("d1", "its change with the share"),
        Parameter("d2", "its bend"),
        Parameter("s0", "performance of the first source at distance 0"),
        Parameter("s1", "its change with the share"),
        Parameter("s2", "its bend"),
    ),
    linear=("d0", "d1", "d2", "s0", "s1", "s2"),
    source="[85] stage 1, from the notes; the authors' repository was not available",
    valid="one training size, distances between equally many points; six coefficients need a dozen mixtures",
)
@dataclass(frozen=True)
class TransportMixture:
    """Performance, in its own unit."""

    d0: float
    d1: float
    d2: float
    s0: float
    s1: float
    s2: float

    def __call__(self, share: ArrayLike, distance: ArrayLike) -> FloatArray:
        """Columns that broadcast."""
        p = np.asarray(share)
        return np.asarray((self.d0 + self.d1 * p + self.d2 * p**2) * np.asarray(distance) + self.s0 + self.s1 * p + self.s2 * p**2)
