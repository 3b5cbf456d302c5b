"""The reproduction harness: finds reproductions by module name, runs them, times them, and says what is missing.

A reproduction is a function in `outthink/papers/reproductions/pNNN_name.py` that yields `Measured`, one for each claim:

    @reproduction(paper=113, kind="recorded", needs=("data:monkeys/counts",), fast=True)
    def published_counts() -> Iterator[Measured]:
        \"\"\"Coverage follows an exponentiated power law.\"\"\"
        ...
        yield Measured.within("...", value=..., target=..., tolerance=...)

Needs are `model` (the default model), `model:NAME`, `data:SET/FILE` and `extra:NAME`. What is not here makes a `Skipped`; an
exception makes a `Broken`, with its traceback in a log. Neither ever holds.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib
import importlib.util
import pkgutil
import re
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import get_args

from outthink.core import data
from outthink.core.errors import MissingExtra, OutthinkError
from outthink.papers.catalog import paper as known_paper
from outthink.papers.fixtures import Fixture, Progress, folder, silent
from outthink.papers.measured import LIMIT_SECONDS, Broken, Kind, Measured, Result, Skipped

_MODULE = re.compile(r"p(\d{3})_\w+")
_EXTRA_MODULES = {
    "local": "xllamacpp",
    "math": "math_verify",
    "tables": "polars",
    "report": "altair",
    "laws": "scipy",
    "serve": "fastapi",
    "tune": "optuna",
    "tasks": "reasoning_gym",
    "adapt": "torch",
    "train": "trl",
    "ray": "ray",
}


@dataclass(frozen=True)
class Reproduction:
    """One reproduction of one paper.

    Args:
        paper: its number.
        name: of the function.
        kind: where its evidence comes from.
        claim: first sentence of the function's docstring.
        measure: the function.
        fast: takes under two seconds and needs no model; runs in the tests.
        needs: what must be here; see the module's text.
        fixture: what must have been prepared.
    """

    paper: int
    name: str
    kind: Kind
    claim: str
    measure: Callable[[], Iterable[Measured]]
    fast: bool
    needs: tuple[str, ...]
    fixture: Fixture | None


def reproduction(
    *, paper: int, kind: Kind, fast: bool = False, needs: tuple[str, ...] = (), prepare: Fixture | None = None
) -> Callable[[Callable[[], Iterable[Measured]]], Reproduction]:
    """Make a function that yields `Measured` a reproduction; see `Reproduction` for the arguments.

    Raises:
        ValueError: an unknown kind or need, or a function without a docstring.
        UsageError: there is no such paper.
    """
    known_paper(paper)
    if kind not in get_args(Kind):
        raise ValueError(f"reproduction of [{paper}]: kind must be one of {', '.join(get_args(Kind))}, got {kind!r}")
    for need in needs:
        if not _understood(need):
            raise ValueError(f"reproduction of [{paper}]: {need!r} is no need; write model, model:NAME, data:SET/FILE or extra:NAME")

    def decorate(measure: Callable[[], Iterable[Measured]]) -> Reproduction:
        if not measure.__doc__:
            raise ValueError(f"reproduction of [{paper}]: {measure.__name__} needs a docstring that says what it measures")
        claim = " ".join(measure.__doc__.strip().split("\n\n")[0].split())
        return Reproduction(paper, measure.__name__, kind, claim, measure, fast, needs, prepare)

    return decorate


def discover(papers: Iterable[int] | None = None) -> list[Reproduction]:
    """The reproductions of these papers, or all, by number and in the order of their files. Only their modules are imported.

    Raises:
        UsageError: a number that is no paper.
        ValueError: a module whose name and whose reproductions disagree on the paper.
    """
    wanted = None if papers is None else {known_paper(number).number for number in papers}
    room = importlib.import_module("outthink.papers.reproductions")
    found: list[Reproduction] = []
    for module in sorted(pkgutil.iter_modules(room.__path__), key=lambda module: module.name):
        name = _MODULE.fullmatch(module.name)
        if name is None or (wanted is not None and int(name[1]) not in wanted):
            continue
        for thing in vars(importlib.import_module(f"{room.__name__}.{module.name}")).values():
            if isinstance(thing, Reproduction):
                if thing.paper != int(name[1]):
                    raise ValueError(f"{module.name}.py holds a reproduction of [{thing.paper}]; the number in its name must be the paper's")
                found.append(thing)
    return found


def run(papers: Iterable[int] | None = None, *, fast: bool = False, prepare: bool = False, progress: Progress = silent) -> list[Result]:
    """Run reproductions and return what was measured, skipped or broken, in order.

    Args:
        papers: numbers; all papers that have a reproduction if None.
        fast: only the fast ones.
        prepare: make the fixtures that are missing, with progress.
        progress: told the name of each reproduction before it runs, with (done, of), and how fixtures get on.

    Raises:
        UsageError: a number that is no paper.
    """
    chosen = [one for one in discover(papers) if one.fast or not fast]
    results: list[Result] = []
    for position, one in enumerate(chosen):
        progress(f"[{one.paper}] {one.name}", position, len(chosen))
        results += measure(one, prepare=prepare, progress=progress)
    return results


def measure(one: Reproduction, *, prepare: bool = False, progress: Progress = silent) -> list[Result]:
    """Run one reproduction. Exceptions become a `Broken` after what was measured before them; see `run`."""
    lacking = next((missing for need in one.needs if (missing := lacks(need))), None)
    if lacking:
        return [_skipped(one, *lacking)]
    found: list[Measured] = []
    start = time.perf_counter()
    ended: list[Result] = []
    try:
        if one.fixture is not None and not one.fixture.ready:
            if not prepare:
                cost = one.fixture.cost
                return [_skipped(one, f"its recording {one.fixture.name!r} is not made yet", f"outthink reproduce {one.paper} --prepare ({cost})")]
            one.fixture.prepare(progress)
        start = last = time.perf_counter()
        for measured in one.measure():
            now = time.perf_counter()
            found.append(dataclasses.replace(measured, paper=one.paper, kind=one.kind, seconds=now - last))
            last = now
        if not found:
            raise OutthinkError(f"the reproduction {one.name} of [{one.paper}] measured nothing; it must yield at least one claim")
    except MissingExtra as error:
        ended.append(_skipped(one, str(error), "install that extra"))
    except Exception as error:
        ended.append(_broken(one, error, time.perf_counter() - start))
    late = time.perf_counter() - start > LIMIT_SECONDS
    return [*(dataclasses.replace(measured, late=late) for measured in found), *ended]


def lacks(need: str) -> tuple[str, str] | None:
    """What is missing for a need and what to do about it; None if it is here.

    Args:
        need: `model`, `model:NAME`, `data:SET/FILE` or `extra:NAME`.
    """
    sort, _, name = need.partition(":")
    if sort == "extra":
        module = _EXTRA_MODULES[name]
        if importlib.util.find_spec(module) is None:
            return f"the extra {name!r} is not installed (no module {module})", f"pip install 'outthink[{name}]'"
        return None
    if sort == "data":
        folder_name, _, file = name.rpartition("/")
        if not data.find(folder_name, file):
            places = " and ".join(str(place / folder_name) for place in data.data_folders())
            return f"the data {name} is not in {places}", f"set OUTTHINK_DATA to a folder that has {name}.jsonl"
        return None
    from outthink.models import store

    model = name or store.DEFAULT
    if importlib.util.find_spec("xllamacpp") is None:
        return "the embedded engine is not installed (no module xllamacpp)", "pip install 'outthink[local]'"
    if store.find(model) is None:
        if model in store.PUBLISHED:
            return f"the model {model} is not on this machine", f"outthink models get {model}"
        return f"the model {model} is not on this machine", f"put {model}.gguf into {store.folder()}"
    return None


def _understood(need: str) -> bool:
    sort, _, name = need.partition(":")
    if sort == "extra":
        return name in _EXTRA_MODULES
    return need == "model" or (sort == "model" and bool(name)) or (sort == "data" and "/" in name)


def _skipped(one: Reproduction, reason: str, remedy: str) -> Skipped:
    return Skipped(paper=one.paper, name=one.name, claim=one.claim, kind=one.kind, reason=reason, remedy=remedy)


def _broken(one: Reproduction, error: Exception, seconds: float) -> Broken:
    said = str(error) if isinstance(error, OutthinkError) else f"{type(error).__name__}: {error}"
    log = _write_log(one, error)
    return Broken(paper=one.paper, name=one.name, claim=one.claim, kind=one.kind, error=said, log=log, seconds=seconds)


def _write_log(one: Reproduction, error: Exception) -> str:
    path = folder() / "errors.log"
    head = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S}Z [{one.paper}] {one.name}\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            log.write(head + "".join(traceback.format_exception(error)) + "\n")
    except OSError as refused:
        # the error itself is reported; only its traceback has no place
        return f"(no log: {refused.strerror or refused})"
    return str(path)
