"""What implements a paper, collected from the code: the `papers=` of every registry, and modules whose docstring opens with `[N]`.

Adaptation methods are read from their source, not imported: they need torch, which may be absent, and takes seconds to import.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from outthink.core.registry import entries
from outthink.laws.form import forms
from outthink.laws.procedure import procedures
from outthink.papers.catalog import paper

_PACKAGE = Path(__file__).parents[1]
_ROOMS = ("stats", "laws", "laws.methods", "adapt", "adapt.audit", "evaluate")
"""Where a module stands for itself. Files of registered parts are not here: their `papers=` say it."""
_METHODS = "adapt.methods"
_CITED = re.compile(r"\s*\[([\d, ]+)\]")


@dataclass(frozen=True)
class Implementation:
    """One part of the code that implements papers.

    Args:
        kind: strategy, verifier, comparer, law, procedure, adaptation or module.
        name: in specs and commands; of a module, the name to import.
        papers: their numbers.
    """

    kind: str
    name: str
    papers: tuple[int, ...]


def implementations(number: int) -> list[Implementation]:
    """What implements a paper, registered parts first.

    Raises:
        UsageError: there is no such paper.
    """
    known = paper(number).number
    return [one for one in _everything() if known in one.papers]


@cache
def _everything() -> tuple[Implementation, ...]:
    return (
        *(Implementation(entry.kind, entry.name, entry.papers) for entry in entries()),
        *(Implementation("law", law.name, law.papers) for law in forms().values()),
        *(Implementation("procedure", one.name, one.papers) for one in procedures().values()),
        *_adaptation_methods(),
        *_modules(),
    )


def _adaptation_methods() -> Iterator[Implementation]:
    for _, tree in _parsed(_METHODS):
        for node in ast.walk(tree):
            for call in getattr(node, "decorator_list", ()):
                if isinstance(call, ast.Call) and getattr(call.func, "id", None) == "method":
                    numbers = next(keyword.value for keyword in call.keywords if keyword.arg == "papers")
                    yield Implementation("adaptation", ast.literal_eval(call.args[0]), tuple(ast.literal_eval(numbers)))


def _modules() -> Iterator[Implementation]:
    for room in _ROOMS:
        for name, tree in _parsed(room):
            text, numbers = ast.get_docstring(tree) or "", []
            while cited := _CITED.match(text):
                numbers += [int(number) for number in cited[1].split(",")]
                text = text[cited.end() :]
            if numbers:
                yield Implementation("module", name, tuple(numbers))


def _parsed(room: str) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(_PACKAGE.joinpath(*room.split(".")).glob("[!_]*.py")):
        yield f"{_PACKAGE.name}.{room}.{path.stem}", ast.parse(path.read_text(encoding="utf-8"))
