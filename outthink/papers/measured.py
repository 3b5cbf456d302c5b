"""What a reproduction measured, and the verdict, which is computed from the measurement and cannot be written down.

Four rules, each on the whole interval where there is one and on the value where it is exact:

    within     low <= value <= high: the tolerance is derived beforehand, from the sample size or the digits of a published number
    covers     the interval contains the expected number and is no wider than stated, so that an uninformative one cannot hold
    at_least   every point of the interval is at least the bound (`above`: more than it)
    at_most    every point of the interval is at most the bound (`below`: less than it)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["exact", "recorded", "simulated", "real"]
"""Where the evidence comes from: arithmetic or a theorem; published samples; a model with known truth; a real language model."""

Rule = Literal["within", "covers", "at_least", "above", "at_most", "below"]

LIMIT_SECONDS = 120.0
"""A reproduction should take no longer than this on two cores, its fixtures not counted."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One claim of a paper and what we measured. Made with `within`, `covers`, `at_least`, `above`, `at_most` or `below`.

    Args:
        claim: what the paper says, or what follows from it, as one sentence.
        rule: how value and interval are held against the bounds; see the module's text.
        low, high: the bounds; infinite where the rule is open on that side.
        expected: the expectation as text; written from the bounds where a constructor got none.
        value: what was measured.
        interval: (low, high) of the value; None where it is exact.
        data: what it was measured on.
        seed: of the random draws, None where there are none.
        size: how many problems, trials or samples it rests on, as text.
        not_covered: what of the paper's claim this does not show.
        paper, kind, seconds, late: filled in by the harness. `late` says that the reproduction took more than `LIMIT_SECONDS`.
        holds: computed.
    """

    claim: str
    rule: Rule
    low: float
    high: float
    expected: str
    value: float
    interval: tuple[float, float] | None = None
    data: str = ""
    seed: int | None = None
    size: str = ""
    not_covered: str = ""
    paper: int = 0
    kind: Kind = "exact"
    seconds: float = 0.0
    late: bool = False
    holds: bool = field(init=False)

    def __post_init__(self) -> None:
        # numpy's numbers come in as they are measured, and JSON takes none of them
        object.__setattr__(self, "value", float(self.value))
        if self.interval is not None:
            object.__setattr__(self, "interval", (float(self.interval[0]), float(self.interval[1])))
        if math.isnan(self.low) or math.isnan(self.high) or self.low > self.high:
            raise ValueError(f"{self.claim!r}: the bounds must be numbers in order, got {self.low} and {self.high}")
        if self.interval is not None and self.interval[0] > self.interval[1]:
            raise ValueError(f"{self.claim!r}: the interval must be (low, high), got {self.interval}")
        object.__setattr__(self, "holds", bool(self._verdict()))

    def _verdict(self) -> bool:
        # a comparison with nan is False, so what could not be measured never holds
        least, most = self.interval if self.interval is not None else (self.value, self.value)
        match self.rule:
            case "within":
                return self.low <= self.value <= self.high
            case "covers":
                return least <= self.low and self.low <= most and most - least <= self.high - self.low
            case "at_least":
                return least >= self.low and self.value >= self.low
            case "above":
                return least > self.low and self.value > self.low
            case "at_most":
                return most <= self.high and self.value <= self.high
            case "below":
                return most < self.high and self.value < self.high

    @classmethod
    def within(
        cls, claim: str, *, value: float, target: float, tolerance: float, interval: tuple[float, float] | None = None, expected: str = "",
        data: str = "", seed: int | None = None, size: str = "", not_covered: str = "",
    ) -> Measured:  # fmt: skip
        """The value differs from the target by no more than a tolerance (0 or more) that was fixed before."""
        if not tolerance >= 0:
            raise ValueError(f"{claim!r}: the tolerance must be 0 or more, got {tolerance}")
        return cls(
            claim=claim, rule="within", low=target - tolerance, high=target + tolerance, value=value, interval=interval, data=data, seed=seed,
            size=size, not_covered=not_covered, expected=expected or f"{target:.4g} ± {tolerance:.2g}",
        )  # fmt: skip

    @classmethod
    def covers(
        cls, claim: str, *, value: float, target: float, widest: float, interval: tuple[float, float], expected: str = "",
        data: str = "", seed: int | None = None, size: str = "", not_covered: str = "",
    ) -> Measured:  # fmt: skip
        """The interval contains the target and is at most `widest` wide."""
        return cls(
            claim=claim, rule="covers", low=target, high=target + widest, value=value, interval=interval, data=data, seed=seed, size=size,
            not_covered=not_covered, expected=expected or f"{target:.4g} inside an interval at most {widest:.2g} wide",
        )  # fmt: skip

    @classmethod
    def at_least(
        cls, claim: str, *, value: float, bound: float, interval: tuple[float, float] | None = None, strict: bool = False, expected: str = "",
        data: str = "", seed: int | None = None, size: str = "", not_covered: str = "",
    ) -> Measured:  # fmt: skip
        """The value, and its whole interval, is at least the bound; more than it if `strict`."""
        return cls(
            claim=claim, rule="above" if strict else "at_least", low=bound, high=math.inf, value=value, interval=interval, data=data, seed=seed,
            size=size, not_covered=not_covered, expected=expected or f"{'>' if strict else '≥'} {bound:.4g}",
        )  # fmt: skip

    @classmethod
    def above(
        cls, claim: str, *, value: float, bound: float, interval: tuple[float, float] | None = None, expected: str = "",
        data: str = "", seed: int | None = None, size: str = "", not_covered: str = "",
    ) -> Measured:  # fmt: skip
        """The value, and its whole interval, is more than the bound."""
        return cls.at_least(
            claim, value=value, bound=bound, interval=interval, strict=True, expected=expected, data=data, seed=seed, size=size,
            not_covered=not_covered,
        )  # fmt: skip

    @classmethod
    def at_most(
        cls, claim: str, *, value: float, bound: float, interval: tuple[float, float] | None = None, strict: bool = False, expected: str = "",
        data: str = "", seed: int | None = None, size: str = "", not_covered: str = "",
    ) -> Measured:  # fmt: skip
        """The value, and its whole interval, is at most the bound; less than it if `strict`."""
        return cls(
            claim=claim, rule="below" if strict else "at_most", low=-math.inf, high=bound, value=value, interval=interval, data=data, seed=seed,
            size=size, not_covered=not_covered, expected=expected or f"{'<' if strict else '≤'} {bound:.4g}",
        )  # fmt: skip

    @classmethod
    def below(
        cls, claim: str, *, value: float, bound: float, interval: tuple[float, float] | None = None, expected: str = "",
        data: str = "", seed: int | None = None, size: str = "", not_covered: str = "",
    ) -> Measured:  # fmt: skip
        """The value, and its whole interval, is less than the bound."""
        return cls.at_most(
            claim, value=value, bound=bound, interval=interval, strict=True, expected=expected, data=data, seed=seed, size=size,
            not_covered=not_covered,
        )  # fmt: skip

    def to_json(self) -> dict[str, object]:
        """Plain data; what is not a finite number becomes null."""
        return {
            "paper": self.paper,
            "claim": self.claim,
            "expected": self.expected,
            "value": _number(self.value),
            "interval": None if self.interval is None else [_number(end) for end in self.interval],
            "holds": self.holds,
            "kind": self.kind,
            "seconds": round(self.seconds, 3),
            "status": "measured",
            "rule": self.rule,
            "data": self.data,
            "seed": self.seed,
            "size": self.size,
            "not_covered": self.not_covered,
            "late": self.late,
        }


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A reproduction that did not run because something is not here. It says nothing about the paper.

    Args:
        paper: its number.
        name: the reproduction.
        claim: what it would have measured.
        reason: what is missing.
        remedy: what to do.
    """

    paper: int
    name: str
    claim: str
    kind: Kind
    reason: str
    remedy: str

    def to_json(self) -> dict[str, object]:
        """Plain data with the keys of `Measured`; verdict and value are null."""
        said = {"status": "skipped", "name": self.name, "reason": self.reason, "remedy": self.remedy}
        return _unmeasured(self.paper, self.claim, self.kind, 0.0) | said


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A reproduction that ended in an exception. The claims measured before it stand on their own.

    Args:
        paper: its number.
        name: the reproduction.
        claim: what it would have measured.
        error: the exception as one sentence.
        log: the file with the traceback.
        seconds: until it broke.
    """

    paper: int
    name: str
    claim: str
    kind: Kind
    error: str
    log: str
    seconds: float

    def to_json(self) -> dict[str, object]:
        """Plain data with the keys of `Measured`; verdict and value are null."""
        said = {"status": "error", "name": self.name, "error": self.error, "log": self.log}
        return _unmeasured(self.paper, self.claim, self.kind, self.seconds) | said


Result = Measured | Skipped | Broken


def _unmeasured(paper: int, claim: str, kind: Kind, seconds: float) -> dict[str, object]:
    return {
        "paper": paper,
        "claim": claim,
        "expected": "",
        "value": None,
        "interval": None,
        "holds": None,
        "kind": kind,
        "seconds": round(seconds, 3),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
