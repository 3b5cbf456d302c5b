"""[85] Optimal transport between weighted point sets: entropic with its potentials, debiased, and exact.

    OT_e(a, b) = max_{f, g} a.f + b.g - e sum_ij a_i b_j (exp((f_i + g_j - c_ij) / e) - 1)           e regularisation, in the unit of the cost
    S_e(a, b)  = OT_e(a, b) - OT_e(a, a) / 2 - OT_e(b, b) / 2                                        debiased

OT_e of a set with itself is not 0 and shrinks weights towards the middle; S_e of a set with itself is 0. As e -> 0 both go to the exact cost.
Values of different numbers of points must not be compared: the bias falls like points^(-1/dimension). d OT / d a_i = f_i, up to a constant,
since weights add up to 1; d S / d a_i = f_i - f_i of (a, a). Cost: steps x points x points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError, need
from outthink.stats._arrays import FloatArray

_STEPS = 20_000
_ANNEALING = 4.0  # factor between the regularisations on the way down
_RELAXATION = 1.7  # above 1 each update overshoots, which saves three steps in four at small regularisations


@dataclass(frozen=True)
class Transport:
    """An optimal transport.

    Args:
        value: its cost, in the unit of the cost matrix.
        first, second: dual potentials, (points of the first set,) and (points of the second,).
    """

    value: float
    first: FloatArray
    second: FloatArray


def squared_distances(first: ArrayLike, second: ArrayLike) -> FloatArray:
    """(points, dimension) and (others, dimension) -> (points, others)."""
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    return np.asarray(np.maximum((x**2).sum(1)[:, None] + (y**2).sum(1)[None, :] - 2.0 * x @ y.T, 0.0))


def label_cost(first: ArrayLike, first_labels: ArrayLike, second: ArrayLike, second_labels: ArrayLike, *, label_weight: float) -> FloatArray:
    """Squared distance of features, and `label_weight` more where the labels differ: (points, others).

    Departure: the paper's label distance is itself a transport between the classes' features; a constant is enough where classes are far apart.
    """
    differ = np.asarray(first_labels)[:, None] != np.asarray(second_labels)[None, :]
    return np.asarray(squared_distances(first, second) + label_weight * differ)


def sinkhorn(cost: ArrayLike, first: ArrayLike, second: ArrayLike, *, regularisation: float, tolerance: float = 1e-4) -> Transport:
    """Entropic optimal transport, in the log domain so that a small regularisation does not underflow.

    Args:
        cost: (points, others).
        first, second: weights, each adding up to 1; points of weight 0 get a potential too, which a gradient needs.
        regularisation: in the unit of the cost, above 0.
        tolerance: largest change of a potential, in units of the regularisation, at which it stops.

    Raises:
        UsageError: shapes or weights that do not fit, or no convergence in 20,000 steps (raise the regularisation).
    """
    matrix, a, b = _checked(cost, first, second)
    if not regularisation > 0.0:
        raise UsageError(f"the regularisation must be above 0, got {regularisation}; exact_transport has none")
    with np.errstate(divide="ignore"):
        log_a, log_b = np.log(a), np.log(b)
    f, g = np.zeros(a.size), np.zeros(b.size)
    # A start far off costs most steps: come down from a large regularisation, where few are needed.
    levels = [regularisation]
    while levels[-1] * _ANNEALING < matrix.max():
        levels.append(levels[-1] * _ANNEALING)
    steps = 0
    for level in reversed(levels):
        final = level == regularisation
        for step in range(_STEPS - steps):
            relaxation = _RELAXATION if final and step > 5 else 1.0
            g = g - relaxation * (g + level * _log_sum(log_a[:, None] + (f[:, None] - matrix) / level, axis=0))
            updated = -level * _log_sum(log_b[None, :] + (g[None, :] - matrix) / level, axis=1)
            change = float(np.abs(updated - f).max()) / level
            f = f + relaxation * (updated - f)
            if change < (tolerance if final else 0.05):
                break
        steps += step + 1
    if change >= tolerance:
        raise UsageError(
            f"optimal transport did not settle in {_STEPS} steps at regularisation {regularisation:g}, costs up to {matrix.max():g}; raise it"
        )
    f = -level * _log_sum(log_b[None, :] + (g[None, :] - matrix) / level, axis=1)
    return Transport(float(a @ f + b @ g), f, g)


def sinkhorn_with_itself(cost: ArrayLike, weights: ArrayLike, *, regularisation: float, tolerance: float = 1e-5) -> Transport:
    """OT of a set with itself. Symmetric, so averaging the two updates settles in few steps. Arguments and errors as in `sinkhorn`."""
    matrix, a, _ = _checked(cost, weights, weights)
    scaled = matrix / regularisation
    with np.errstate(divide="ignore"):
        log_a = np.log(a)
    f = np.zeros(a.size)
    for _ in range(_STEPS):
        updated = 0.5 * (f - _log_sum(log_a[None, :] + f[None, :] - scaled, axis=1))
        change = float(np.abs(updated - f).max())
        f = updated
        if change < tolerance:
            return Transport(2.0 * regularisation * float(a @ f), regularisation * f, regularisation * f)
    raise UsageError(f"optimal transport did not settle in {_STEPS} steps at regularisation {regularisation:g}; raise it")


def exact_transport(cost: ArrayLike, first: ArrayLike | None = None, second: ArrayLike | None = None) -> Transport:
    """The unregularised optimum.

    Args:
        cost: (points, others).
        first, second: weights; None for both gives equal weights, which for as many points as others is an assignment and is solved as one
            (without potentials: they are nan). Others are solved as a linear program, for up to some hundred points.

    Raises:
        MissingExtra: SciPy is not installed.
        UsageError: shapes or weights that do not fit.
    """
    shape = np.shape(cost)
    if first is None and second is None and len(shape) == 2 and shape[0] == shape[1]:
        matrix = np.asarray(cost, dtype=np.float64)
        rows, columns = need("scipy.optimize", extra="laws").linear_sum_assignment(matrix)
        return Transport(float(matrix[rows, columns].mean()), np.full(shape[0], np.nan), np.full(shape[0], np.nan))
    if len(shape) != 2:
        raise UsageError(f"cost must be (points, others), got shape {shape}")
    matrix, a, b = _checked(
        cost, np.full(shape[0], 1.0 / shape[0]) if first is None else first, np.full(shape[1], 1.0 / shape[1]) if second is None else second
    )
    sparse = need("scipy.sparse", extra="laws")
    by_row = sparse.kron(sparse.eye(a.size), np.ones((1, b.size)))
    by_column = sparse.kron(np.ones((1, a.size)), sparse.eye(b.size))
    found = need("scipy.optimize", extra="laws").linprog(
        matrix.ravel(), A_eq=sparse.vstack([by_row, by_column]).tocsr(), b_eq=np.concatenate([a, b]), bounds=(0, None), method="highs"
    )
    if not found.success:
        raise UsageError(f"the transport has no solution: {found.message}")
    duals = np.asarray(found.eqlin.marginals, dtype=np.float64)
    return Transport(float(found.fun), duals[: a.size], duals[a.size :])


def _checked(cost: ArrayLike, first: ArrayLike, second: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    matrix, a, b = (np.asarray(array, dtype=np.float64) for array in (cost, first, second))
    if matrix.shape != (a.size, b.size):
        raise UsageError(f"cost must be (points, others) = ({a.size}, {b.size}) by the weights, got shape {matrix.shape}")
    for name, weights in (("first", a), ("second", b)):
        if np.any(weights < 0.0) or not abs(float(weights.sum()) - 1.0) < 1e-6:
            raise UsageError(f"the {name} weights must be 0 or more and add up to 1, got a sum of {weights.sum():.6g}")
    if not np.all(np.isfinite(matrix)):
        raise UsageError("costs must be finite")
    return matrix, a, b


def _log_sum(x: FloatArray, *, axis: int) -> FloatArray:
    """log sum exp."""
    top = x.max(axis=axis, keepdims=True)
    return np.asarray(np.log(np.exp(x - top).sum(axis=axis)) + top.squeeze(axis))
