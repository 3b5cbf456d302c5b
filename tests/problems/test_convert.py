"""Converters: by hand on small samples in the published form, and against the recorded sets where both are at hand."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable

import pytest

from outthink.core.data import downloaded, find, read
from outthink.problems import convert
from outthink.problems.published import PublishedSet, published

BASE = "https://example.org/owner/repo/commit/"


def lines(*records: object) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def test_gsm8k_takes_the_number_after_the_last_mark_without_separators():
    raw = lines(
        {"question": "Q\u2028?", "answer": "2*3=<<2*3=6>>6\n#### not yet\nso 6\n#### 6"},
        {"question": "R", "answer": "big\n#### 1,000,200"},
    )
    assert convert.gsm8k(BASE, raw) == [
        {"id": "gsm8k/0", "question": "Q\u2028?", "answer": "6", "rationale": "2*3=<<2*3=6>>6\n#### not yet\nso 6"},
        {"id": "gsm8k/1", "question": "R", "answer": "1000200", "rationale": "big"},
    ]


def test_math500_keeps_latex_and_reads_the_level():
    record = {"unique_id": "test/a/1.json", "problem": "P", "answer": r"\frac{1}{2}", "subject": "A", "level": "Level 4", "solution": "S"}
    assert convert.math500(BASE, lines(record, {**record, "level": 5})) == [
        {"id": "math/test/a/1.json", "question": "P", "answer": r"\frac{1}{2}", "subject": "A", "level": 4, "solution": "S"},
        {"id": "math/test/a/1.json", "question": "P", "answer": r"\frac{1}{2}", "subject": "A", "level": 5, "solution": "S"},
    ]


def test_svamp_joins_body_and_question():
    raw = lines({"idx": 3, "Body": "Two birds.", "Question": "How many?", "Answer": 2.0, "Type": "Addition"})
    assert convert.svamp(BASE, raw) == [{"id": "svamp/3", "question": "Two birds. How many?", "answer": "2.0", "type": "Addition"}]


def test_aime_takes_the_year_from_the_folder():
    raw = lines({"id": 60, "problem": "P", "answer": "025", "question": "other"})
    assert convert.aime(BASE + "data/aime24/test.jsonl", raw) == [{"id": "aime24/60", "question": "P", "answer": "25", "year": 2024}]
    assert convert.aime(BASE + "data/aime25/test.jsonl", raw)[0]["year"] == 2025


def test_amc23_writes_whole_numbers_whole():
    raw = lines(*({"id": i, "problem": "P", "answer": answer} for i, answer in enumerate([36.0, 0.5, 10.0])))
    assert [row["answer"] for row in convert.amc23(BASE, raw)] == ["36", "0.5", "10"]


def test_mgsm_takes_the_language_from_the_file():
    rows = convert.mgsm(BASE + "mgsm/mgsm_de.tsv", "Wie viele Vögel?\t18\nUnd nun?\t1,500\n".encode())
    assert rows == [
        {"id": "mgsm/de/0", "lang": "de", "n": 0, "question": "Wie viele Vögel?", "answer": "18"},
        {"id": "mgsm/de/1", "lang": "de", "n": 1, "question": "Und nun?", "answer": "1500"},
    ]


def test_bbh_takes_the_task_from_the_file_and_drops_the_canary():
    raw = json.dumps({"canary": "never train", "examples": [{"input": "a b", "target": "(A)"}]}).encode()
    assert convert.bbh(BASE + "bbh/word_sorting.json", raw) == [
        {"id": "bbh/word_sorting/0", "task": "word_sorting", "question": "a b", "answer": "(A)"}
    ]


def test_game24_reads_shares_and_seconds():
    raw = b"Rank,Puzzles,AMT (s),Solved rate,1-sigma Mean (s),1-sigma STD (s)\n1,1 1 4 6,4.4,99.20%,4.67,1.48\n"
    assert convert.game24(BASE, raw) == [
        {"id": "game24/0", "question": "1 1 4 6", "rank": 1, "human_solved": pytest.approx(0.992), "human_seconds": 4.4}
    ]


def test_medical_sets_separate_the_options():
    record = {
        "id": "pubmedqa_7",
        "conversations": [{"from": "human", "value": "Question: Is A. B real?\n\nA. yes \nB. no\nC. may\nbe"}],
        "eval": {"answer": "B"},
    }
    assert convert.pubmedqa(BASE, json.dumps([record]).encode()) == [
        {"id": "pubmedqa/7", "question": "Question: Is A. B real?", "options": {"A": "yes", "B": "no", "C": "may\nbe"}, "answer": "B"}
    ]


def test_truthfulqa_lists_its_answers():
    head = b"Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source\n"
    raw = head + b'Adversarial,Law,"Is it, so?",No,No; Not so;,Yes,u\n'
    (row,) = convert.truthfulqa(BASE, raw)
    assert row["question"] == "Is it, so?"
    assert row["correct"] == ["No", "Not so"]
    assert row["incorrect"] == ["Yes"]


def test_programs_plain_and_gzipped():
    shared = {"prompt": "def f():\n", "entry_point": "f", "test": "def check(candidate): ..."}
    record = {"task_id": "T/0", "canonical_solution": "    return 1\n", **shared}
    expected = [{"id": "T/0", "solution": "    return 1\n", **shared}]
    assert convert.mbpp(BASE, lines(record)) == expected
    assert convert.humaneval(BASE, gzip.compress(lines(record))) == expected


def cached(known: PublishedSet) -> Iterable[tuple[str, bytes]]:
    for file in known.files:
        path = downloaded(file)
        if not path.is_file():
            pytest.skip(f"{known.name} is not in the cache: {path.name} was never downloaded")
        yield file.url, path.read_bytes()


@pytest.mark.parametrize("name", sorted(published()))
def test_the_published_files_give_the_recorded_items(name: str):
    known = published()[name]
    rows = [row for url, raw in cached(known) for row in known.convert(url, raw)]
    by_id = {row["id"]: row for row in rows}
    assert len(rows) == len(by_id) == known.n
    if not os.environ.get("OUTTHINK_DATA") or not find(name, "items"):
        pytest.skip(f"no recorded items of {name}: OUTTHINK_DATA does not have them")
    recorded = list(read(name))
    assert recorded
    assert [row for row in recorded if by_id.get(row["id"]) != row] == []
