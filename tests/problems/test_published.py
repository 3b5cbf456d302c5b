"""The catalogue of published sets, and where items come from."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from outthink.core.data import Published, downloaded
from outthink.core.errors import DataError
from outthink.problems.convert import CONVERTERS, gsm8k
from outthink.problems.published import ANSWERS, PublishedSet, items, published

RAW = [json.dumps({"question": f"{i} + 1?", "answer": f"Add.\n#### {i + 1}"}).encode() + b"\n" for i in range(3)]


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("OUTTHINK_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("OUTTHINK_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_every_record_is_complete():
    assert {"gsm8k", "math500", "svamp", "aime", "amc23", "bbh", "mgsm", "mmlu_pro", "humaneval", "medqa"} <= set(published())
    for name, known in published().items():
        assert known.name == name
        assert known.title
        assert known.licence
        assert known.answer in ANSWERS
        assert known.n > 0
        assert known.files


def test_addresses_are_permanent_and_checksums_whole():
    every = [file for known in published().values() for file in known.files]
    assert len({file.url for file in every}) == len({file.sha256 for file in every}) == len(every)
    for file in every:
        assert re.fullmatch(r"https://raw\.githubusercontent\.com/[\w.-]+/[\w.-]+/[0-9a-f]{40}/[\w./-]+", file.url), file.url
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert file.size > 0


def test_no_converter_is_left_without_a_set():
    assert {known.convert for known in published().values()} == set(CONVERTERS.values())


def test_local_items_come_first(places):
    own = places / "own" / "gsm8k"
    own.mkdir(parents=True)
    (own / "items.jsonl").write_text('{"id":"gsm8k/7"}\n')
    assert items("gsm8k") == [{"id": "gsm8k/7"}]


def test_a_set_of_several_files_is_fetched_in_order_and_converted():
    kept = []
    for raw in RAW:
        file = Published(f"https://example.org/{len(kept)}/test.jsonl", hashlib.sha256(raw).hexdigest(), len(raw))
        downloaded(file).parent.mkdir(parents=True, exist_ok=True)
        downloaded(file).write_bytes(raw)
        kept.append(file)
    whole = PublishedSet("sums", "Sums", "MIT", "number", 3, tuple(kept), gsm8k)
    assert [row["answer"] for row in whole.fetch()] == ["1", "2", "3"]
    assert whole.size == sum(map(len, RAW))


def test_progress_runs_over_all_files_of_a_set(tmp_path):
    published_at = []
    for i, raw in enumerate(RAW):
        (tmp_path / f"{i}.jsonl").write_bytes(raw)
        address = (tmp_path / f"{i}.jsonl").as_uri()  # the loader's opener reads file addresses too: no server needed
        published_at.append(Published(address, hashlib.sha256(raw).hexdigest(), len(raw)))
    steps: list[tuple[int, int]] = []
    PublishedSet("sums", "Sums", "MIT", "number", 3, tuple(published_at), gsm8k).fetch(lambda done, total: steps.append((done, total)))
    total = sum(map(len, RAW))
    assert steps == [(len(RAW[0]), total), (len(RAW[0]) + len(RAW[1]), total), (total, total)]


def test_an_unknown_set_suggests_the_nearest():
    with pytest.raises(DataError, match=r"'gsm8' is not a published set.*'gsm8k'"):
        items("gsm8")
