"""The journal: one append-only record of every call, in SQLite. Resume, cache and replay are all a lookup in it.

A call is committed before its result is used, so a killed process loses only what was still being generated. Calls that end together
are one transaction. Several rows may share a key (a cut or failed try, then a good one); a lookup answers with the finished one.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from outthink.core.errors import StoreError
from outthink.core.spend import Spend
from outthink.core.text import utf8

SCHEMA_VERSION = 1
CallKind = Literal["sample", "judge", "compare", "score", "embed", "execute"]
CallState = Literal["done", "failed", "cut"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS requests (digest TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL, place TEXT NOT NULL, digest TEXT NOT NULL, draw INTEGER NOT NULL,
    kind TEXT NOT NULL, state TEXT NOT NULL, role TEXT NOT NULL, problem TEXT, model TEXT NOT NULL, parent TEXT,
    charged TEXT NOT NULL, paid TEXT NOT NULL, basis TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS calls_key ON calls (key);
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (kind, name));
"""
_COLUMNS = "key, place, digest, draw, kind, state, role, problem, model, parent, charged, paid, basis, body"
_INSERT = f"INSERT INTO calls ({_COLUMNS}) VALUES ({','.join('?' * 14)})"
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))  # made once: json.dumps makes one a call


@dataclass(frozen=True)
class Call:
    """One call that cost, or could have cost, something.

    Args:
        place: structural place in the work, such as `gsm8k/12/seed=0`.
        digest: digest of the request (or of what was judged or executed).
        draw: index among the calls of this place and digest.
        kind: what was called.
        state: `done`, `failed`, or `cut` before its end.
        role: ledger that it is charged to (`policy`, `judge`, ...).
        problem: id of the problem.
        model: model and engine, verifier spec, or sandbox.
        parent: key of the call it refers to (the sample that was judged).
        charged: what the method costs.
        paid: what was served.
        basis: where the amounts come from.
        body: the result as plain data; the failure's kind and message for a failed call.
        request: the request as plain data; stored once for all calls that share the digest.
    """

    place: str
    digest: str
    draw: int
    kind: CallKind
    state: CallState
    role: str
    problem: str | None
    model: str
    parent: str | None = None
    charged: Spend = Spend()
    paid: Spend = Spend()
    basis: str = "counted"
    body: dict[str, object] = field(default_factory=dict)
    request: dict[str, object] | None = None

    @property
    def key(self) -> str:
        """The key: equal for the same thing asked at the same place of the same model."""
        return call_key(self.place, self.digest, self.model, self.draw)


@functools.lru_cache(maxsize=4096)  # asked twice for each sample: to look it up, and to record it
def call_key(place: str, digest: str, model: str, draw: int) -> str:
    """32 hexadecimal digits that identify a call. The calls of one place start alike, so that they lie together in the index."""
    where, start = _key_start(place, digest, model)
    whole = start.copy()
    whole.update(b"%d]" % draw)
    return where + whole.hexdigest()


@functools.lru_cache(maxsize=256)  # the samples of one request differ in their number alone
def _key_start(place: str, digest: str, model: str) -> tuple[str, hashlib.blake2b]:
    # the hash of the list [place, digest, model, draw] as JSON, up to the draw
    where = hashlib.blake2b(utf8(place), digest_size=6).hexdigest()
    return where, hashlib.blake2b(json.dumps([place, digest, model])[:-1].encode() + b", ", digest_size=10)


