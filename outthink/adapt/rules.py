"""[106] Statistical rules: what the statistics of a class keep to in the training data, mined, checked on other data, counted when broken.

    one-sided  label c  =>  low <= s_j <= high                      the central `delta` of s_j within class c
    nested     label c and s_i in its q-th quarter  =>  low <= s_j <= high    the same, within class c and that quarter of s_i

A rule is broken where a model says c and the statistics are out of bounds. By construction (1 - delta) of fresh samples break a rule, so what counts
is the excess. A rule in turn says c where the statistics are where it has those of c and the same rule of no other class has its own: in the bounds
of c alone and, nested, in the quarter of c alone. A class with too few samples for rules is no rival.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

_QUARTERS = 4


def _alone(within: Tensor) -> Tensor:
    # (..., classes), bool: what one class alone has
    return within & (within.sum(-1, keepdim=True) == 1)


@dataclass(frozen=True)
class Rules:
    """Rules as columns, (rules,) each.

    Args:
        label: the class c.
        given: the statistic i that a nested rule is conditioned on, -1 for a one-sided one.
        quarter: which quarter of it, 0 to 3, -1 for a one-sided rule.
        start, end: of the quarter of s_i, infinite for a one-sided rule; a value at `start` belongs to it, one at `end` does not.
        bound: the statistic j.
        low, high: what it keeps to.
        delta: share of a class that keeps to a rule by construction.
        classes: how many classes rules were mined of.
    """

    label: Tensor
    given: Tensor
    quarter: Tensor
    start: Tensor
    end: Tensor
    bound: Tensor
    low: Tensor
    high: Tensor
    delta: float
    classes: int

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: Tensor) -> Rules:
        """Some of them."""
        return Rules(
            self.label[rows], self.given[rows], self.quarter[rows], self.start[rows], self.end[rows],
            self.bound[rows], self.low[rows], self.high[rows], self.delta, self.classes,
        )  # fmt: skip

    def applies(self, statistics: Tensor) -> Tensor:
        """Whose condition on s_i holds: statistics (samples, count) -> (samples, rules), bool."""
        seen = statistics[:, self.given.clamp_min(0)]
        return (self.given < 0) | ((seen >= self.start) & (seen < self.end))

    def broken(self, statistics: Tensor) -> Tensor:
        """Which would be broken if the sample were of the rule's class: (samples, count) -> (samples, rules), bool."""
        value = statistics[:, self.bound]
        return self.applies(statistics) & ((value < self.low) | (value > self.high))

    def violated(self, statistics: Tensor, labels: Tensor) -> Tensor:
        """Which are broken by these labels (samples,), true or predicted: (samples, rules), bool."""
        return self.broken(statistics) & (labels[:, None] == self.label)

    @cached_property
    def _kinds(self) -> Tensor:
        # (kinds, classes): where the same rule of every class stands, for rules that every class has
        kind = torch.unique(torch.stack([self.given, self.quarter, self.bound], 1), dim=0, return_inverse=True)[1]
        whole = (torch.bincount(kind, minlength=len(self))[kind] == self.classes).nonzero()[:, 0]
        found: Tensor = whole[(kind[whole] * self.classes + self.label[whole]).argsort()].reshape(-1, self.classes)
        return found

    def says(self, statistics: Tensor) -> Tensor:
        """Which say that the sample is of the rule's class: (samples, count) -> (samples, rules), bool.

        A rule that some other class has not says nothing, as nothing tells where that class would be.
        """
        kinds = self._kinds
        given, value = self.given[kinds[:, 0]], statistics[:, self.bound[kinds[:, 0]], None]  # (samples, kinds, 1)
        told = _alone((value >= self.low[kinds]) & (value <= self.high[kinds]))
        seen = statistics[:, given.clamp_min(0), None]
        told &= (given < 0)[:, None] | _alone((seen >= self.start[kinds]) & (seen < self.end[kinds]))
        says = torch.zeros(len(statistics), len(self), dtype=torch.bool, device=statistics.device)
        says[:, kinds.flatten()] = told.flatten(1)
        return says

    def contradicted(self, statistics: Tensor, labels: Tensor) -> Tensor:
        """Which say another class than these labels (samples,): (samples, rules), bool."""
        return self.says(statistics) & (labels[:, None] != self.label)


