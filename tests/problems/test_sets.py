"""Loading problem sets: files good and bad, limits, folds, fingerprints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outthink.core.errors import DataError, UsageError
from outthink.problems.answers import Choice, Exact, Expression, Free, Number
from outthink.problems.sets import load


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("OUTTHINK_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("OUTTHINK_CACHE", str(tmp_path / "cache"))


def jsonl(path: Path, rows: list[object]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


ROWS = [{"id": f"p{i}", "question": f"What is {i} + 1?", "answer": i + 1} for i in range(20)]


def test_the_same_rows_from_every_kind_of_file(tmp_path):
    polars = pytest.importorskip("polars", reason="polars is not installed: pip install 'outthink[tables]'")
    table = "\n".join(["id,question,answer", *(f"{row['id']},{row['question']},{row['answer']}" for row in ROWS)])
    (tmp_path / "a.csv").write_text(table)
    polars.DataFrame(ROWS).write_parquet(tmp_path / "a.parquet")
    sets = [load(jsonl(tmp_path / "a.jsonl", ROWS)), load(tmp_path / "a.csv"), load(tmp_path / "a.parquet")]
    assert sets[0].problems == sets[1].problems == sets[2].problems
    assert sets[0].keys == sets[1].keys == sets[2].keys == {f"p{i}": str(i + 1) for i in range(20)}
    assert sets[0].fingerprint == sets[2].fingerprint
    assert isinstance(sets[0].problems[0].answer, Number)


def test_keys_are_nowhere_in_the_problems(tmp_path):
    rows = [{"id": "a", "question": "Secret?", "answer": "xyzzy", "rationale": "xyzzy"}, {"id": "b", "question": "Open?", "answer": "plugh"}]
    found = load(jsonl(tmp_path / "a.jsonl", rows))
    assert "xyzzy" not in repr(found.problems)
    assert found.keys["a"] == "xyzzy"


def test_a_limit_is_random_nested_and_changes_the_fingerprint(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", ROWS)
    small, large = load(path, limit=5), load(path, limit=10)
    ids = [problem.id for problem in small.problems]
    assert set(ids) < {problem.id for problem in large.problems}
    assert ids != [f"p{i}" for i in range(5)]
    assert ids == sorted(ids, key=lambda name: int(name[1:]))
    assert ids != [problem.id for problem in load(path, limit=5, seed=1).problems]
    assert small.fingerprint != large.fingerprint
    assert load(path, limit=100).fingerprint == load(path).fingerprint


def test_examples_are_never_problems(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", ROWS)
    found = load(path, prompt="few_shot", shots=4)
    assert len(found.problems) == 16
    shown = [m.text for m in found.problems[0].messages[:-1] if m.role == "user"]
    assert len(shown) == 4
    assert not set(shown) & {problem.question for problem in found.problems}
    assert found.problems[0].prompt_version == found.prompt == "few_shot/1+4"
    assert len(load(path, prompt="few_shot").problems) == 17  # the prompt's own number
    with pytest.raises(DataError, match="21 examples"):
        load(path, shots=21)
    with pytest.raises(DataError, match="too few"):
        load(path, shots=20)


def test_generated_sets_make_their_examples_on_top():
    plain, shot = load("arithmetic(n=10)"), load("arithmetic(n=10)", shots=3)
    assert [p.question for p in plain.problems] == [p.question for p in shot.problems]
    assert plain.prompt == "sum/2"
    assert plain.stop == ("\n",)
    asked = [m.text for m in shot.problems[0].messages[:-1] if m.role == "user"]
    assert not set(asked) & {p.question for p in shot.problems}


def test_a_question_that_the_prompt_answers_is_left_out(tmp_path):
    prompt = tmp_path / "mine.toml"
    prompt.write_text('user = "{question}"\nexamples = [["What is 3 + 1?", "4"]]')
    ids = [problem.id for problem in load(jsonl(tmp_path / "a.jsonl", ROWS), prompt=str(prompt)).problems]
    assert ids == [f"p{i}" for i in range(20) if i != 3]


def test_ids_come_from_the_question(tmp_path):
    bare = [{"question": "a?", "answer": "1"}, {"question": "b?", "answer": "2"}]
    first = [p.id for p in load(jsonl(tmp_path / "a.jsonl", bare)).problems]
    assert [p.id for p in load(jsonl(tmp_path / "b.jsonl", bare[::-1])).problems] == first[::-1]


def test_problems_without_answers_can_be_solved(tmp_path):
    found = load(jsonl(tmp_path / "a.jsonl", [{"question": "a?"}, {"question": "b?", "answer": ""}]))
    assert len(found.problems) == 2
    assert not found.keys
    assert isinstance(found.problems[0].answer, Free)


@pytest.mark.parametrize(
    ("answers", "kind"),
    [(["1", "2,000", "3/4"], Number()), (["A", "(C)"], Choice(3)), (["yes", "1"], Exact())],
)
def test_the_kind_is_read_from_the_keys(tmp_path, answers, kind):
    rows = [{"question": f"{i}?", "answer": answer} for i, answer in enumerate(answers)]
    assert load(jsonl(tmp_path / "a.jsonl", rows)).problems[0].answer == kind


def test_options_and_puzzles(tmp_path):
    rows = [{"question": "Q?", "options": ["x", "y", "z"], "answer": "B"}, {"question": "2 3 -> 6", "numbers": [2, 3], "target": 6}]
    found = load(jsonl(tmp_path / "a.jsonl", rows))
    assert found.problems[0].answer == Choice(3, ("x", "y", "z"))
    assert "\nC. z" in found.problems[0].question
    assert found.problems[1].answer == Expression((2, 3), 6)
    assert found.keys[found.problems[1].id] == "6"


def test_other_columns(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", [{"q": "a?", "gold": ["x", "y z"], "n": 7}])
    found = load(path, question_field="q", answer_field="gold", id_field="n")
    assert found.keys == {"7": "x\ny z"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"question": "a?"}\n{"question": \n', r"a.jsonl, line 2: not JSON \(Expecting value at column 14\)"),
        ('{"id": 1, "question": "a?"}\n\n{"id": "1", "question": "b?"}\n', "line 1 and .*line 3 have the same id"),
        ('{"question": "a?"}\n{"question": "a?"}\n', "line 1 and .*line 2 have the same question"),
        ('{"text": "a?"}\n', "line 1: no field 'question'; it has text"),
        ('{"question": ""}\n', "line 1: the field 'question' must be a text"),
        ('{"question": "a?"}\n{"question": "\\ud83d?"}\n', r"line 2: the field 'question' holds half of a character \(\\ud83d\)"),
        ('{"question": "a?"}\n{"question": "b?", "hardness": NaN}\n', "line 2: the row '' has no fingerprint: Out of range"),
        ('{"question": "a?", "answer": {}}\n', "line 1: answer must be text"),
        ('{"question": "a?", "id": [1]}\n', "id must be text"),
        ('{"question": "a?", "numbers": ["1"], "target": 2}\n', "whole numbers"),
        ("", "is empty"),
        ("\n\n", "is empty"),
    ],
)
def test_bad_jsonl(tmp_path, content, message):
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"question,answer\na,1\nb,2,3\n", "line 3: 3 fields where the first line names 2"),
        (b'question,answer\n"two\nlines",1\nb\n', "line 4: 1 fields"),
        (b'question,answer\n"open,1\n', "not CSV"),
        (b"question,answer\n\xff,1\n", "not UTF-8"),
        (b"question,answer\n", "is empty"),
    ],
)
def test_bad_csv(tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "a.csv")


def test_bad_parquet(tmp_path):
    pytest.importorskip("polars", reason="polars is not installed: pip install 'outthink[tables]'")
    (tmp_path / "a.parquet").write_bytes(b"not this")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        load(tmp_path / "a.parquet")


def test_unknown_things(tmp_path):
    with pytest.raises(DataError, match="Did you mean 'gsm8k'"):
        load("gsm9k")
    with pytest.raises(DataError, match="no such file"):
        load(tmp_path / "none.jsonl")
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(DataError, match="not a problem file"):
        load(tmp_path / "a.json")
    with pytest.raises(DataError, match="unknown problem set"):
        load("../x")
    with pytest.raises(UsageError, match="limit"):
        load("arithmetic", limit=0)
    with pytest.raises(UsageError, match="Did you mean 'few_shot'"):
        load("arithmetic", prompt="fewshot")
    with pytest.raises(DataError, match="--answer-field"):
        load(jsonl(tmp_path / "b.jsonl", ROWS), answer_field="gold")
