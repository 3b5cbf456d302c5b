"""A run: every cell of a plan on every problem, each recorded once. Killed or interrupted, the same command goes on where it was.

FOLDER/journal.sqlite    every call, every record, every graded sample: the truth
FOLDER/run.json          the settings, for people
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path

from outthink.core.errors import DataError, ModelError, OutthinkError, StoreError, UsageError
from outthink.core.files import write_whole
from outthink.core.journal import Journal
from outthink.core.protocols import Model, Sandbox
from outthink.core.shared import Event
from outthink.evaluate.plan import Plan, differences
from outthink.evaluate.record import latest
from outthink.evaluate.redact import redact
from outthink.evaluate.work import Progress, Work

JOURNAL = "journal.sqlite"


class Interrupted(OutthinkError):
    """The run was ended from the keyboard; what was done is recorded."""

    exit_code = 130


class Run:
    """A recorded run, complete or not: its settings, its records and the journal behind them.

    Attributes:
        folder: where it is; None for one in memory.
        settings: what was run, plain data.
        records: the last of every cell and problem, in the order of their recording.
        journal: every call, open for reading.
    """

    def __init__(self, journal: Journal, folder: Path | None) -> None:
        text = journal.meta("run")
        if text is None:
            raise StoreError(f"{journal.path}: holds calls but no run; give the folder of `outthink run`")
        self.folder = folder
        self.journal = journal
        self.settings: dict[str, object] = json.loads(text)
        self.records = [record for record, _ in latest(journal.records("solution")).values()]
        self.total = int(journal.meta("total") or 0)

    @classmethod
    def open(cls, folder: Path | str) -> Run:
        """The run in a folder.

        Raises:
            StoreError: there is none, or it cannot be read (newer, damaged).
        """
        place = Path(folder)
        return cls(Journal(place / JOURNAL if place.is_dir() else place, writable=False), place)

    @property
    def complete(self) -> bool:
        """Whether every record of the plan is there."""
        return len(self.records) >= self.total

    @property
    def loss(self) -> str:
        """What failures took, in a sentence, with the server's words; "" if nothing."""
        reason = next((reason for record in self.records for reason in record.lost), None)
        if reason is None:
            return ""
        said = next(record.reasons.get(reason, "") for record in self.records if reason in record.lost)
        lost, problems = sum(sum(r.lost.values()) for r in self.records), len({r.problem for r in self.records if r.lost})
        return f"{lost} calls on {problems} problems gave nothing; the first: {sentence(said) or reason}"

    def require_samples(self) -> None:
        """Nothing where a result has a sample, or none is recorded.

        Raises:
            ModelError: the model gave none.
            DataError: the pool that was replayed holds none.
            OutthinkError: the budget allowed none.
        """
        if not self.records or any(record.candidates for record in self.records):
            return
        if self.loss:
            again = "run the same command again" if self.folder else "build the pool again"
            raise ModelError(f"the model gave no sample at all: {self.loss}; mend that and {again}")
        first = self.records[0]
        said = "; ".join(map(sentence, first.reasons.values())) or "no strategy asked for one"
        if "not recorded" in first.missing:
            raise DataError(f"the pool holds no sample for this: {said}; give the set and the options (--max-tokens, ...) that it was drawn with")
        raise OutthinkError(f"nothing was sampled: {said}; raise --budgets, or lower --max-tokens")

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.folder.name if self.folder else "in memory"

    def questions(self) -> dict[str, tuple[str, str | None]]:
        """Problem id -> (question, key)."""
        return {name: (str(body["question"]), body["key"]) for name, body in self.journal.records("question")}  # type: ignore[misc]

    def close(self) -> None:
        """Release the journal."""
        self.journal.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def sentence(text: str) -> str:
    """A server's words on one line, without the full stop, so that ours go on after them."""
    return " ".join(text.split()).rstrip(".")


async def run(
    plan: Plan,
    models: Model | Mapping[str, Model],
    folder: Path | str | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    listen: Callable[[Event], None] | None = None,
    concurrency: int = 8,
    sandbox: Sandbox | None = None,
) -> Run:
    """Do what is left of a plan.

    Args:
        plan: what to do.
        models: the model, or role -> model with the role `policy`. Free text is graded by the role `grader`, else by the policy.
        folder: where it is recorded; in memory if None. A folder that holds a part of this run is completed.
        progress: called at the start and after every record, in the event loop.
        listen: called with every event of every session.
        concurrency: problems at once.
        sandbox: what runs code.

    Returns:
        The run, open for reading.

    Raises:
        UsageError: the folder holds another run; the message says what differs.
        OutthinkError: what made it impossible to go on. What was done is recorded.
    """
    roles = models if isinstance(models, Mapping) else {"policy": models}
    place = None if folder is None else Path(folder)
    journal = Journal(None if place is None else place / JOURNAL)
    try:
        enter(plan, roles, journal)
        if place is not None:
            _write_settings(place / "run.json", journal)
        await Work(plan, roles, journal, progress, listen, sandbox).do(concurrency)
    except BaseException:
        journal.close()
        raise
    if place is None:
        return Run(journal, None)
    journal.close()
    return Run.open(place)


def interruptible(work: Callable[[], Coroutine[object, object, Run]], folder: Path | str) -> Run:
    """Run the coroutine function in an event loop of its own; Ctrl-C ends it with a sentence that says how to go on.

    Raises:
        Interrupted: after Ctrl-C. Requests in flight were closed, what was done is recorded.
    """
    import anyio

    try:
        return anyio.run(work)
    except KeyboardInterrupt:
        try:
            with Run.open(folder) as partial:
                done = f"{len(partial.records)} of {partial.total} results are recorded"
        except StoreError:
            done = "nothing was recorded yet"
        raise Interrupted(f"interrupted: {done} in {folder}; run the same command again to go on") from None


def enter(plan: Plan, roles: Mapping[str, Model], journal: Journal, *, may_change: frozenset[str] = frozenset()) -> None:
    """Write a plan into a journal, or check that it is the one that the journal holds.

    Args:
        plan, roles: what is to be done.
        journal: where.
        may_change: settings that may differ from the journal's; the journal then holds the new ones.

    Raises:
        UsageError: it is another one.
    """
    settings = plan.settings(roles)
    text = journal.meta("run")
    known: dict[str, object] | None = json.loads(text) if text else None
    if known is not None:
        now = json.loads(json.dumps(settings))
        changed = differences(known, {**now, **{name: known.get(name) for name in may_change}})
        if changed:
            raise UsageError(
                f"{_place(journal)}: holds another run ({'; '.join(changed)}); "
                "give this one another name, or repeat the settings to complete the old one"
            )
    if known is None or may_change:
        journal.set_meta("run", json.dumps(settings, ensure_ascii=False))
    journal.set_meta("total", str(plan.size))
    journal.set_meta("command", redact(plan.command))
    journal.set_meta("named", json.dumps({"policy": redact(plan.model), **{r: redact(m) for r, m in plan.roles.items()}}))


def _place(journal: Journal) -> str:
    # a run is known by its folder, a pool by its file
    if journal.path is None:
        return "the journal"
    return str(journal.path.parent if journal.path.name == JOURNAL else journal.path)


def _write_settings(path: Path, journal: Journal) -> None:
    import platform
    from importlib import metadata

    versions = {"python": platform.python_version(), "outthink": metadata.version("outthink")}
    data = {"run": json.loads(journal.meta("run") or "{}"), "command": journal.meta("command"), "versions": versions}
    write_whole(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n", kept="make room there or choose another folder")
