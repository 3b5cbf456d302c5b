"""Does a law predict runs larger than those it was fitted to? Held-out errors, always beside two baselines that know no scaling theory.

    ordered   fit below a cut in compute, predict above it (one fold)
    rolling   the same at several cuts, each fold predicting the next block of runs
    groups    fit without one group (a model family, a data set), predict it

    error of a row = log(predicted / observed), or predicted - observed for shares; a law's error is the root mean square over held-out rows

Baselines: `constant` predicts the mean of the training rows; `power` is c * product of the variables to powers, by least squares on
logarithms. A law that does not beat both has not been shown to extrapolate, however well it fits. Rows of equal compute are never split,
nor, where `cluster` names the run of a row, are runs: a checkpoint of a run whose earlier ones were fitted is no unseen run. A run then has the
compute of its largest row.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from outthink.core.errors import OutthinkError, UsageError
from outthink.laws.check import checked
from outthink.laws.fit import fit
from outthink.laws.form import Form, form
from outthink.laws.objective import Objective
from outthink.laws.prepare import objective_of, order_of, relative
from outthink.laws.table import Table
from outthink.stats._arrays import FloatArray, IntArray

How = Literal["ordered", "rolling", "groups"]
Split = tuple[str, NDArray[np.bool_], NDArray[np.bool_]]
"""Name of a fold, its training rows, its held-out rows."""


@dataclass(frozen=True)
class Fold:
    """One split.

    Args:
        name: what is held out.
        train: how many rows were fitted.
        rows: (held-out,) their numbers in the table.
        reach: largest compute held out / largest compute fitted.
        law, constant, power: (held-out,) errors of the law and of the baselines; empty where the law could not be fitted.
        failed: why it could not; "" if it could.
    """

    name: str
    train: int
    rows: IntArray
    reach: float
    law: FloatArray
    constant: FloatArray
    power: FloatArray
    failed: str = ""


@dataclass(frozen=True)
class Extrapolation:
    """Held-out errors of a law. `relative`: errors are logarithms of a ratio, so that 0.01 is one per cent."""

    law: str
    how: How
    relative: bool
    folds: tuple[Fold, ...]

    def error(self, of: Literal["law", "constant", "power"] = "law") -> float:
        """Root mean square error over all held-out rows."""
        return math.sqrt(float(np.mean(np.concatenate([getattr(fold, of) for fold in self.folds]) ** 2)))

    @property
    def bias(self) -> float:
        """Mean error of the law; above 0 it promises too much (a larger value than came)."""
        return float(np.mean(np.concatenate([fold.law for fold in self.folds])))

    @property
    def held_out(self) -> int:
        """Rows predicted."""
        return sum(fold.law.size for fold in self.folds)

    @property
    def reach(self) -> float:
        """Largest over the folds that could be fitted."""
        return max(fold.reach for fold in self.folds if not fold.failed)

    @property
    def holds(self) -> bool:
        """Whether the law's error is below that of both baselines."""
        return self.error() < min(self.error("constant"), self.error("power"))

    def sentence(self) -> str:
        """The result in words."""
        numbers = ", ".join(f"{name} {self.written(self.error(of))}" for name, of in _NAMES)
        beyond = f", up to {self.reach:.3g} times the compute fitted" if self.how != "groups" else ""
        verdict = "the law predicts better than both baselines" if self.holds else "a baseline predicts as well or better"
        return f"held out ({self.how}): {self.held_out} rows{beyond}; error {numbers}: {verdict}"

    def written(self, error: float) -> str:
        """An error with its unit."""
        return f"{100 * math.expm1(error):.2f}%" if self.relative else f"{error:.4f}"

    def to_json(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "law": self.law, "how": self.how, "relative": self.relative, "held_out": self.held_out, "reach": self.reach, "bias": self.bias,
            "error": {of: self.error(of) for _, of in _NAMES}, "holds": self.holds,
            "folds": [
                {"name": f.name, "train": f.train, "held_out": len(f.rows), "reach": f.reach, "failed": f.failed,
                 "error": None if f.failed else math.sqrt(float(np.mean(f.law**2)))} for f in self.folds
            ],
        }  # fmt: skip


_NAMES: tuple[tuple[str, Literal["law", "constant", "power"]], ...] = (("law", "law"), ("constant", "constant"), ("power law", "power"))


def ordered(order: FloatArray, *, share: float = 0.25) -> Split:
    """Hold out the rows of largest order, at least `share` of them; equal rows stay together.

    Raises:
        UsageError: all rows are equal in order, or a share outside (0, 1).
    """
    if not 0.0 < share < 1.0:
        raise UsageError(f"the share held out must be between 0 and 1, got {share}")
    levels = np.unique(order)
    if levels.size < 2:
        raise UsageError("every row has the same compute: there is nothing larger to hold out")
    cut = min(float(np.quantile(order, 1.0 - share)), float(levels[-1]))
    train = order < cut
    if not train.any():
        train = order == levels[0]
    return f"largest {100 * (1 - train.mean()):.0f}%", train, ~train


