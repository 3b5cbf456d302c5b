"""The harness: discovery by name, what is missing, what breaks, fixtures, the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from outthink.core.errors import MissingExtra, UsageError
from outthink.papers import harness, measured
from outthink.papers.fixtures import Fixture, Progress
from outthink.papers.harness import Reproduction, discover, lacks, measure, reproduction, run
from outthink.papers.measured import Broken, Measured, Skipped
from outthink.papers.table import docs_table


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTTHINK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OUTTHINK_DATA", raising=False)


@reproduction(paper=113, kind="simulated", fast=True)
def two_claims() -> Iterator[Measured]:
    """Two claims, one of which does not hold. The rest of the paragraph."""
    yield Measured.within("holds", value=1.0, target=1.0, tolerance=0.1)
    yield Measured.within("does | not", value=2.0, target=1.0, tolerance=0.1)


@reproduction(paper=113, kind="exact")
def breaks() -> Iterator[Measured]:
    """Breaks after one claim."""
    yield Measured.within("before", value=1.0, target=1.0, tolerance=0.1)
    raise ZeroDivisionError("no trials")


def test_claims_carry_paper_kind_and_time_and_keep_their_verdicts():
    first, second = measure(two_claims)
    assert isinstance(first, Measured)
    assert isinstance(second, Measured)
    assert (first.paper, first.kind, first.holds, second.holds) == (113, "simulated", True, False)
    assert first.seconds >= 0
    assert not first.late


def test_an_exception_keeps_what_was_measured_and_logs_the_traceback():
    first, second = measure(breaks)
    assert isinstance(first, Measured)
    assert first.holds
    assert isinstance(second, Broken)
    assert second.error == "ZeroDivisionError: no trials"
    assert "Traceback" in Path(second.log).read_text()


def test_a_reproduction_that_measures_nothing_is_an_error():
    @reproduction(paper=1, kind="exact")
    def empty() -> Iterator[Measured]:
        """Nothing."""
        yield from ()

    (result,) = measure(empty)
    assert isinstance(result, Broken)
    assert "measured nothing" in result.error


def test_a_reproduction_over_the_limit_is_flagged(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(harness, "LIMIT_SECONDS", -1.0)
    assert all(isinstance(result, Measured) and result.late for result in measure(two_claims))
    assert measured.LIMIT_SECONDS == 120.0


@pytest.mark.parametrize(
    ("need", "reason", "remedy"),
    [
        ("data:monkeys/counts", "monkeys/counts is not in", "OUTTHINK_DATA"),
        ("model:no-such-model", "no-such-model is not on this machine", "gguf"),
    ],
)
def test_what_is_missing_is_skipped_with_what_to_do(need: str, reason: str, remedy: str):
    if need.startswith("model"):
        pytest.importorskip("xllamacpp")

    @reproduction(paper=1, kind="recorded", needs=(need,))
    def needy() -> Iterator[Measured]:
        """Never runs."""
        raise AssertionError("must not run")
        yield

    (result,) = measure(needy)
    assert isinstance(result, Skipped)
    assert reason in result.reason
    assert remedy in result.remedy


def test_an_extra_that_is_absent_is_skipped(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(harness._EXTRA_MODULES, "laws", "no_such_module_at_all")
    missing = lacks("extra:laws")
    assert missing is not None
    assert "outthink[laws]" in missing[1]

    @reproduction(paper=1, kind="exact")
    def lazily() -> Iterator[Measured]:
        """Finds out in the middle."""
        raise MissingExtra("this needs x; install it with: pip install 'outthink[laws]'")
        yield

    (result,) = measure(lazily)
    assert isinstance(result, Skipped)


def test_bad_declarations_are_refused():
    with pytest.raises(UsageError, match="no paper"):
        reproduction(paper=999, kind="exact")
    with pytest.raises(ValueError, match="kind"):
        reproduction(paper=1, kind="guessed")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no need"):
        reproduction(paper=1, kind="exact", needs=("data:monkeys",))

    def silent() -> Iterator[Measured]:
        yield from ()

    with pytest.raises(ValueError, match="docstring"):
        reproduction(paper=1, kind="exact")(silent)


def test_discovery_goes_by_module_name_and_reads_only_what_is_asked():
    found = discover([72])
    assert {one.paper for one in found} == {72}
    names = [one.name for one in found]
    assert names.index("exact_law") < names.index("simulated_tournaments")  # as in their file
    assert {5, 72, 113, 119} <= {one.paper for one in discover()}
    assert discover([1]) == []
    with pytest.raises(UsageError):
        discover([0])


def _fixture(calls: list[str], fail_once: bool) -> Fixture:
    def make(folder: Path, params: Mapping[str, str | int | float], progress: Progress) -> None:
        kept = folder / "half"
        calls.append("again" if kept.exists() else "first")
        kept.write_text("done")
        progress("making", 1, 2)
        if fail_once and calls == ["first"]:
            raise RuntimeError("killed")
        (folder / "all").write_text(str(params["n"]))

    return Fixture("thing", make, {"n": 3}, "a moment")


def test_a_fixture_is_made_once_and_appears_whole():
    calls: list[str] = []
    fixture = _fixture(calls, fail_once=True)

    @reproduction(paper=2, kind="real", prepare=fixture)
    def reads() -> Iterator[Measured]:
        """Reads the fixture."""
        yield Measured.within("n", value=float((fixture.path / "all").read_text()), target=3.0, tolerance=0.0)

    (skipped,) = measure(reads)
    assert isinstance(skipped, Skipped)
    assert "--prepare" in skipped.remedy
    assert calls == []
    (broken,) = measure(reads, prepare=True)
    assert isinstance(broken, Broken)
    assert not fixture.ready
    seen: list[tuple[str, int, int]] = []
    (done,) = measure(reads, prepare=True, progress=lambda *step: seen.append(step))
    assert isinstance(done, Measured)
    assert done.holds
    assert ("making", 1, 2) in seen
    measure(reads, prepare=True)
    assert calls == ["first", "again"]  # went on from what was there, and was not made a third time


def test_a_fixture_with_other_parameters_is_another_one():
    fixture = _fixture([], fail_once=False)
    other = Fixture("thing", fixture.make, {"n": 4}, "a moment")
    assert fixture.path != other.path


def test_the_table_shows_every_verdict_and_keeps_its_columns():
    results = [*measure(two_claims), *measure(breaks), Skipped(paper=5, name="n", claim="c", kind="real", reason="no model", remedy="get it")]
    lines = docs_table(results).splitlines()
    assert len(lines) == 2 + 5
    assert all(line.replace("\\|", "").count("|") == 8 for line in lines)
    assert "holds" in lines[2]
    assert "does not hold" in lines[3]
    assert "error" in lines[5]
    assert "skipped: no model; get it" in lines[6]


def test_run_keeps_to_the_fast_ones(monkeypatch: pytest.MonkeyPatch):
    ran: list[str] = []

    def recorded(one: Reproduction, **options: object) -> list[measured.Result]:
        ran.append(one.name)
        return []

    monkeypatch.setattr(harness, "measure", recorded)
    run([72], fast=True)
    assert ran == [one.name for one in discover([72]) if one.fast]
    assert 0 < len(ran) < len(discover([72]))
