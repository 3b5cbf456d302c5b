"""Compute-optimal sizes: what a fitted law prescribes, and what the runs themselves show.

For loss = E + A N^-alpha + B D^-beta and cost = 6 N D = C the optimum is in closed form,

    N = G (C / 6)^a,   D = (C / 6)^b / G,   G = (alpha A / (beta B))^(1 / (alpha + beta)),   a = beta / (alpha + beta),  b = alpha / (alpha + beta)

for any other law of two resources it is found numerically; and the lower hull of the runs needs no law at all ([132], approach 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import DataError, UsageError
from outthink.laws.form import Law
from outthink.stats._arrays import FloatArray, IntArray


@dataclass(frozen=True)
class Optimum:
    """Compute-optimal training at one budget.

    Args:
        flops: the budget.
        parameters, tokens: how it is spent best.
        loss: what that reaches.
    """

    flops: float
    parameters: float
    tokens: float
    loss: float


def exponents(alpha: float, beta: float) -> tuple[float, float]:
    """(a, b): the optimal size grows as C^a and the data as C^b, a + b = 1."""
    if not (alpha > 0.0 and beta > 0.0):
        raise UsageError(f"exponents of an additive law must be above 0 to have an optimum, got alpha {alpha:g} and beta {beta:g}")
    return beta / (alpha + beta), alpha / (alpha + beta)


@dataclass(frozen=True)
class ClosedForm:
    """How an additive law spends compute: parameters = G (C / flops_per)^a, tokens = (C / flops_per)^b / G.

    Args:
        G: parameters that the law prescribes at C = flops_per, in parameters.
        a, b: exponents of the size and of the data; their sum is 1.
        flops_per: operations a parameter and token.
    """

    G: float
    a: float
    b: float
    flops_per: float = 6.0

    def parameters(self, flops: ArrayLike) -> FloatArray:
        """The best size at these budgets."""
        return np.asarray(self.G * (np.asarray(flops, dtype=np.float64) / self.flops_per) ** self.a)

    def tokens(self, flops: ArrayLike) -> FloatArray:
        """The best number of tokens at these budgets."""
        return np.asarray((np.asarray(flops, dtype=np.float64) / self.flops_per) ** self.b / self.G)


def closed_form(A: float, B: float, alpha: float, beta: float, *, flops_per: float = 6.0) -> ClosedForm:
    """The allocation that loss = E + A N^-alpha + B D^-beta prescribes, for any floor E.

    Raises:
        UsageError: a coefficient or an exponent is not above 0; such a law has no optimum.
    """
    if not (A > 0.0 and B > 0.0):
        raise UsageError(f"coefficients of an additive law must be above 0 to have an optimum, got A {A:g} and B {B:g}")
    a, b = exponents(alpha, beta)
    return ClosedForm(math.exp((math.log(alpha * A) - math.log(beta * B)) / (alpha + beta)), a, b, flops_per)


def optimum(law: Law, flops: float, *, flops_per: float = 6.0, smallest: float = 1.0) -> Optimum:
    """The least loss of any law of (parameters, tokens) at parameters * tokens * flops_per = flops.

    Golden-section search on the logarithm of the size, from a coarse grid over all of it; a law with several minima gets the best one.

    Args:
        law: called on (parameters, tokens).
        flops: the budget, above 0.
        flops_per: operations a parameter and token.
        smallest: least size and least number of tokens.

    Raises:
        UsageError: the budget leaves no room, or the least loss lies at the edge of what it allows.
    """
    product = flops / flops_per
    if not product > smallest**2:
        raise UsageError(f"a budget of {flops:g} FLOPs is no model of {smallest:g} parameters on {smallest:g} tokens; give more")
    low, high = math.log(smallest), math.log(product / smallest)

    def loss(size: FloatArray) -> FloatArray:
        return law(np.exp(size), product / np.exp(size))

    grid = np.linspace(low, high, 400)
    least = int(np.argmin(loss(grid)))
    if least in (0, len(grid) - 1):
        raise UsageError(f"at {flops:g} FLOPs the loss falls to the very edge of sizes: the law prescribes no optimum there")
    low, high = grid[least - 1], grid[least + 1]
    golden = (math.sqrt(5.0) - 1.0) / 2.0
    while high - low > 1e-10:
        inner = np.array([high - golden * (high - low), low + golden * (high - low)])
        first, second = loss(inner)
        low, high = (low, inner[1]) if first < second else (inner[0], high)
    size = math.exp((low + high) / 2.0)
    return Optimum(flops, size, product / size, float(law(np.array([size]), np.array([product / size]))[0]))


def lower_hull(cost: ArrayLike, loss: ArrayLike) -> IntArray:
    """Runs on the lower edge of the convex hull of (log cost, log loss), by rising cost and falling loss.

    A vantage point at twice the largest cost and loss closes the hull from above, so that its vertices are the lower edge and the left side;
    of these, those are kept whose loss is below that of every cheaper one.

    Args:
        cost: (runs,) above 0, FLOPs or GPU hours.
        loss: (runs,) above 0.

    Returns:
        Indices of the runs.

    Raises:
        DataError: fewer than three runs, or a value of 0 or below.
    """
    x, y = np.asarray(cost, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1 or len(x) < 3:
        raise DataError(f"a hull needs at least three runs with a cost and a loss each, got shapes {x.shape} and {y.shape}")
    if not (np.all(x > 0.0) and np.all(y > 0.0) and np.all(np.isfinite(x)) and np.all(np.isfinite(y))):
        raise DataError("a hull is taken of logarithms: every cost and loss must be finite and above 0")
    points = np.stack([np.append(np.log(x), math.log(2.0 * x.max())), np.append(np.log(y), math.log(2.0 * y.max()))], axis=1)
    corners = _hull(points)
    corners = corners[corners != len(x)]
    corners = corners[np.lexsort((y[corners], x[corners]))]
    falls = y[corners] < np.minimum.accumulate(np.append(np.inf, y[corners][:-1]))
    return np.asarray(corners[falls])


def _hull(points: FloatArray) -> IntArray:
    # Andrew's monotone chain
    order = np.lexsort((points[:, 1], points[:, 0]))

    def chain(indices: IntArray) -> list[int]:
        kept: list[int] = []
        for index in indices.tolist():
            while len(kept) > 1 and _turn(points[kept[-2]], points[kept[-1]], points[index]) <= 0.0:
                kept.pop()
            kept.append(index)
        return kept[:-1]

    return np.array([*chain(order), *chain(order[::-1])], dtype=np.int64)


def _turn(first: FloatArray, second: FloatArray, third: FloatArray) -> float:
    return float((second[0] - first[0]) * (third[1] - first[1]) - (second[1] - first[1]) * (third[0] - first[0]))


def power_fit(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> tuple[float, float]:
    """(exponent, coefficient) of y = coefficient x^exponent by (weighted) least squares on logarithms.

    Args:
        x, y: (points,) above 0.
        weights: (points,) of the squares; equal if None.

    Raises:
        DataError: fewer than two different x.
    """
    a, b = np.log(np.asarray(x, dtype=np.float64)), np.log(np.asarray(y, dtype=np.float64))
    if np.unique(a).size < 2:
        raise DataError(f"a power needs two different values to go through, got {np.unique(a).size}")
    w = np.ones_like(a) if weights is None else np.asarray(weights, dtype=np.float64)
    mean_a, mean_b = np.average(a, weights=w), np.average(b, weights=w)
    slope = float((w * (a - mean_a) * (b - mean_b)).sum() / (w * (a - mean_a) ** 2).sum())
    return slope, float(np.exp(mean_b - slope * mean_a))