def rolling(order: FloatArray, *, folds: int = 4, first: float = 0.5) -> list[Split]:
    """Cuts at rising shares of the rows from `first` on; each fold fits all below its cut and predicts up to the next.

    Raises:
        UsageError: all rows are equal in order, or no fold.
    """
    if folds < 1:
        raise UsageError(f"rolling needs at least one fold, got {folds}")
    levels = np.unique(order)
    if levels.size < 2:
        raise UsageError("every row has the same compute: there is nothing larger to hold out")
    cuts = np.unique(np.clip(np.quantile(order, np.linspace(first, 1.0, folds + 1)[:-1]), levels[1], levels[-1]))
    splits = []
    for low, high in itertools.pairwise([*cuts, np.inf]):
        train, test = order < low, (order >= low) & (order < high)
        if test.any():
            splits.append((f"beyond the first {100 * train.mean():.0f}%", train, test))
    return splits


def leave_one_out(labels: Sequence[str] | NDArray[np.str_]) -> list[Split]:
    """One fold a group.

    Raises:
        UsageError: there is one group only.
    """
    named = np.asarray(labels)
    groups = np.unique(named)
    if groups.size < 2:
        raise UsageError(f"leaving a group out needs two groups, got {groups.size}")
    return [(str(group), named != group, named == group) for group in groups]


def extrapolate(
    law: str | type | Form, table: Table, *, how: How = "ordered", order: str | None = None, group: str | None = None, share: float = 0.25,
    folds: int = 4, cluster: str | None = None, objective: Objective | None = None, weights: str | None = None, seed: int = 0,
) -> Extrapolation:  # fmt: skip
    """Fit a law to a part of a table and predict the rest.

    Args:
        law: its name, class or form.
        table: as for `fit`; with column `group` where how is `groups`.
        how: see the module's text.
        order: column that orders rows by cost; see `prepare.order_of`.
        group: column of the groups.
        share: of the rows held out by `ordered`.
        folds: of `rolling`.
        cluster: column that names the run of a row, held out whole by `ordered` and `rolling`; None takes each row as its own run.
        objective, weights, seed: as in `fit`; the objective that suits the law if None.

    Raises:
        UsageError, DataError: the table cannot be used, or no fold can be fitted (the first reason is told).
    """
    known = law if isinstance(law, Form) else form(law)
    chosen = objective or objective_of(known)
    cost = order_of(known, table, order)
    if cluster is not None:
        _, run = np.unique(table.label(cluster), return_inverse=True)
        most = np.full(int(run.max()) + 1, -np.inf)
        np.maximum.at(most, run, cost)
        cost = most[run]
    checked(known, table, chosen, extra=(weights,) if weights else ())
    if how == "groups":
        if group is None:
            raise UsageError("leaving groups out needs the column that names them: give group")
        splits = leave_one_out(table.label(group))
    elif how == "rolling":
        splits = rolling(cost, folds=folds)
    elif how == "ordered":
        splits = [ordered(cost, share=share)]
    else:
        raise UsageError(f"no split {how!r}; use ordered, rolling or groups")
    done = tuple(_fold(known, table, split, cost, chosen, weights, seed) for split in splits)
    if all(fold.failed for fold in done):
        raise UsageError(f"{known.name!r} cannot be held against unseen rows: {done[0].failed}")
    return Extrapolation(known.name, how, relative(known), done)


def _fold(known: Form, table: Table, split: Split, cost: FloatArray, objective: Objective, weights: str | None, seed: int) -> Fold:
    name, train, test = split
    rows = np.flatnonzero(test)
    reach = math.exp(float(cost[test].max() - cost[train].max()))
    fitted, unseen = table.where(train), table.where(test)
    free = len(known.names)
    nothing = np.empty(0)
    if len(fitted) < free:
        return Fold(name, len(fitted), rows, reach, nothing, nothing, nothing, f"{len(fitted)} rows below the cut for {free} parameters")
    try:
        found = fit(known, fitted, objective=objective, weights=weights, seed=seed)
    except OutthinkError as error:  # told in the fold: the others may still be fitted
        return Fold(name, len(fitted), rows, reach, nothing, nothing, nothing, str(error))
    columns = [variable.name for variable in known.variables]
    observed, seen = unseen.column(known.target.name), fitted.column(known.target.name)
    logs = relative(known)

    def errors(predicted: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            return np.asarray(np.log(predicted) - np.log(observed) if logs else predicted - observed)

    law = errors(found.predict(*(unseen.column(column) for column in columns)))
    if not np.isfinite(law).all():
        return Fold(name, len(fitted), rows, reach, nothing, nothing, nothing, "the fitted law gives no number on the held-out rows")
    mean = math.exp(float(np.log(seen).mean())) if logs else float(seen.mean())
    return Fold(name, len(fitted), rows, reach, law, errors(np.full(rows.size, mean)), errors(_power(fitted, unseen, columns, seen, logs)))


def _power(fitted: Table, unseen: Table, columns: Sequence[str], seen: FloatArray, logs: bool) -> FloatArray:
    """The pure power law's predictions; a straight line in the variables' logarithms where the target has none."""

    def design(table: Table) -> FloatArray:
        parts = [np.log(np.maximum(table.column(name), 1e-300)) for name in columns if (fitted.column(name) > 0.0).all()]
        return np.stack([np.ones(len(table)), *parts], axis=1)

    solution = np.linalg.lstsq(design(fitted), np.log(seen) if logs else seen, rcond=None)[0]
    line = design(unseen) @ solution
    return np.asarray(np.exp(line) if logs else line)
