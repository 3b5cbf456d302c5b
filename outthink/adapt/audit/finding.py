"""What a check of the audit found, and the one rule by which a loss is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from outthink.stats import Interval

Verdict = Literal["safe", "unsafe", "unknown", "fact"]
TOLERATED = 0.02
"""A loss of accuracy that ends below this is counted as none."""


@dataclass(frozen=True)
class Point:
    """One setting of a sweep.

    Args:
        label: the setting, such as `batches of 4`.
        loss: error of the method less that of the model as it was, on the same samples; in [-1, 1], below 0 where the method is better.
        error, source_error: of both, in [0, 1].
    """

    label: str
    loss: Interval
    error: float
    source_error: float


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Args:
        check: its name.
        question: what it asks.
        said: the answer, with the numbers.
        verdict: `fact` for what is no question of safety.
        numbers: the same for programs; shares in [0, 1].
        points: the settings that were tried, where there are several.
        advice: what to do about it; empty where nothing is to be done.
    """

    check: str
    question: str
    said: str
    verdict: Verdict
    numbers: Mapping[str, float]
    points: tuple[Point, ...] = field(default=())
    advice: str = ""


def judged(loss: Interval) -> Verdict:
    """The rule: unsafe when the interval of the loss is above 0, safe when it ends below `TOLERATED`, and unknown otherwise."""
    if loss.low > 0:
        return "unsafe"
    return "safe" if loss.high < TOLERATED else "unknown"


def worst(losses: list[Interval]) -> Verdict:
    """The verdict on several losses: unsafe if one is, safe if all are."""
    verdicts = [judged(loss) for loss in losses]
    return "unsafe" if "unsafe" in verdicts else "unknown" if "unknown" in verdicts else "safe"


def points(loss: Interval) -> str:
    """A difference of error with its interval, in points: `+1.2 [-0.3, +2.5]`."""
    return f"{100 * loss.estimate:+.1f} [{100 * loss.low:+.1f}, {100 * loss.high:+.1f}]"
