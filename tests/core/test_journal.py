"""The journal: killed processes, full disks, other versions, other files, other writers."""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from outthink.core.completion import Completion, Usage
from outthink.core.errors import StoreError
from outthink.core.journal import SCHEMA_VERSION, Call, Journal
from outthink.core.pool import Pool
from outthink.core.problem import Problem
from outthink.core.request import Message
from outthink.core.session import Session
from outthink.core.shared import Event
from outthink.core.spend import Spend
from outthink.models.simulated import LatentAnswers, Speech
from outthink.problems.numbers import Number

CHILD = """
import sys, anyio
from outthink.core.attempt import attempt
from outthink.core.journal import Journal
from outthink.core.problem import Problem
from outthink.core.request import Message
from outthink.core.session import Session
from outthink.core.shared import Event
from outthink.models.simulated import LatentAnswers, Speech
from outthink.problems.numbers import Number
from outthink.strategies.majority_vote import MajorityVote

async def main():
    truth = {f"p{i}": str(i) for i in range(8)}
    model = LatentAnswers.drawn(truth, seed=1, speech=Speech(delay_s=float(sys.argv[2])))
    with Journal(sys.argv[1]) as journal:
        for problem in truth:
            session = Session.open(model, journal=journal, place=(problem,))
            solution = await attempt(MajorityVote(n=8), Problem(problem, (Message("user", problem),), Number()), session)
            print(problem, solution.answer, solution.charged.completion_tokens, flush=True)
    print("served", model.served.done, flush=True)

anyio.run(main)
"""


def call(number: int, body: str = "x") -> Call:
    completion = Completion(body, "stop", Usage(3, 1))
    return Call("p/seed=0", "d" * 32, number, "sample", "done", "policy", "p", "m@e", body=completion.to_json(), paid=Spend(1, 3, 1))


def fill(journal: Journal) -> None:
    for number in range(1000):
        journal.append([call(number, "word " * 400)])


def child(path: Path, delay_s: float) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(path), str(delay_s)], stdout=subprocess.PIPE, text=True)


