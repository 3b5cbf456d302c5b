"""An audit as it is kept: what was audited, the findings so far, and a folder from which a stopped one goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from outthink.adapt.audit import Finding, from_json, to_json
from outthink.core.errors import StoreError
from outthink.core.files import write_whole

FILE = "audit.json"
SCHEMA = "outthink.adapt.audit/1"


@dataclass(frozen=True)
class AuditReport:
    """What an audit found.

    Args:
        method: its spec.
        plan: what was audited, plain data.
        findings: in the order in which they were made.
        skipped: files that did not decode, each with the reason.
    """

    method: str
    plan: Mapping[str, object]
    findings: Sequence[Finding]
    skipped: Sequence[tuple[str, str]]


class Kept:
    """Findings that are saved as they are made.

    Args:
        folder: where; None keeps them in memory alone. One that holds the same plan is gone on with.
        plan: what is audited, plain data.

    Raises:
        StoreError: the folder holds another audit, or cannot be read or written.
    """

    def __init__(self, folder: Path | None, plan: Mapping[str, object]) -> None:
        self.findings: list[Finding] = []
        self._file = None if folder is None else folder / FILE
        self._plan: dict[str, object] = json.loads(json.dumps(plan))
        if self._file is None or not self._file.exists():
            return
        try:
            there = json.loads(self._file.read_text(encoding="utf-8"))
            before, self.findings = dict(there["plan"]), from_json(there["findings"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self._file} is no audit that can be gone on with ({error}); choose another --out") from error
        different = [name for name in {**self._plan, **before} if self._plan.get(name) != before.get(name)]
        if different:
            name = different[0]
            raise StoreError(
                f"{folder} holds an audit with {name} {before.get(name)!r}, and this one has {self._plan.get(name)!r}; choose another --out"
            )

    def add(self, finding: Finding) -> None:
        """Keep one more; what was saved before stays if it cannot be written.

        Raises:
            StoreError: the folder cannot be written.
        """
        self.findings.append(finding)
        if self._file is None:
            return
        plain = {"schema": SCHEMA, "plan": self._plan, "findings": to_json(self.findings)}
        write_whole(self._file, json.dumps(plain, indent=1, ensure_ascii=False), kept="what was saved before is as it was")
