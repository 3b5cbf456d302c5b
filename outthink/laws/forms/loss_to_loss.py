"""[61] Loss-to-loss: how one loss of a model predicts another, on other training data or on another test.

    loss_1 = K (loss_0 - E_0)^kappa + E_1

Train to train: two models of one size and as many tokens, trained on different data. Train to test: two losses of one model. Test to test: both
at once. The floors come from fits of their own (the joint form of parameters and tokens, `kaplan`); `transfer` then finds K and kappa by a
straight line between logarithms. Pair by run, not by rank of loss; and the prediction still needs the first loss at the target's scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import DataError
from outthink.laws.form import Parameter, Variable, law
from outthink.stats._arrays import FloatArray


@law(
    "loss-to-loss", papers=(61,), title="Loss-to-loss: a shifted power law between two losses", formula="loss = K (source_loss - E_0)^kappa + E_1",
    variables=(Variable("source_loss", "loss on the data or test that is known", "nats per token"),),
    target=Variable("loss", "loss on the other", "nats per token"),
    parameters=(
        Parameter("K", "coefficient", low=0.0, starts=(0.1, 10.0)),
        Parameter("E_1", "floor of the predicted loss", "nats per token", low=0.0, starts=(0.05, 4.0)),
        Parameter("E_0", "floor of the known loss", "nats per token", low=0.0, starts=(0.05, 4.0)),
        Parameter("kappa", "exponent", low=0.0, starts=(0.3, 2.0)),
    ),
    linear=("K", "E_1"), source="Brandfonbrener et al. 2024, equations 4 to 6, and their notebooks",
    valid="models of 20M to 1.7B parameters at 2e17 to 4.84e19 FLOPs, predicted at 1e21; six training sets",
)  # fmt: skip
@dataclass(frozen=True)
class LossToLoss:
    """One loss from another."""

    K: float
    E_1: float
    E_0: float
    kappa: float

    def __call__(self, source_loss: FloatArray) -> FloatArray:
        return self.K * np.exp(self.kappa * np.log(source_loss - self.E_0)) + self.E_1


def transfer(source: ArrayLike, target: ArrayLike, source_floor: float, target_floor: float) -> LossToLoss:
    """K and kappa between known floors, by least squares of log(loss_1 - E_1) on log(loss_0 - E_0).

    Args:
        source, target: (pairs,) losses of the same runs, or of runs of one size and as many tokens.
        source_floor, target_floor: E_0 and E_1, below every loss of their side.

    Raises:
        DataError: fewer than two pairs, or a loss at or below its floor.
    """
    known, other = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if known.shape != other.shape or known.ndim != 1 or len(known) < 2:
        raise DataError(f"a transfer needs at least two pairs of losses, got shapes {known.shape} and {other.shape}")
    for name, losses, floor in (("source", known, source_floor), ("target", other, target_floor)):
        if not np.all(losses > floor):
            raise DataError(f"a {name} loss of {losses.min():.5g} lies at or below its floor, {floor:.5g}; refit the floor on these runs as well")
    kappa, log_k = np.polyfit(np.log(known - source_floor), np.log(other - target_floor), 1)
    return LossToLoss(float(np.exp(log_k)), target_floor, source_floor, float(kappa))
