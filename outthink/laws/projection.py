"""Variable projection: where a law is linear in some parameters, only the others need a search.

With the nonlinear parameters fixed, link(prediction) = b_0 + sum_j theta_j b_j, b_0 mostly 0, and the best theta, non-negative where their
bound says so, follow from least squares. A grid over the nonlinear ones with one small batched least squares each replaces thousands of
starts. The weights make the squares approximate the objective near the data: (d scale / d link)^2 at the observed values, times the rows'
own. The best cells are polished on the objective itself.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from outthink.laws.objective import scale_slope, scaled
from outthink.laws.problem import Problem
from outthink.stats._arrays import FloatArray, IntArray

_STEP = 1e-30
_CELLS = {0: 1, 1: 64, 2: 16, 3: 9, 4: 6}
"""Grid points along each of so many nonlinear parameters; with more of them the cells are drawn."""
_DRAWN = 2000
_ENUMERATED = 5
_CHUNK = 1 << 17


def boxes(problem: Problem) -> FloatArray:
    """(free, 2) ranges in which searches start.

    A nonlinear parameter in the unit of a variable, such as the place of a break, starts within a decade of that variable's data, since a law
    cannot know beforehand where they lie.
    """
    found = []
    for parameter in problem.parameters:
        low, high = parameter.starts
        same = [c for c, v in zip(problem.columns, problem.form.variables, strict=True) if v.unit and v.unit == parameter.unit]
        if same and parameter.low == 0.0 and parameter.name not in problem.form.linear:
            least, most = min(float(c[c > 0].min(initial=math.inf)) for c in same) / 10.0, max(float(c.max()) for c in same) * 10.0
            low, high = (max(low, least), min(high, most)) if max(low, least) < min(high, most) else (least, most)
        found.append((low, high))
    return np.array(found).reshape(-1, 2)


def spaced(low: float, high: float, share: FloatArray) -> FloatArray:
    """Shares of the way from low to high, by the logarithm where both are positive and a factor of 10 or more apart."""
    if low > 0.0 and high >= 10.0 * low:
        return np.asarray(low * (high / low) ** share)
    return low + (high - low) * share


def drawn(problem: Problem, count: int, rng: np.random.Generator) -> FloatArray:
    """(count, parameters) starts from the box of all parameters, one in each of `count` slices of every axis (a Latin hypercube)."""
    values = np.tile(problem.template[:1], (count, 1))
    for i, (low, high) in zip(problem.free, boxes(problem), strict=True):
        values[:, i] = spaced(low, high, (rng.permutation(count) + rng.random(count)) / count)
    return values


def projected(problem: Problem, rng: np.random.Generator) -> FloatArray:
    """(cells, parameters): a grid of the nonlinear parameters, each cell with its best linear ones."""
    names = problem.form.names
    box = boxes(problem)
    curved = [k for k, i in enumerate(problem.free) if names[i] not in problem.form.linear]
    axes: list[FloatArray]
    if len(curved) in _CELLS:
        share = (np.arange(_CELLS[len(curved)]) + 0.5) / _CELLS[len(curved)]
        axes = [spaced(box[k, 0], box[k, 1], share) for k in curved]
        crossed = list(itertools.product(*axes))
        cells = np.array(crossed).reshape(len(crossed), len(curved))
    else:
        cells = np.stack([spaced(box[k, 0], box[k, 1], (rng.permutation(_DRAWN) + rng.random(_DRAWN)) / _DRAWN) for k in curved], axis=1)
    values = np.tile(problem.template[:1], (len(cells), 1))
    values[:, problem.free[curved]] = cells
    return with_linear(problem, values)


def around(problem: Problem, values: FloatArray) -> FloatArray:
    """(cells, parameters): lines through one (parameters,) point along each nonlinear parameter, each cell with its best linear ones.

    At an optimum no cell is lower. A search that has lost a term (its coefficient at zero, its exponent anywhere) is found out here.
    """
    box = boxes(problem)
    share = (np.arange(_CELLS[1]) + 0.5) / _CELLS[1]
    lines = []
    for k, i in enumerate(problem.free):
        if problem.form.names[i] not in problem.form.linear:
            line = np.tile(values, (_CELLS[1], 1))
            line[:, i] = spaced(box[k, 0], box[k, 1], share)
            lines.append(line)
    return with_linear(problem, np.concatenate(lines)) if lines else values[None]


def with_linear(problem: Problem, values: FloatArray) -> FloatArray:
    """(S, parameters) values with their free linear parameters replaced by the best ones; rows that have none are left out.

    Args:
        problem: of a form with linear parameters; its `weights` must be those of all starts alike.
        values: (S, parameters); the linear ones that are not fixed are ignored.
    """
    form = problem.form
    free = [i for i in problem.free if form.names[i] in form.linear]
    held = [i for i, name in enumerate(form.names) if name in problem.fixed and name in form.linear]
    target = scaled(form.link, problem.observed)
    weight = (scale_slope(problem.objective.scale, problem.observed) / scale_slope(form.link, problem.observed)) ** 2
    weight = weight * (1.0 if problem.weights is None else problem.weights)
    result = values.copy()
    step = max(1, _CHUNK // (problem.rows * max(1, len(free))))
    with np.errstate(all="ignore"):
        for begin in range(0, len(values), step):
            part = slice(begin, begin + step)
            base = values[part].copy()
            base[:, [*free, *held]] = 0.0
            plain = form.predict(base, problem.columns)
            offset = sum((values[part, j, None] * _term(problem, base, plain, j) for j in held), scaled(form.link, plain))
            terms = np.stack([_term(problem, base, plain, j) for j in free], axis=1)  # (s, linear, rows)
            signs = np.array([form.parameters[j].low >= 0.0 for j in free])
            result[part, free] = _least_squares(terms, target - offset, weight, signs)
    return result[np.isfinite(result).all(axis=1)]


def _term(problem: Problem, base: FloatArray, plain: FloatArray, index: int) -> FloatArray:
    """(S, rows) d link(prediction) / d linear parameter, by the complex step from `base`, where all linear ones are zero."""
    form = problem.form
    if problem.by_euler:
        slopes = problem.slopes(base)[index]
        return np.broadcast_to(slopes, (len(base), problem.rows))
    moved = base.astype(np.complex128)
    moved[:, index] += 1j * _STEP
    slope = form.predict(moved, problem.columns).imag / _STEP * scale_slope(form.link, plain)
    return np.broadcast_to(slope, (len(base), problem.rows))


def _least_squares(terms: FloatArray, target: FloatArray, weight: FloatArray, positive: FloatArray) -> FloatArray:
    """(S, k) weighted least squares of (S or 1, rows) targets on (S, k, rows) terms, non-negative where `positive` (k,); nan where impossible."""
    size = np.sqrt(np.einsum("skn,skn,n->sk", terms, terms, weight))
    size[~(size > 0.0)] = 1.0
    unit = terms / size[:, :, None]
    weighted = unit * weight
    gram = weighted @ np.swapaxes(unit, 1, 2)
    right = (weighted @ np.broadcast_to(target, (len(terms), target.shape[-1]))[:, :, None])[:, :, 0]
    broken = ~(np.isfinite(gram).all(axis=(1, 2)) & np.isfinite(right).all(axis=1))
    gram[broken], right[broken] = np.eye(gram.shape[1]), 0.0
    bounded = np.flatnonzero(positive)
    solved = _enumerated(gram, right, bounded) if bounded.size <= _ENUMERATED else _alternating(gram, right, bounded)
    # a term at exactly zero has no slope in its logarithm: give it a thousandth, so that the search on the objective may bring it back
    least = 1e-3 * np.sqrt(np.broadcast_to(np.einsum("sn,n->s", target**2, weight), (len(terms),)))
    solved[:, bounded] = np.where(solved[:, bounded] > 0.0, solved[:, bounded], least[:, None])
    solved[broken] = np.nan
    return np.asarray(solved / size)


def _solve(gram: FloatArray, right: FloatArray, kept: list[int]) -> FloatArray:
    found = np.zeros_like(right)
    if kept:
        inner = gram[:, kept][:, :, kept] + 1e-13 * np.eye(len(kept))
        found[:, kept] = np.linalg.solve(inner, right[:, kept, None])[:, :, 0]
    return found


def _enumerated(gram: FloatArray, right: FloatArray, bounded: IntArray) -> FloatArray:
    """The best of all choices of which bounded terms are zero."""
    everything = range(right.shape[1])
    best, least = np.zeros_like(right), np.full(len(right), np.inf)
    for count in range(bounded.size + 1):
        for zero in itertools.combinations(bounded, count):
            found = _solve(gram, right, [k for k in everything if k not in zero])
            rest = np.einsum("si,sij,sj->s", found, gram, found) - 2.0 * np.einsum("si,si->s", found, right)
            better = (found[:, bounded] >= 0.0).all(axis=1) & (rest < least)
            best[better], least[better] = found[better], rest[better]
        if np.isfinite(least).all() and count == 0:
            break  # no bound is active anywhere
    return best


def _alternating(gram: FloatArray, right: FloatArray, bounded: IntArray) -> FloatArray:
    """Coordinate descent on the normal equations, for more bounded terms than one would enumerate."""
    found = np.zeros_like(right)
    diagonal = np.einsum("sii->si", gram) + 1e-13
    for _ in range(500):
        before = found.copy()
        for k in range(right.shape[1]):
            step = (right[:, k] - np.einsum("sj,sj->s", gram[:, k], found)) / diagonal[:, k]
            found[:, k] += step
            if k in bounded:
                found[:, k] = np.maximum(found[:, k], 0.0)
        if np.abs(found - before).max(initial=0.0) <= 1e-10 * np.abs(found).max(initial=1e-300):
            break
    return found


def distinct(problem: Problem, values: FloatArray, objective: FloatArray, count: int) -> FloatArray:
    """Up to `count` of the (S, parameters) cells, best first, each away from all before it on some nonlinear axis.

    The first half keeps a twelfth of the box away; the second a quarter, so that no crowd of good neighbours hides another valley.
    """
    names = problem.form.names
    box = boxes(problem)
    curved = [k for k, i in enumerate(problem.free) if names[i] not in problem.form.linear]
    places = np.stack([_share(box[k, 0], box[k, 1], values[:, problem.free[k]]) for k in curved], axis=1) if curved else np.zeros((len(values), 1))
    order = np.argsort(objective, kind="stable")
    order = order[np.isfinite(objective[order])]
    chosen: list[int] = []
    away = np.full(len(values), np.inf)
    for share, until in ((1.0 / 12.0, (count + 1) // 2), (0.25, count)):
        while len(chosen) < until and (left := order[away[order] > share]).size:
            chosen.append(int(left[0]))
            away = np.minimum(away, np.abs(places - places[left[0]]).max(axis=1))
    return values[chosen]


def _share(low: float, high: float, values: FloatArray) -> FloatArray:
    if low > 0.0 and high >= 10.0 * low:
        return np.asarray(np.log(np.maximum(values, 1e-300) / low) / math.log(high / low))
    return (values - low) / ((high - low) or 1.0)
