"""Built pools, imported recordings, and strategies on them."""

from __future__ import annotations

import dataclasses
import json
import os
from functools import partial
from pathlib import Path

import anyio
import numpy as np
import pytest

from outthink.core.errors import DataError, StoreError, UsageError
from outthink.core.journal import Journal
from outthink.core.pool import Pool
from outthink.core.request import Sampling
from outthink.evaluate import pools
from outthink.evaluate.curves import curves
from outthink.evaluate.recordings import SCORE, TESTS, import_recording
from outthink.evaluate.replay import replay
from outthink.evaluate.table import SampleTable
from outthink.problems.sets import load
from outthink.strategies.best_of_n import BestOfN
from outthink.strategies.majority_vote import MajorityVote
from tests.evaluate.support import latent, numbered

needs_data = pytest.mark.skipif("OUTTHINK_DATA" not in os.environ, reason="OUTTHINK_DATA is not set: the recordings are not here")


def test_a_pool_is_filled_once_and_grows(tmp_path: Path) -> None:
    problems, path = numbered(6), tmp_path / "pool.sqlite"
    model = latent(problems)
    anyio.run(partial(pools.build, problems, model, 5, path))
    assert model.served.calls == 30
    anyio.run(partial(pools.build, problems, model, 5, path))
    assert model.served.calls == 30
    anyio.run(partial(pools.build, problems, model, 12, path))
    assert model.served.calls == 72
    (row,) = pools.show(path)
    assert (row.model, row.problems, row.samples, row.absent) == ("latent-answers@simulated", 6, 12, 0)
    assert row.single <= row.coverage
    with pytest.raises(UsageError, match="sampling: was"):
        anyio.run(partial(pools.build, problems, model, 12, path, sampling=Sampling(temperature=0.1)))


def test_a_table_holds_what_was_sampled_and_judged(tmp_path: Path) -> None:
    problems, path = numbered(5), tmp_path / "pool.sqlite"
    anyio.run(partial(pools.build, problems, latent(problems, failure_rate=0.2), 8, path))
    with Journal(path, writable=False) as journal:
        table = SampleTable.load(journal)
        samples = list(Pool(journal).samples())
    assert table.labels.shape == (5, 8)
    assert table.absent == 40 - len(samples) > 0
    assert table.tokens.sum() == sum(sample.completion.usage.completion_tokens for sample in samples)
    for sample in samples:
        row = table.problems.index(sample.problem)
        key = problems.keys[sample.problem]
        assert table.correct[row, sample.draw] == (f"answer is {key}." in sample.completion.text)
        assert (table.labels[row, sample.draw] < 0) == ("cannot tell" in sample.completion.text)
        mean = sample.completion.logprob / sample.completion.usage.completion_tokens
        assert table.scores["sequence_likelihood"][row, sample.draw] == pytest.approx(mean)


def test_replaying_is_what_the_model_would_have_given(tmp_path: Path) -> None:
    problems, path = numbered(20), tmp_path / "pool.sqlite"
    model = latent(problems)
    anyio.run(partial(pools.build, problems, model, 8, path))
    before = model.served.calls
    steps: list[int] = []
    done = anyio.run(partial(replay, Pool.open(path), [MajorityVote(), BestOfN()], problems, (8,), progress=lambda step: steps.append(step.done)))
    assert steps == list(range(41))
    assert model.served.calls == before
    assert done.complete
    assert not any(record.missing for record in done.records)
    with Journal(path, writable=False) as journal:
        whole = {curve.name: curve.accuracy[-1] for curve in curves(SampleTable.load(journal), [8])}
    # with all 8 samples there is one subset; ties go to the first seen in a run and are shared in the curve
    voted = np.mean([record.right for record in done.records if record.family == "majority_vote"])
    assert abs(voted - whole["majority"]) <= 0.5 * np.mean([_tied(path, problem.id) for problem in problems.problems]) + 1e-9


@pytest.mark.parametrize("shares_prompt", [False, True])
def test_a_vote_on_a_pool_is_charged_what_drawing_it_cost(shares_prompt: bool, tmp_path: Path) -> None:
    problems, path = numbered(3), tmp_path / "pool.sqlite"
    anyio.run(partial(pools.build, problems, latent(problems, shares_prompt=shares_prompt), 8, path))
    done = anyio.run(partial(replay, Pool.open(path), [MajorityVote()], problems, (8,)))
    with Journal(path, writable=False) as journal:
        drawn = list(journal.calls("sample"))
    for record in done.records:
        mine = [call for call in drawn if call.problem == record.problem]
        assert record.charged.prompt_tokens == sum(call.charged.prompt_tokens for call in mine)
        prompts = [call.body["usage"][0] for call in mine]
        assert record.charged.prompt_tokens == (prompts[0] if shares_prompt else sum(prompts)) > 0


def _tied(path: Path, problem: str) -> float:
    with Journal(path, writable=False) as journal:
        table = SampleTable.load(journal)
    row = table.labels[table.problems.index(problem)]
    counts = np.bincount(row[row >= 0])
    return float((counts == counts.max()).sum() > 1) if counts.size else 0.0


def test_a_pool_of_another_set_with_the_same_names_is_refused(tmp_path: Path) -> None:
    drawn, other = numbered(3), load("arithmetic(n=3)")
    path = tmp_path / "pool.sqlite"
    anyio.run(partial(pools.build, drawn, latent(drawn), 2, path))
    renamed = dataclasses.replace(
        other,
        problems=tuple(dataclasses.replace(p, id=f"set/{i}") for i, p in enumerate(other.problems)),
        keys={f"set/{i}": key for i, key in enumerate(other.keys.values())},
    )
    with pytest.raises(DataError, match=r"its 'set/0' has the answer '100', that of .* has '137'; name the set that the pool was drawn from"):
        anyio.run(partial(replay, Pool.open(path), (MajorityVote(n=2),), renamed))