@dataclass(frozen=True)
class Violations:
    """What a model's answers break.

    Args:
        found: pairs of sample and rule that are broken.
        expected: (1 - delta) of the pairs that apply, which are broken by design.
        samples: that break a rule at least.
    """

    found: int
    expected: float
    samples: int

    @property
    def excess(self) -> float:
        """Found less expected."""
        return self.found - self.expected


def count_violations(rules: Rules, statistics: Tensor, labels: Tensor) -> Violations:
    """Count what labels (samples,) break on statistics (samples, count)."""
    broken = rules.violated(statistics, labels)
    applied = (rules.applies(statistics) & (labels[:, None] == rules.label)).sum()
    return Violations(int(broken.sum()), (1 - rules.delta) * int(applied), int(broken.any(1).sum()))


def mine(statistics: Tensor, labels: Tensor, *, delta: float = 0.98, nested: bool = True, fewest: int = 20) -> Rules:
    """Every rule of the data, in one sweep of sorted values.

    Args:
        statistics: (samples, count) numbers that describe each sample.
        labels: (samples,) true classes.
        delta: share of a class within bounds.
        nested: rules on pairs of statistics too.
        fewest: a rule needs this many samples.

    Returns:
        The rules; the order of the samples does not matter.

    Raises:
        ValueError: shapes differ, delta is not in (0, 1), or no class has enough samples.
    """
    if statistics.ndim != 2 or labels.shape != (len(statistics),):
        raise ValueError(f"statistics must be (samples, count) and labels (samples,), got {tuple(statistics.shape)} and {tuple(labels.shape)}")
    if not 0 < delta < 1:
        raise ValueError(f"delta must be in (0, 1), got {delta}")
    ends = statistics.new_tensor([(1 - delta) / 2, (1 + delta) / 2])
    count = statistics.shape[1]
    columns: list[list[Tensor]] = [[] for _ in range(8)]
    every = torch.arange(count, device=statistics.device)

    def keep(label: int, given: int, quarter: int, start: float, end: float, rows: Tensor) -> None:
        low, high = torch.quantile(rows, ends, dim=0)
        bound = every if given < 0 else every[every != given]
        same = statistics.new_ones(len(bound))
        for column, values in zip(
            columns,
            (label * same, given * same, quarter * same, start * same, end * same, bound, low[bound], high[bound]),
            strict=True,
        ):
            column.append(values)

    for label in sorted(set(labels.tolist())):
        own = statistics[labels == label]
        if len(own) < fewest:
            continue
        keep(label, -1, -1, -torch.inf, torch.inf, own)
        if not nested:
            continue
        edges = torch.quantile(own, torch.arange(1, _QUARTERS, dtype=own.dtype, device=own.device) / _QUARTERS, dim=0)  # (3, count)
        for given in range(count):
            cuts = [-torch.inf, *edges[:, given].tolist(), torch.inf]
            for quarter, (start, end) in enumerate(pairwise(cuts)):
                rows = own[(own[:, given] >= start) & (own[:, given] < end)]
                if len(rows) >= fewest:
                    keep(label, given, quarter, start, end, rows)
    if not columns[0]:
        raise ValueError(f"no class has {fewest} samples, so there is nothing to mine rules from")
    own, conditions, quarters, starts, stops, bounds, lows, highs = (torch.cat(column) for column in columns)
    return Rules(
        own.long(), conditions.long(), quarters.long(), starts, stops, bounds.long(), lows, highs, delta, classes=len(set(own.tolist()))
    )  # fmt: skip


def checked(rules: Rules, statistics: Tensor, labels: Tensor, *, slack: float = 0.02) -> Rules:
    """The rules that hold on other data.

    Args:
        rules: as mined.
        statistics, labels: (samples, count) and (samples,), not those that the rules were mined on.
        slack: a rule may hold in `delta` less this share of its class.
    """
    own = labels[:, None] == rules.label
    broken = (rules.broken(statistics) & own).sum(0) / (rules.applies(statistics) & own).sum(0).clamp_min(1)
    return rules.take((broken <= 1 - rules.delta + slack).nonzero()[:, 0])