class Journal:
    """An append-only store of calls. One process writes it at a time; others may read it meanwhile, and see what is committed.

    Args:
        path: the SQLite file, made if absent; None keeps the journal in memory.
        writable: False opens an existing journal for reading only.

    Raises:
        StoreError: the file is not a journal, is from a newer outthink, is being written by another process, or cannot be written.
    """

    def __init__(self, path: Path | str | None = None, *, writable: bool = True) -> None:
        self.path = Path(path) if path is not None else None
        self.writable = writable
        self._seen_requests: set[str] = set()
        self._added: list[Call] = []
        self._writer: sqlite3.Connection | None = None
        if self.path is not None and self.path.is_dir():
            raise StoreError(f"{self.path}: is a folder; give the file in it, such as {self.path / 'journal.sqlite'}")
        if self.path is not None and not writable and not self.path.exists():
            raise StoreError(f"{self.path}: there is no journal at this path; make one with `outthink run` or `outthink pool build`")
        try:
            if self.path is None:
                self._db = sqlite3.connect(":memory:", isolation_level=None)
            elif writable:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._db = sqlite3.connect(self.path, isolation_level=None, timeout=2)
            else:
                self._db = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        except (sqlite3.Error, OSError) as error:
            raise self._explain(error) from error
        try:
            self._open()
        except (sqlite3.Error, StoreError) as error:
            self._release()
            raise error if isinstance(error, StoreError) else self._explain(error) from error

    def _open(self) -> None:
        has_meta = self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
        if has_meta:
            version = self.meta("schema") or "0"
            if not version.isdecimal() or int(version) > SCHEMA_VERSION:
                raise StoreError(
                    f"{self.path}: written by a newer outthink (schema {version}, this one knows {SCHEMA_VERSION}); upgrade outthink to open it"
                )
        elif not self.writable or self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise StoreError(f"{self.path}: not an outthink journal; give the journal.sqlite of a run, or a pool file")
        if not self.writable:
            return
        if self.path is not None:
            # Who holds this lock is the one writer. It stands in a file of its own, empty and left there, so that it keeps no reader
            # out; a process that dies lets go of it.
            self._writer = sqlite3.connect(self.path.with_name(self.path.name + ".lock"), isolation_level=None, timeout=2)
            self._writer.execute("BEGIN EXCLUSIVE")
        # WAL + NORMAL: a commit survives the death of the process without an fsync each.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        # 64 MiB of cache and a checkpoint every 32 MiB: pages of a big index are written less often than once a batch
        self._db.execute("PRAGMA cache_size=-65536")
        self._db.execute("PRAGMA wal_autocheckpoint=8000")
        self._db.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}INSERT OR IGNORE INTO meta VALUES ('schema', '{SCHEMA_VERSION}');COMMIT;")

    def _explain(self, error: Exception) -> StoreError:
        where = self.path or "in-memory journal"
        text = str(error)
        if "full" in text or getattr(error, "errno", None) == 28:
            return StoreError(f"{where}: the disk is full; what was recorded is safe: free some space and run the same command again to go on")
        if "disk I/O" in text:  # also where writing what readers share finds the disk full
            return StoreError(
                f"{where}: the disk does not take it (full, over a quota or a limit of file size, or broken); what was recorded is safe: make room "
                "and run the same command again to go on"
            )
        if "locked" in text:
            return StoreError(f"{where}: another process is writing it; wait for that run to end, or give this one another name")
        if "not a database" in text or "malformed" in text:
            return StoreError(f"{where}: not an outthink journal, or damaged ({text}); give another path or restore it from a copy")
        return StoreError(f"{where}: cannot be used: {text}")

    @contextmanager
    def _transaction(self, begin: bool = True) -> Iterator[None]:
        # all or nothing, and a sentence for people in place of SQLite's
        try:
            if begin:
                self._db.execute("BEGIN")
            yield
            if begin:
                self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise self._explain(error) from error
            raise

    def _read(self, query: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        # a file may be damaged where only reading finds it
        try:
            yield from self._db.execute(query, values)
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def meta(self, name: str) -> str | None:
        """A named note of the store, None if it was never set."""
        row = next(self._read("SELECT value FROM meta WHERE name = ?", (name,)), None)
        return None if row is None else str(row[0])

    def set_meta(self, name: str, value: str) -> None:
        """Keep a named note (problem set, fingerprint, settings) with the calls."""
        with self._transaction():
            self._db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value))

    def append(self, calls: Sequence[Call]) -> None:
        """Commit calls. When this returns they survive the death of the process.

        Raises:
            StoreError: the disk is full or the store cannot be written; none of these calls is recorded then.
        """
        self.commit()
        self._write(calls)

    def add(self, calls: Sequence[Call]) -> None:
        """Take calls to be recorded by the next `commit`, in one transaction with those that others add until then."""
        self._added.extend(calls)

    def commit(self) -> None:
        """Commit the calls that were added. When this returns they survive the death of the process.

        Raises:
            StoreError: the disk is full or the store cannot be written; the calls are kept for the next try.
        """
        if self._added:
            self._write(self._added)
            self._added = []

    def _write(self, calls: Sequence[Call]) -> None:
        if not calls:
            return
        fresh = {c.digest: c.request for c in calls if c.request is not None and c.digest not in self._seen_requests}
        # one statement is its own transaction
        with self._transaction(begin=len(calls) > 1 or bool(fresh)):
            self._db.executemany("INSERT OR IGNORE INTO requests VALUES (?, ?)", [(d, _dump(r)) for d, r in fresh.items()])
            self._db.executemany(_INSERT, [_row(call) for call in calls])
        self._seen_requests.update(fresh)
        if len(self._seen_requests) > 100_000:  # bounded memory on million-call runs; a repeat costs one ignored insert
            self._seen_requests.clear()

    def find(self, keys: Sequence[str], *, failed: bool = False) -> dict[str, Call]:
        """The finished calls among these keys; with `failed` also those that only failed so far."""
        self.commit()
        found: dict[str, Call] = {}
        states = "('failed', 'done')" if failed else "('done')"
        for start in range(0, len(keys), 500):
            part = [bytes.fromhex(key) for key in keys[start : start + 500]]
            marks = ",".join("?" * len(part))
            rows = self._read(f"SELECT {_COLUMNS} FROM calls WHERE state IN {states} AND key IN ({marks}) ORDER BY state DESC, id", part)
            found.update((row[0].hex(), _call(row)) for row in rows)  # 'failed' rows first, so that 'done' wins
        return found

    def calls(self, kind: CallKind | None = None, *, problem: str | None = None, state: CallState | None = None) -> Iterator[Call]:
        """Recorded calls in the order of their recording."""
        self.commit()
        wanted = {"kind": kind, "problem": problem, "state": state}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given) or "1"
        for row in self._read(f"SELECT {_COLUMNS} FROM calls WHERE {where} ORDER BY id", list(given.values())):
            yield _call(row)

    def record(self, kind: str, rows: Mapping[str, Mapping[str, object]]) -> None:
        """Commit results that are made of calls (a graded solution, a sample's label), by kind and name. The first of a name stands.

        Raises:
            StoreError: the disk is full or the store cannot be written; none of these is recorded then.
        """
        if not rows:
            return
        self.commit()
        with self._transaction():
            self._db.executemany("INSERT OR IGNORE INTO records (kind, name, body) VALUES (?, ?, ?)", [(kind, n, _dump(b)) for n, b in rows.items()])

    def records(self, kind: str) -> Iterator[tuple[str, dict[str, object]]]:
        """(name, body) of the results of a kind, in the order of their recording."""
        for name, body in self._read("SELECT name, body FROM records WHERE kind = ? ORDER BY id", (kind,)):
            yield str(name), json.loads(body)

    def request(self, digest: str) -> dict[str, object] | None:
        """The request with this digest as plain data."""
        row = next(self._read("SELECT body FROM requests WHERE digest = ?", (digest,)), None)
        return None if row is None else json.loads(row[0])

    def __len__(self) -> int:
        self.commit()
        return int(next(self._read("SELECT COUNT(*) FROM calls"))[0])

    def close(self) -> None:
        """Record what was added and release the file."""
        try:
            self.commit()
        finally:
            self._release()

    def _release(self) -> None:
        self._db.close()
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _dump(value: object) -> str:
    text = _ENCODER.encode(value)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # half of a character, where a model was cut: SQLite takes it escaped
            return json.dumps(value)
    return text


def _row(call: Call) -> tuple[object, ...]:
    charged = _spend(call.charged)
    return (
        bytes.fromhex(call.key), call.place, call.digest, call.draw, call.kind, call.state, call.role, call.problem, call.model,
        call.parent, charged, charged if call.paid is call.charged else _spend(call.paid), call.basis, _dump(call.body),
    )  # fmt: skip


def _spend(spend: Spend) -> str:
    # as JSON, written by hand: every sample has two of these
    counts = f"{spend.completion_tokens},{spend.prompt_tokens},{spend.calls}"
    return f"[{counts},{float(spend.flops)!r},{float(spend.dollars)!r},{float(spend.cpu_seconds)!r}]"


def _call(row: tuple) -> Call:  # type: ignore[type-arg]
    _, place, digest, draw, kind, state, role, problem, model, parent, charged, paid, basis, body = row
    spends = Spend(*json.loads(charged)), Spend(*json.loads(paid))
    return Call(place, digest, draw, kind, state, role, problem, model, parent, *spends, basis, json.loads(body))
