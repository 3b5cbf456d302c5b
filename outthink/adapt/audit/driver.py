"""Trying every pitfall in turn, and the one sentence that comes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from outthink.adapt.audit.case import Case
from outthink.adapt.audit.checks import QUESTIONS, checks
from outthink.adapt.audit.finding import Finding, Point
from outthink.adapt.method import Method
from outthink.adapt.source import Source
from outthink.adapt.streams import Domain
from outthink.stats import Interval


def audit(
    model: nn.Module, method: Method, domains: Sequence[Domain], *, clean: Domain | None = None, source: Source | None = None,
    unknown: Tensor | None = None, seed: int = 0, targets: int = 10, skip: Sequence[str] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> Iterator[Finding]:  # fmt: skip
    """Try a method's pitfalls; findings come as they are made.

    Args:
        model: as `adapt` takes it; prepared where the method asks for it.
        method: to be deployed.
        domains: labelled samples of what it will meet.
        clean: labelled samples like those it was trained on; without them forgetting is `unknown`.
        source: what it was trained on, for methods that keep something of it.
        unknown: samples (count, ...) of no known class; without them collages of known ones stand in.
        seed: of every draw.
        targets: samples that the attack is tried on.
        skip: names of checks that are left out, such as those already made.
        progress: called with (check, done, checks in all) before each check.

    Raises:
        ValueError: a name in `skip` is no check's, or a check stopped, such as at a batch that the method refuses.
    """
    wrong = sorted(set(skip) - set(QUESTIONS))
    if wrong:
        raise ValueError(f"there is no check {wrong[0]!r}; there are {', '.join(QUESTIONS)}")
    every = checks(Case(model, method, domains, clean, source, unknown, seed), targets)
    for number, (name, check) in enumerate(every.items()):
        if name in skip:
            continue
        if progress is not None:
            progress(name, number, len(every))
        try:
            finding = check()
        except ValueError as error:
            raise ValueError(f"the check of {name} stopped: {error}") from error
        yield finding


def deployable(findings: Sequence[Finding]) -> str:
    """One sentence: what is safe to deploy, and under which conditions."""
    verdicts = {finding.check: finding.verdict for finding in findings}
    unsafe = [finding.check for finding in findings if finding.verdict == "unsafe"]
    if verdicts.get("independent order") == "unsafe":
        return "do not deploy: it is worse than no adaptation even where samples come independently"
    if not unsafe:
        open_ = [finding.check for finding in findings if finding.verdict == "unknown"]
        return "nothing unsafe was found" + (f"; not settled: {', '.join(open_)}" if open_ else "")
    return f"deploy only where these cannot happen: {', '.join(unsafe)}"


def from_json(rows: Sequence[Mapping[str, object]]) -> list[Finding]:
    """Findings of the plain data that `to_json` gave.

    Raises:
        KeyError, TypeError: it is something else.
    """
    found = []
    for row in rows:
        kept: dict[str, Any] = dict(row)
        points = tuple(Point(**{**point, "loss": Interval(**point["loss"])}) for point in kept.pop("points"))
        found.append(Finding(**kept, points=points))
    return found


def to_json(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """Plain data."""
    return [dataclasses.asdict(finding) for finding in findings]
