"""Many minimisations of one function at once: quasi-Newton (BFGS) in which every array operation serves all starts.

The engine of multi-start fits, of bootstraps (one start a replicate, each with its own weights) and of profiles. Each start has its own
inverse Hessian and its own line search by bisection to the weak Wolfe conditions, which also suits losses with kinks such as a Huber with a
small delta. No start waits for another: in each round every unfinished start evaluates one trial point, and those whose trial is accepted
turn. Finished starts leave the arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outthink.stats._arrays import FloatArray, IntArray

Function = Callable[[FloatArray, IntArray], tuple[FloatArray, FloatArray]]
"""(S, p) points and the (S,) numbers of their starts -> (S,) values and (S, p) gradients; a point outside the domain has value inf."""

_DECREASE, _CURVATURE = 1e-4, 0.9
_TRIALS = 40
"""Bisections of one line search: 2^-40 of a step is rounding."""


@dataclass(frozen=True)
class Minima:
    """Where each start ended.

    Args:
        points: (S, p).
        values: (S,), inf where the start itself was outside the domain.
        converged: (S,) whether the expected further decrease is below the tolerance.
        steps: (S,) accepted steps.
    """

    points: FloatArray
    values: FloatArray
    converged: NDArray[np.bool_]
    steps: IntArray


def minimise(
    function: Function, start: FloatArray, *, tolerance: float = 1e-9, limit: int = 400, inverse: FloatArray | None = None, floor: float = 1e-18,
    widest: float = 2.0,
) -> Minima:  # fmt: skip
    """Minimise from every start.

    Args:
        function: see `Function`.
        start: (S, p).
        tolerance: a start has converged when a quasi-Newton step would lower its value by less than this share, twice in a row.
        limit: accepted steps of one start.
        inverse: (p, p) or (S, p, p) first guess of the inverse Hessian, such as that of a Gauss-Newton model; the identity if None.
        floor: values below it count as zero.
        widest: longest first trial along one coordinate; a step may still grow beyond it.
    """
    state = _State(function, np.array(start, dtype=np.float64), inverse, tolerance, floor, widest)
    rounds = 0
    with np.errstate(all="ignore"):  # a trial far outside is judged by its value
        while state.open.size and rounds < 6 * limit:
            state.round(limit)
            rounds += 1
    state.close(np.arange(state.open.size))
    return Minima(state.points, state.values, state.converged, state.steps)


class _State:
    """The unfinished starts, one row each, and the results so far."""

    def __init__(self, function: Function, start: FloatArray, inverse: FloatArray | None, tolerance: float, floor: float, widest: float) -> None:
        count, size = start.shape
        self.function, self.tolerance, self.floor, self.widest = function, tolerance, floor, widest
        self.points, self.values = start.copy(), np.full(count, np.inf)
        self.converged, self.steps = np.zeros(count, dtype=bool), np.zeros(count, dtype=np.int64)
        self.open = np.arange(count)
        self.x = start
        self.f, self.g = function(start, self.open)
        guess = np.eye(size) if inverse is None else np.asarray(inverse, dtype=np.float64)
        self.h = np.array(np.broadcast_to(guess, (count, size, size)))
        self.fresh = np.full(count, inverse is None)  # an inverse Hessian without any information about scale yet
        self.taken, self.small = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        self.restarted = np.zeros(count, dtype=bool)
        self.low, self.high, self.t, self.trials = np.zeros(count), np.full(count, np.inf), np.ones(count), np.zeros(count, dtype=np.int64)
        self.d, self.slope, self.expected = np.zeros_like(start), np.zeros(count), np.full(count, np.inf)
        bad = ~(np.isfinite(self.f) & np.isfinite(self.g).all(axis=1))
        self.f[bad] = np.inf
        self._aim(np.flatnonzero(~bad))
        self.close(np.flatnonzero(bad))

    def _aim(self, rows: IntArray) -> None:
        """New directions and fresh line searches for some rows; a direction that is not downhill is replaced by the gradient's."""
        g = self.g[rows]
        d = -np.einsum("sij,sj->si", self.h[rows], g)
        slope = np.einsum("si,si->s", d, g)
        uphill = ~(slope < 0.0) & (np.abs(g).max(axis=1, initial=0.0) > 0.0)
        if uphill.any():
            self.h[rows[uphill]] = np.eye(g.shape[1])
            self.fresh[rows[uphill]] = True
            d[uphill], slope[uphill] = -g[uphill], -np.einsum("si,si->s", g[uphill], g[uphill])
        self.d[rows], self.slope[rows] = d, slope
        self.low[rows], self.high[rows], self.trials[rows] = 0.0, np.inf, 0
        length = np.abs(d).max(axis=1, initial=0.0)
        longest = np.where(self.fresh[rows], 0.1, self.widest)
        first = np.minimum(1.0, longest / np.maximum(length, 1e-300))
        # without scale in the Hessian the gradient says nothing about length: a tenth along the largest coordinate, whatever its size
        self.t[rows] = np.where(self.fresh[rows], np.minimum(0.1 / np.maximum(length, 1e-300), 1e300), first)

    def round(self, limit: int) -> None:
        """One trial point of every open row."""
        point = self.x + self.t[:, None] * self.d
        f, g = self.function(point, self.open)
        slope = np.einsum("si,si->s", g, self.d)
        good = np.isfinite(f) & np.isfinite(slope)
        too_far = ~good | (f > self.f + _DECREASE * self.t * self.slope)
        too_near = ~too_far & (slope < _CURVATURE * self.slope)
        self.high = np.where(too_far, self.t, self.high)
        self.low = np.where(too_near, self.t, self.low)
        self.trials += 1
        spent = self.trials >= _TRIALS
        accept = ~too_far & (~too_near | spent)
        t = np.where(np.isinf(self.high), 2.0 * self.low, 0.5 * (self.low + self.high))
        # a trial that is too far and finite: the parabola through both ends is a better guess than the middle, if it is inside
        parabola = -self.slope * self.t**2 / (2.0 * (f - self.f - self.t * self.slope))
        inside = too_far & good & (self.low == 0.0) & (parabola > 0.1 * self.t) & (parabola < 0.6 * self.t)
        self.t = np.where(inside, parabola, np.where(too_far | too_near, t, self.t))
        taken = np.flatnonzero(accept)
        if taken.size:
            self._turn(taken, point[taken], f[taken], g[taken])
        stuck = spent & too_far
        self._restart(np.flatnonzero(stuck & ~self.restarted))
        done = (self.small >= 2) | (stuck & self.restarted & (self.trials >= _TRIALS)) | (self.taken >= limit)
        if done.any():
            self.close(np.flatnonzero(done))

    def _turn(self, rows: IntArray, point: FloatArray, f: FloatArray, g: FloatArray) -> None:
        """Move to accepted points and update their inverse Hessians."""
        s, y = point - self.x[rows], g - self.g[rows]
        sy = np.einsum("si,si->s", s, y)
        yy = np.einsum("si,si->s", y, y)
        usable = sy > 1e-14 * np.sqrt(yy * np.einsum("si,si->s", s, s))
        scale = usable & self.fresh[rows]
        if scale.any():
            self.h[rows[scale]] = (sy / np.where(yy > 0.0, yy, 1.0))[scale, None, None] * np.eye(s.shape[1])
            self.fresh[rows[scale]] = False
        if usable.any():
            u, s_u, y_u, rho = rows[usable], s[usable], y[usable], 1.0 / sy[usable]
            hy = np.einsum("sij,sj->si", self.h[u], y_u)
            factor = rho * (1.0 + rho * np.einsum("si,si->s", y_u, hy))
            cross = s_u[:, :, None] * hy[:, None, :]
            self.h[u] += factor[:, None, None] * s_u[:, :, None] * s_u[:, None, :] - rho[:, None, None] * (cross + np.swapaxes(cross, 1, 2))
        fall = self.f[rows] - f
        self.x[rows], self.f[rows], self.g[rows] = point, f, g
        self.taken[rows] += 1
        self.restarted[rows] = False
        self._aim(rows)
        size = np.maximum(np.abs(f), self.floor)
        self.expected[rows] = 0.5 * np.abs(self.slope[rows]) / size
        small = (self.expected[rows] <= self.tolerance) & (fall <= 1e3 * self.tolerance * size)
        still = np.abs(g).max(axis=1, initial=0.0) == 0.0
        self.small[rows] = np.where(still, 2, np.where(small, self.small[rows] + 1, 0))

    def _restart(self, rows: IntArray) -> None:
        """Line searches that found nothing lower get one more, along the gradient."""
        if rows.size:
            self.h[rows] = np.eye(self.x.shape[1])
            self.fresh[rows] = True
            self.restarted[rows] = True
            self._aim(rows)

    def close(self, rows: IntArray) -> None:
        """Write the results of some rows and drop them from the arrays."""
        if not rows.size:
            return
        who = self.open[rows]
        self.points[who], self.values[who], self.steps[who] = self.x[rows], self.f[rows], self.taken[rows]
        # a line search that ends at rounding has converged if little was left to gain
        self.converged[who] = (self.small[rows] >= 2) | (self.expected[rows] <= 1e3 * self.tolerance)
        keep = np.ones(self.open.size, dtype=bool)
        keep[rows] = False
        for name in ("open", "x", "f", "g", "h", "fresh", "taken", "small", "restarted", "low", "high", "t", "trials", "d", "slope", "expected"):
            setattr(self, name, getattr(self, name)[keep])
