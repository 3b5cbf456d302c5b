"""outthink: spend compute at test time where it pays, measure what it buys, predict it and serve it.

    import outthink
    outthink.solve("What is 17 + 25?", strategy="majority_vote(n=8)", answer="number").answer

Names are imported when they are first used, so that `import outthink` stays fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outthink.api import solve, solve_async
    from outthink.core.attempt import attempt
    from outthink.core.errors import OutthinkError
    from outthink.core.journal import Journal
    from outthink.core.pool import Pool
    from outthink.core.problem import Answer, Problem
    from outthink.core.protocols import Comparer, Model, Sandbox, Strategy, Verifier
    from outthink.core.registry import comparer, strategy, verifier
    from outthink.core.request import Capture, Message, Prefix, Request, Sampling
    from outthink.core.session import Session
    from outthink.core.shared import Event
    from outthink.core.solution import Candidate, Judgement, Preference, Solution
    from outthink.core.spec import build, describe
    from outthink.core.spend import Budget, Price, Spend
    from outthink.models.resolve import open_model

_HOMES = {
    "outthink.api": ("solve", "solve_async"),
    "outthink.core.attempt": ("attempt",),
    "outthink.core.errors": ("OutthinkError",),
    "outthink.core.journal": ("Journal",),
    "outthink.core.pool": ("Pool",),
    "outthink.core.problem": ("Answer", "Problem"),
    "outthink.core.protocols": ("Comparer", "Model", "Sandbox", "Strategy", "Verifier"),
    "outthink.core.registry": ("comparer", "strategy", "verifier"),
    "outthink.core.request": ("Capture", "Message", "Prefix", "Request", "Sampling"),
    "outthink.core.session": ("Session",),
    "outthink.core.shared": ("Event",),
    "outthink.core.solution": ("Candidate", "Judgement", "Preference", "Solution"),
    "outthink.core.spec": ("build", "describe"),
    "outthink.core.spend": ("Budget", "Price", "Spend"),
    "outthink.models.resolve": ("open_model",),
}
_WHERE = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022  # grouped as in _HOMES
    "solve", "solve_async", "attempt", "OutthinkError", "Journal", "Pool", "Answer", "Problem", "Comparer", "Model", "Sandbox", "Strategy",
    "Verifier", "comparer", "strategy", "verifier", "Capture", "Message", "Prefix", "Request", "Sampling", "Event", "Session", "Candidate",
    "Judgement", "Preference", "Solution", "build", "describe", "Budget", "Price", "Spend", "open_model",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 'outthink' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