def test_a_pool_without_grades_says_how_to_fill_it(tmp_path: Path) -> None:
    Journal(tmp_path / "empty.sqlite").close()
    with pytest.raises(DataError, match="no graded samples"):
        pools.show(tmp_path / "empty.sqlite")


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_recording_becomes_samples_judgements_and_grades(tmp_path: Path) -> None:
    rows = [{"id": "q", "question": "?", "answer": "4", "samples": [
        {"text": "so 4", "answer": "4", "correct": True, "score": 0.5},
        {"text": "so 5", "answer": "5", "correct": False, "n": 2},
        {"answer": None, "text": "hm", "correct": False},
    ]}]  # fmt: skip
    source = write(tmp_path / "mine.jsonl", rows)
    assert import_recording(source, tmp_path / "pool.sqlite") == 4
    with Journal(tmp_path / "pool.sqlite", writable=False) as journal:
        table = SampleTable.load(journal)
        assert table.labels.tolist() == [[0, 1, 1, -1]]
        assert table.correct.tolist() == [[1, 0, 0, 0]]
        assert table.scores[SCORE][0, 0] == 0.5
        assert np.isnan(table.scores[SCORE][0, 1:]).all()
        assert [sample.completion.text for sample in Pool(journal).samples("q")] == ["so 4", "so 5", "so 5", "hm"]
        assert all("correct" not in json.dumps(call.body) for call in journal.calls())
    with pytest.raises(StoreError, match="is there already"):
        import_recording(source, tmp_path / "pool.sqlite")


@pytest.mark.parametrize(
    ("row", "said"), [({"id": "q"}, "row 1: needs 'id' and a list"), ({"id": "q", "samples": [{"text": "x"}]}, "a sample needs 'correct'")]
)
def test_a_broken_recording_is_named(tmp_path: Path, row: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        import_recording(write(tmp_path / "bad.jsonl", [row]), tmp_path / "pool.sqlite")


def test_an_unknown_recording_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Did you mean 'date10'"):
        import_recording("date100", tmp_path / "pool.sqlite")


@needs_data
def test_date10_votes_as_published(tmp_path: Path) -> None:
    # whole set: one sample .624, majority of 10 .725, any of 10 .829; here two thirds of its 369 items, sigma of the part .025 and less
    import_recording("date10", tmp_path / "pool.sqlite")
    (row,) = pools.show(tmp_path / "pool.sqlite")
    assert (row.problems, row.samples) == (246, 10)
    assert row.single == pytest.approx(0.624, abs=0.06)
    assert row.majority == pytest.approx(0.725, abs=0.06)
    assert row.coverage == pytest.approx(0.829, abs=0.06)
    assert row.majority - row.single > 0.07


@needs_data
def test_math_rm8_scores_rank(tmp_path: Path) -> None:
    # whole set: one sample .910, reward-best of 8 .940, any of 8 .960
    import_recording("math_rm8", tmp_path / "pool.sqlite")
    with Journal(tmp_path / "pool.sqlite", writable=False) as journal:
        last = {curve.name: curve.accuracy[-1] for curve in curves(SampleTable.load(journal), [8])}
    assert last["random choice"] == pytest.approx(0.910, abs=0.04)
    assert last[f"best of n ({SCORE})"] == pytest.approx(0.940, abs=0.04)
    assert last["oracle ceiling"] == pytest.approx(0.960, abs=0.03)
    assert last["random choice"] < last[f"best of n ({SCORE})"] <= last["oracle ceiling"]


@needs_data
def test_gsm8k_verifier_holds_four_systems(tmp_path: Path) -> None:
    import_recording("gsm8k_verifier", tmp_path / "pool.sqlite")
    single = {row.model.removesuffix("@recorded"): row.single for row in pools.show(tmp_path / "pool.sqlite")}
    published = {"6b_finetuning": 0.217, "6b_verification": 0.390, "175b_finetuning": 0.347, "175b_verification": 0.563}
    assert single == {name: pytest.approx(value, abs=0.03) for name, value in published.items()}


@needs_data
@pytest.mark.slow
def test_humaneval_codet_generated_tests_and_groups(tmp_path: Path) -> None:
    # whole set: pass@1 .224, pass@100 .744, most asserts passed .224, largest group .265
    import_recording("humaneval_codet", tmp_path / "pool.sqlite")
    with Journal(tmp_path / "pool.sqlite", writable=False) as journal:
        table = SampleTable.load(journal)
    last = {curve.name: curve.accuracy[-1] for curve in curves(table, [100])}
    assert table.n == 100
    assert last["random choice"] == pytest.approx(0.224, abs=0.03)
    assert last["oracle ceiling"] == pytest.approx(0.744, abs=0.05)
    assert last["majority"] == pytest.approx(0.265, abs=0.04)
    assert last[f"best of n ({TESTS})"] == pytest.approx(0.224, abs=0.04)


@needs_data
def test_cruxeval_single_sample_accuracy(tmp_path: Path) -> None:
    import_recording("cruxeval", tmp_path / "pool.sqlite")
    with Journal(tmp_path / "pool.sqlite", writable=False) as journal:
        table = SampleTable.load(journal)
    for task, published in (("input", 0.3595), ("output", 0.3421)):
        rows = [i for i, problem in enumerate(table.problems) if problem.endswith(f"/{task}")]
        assert len(rows) == 534
        assert table.correct[rows].mean() == pytest.approx(published, abs=0.03)
