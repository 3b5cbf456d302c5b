"""Names of strategies, verifiers and other pluggable parts. Registering is one decorator on a frozen dataclass.

Built-in rooms are imported when a name is first looked up; third-party packages add theirs through entry points of the group
`outthink.methods`, each naming a module to import.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import TypeVar

from outthink.core.errors import UsageError, nearest

C = TypeVar("C", bound=type)
_MEMBERS = {"strategy": ("solve",), "verifier": ("judge", "bound", "score_range"), "comparer": ("compare", "bound")}
KINDS = {"strategy": "outthink.strategies", "verifier": "outthink.verifiers", "comparer": "outthink.verifiers"}


@dataclass(frozen=True)
class Entry:
    """One registered class: its kind, name, and the papers it implements."""

    kind: str
    name: str
    cls: type
    papers: tuple[int, ...]

    @property
    def summary(self) -> str:
        """First paragraph of the docstring, in one line."""
        return " ".join((self.cls.__doc__ or "").strip().split("\n\n")[0].split())


_ENTRIES: dict[str, Entry] = {}
_NAMES: dict[type, str] = {}


def _register(kind: str, name: str, papers: tuple[int, ...]) -> Callable[[C], C]:
    def decorate(cls: C) -> C:
        if not dataclasses.is_dataclass(cls):
            raise TypeError(f"{cls.__name__} must be a frozen dataclass to be a {kind}: its fields are its knobs")
        lacking = [member for member in _MEMBERS[kind] if not hasattr(cls, member)]
        if lacking:
            raise TypeError(f"{cls.__name__} lacks {', '.join(lacking)}, which a {kind} needs; see {kind.capitalize()} in outthink.core.protocols")
        taken = _ENTRIES.get(name)
        if taken and (taken.cls.__module__, taken.cls.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"{kind} {name!r} is already registered by {taken.cls.__module__}; choose another name")
        _ENTRIES[name] = Entry(kind, name, cls, papers)
        _NAMES[cls] = name
        return cls

    return decorate


def strategy(name: str, *, papers: tuple[int, ...] = ()) -> Callable[[C], C]:
    """Register a frozen dataclass as a strategy.

    Args:
        name: its name in specs.
        papers: numbers of the papers that it implements.
    """
    return _register("strategy", name, papers)


def verifier(name: str, *, papers: tuple[int, ...] = ()) -> Callable[[C], C]:
    """Register a frozen dataclass as a verifier; see `strategy`."""
    return _register("verifier", name, papers)


def comparer(name: str, *, papers: tuple[int, ...] = ()) -> Callable[[C], C]:
    """Register a frozen dataclass as a comparer; see `strategy`."""
    return _register("comparer", name, papers)


@functools.cache
def _load() -> None:
    for room in dict.fromkeys(KINDS.values()):
        package = importlib.import_module(room)
        for module in pkgutil.iter_modules(package.__path__):
            if not module.name.startswith("_"):
                importlib.import_module(f"{room}.{module.name}")
    for point in metadata.entry_points(group="outthink.methods"):
        try:
            point.load()
        except Exception as error:
            raise UsageError(
                f"the plug-in {point.name!r} ({point.value}) cannot be loaded: {type(error).__name__}: {error}; repair or uninstall it"
            ) from error


def entries(kind: str | None = None) -> list[Entry]:
    """All registered parts, or those of one kind, by name."""
    _load()
    return sorted((entry for entry in _ENTRIES.values() if kind in (None, entry.kind)), key=lambda entry: entry.name)


def lookup(name: str, kind: str | None = None) -> type:
    """The class registered under a name.

    Raises:
        UsageError: unknown, or of another kind; names the nearest known one.
    """
    _load()
    entry = _ENTRIES.get(name)
    if entry is None:
        known = [e.name for e in entries(kind)]
        raise UsageError(f"unknown {kind or 'name'} {name!r}.{nearest(name, known)} `outthink methods` lists all.")
    if kind is not None and entry.kind != kind:
        raise UsageError(f"{name!r} is a {entry.kind}, and a {kind} is needed here.{nearest(name, [e.name for e in entries(kind)])}")
    return entry.cls


def name_of(cls: type) -> str | None:
    """The name a class is registered under, None if it is not."""
    return _NAMES.get(cls)


def kind_of(cls: type) -> str | None:
    """What a class is registered as, None if it is not."""
    name = _NAMES.get(cls)
    return None if name is None else _ENTRIES[name].kind


def knobs(cls: type) -> dict[str, dataclasses.Field[object]]:
    """The constructor's knobs of a registered class, by name."""
    return {field.name: field for field in dataclasses.fields(cls) if field.init}
