"""What all sessions of one solve have in common, and the events that they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from outthink.core.journal import Journal
from outthink.core.meter import Hold, Meter, Place, Turnstile
from outthink.core.protocols import Model, Sandbox
from outthink.core.request import Sampling
from outthink.core.solution import Candidate, Ledger
from outthink.core.spend import Spend


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a progress display, a gateway or a dashboard shows.

    Args:
        kind: `text` (a piece arrived), `done`, `failed`, `cut`, `cached` (answered from the journal), `refused` (budget).
        place: where in the work.
        role: ledger.
        draw: index of the sample at its place.
        text: the new text, or the failure's message.
        tokens: generated tokens that this event stands for.
    """

    kind: str
    place: str
    role: str
    draw: int
    text: str = ""
    tokens: int = 0


@dataclass(eq=False)
class Shared:
    """What all sessions of one solve share."""

    models: Mapping[str, Model]
    journal: Journal
    sandbox: Sandbox | None
    sampling: Sampling
    seed: int
    listen: Callable[[Event], None] | None
    deadline: float
    turnstile: Turnstile = field(default_factory=Turnstile)
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    counters: dict[tuple[str, str], int] = field(default_factory=dict)
    holds: dict[tuple[Place, Meter], Hold] = field(default_factory=dict)
    offered: tuple[float, Candidate] | None = None
    stopped: str = "done"
    saw_key: bool = False

    def enter(self, role: str, charged: Sequence[Spend], paid: Sequence[Spend]) -> None:
        """Write spendings into the role's ledger."""
        ledger = self.ledgers.get(role, Ledger())
        self.ledgers[role] = Ledger(ledger.charged.plus(charged), ledger.paid.plus(paid))

    def miss(self, reason: str, said: str) -> None:
        """Count a call that gave nothing; the first one's sentence is kept."""
        self.missing[reason] = self.missing.get(reason, 0) + 1
        self.reasons.setdefault(reason, said)

    def hold(self, place: Place, meter: Meter) -> Hold:
        """What is set aside for judging at a place under a budget; sessions of the same place and budget share it."""
        return self.holds.setdefault((place, meter), Hold())

    def draws(self, place: str, digest: str, n: int) -> range:
        """The next n indices of this request at this place."""
        start = self.counters.get((place, digest), 0)
        self.counters[place, digest] = start + n
        return range(start, start + n)