def test_killed_at_any_moment_nothing_is_lost_and_nothing_is_done_twice(tmp_path: Path) -> None:
    whole = child(tmp_path / "whole.sqlite", 0.0).communicate(timeout=30)[0].splitlines()
    path = tmp_path / "killed.sqlite"
    moments = random.Random(5)
    kept = 0
    for _ in range(3):
        process = child(path, 0.002)
        assert process.stdout is not None
        process.stdout.readline()  # it is at work: at least what it has told is recorded
        time.sleep(moments.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with Journal(path, writable=False) as journal:  # a killed writer leaves a file that can be read as it is
            done = [each.key for each in journal.calls("sample", state="done")]
            assert len(done) == len(set(done)) >= max(kept, 8)
            kept = len(done)
    *resumed, served = child(path, 0.0).communicate(timeout=30)[0].splitlines()
    assert resumed == whole[:-1]
    assert served == f"served {64 - kept}"
    with Journal(path, writable=False) as journal:
        done = [each.key for each in journal.calls("sample", state="done")]
        assert len(done) == len(set(done)) == 64


def test_a_full_disk_is_said_and_what_was_recorded_is_safe(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    journal = Journal(path)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
        with pytest.raises(StoreError) as error:
            fill(journal)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert str(path) in str(error.value)
    assert "make room and run the same command again" in str(error.value)
    kept = len(journal)
    assert kept > 5
    assert [each.draw for each in journal.calls()] == list(range(kept)), "every append that came back is there"
    journal.append([call(kept)])  # with room again the same journal goes on
    journal.close()
    with Journal(path, writable=False) as reopened:
        assert len(reopened) == kept + 1


def test_sqlite_saying_that_it_is_full_is_a_full_disk(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.sqlite") as journal:
        journal._db.execute("PRAGMA max_page_count=20")
        with pytest.raises(StoreError, match=r"the disk is full; what was recorded is safe"):
            journal.append([call(number, "word " * 200) for number in range(1000)])
        assert len(journal) == 0, "a batch is recorded whole or not at all"


@pytest.mark.parametrize("version", [str(SCHEMA_VERSION + 1), "2.1"])
def test_a_newer_journal_is_not_touched(version: str, tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    with Journal(path) as journal:
        journal.set_meta("schema", version)
    for writable in (True, False):
        with pytest.raises(StoreError, match=f"newer outthink.*schema {version}"):
            Journal(path, writable=writable)


def test_damage_that_only_reading_finds_is_said(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    with Journal(path) as journal:
        journal.append([call(number, "word " * 200) for number in range(200)])
    with path.open("r+b") as file:  # leaves the first pages, which say what the tables are
        for page in range(8, path.stat().st_size // 4096, 2):
            file.seek(4096 * page)
            file.write(b"\xff" * 4096)
    with Journal(path, writable=False) as journal:
        with pytest.raises(StoreError, match=r"j\.sqlite: .*damaged \(.*malformed"):
            list(journal.calls())
        with pytest.raises(StoreError, match="damaged"):
            journal.find([call(number).key for number in range(200)])


def test_what_is_no_journal_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    text, other = tmp_path / "notes.txt", tmp_path / "other.sqlite"
    text.write_text("no database at all, but long enough to have a header " * 40)
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()
    for path in (text, other):
        before = path.read_bytes()
        for writable in (True, False):
            with pytest.raises(StoreError, match="not an outthink journal"):
                Journal(path, writable=writable)
        assert path.read_bytes() == before


def test_an_absent_journal_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no journal at this path"):
        Pool.open(tmp_path / "absent.sqlite")


def test_a_second_writer_waits_and_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    code = "import sys\nfrom outthink.core.journal import Journal\nfrom outthink.core.errors import StoreError\n"
    code += "try:\n    Journal(sys.argv[1])\nexcept StoreError as error:\n    print(error)\n"
    with Journal(path) as journal:
        journal.append([call(0)])
        second = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=30, check=True)
        assert "another process is writing it" in second.stdout
    with Journal(path) as journal:
        assert len(journal) == 1


def test_a_journal_is_read_while_another_process_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    code = "import sys\nfrom outthink.core.journal import Journal\n"
    code += "with Journal(sys.argv[1], writable=False) as journal:\n    print([call.draw for call in journal.calls()])\n"
    with Journal(path) as journal:
        journal.append([call(0)])
        journal.add([call(1)])  # not committed: nobody else sees it
        seen = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=30, check=True)
        assert seen.stdout == "[0]\n"
        with Journal(path, writable=False) as reader:
            assert len(reader) == 1
            journal.commit()
            assert len(reader) == 2, "a reader that stays sees what is committed meanwhile"
            with pytest.raises(StoreError, match="another process is writing it"):
                Journal(path)


def test_what_was_added_is_one_transaction_and_is_kept_until_it_is_recorded(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.sqlite") as journal:
        seen: list[str] = []
        journal._db.set_trace_callback(seen.append)
        for number in range(3):
            journal.add([call(number)])
        assert not seen
        journal.commit()
        assert (seen.count("BEGIN"), seen.count("COMMIT")) == (1, 1)
        journal._db.set_trace_callback(None)
        journal._db.execute("PRAGMA max_page_count=20")
        journal.add([call(number, "word " * 200) for number in range(3, 200)])
        with pytest.raises(StoreError, match="the disk is full"):
            journal.commit()
        journal._db.execute("PRAGMA max_page_count=2000")  # there is room again
        assert [each.draw for each in journal.calls()] == list(range(200))


@pytest.mark.parametrize("delay_s", [0.0, 0.001])
def test_samples_that_end_together_are_one_transaction_and_wait_for_nobody_else(delay_s: float) -> None:
    async def recorded() -> list[int]:
        """How many calls are recorded whenever a sample ends."""
        counts: list[int] = []
        with Journal() as journal:

            def listen(event: Event) -> None:
                if event.kind == "done":
                    counts.append(journal._db.execute("SELECT COUNT(*) FROM calls").fetchone()[0])

            model = LatentAnswers.drawn({"p": "1"}, seed=1, speech=Speech(delay_s=delay_s))
            session = Session.open(model, journal=journal, place=("p",), listen=listen)
            assert len(await session.sample(Problem("p", (Message("user", "?"),), Number()), 16)) == len(journal) == 16
        return counts

    counts = anyio.run(recorded)
    assert counts == ([0] * 16 if delay_s == 0 else list(range(16)))


def test_half_a_character_is_recorded_as_it_is() -> None:
    with Journal() as journal:
        journal.append([call(0, "cut \ud83d"), call(1, "whole 😀")])
        assert [each.body["text"] for each in journal.calls()] == ["cut \ud83d", "whole 😀"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        Journal(tmp_path / "file" / "j.sqlite")


def test_the_finished_call_of_a_key_answers_and_failed_ones_only_if_asked() -> None:
    journal = Journal()
    good = call(0, "good")
    failed = Call(good.place, good.digest, 0, "sample", "failed", "policy", "p", "m@e", body={"kind": "x", "message": "y"})
    cut = Call(good.place, good.digest, 0, "sample", "cut", "policy", "p", "m@e")
    journal.append([failed, cut])
    assert journal.find([good.key]) == {}
    assert journal.find([good.key], failed=True)[good.key].state == "failed"
    journal.append([good, failed])
    for also_failed in (False, True):
        assert journal.find([good.key], failed=also_failed)[good.key].body["text"] == "good"
    assert journal.find([]) == {}


def test_calls_come_back_as_they_were() -> None:
    journal = Journal()
    original = Call(
        "p/∕/seed=-1", "d", 3, "execute", "done", "judge", None, "box", "parent", Spend(1, 2, 3, 4.5, 0.1 + 0.2, 6.0), Spend(), "estimated",
        {"text": "ünï\u2028\x00 😀", "n": None}, {"a": 1},
    )  # fmt: skip
    journal.append([original])
    (back,) = journal.calls()
    assert back == Call(**{**original.__dict__, "request": None})
    assert journal.request("d") == {"a": 1}
    assert os.fspath(journal.path or "") == ""


def test_what_cannot_be_written_as_json_leaves_the_journal_usable() -> None:
    with Journal() as journal:
        with pytest.raises(TypeError):
            journal.record("grade", {"a": {"value": 1}, "b": {"value": object()}})
        journal.record("grade", {"c": {"value": 2}})
        assert [name for name, _ in journal.records("grade")] == ["c"]
