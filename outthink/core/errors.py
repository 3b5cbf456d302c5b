"""Errors that outthink shows to its user: one sentence that names the input, what is wrong and what would be right."""

from __future__ import annotations

import importlib
from types import ModuleType


class OutthinkError(Exception):
    """Base of every expected error. `exit_code` is what the command line returns for it."""

    exit_code = 1


class UsageError(OutthinkError, ValueError):
    """A spec, a knob, an option or an argument is wrong."""

    exit_code = 2


class DataError(OutthinkError):
    """A problem file, a recording or a published data set cannot be used."""

    exit_code = 3


class ModelError(OutthinkError):
    """A model cannot serve: unreachable, refused credentials, out of quota, or answers that are not the protocol's."""

    exit_code = 4


class CapabilityError(OutthinkError):
    """A model lacks what a request needs; the message names a backend that has it."""

    exit_code = 5


class StoreError(OutthinkError):
    """The journal cannot be read or written: full disk, newer version, another writer, damaged file."""

    exit_code = 6


class VerifierError(OutthinkError):
    """A verifier cannot work at all. One judgement that fails is a `Judgement` with its failure, not this."""

    exit_code = 7


class MissingExtra(OutthinkError, ImportError):
    """An optional dependency is not installed."""

    exit_code = 8


def need(module: str, *, extra: str) -> ModuleType:
    """Import an optional dependency, or say which extra brings it.

    Args:
        module: dotted module name, such as `altair`.
        extra: the extra of outthink that installs it, such as `report`.

    Raises:
        MissingExtra: if it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(f"this needs {module}, which is not installed ({error}); install it with: pip install 'outthink[{extra}]'") from error


def nearest(word: str, known: list[str]) -> str:
    """` Did you mean 'x'?` for the closest known word, else the whole list: the tail of an error about an unknown name."""
    import difflib

    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f" Did you mean {close[0]!r}?"
    return f" Known: {', '.join(sorted(known))}." if known else ""
