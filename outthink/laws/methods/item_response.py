"""[86] Coverage of a model that nobody has sampled: skills from a table of benchmarks, problems from other models' samples.

    p_ij = sigmoid(a_j . theta_i + c_j)          pass@k_ij = 1 - (1 - p_ij)^k          coverage_i(k) = mean_j pass@k_ij

theta_i: (d,) skills of model i, from `outthink.laws.methods.sloth`, on any scale; a_j: (d,) what problem j asks of each, c_j: how easy it is.
Fitted on counts of right samples, a binomial likelihood with a small quadratic penalty. Cost: one pass over (models x problems) an iteration.
Identity: skills mapped by an invertible matrix, with its inverse on a, predict the same; as the penalty goes to 0 so does the fit.
Departure: the official code divides the log-likelihood into a mean over single samples; here over the cells of the table, the same up to
a factor where all have equally many samples. Its choice of the penalty on held-out cells is the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError, need
from outthink.stats._arrays import FloatArray

PENALTY = 1e-3
"""[86] One of the weights that the official code tries (0.1, 0.001, 1e-5, 0)."""


@dataclass(frozen=True)
class ItemResponse:
    """Problems as models of skill see them.

    Args:
        slopes: (problems, d), a.
        offsets: (problems,), c.
    """

    slopes: FloatArray
    offsets: FloatArray

    def chances(self, skills: ArrayLike) -> FloatArray:
        """(models, problems) chance that one sample is right, for (models, d) skills."""
        logits = np.asarray(skills, dtype=np.float64) @ self.slopes.T + self.offsets
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))

    def coverage(self, skills: ArrayLike, k: ArrayLike) -> FloatArray:
        """(models, budgets) share of the problems solved by at least one of k samples."""
        chances = self.chances(skills)
        budgets = np.atleast_1d(np.asarray(k, dtype=np.float64))
        with np.errstate(divide="ignore"):
            missed = np.log1p(-chances)[:, :, None] * budgets  # (models, problems, budgets)
        return np.asarray(-np.expm1(missed).mean(axis=1))


def fit_item_response(skills: ArrayLike, right: ArrayLike, samples: ArrayLike, *, penalty: float = PENALTY) -> ItemResponse:
    """Maximum penalised likelihood; convex, so there is one optimum.

    Args:
        skills: (models, d); standardise them, the penalty sees their scale.
        right: (models, problems) right samples.
        samples: how many were drawn, one number or (models, problems).
        penalty: weight of the mean square of all slopes and offsets; 0 lets a problem that all or none solve go to infinity.

    Raises:
        MissingExtra: SciPy is not installed.
        UsageError: shapes that do not fit, or more right ones than samples.
    """
    optimize = need("scipy.optimize", extra="laws")
    theta, count = np.asarray(skills, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if theta.ndim != 2 or count.ndim != 2 or theta.shape[0] != count.shape[0]:
        raise UsageError(f"skills must be (models, d) and right (models, problems) of the same models, got {theta.shape} and {count.shape}")
    drawn = np.broadcast_to(np.asarray(samples, dtype=np.float64), count.shape)
    if np.any((count < 0) | (count > drawn) | (drawn <= 0)):
        raise UsageError("right samples must lie between 0 and the samples drawn, and each cell needs one sample or more")
    share = count / drawn
    models, skill_count = theta.shape
    design = np.column_stack([theta, np.ones(models)])  # (models, d + 1)

    def value(point: FloatArray) -> tuple[float, FloatArray]:
        weights = point.reshape(-1, skill_count + 1)
        logits = design @ weights.T
        loss = (np.logaddexp(0.0, logits) - share * logits).mean() + penalty * (weights**2).mean()
        pull = (0.5 * (1.0 + np.tanh(0.5 * logits)) - share) / share.size
        return float(loss), (pull.T @ design + 2.0 * penalty * weights / weights.size).ravel()

    start = np.zeros(count.shape[1] * (skill_count + 1))
    found = optimize.minimize(value, start, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "maxfun": 10_000, "ftol": 1e-13, "gtol": 1e-9})
    weights = np.asarray(found.x).reshape(-1, skill_count + 1)
    return ItemResponse(weights[:, :-1].copy(), weights[:, -1].copy())
