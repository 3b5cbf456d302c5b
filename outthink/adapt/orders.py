"""The streams that a command can be asked for by a spec, such as `correlated(concentration=0.1)`: frozen dataclasses of their knobs.

lookup("correlated").cls(concentration=0.1).stream(domains, batch=64, seed=0, strangers=nobody)
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import Tensor

from outthink.adapt import streams
from outthink.adapt.streams import Domain, Stream
from outthink.core.errors import UsageError

C = TypeVar("C", bound=type)
Strangers = Callable[[Domain, int], Tensor]
"""Called with (domain, most samples) for samples of no known class under that domain's shift, (samples, ...)."""


class Order(Protocol):
    """A kind of stream."""

    def stream(self, domains: Sequence[Domain], *, batch: int, seed: int, strangers: Strangers) -> Stream:
        """The stream over these domains.

        Raises:
            ValueError: a knob does not fit the domains.
        """
        ...


@dataclass(frozen=True)
class Entry:
    """A registered kind of stream."""

    name: str
    cls: type

    @property
    def summary(self) -> str:
        """First paragraph of the class's docstring, in one line."""
        return " ".join((self.cls.__doc__ or "").strip().split("\n\n")[0].split())


ORDERS: dict[str, Entry] = {}
"""Every kind by its name."""


def order(name: str) -> Callable[[C], C]:
    """Register a frozen dataclass as a kind of stream."""

    def decorate(cls: C) -> C:
        ORDERS[name] = Entry(name, cls)
        return cls

    return decorate


def lookup(name: str) -> Entry:
    """The kind of stream of a name.

    Raises:
        UsageError: there is none; the nearest names are suggested.
    """
    if name not in ORDERS:
        near = difflib.get_close_matches(name, ORDERS, n=2, cutoff=0.5)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(f"there is no stream {name!r}.{hint} `outthink adapt list` shows all {len(ORDERS)}.")
    return ORDERS[name]


@order("independent")
@dataclass(frozen=True)
class Independent:
    """Each domain alone, from a fresh start: what a method would do if it were told when the world changes."""

    def stream(self, domains: Sequence[Domain], *, batch: int, seed: int, strangers: Strangers) -> Stream:
        return streams.independent(*domains, batch=batch, seed=seed)


@order("continual")
@dataclass(frozen=True)
class Continual:
    """One domain after another, without a reset."""

    def stream(self, domains: Sequence[Domain], *, batch: int, seed: int, strangers: Strangers) -> Stream:
        return streams.continual(domains, batch=batch, seed=seed)


@order("gradual")
@dataclass(frozen=True)
class Gradual:
    """Each corruption through its severities and back. The domains are those severities, corruption by corruption.

    Args:
        highest: severity, 1 to 5.
    """

    highest: int = 5

    def __post_init__(self) -> None:
        if self.highest not in (1, 2, 3, 4, 5):
            raise ValueError(f"highest must be a severity, 1 to 5, got {self.highest}")

    def stream(self, domains: Sequence[Domain], *, batch: int, seed: int, strangers: Strangers) -> Stream:
        climbs = [domains[at : at + self.highest] for at in range(0, len(domains), self.highest)]
        return streams.in_turn([streams.gradual(climb, batch=batch, seed=seed) for climb in climbs])


@order("mixed")
@dataclass(frozen=True)
class Mixed:
    """All domains shuffled together."""

    def stream(self, domains: Sequence[Domain], *, batch: int, seed: int, strangers: Strangers) -> Stream:
        return streams.mixed(domains, batch=batch, seed=seed)


@order("correlated")
@dataclass(frozen=True)
class Correlated:
    """One domain after another, classes in runs ([37]: Dirichlet).

    Args:
        concentration: of the Dirichlet, above 0; small values give long runs of one class, large ones an even mixture in each slot.
        slots: of a domain, among which a class is spread; as many as there are classes if none.
    """

    concentration: float = 0.1
    slots: int | None = None

    def __post_init__(self) -> None:
        if self.concentration <= 0:
            raise ValueError(f"concentration must be above 0, got {self.concentration}")
        if self.slots is not None and self.slots < 1:
            raise ValueError(f"slots must be 1 or more, got {self.slots}")

    def stream(self, domains: Sequence[Domain], *, batch: int, seed: int, strangers: Strangers) -> Stream:
        return streams.correlated(domains, batch=batch, seed=seed, concentration=self.concentration, slots=self.slots)


@order("long_tailed")
@dataclass(frozen=True)
class LongTailed:
    """Class shares that fall geometrically from the first class to the last.

    Args:
        ratio: of the most frequent class to the rarest; below 1 the last class is the frequent one.
    """

    ratio: float = 20.0

    def __post_init__(self) -> None:
        if self.ratio <= 0:
            raise ValueError(f"ratio must be above 0, got {self.ratio}")

    def stream(self, domains: Sequence[Domain], *, batch: int, seed: int, strangers: Strangers) -> Stream:
        return streams.in_turn([streams.long_tailed(domain, ratio=self.ratio, batch=batch, seed=seed) for domain in domains])


@order("label_shifted")
@dataclass(frozen=True)
class LabelShifted:
    """Classes in given shares.

    Args:
        shares: one number a class in order, such as [10, 1, 1]; they need not sum to 1.
    """

    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        shares: object = self.shares
        if not isinstance(shares, (tuple, list)) or not shares or any(isinstance(one, bool) or not isinstance(one, (int, float)) for one in shares):
            raise ValueError(f"shares must be numbers, one a class in order, such as shares=[10, 1, 1], got {shares!r}")

    def stream(self, domains: Sequence[Domain], *, batch: int, seed: int, strangers: Strangers) -> Stream:
        return streams.in_turn([streams.label_shifted(domain, self.shares, batch=batch, seed=seed) for domain in domains])


@order("open_world")
@dataclass(frozen=True)
class OpenWorld:
    """Unknown images among the known.

    Args:
        ratio: unknown samples for each known one, 0 or more; if none, one, or as many as there are.
    """

    ratio: float | None = None

    def __post_init__(self) -> None:
        if self.ratio is not None and self.ratio < 0:
            raise ValueError(f"ratio must be 0 or more, got {self.ratio}")

    def stream(self, domains: Sequence[Domain], *, batch: int, seed: int, strangers: Strangers) -> Stream:
        parts = []
        for domain in domains:
            known = len(domain.labels)
            found = strangers(domain, known if self.ratio is None else round(self.ratio * known))
            ratio = min(len(found), known) / known if self.ratio is None else self.ratio
            parts.append(streams.open_world(domain, found, batch=batch, seed=seed, ratio=ratio))
        return streams.in_turn(parts)


@order("video")
@dataclass(frozen=True)
class Video:
    """Files in the order of their names."""

    def stream(self, domains: Sequence[Domain], *, batch: int, seed: int, strangers: Strangers) -> Stream:
        return streams.in_turn([streams.video(domain, batch=batch) for domain in domains])
