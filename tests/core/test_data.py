"""The data loader: places in their order, pieces, broken lines, fingerprints, and downloads from a real server on loopback."""

from __future__ import annotations

import hashlib
import json
import resource
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.core.data import Published, cache_folder, download, downloaded, find, fingerprint, locate, read, read_jsonl, recording
from outthink.core.errors import DataError

BODY = b'{"id":"a/0","question":"1+1","answer":"2"}\n' * 5000  # several network chunks
SHA = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    hits: list[str]

    def do_GET(self) -> None:
        self.hits.append(self.path)
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[: len(BODY) // 3] if self.path.startswith("/cut") else BODY)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    hits: list[str] = []
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), type("Logged", (Handler,), {"hits": hits}))
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", hits
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """(OUTTHINK_DATA, the cache's data folder), both empty; no proxy between us and loopback."""
    monkeypatch.setenv("OUTTHINK_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("OUTTHINK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "own", tmp_path / "cache" / "data"


def put(folder: Path, name: str, *rows: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def kept(places: tuple[Path, Path]) -> list[Path]:
    return [path for path in (places[1] / "downloads").rglob("*") if path.is_file()]


def test_a_download_is_checked_reported_and_kept(server, places):
    url, hits = server
    steps: list[tuple[int, int]] = []
    file = Published(f"{url}/set/test.jsonl", SHA, len(BODY))
    path = download("a", file, lambda done, total: steps.append((done, total)))
    assert path.read_bytes() == BODY
    assert kept(places) == [path] == [downloaded(file)]
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert len(steps) > 1
    assert steps[-1] == (len(BODY), len(BODY))
    assert download("a", file) == path
    assert hits == ["/set/test.jsonl"], "the second time comes from the cache"


def test_two_files_of_one_name_do_not_meet(server):
    url, _ = server
    same = Published(f"{url}/24/test.jsonl", SHA, len(BODY))
    other = Published(f"{url}/25/test.jsonl", "0" * 64, len(BODY))
    assert download("a", same).is_file()
    assert downloaded(same) != downloaded(other)


@pytest.mark.parametrize(
    ("path", "sha", "size", "message"),
    [
        ("/set", "f" * 64, len(BODY), rf"SHA-256 is {SHA}, expected f{{64}}; nothing was kept"),
        ("/cut", SHA, len(BODY), r"broke off after \d+,\d+ of 215,000 bytes"),
        ("/set", SHA, len(BODY) // 2, r"longer than the 107,500 bytes that were published; nothing was kept"),
        ("/missing", SHA, len(BODY), r"404 Not Found.*OUTTHINK_DATA.*gsm8k/items\.jsonl.*or save what .* publishes as .*downloads"),
    ],
)
def test_a_bad_download_keeps_nothing(server, places, path, sha, size, message):
    url, _ = server
    with pytest.raises(DataError, match=message) as caught:
        download("gsm8k", Published(url + path, sha, size))
    assert url + path in str(caught.value)
    assert kept(places) == []


def test_a_file_saved_by_hand_is_checked_too():
    good, bad = (Published(f"http://127.0.0.1:9/{i}.jsonl", sha, len(BODY)) for i, sha in enumerate((SHA, "f" * 64)))
    for file in (good, bad):
        downloaded(file).parent.mkdir(parents=True, exist_ok=True)
        downloaded(file).write_bytes(BODY)
    assert download("a", good) == downloaded(good)
    with pytest.raises(DataError, match=r"downloads/ffff.* is not the a that was published: .*remove it to download it again"):
        download("a", bad)


def test_a_refused_network_names_the_address_and_two_ways_out(server):
    url = "http://127.0.0.1:9/set/test.jsonl"  # the discard port: nobody listens
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9/set/test\.jsonl \(.*refused.*\).*OUTTHINK_DATA.*or save"):
        download("svamp", Published(url, SHA, 1))


def test_a_cache_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("OUTTHINK_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="OUTTHINK_CACHE"):
        download("a", Published("http://127.0.0.1:9/x", SHA, 1))


def test_a_disk_that_fills_up_keeps_nothing(server, places):
    url, _ = server
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(BODY) // 2, limits[1]))
    try:
        with pytest.raises(DataError, match=r"cannot be kept in .*downloads: .*OUTTHINK_CACHE"):
            download("a", Published(f"{url}/set", SHA, len(BODY)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert kept(places) == []


def test_own_data_comes_before_the_cache(places):
    own, cache = places
    cached = put(cache, "a/items.jsonl", {"id": "cached"})
    assert locate("a") == [cached]
    mine = put(own, "a/items.jsonl", {"id": "own"})
    assert locate("a") == [mine]
    assert list(read("a")) == [{"id": "own"}]


def test_pieces_are_read_by_number_and_from_one_folder(places):
    own, cache = places
    put(cache, "a/items.jsonl", {"id": "whole, but in the cache"})
    for number in reversed(range(12)):
        put(own, f"a/items.{number}.jsonl", {"id": number})
    put(own, "a/items.notes.jsonl", {"id": "another table"})
    assert [row["id"] for row in read("a")] == list(range(12))
    with pytest.raises(DataError, match="12 pieces"):
        recording("a", "items")


def test_a_missing_piece_is_an_error_not_a_smaller_set(places):
    for number in (0, 1, 3):
        put(places[0], f"a/items.{number}.jsonl", {"id": number})
    with pytest.raises(DataError, match=r"items\.2\.jsonl is missing"):
        find("a", "items")


def test_recordings_are_found_by_whole_name_in_nested_folders(places):
    table = put(places[0], "laws/gemstones/runs.csv", 1)
    assert recording("laws/gemstones", "runs.csv") == table
    samples = put(places[0], "a/samples.jsonl", {"id": 1})
    assert recording("a", "samples") == recording("a", "samples.jsonl") == samples


def test_what_is_not_here_says_where_it_was_looked_for(places):
    assert find("monkeys", "counts") == []
    with pytest.raises(DataError) as caught:
        recording("monkeys", "counts")
    assert all(str(place / "monkeys") in str(caught.value) for place in places)
    assert "OUTTHINK_DATA" in str(caught.value)


@pytest.mark.parametrize(("name", "file"), [("../a", "items"), ("a", "../../x"), ("/etc", "passwd"), ("", "items"), ("a", "")])
def test_names_stay_inside_the_folder_of_data(name, file):
    with pytest.raises(DataError, match="not a name of data"):
        find(name, file)


def test_the_cache_follows_the_environment(monkeypatch):
    monkeypatch.delenv("OUTTHINK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/outthink")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/outthink")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"id": 2', r"line 3: not JSON \(.*column \d+\)"),
        (b"[1, 2]", r"line 3: a list where an object"),
        (b'{"id": "\xff"}', r"line 3: byte 9 is not UTF-8"),
    ],
)
def test_a_broken_line_is_named_with_its_file(tmp_path, line, message):
    path = tmp_path / "items.jsonl"
    path.write_bytes(b'{"id": 1}\n\n' + line + b'\n{"id": 4}\n')
    rows = read_jsonl(path)
    assert next(rows) == {"id": 1}
    with pytest.raises(DataError, match=message) as caught:
        next(rows)
    assert str(path) in str(caught.value)


def test_only_a_newline_ends_a_line(tmp_path):
    path = tmp_path / "items.jsonl"
    path.write_text('\ufeff{"q": "a\u2028b\x85c"}\r\n{"q": 2}', encoding="utf-8", newline="")
    assert list(read_jsonl(path)) == [{"q": "a\u2028b\x85c"}, {"q": 2}]


texts = st.text(alphabet='aé"\\ \n\u2028', max_size=4)
rows = st.lists(st.dictionaries(st.sampled_from(["id", "question", "answer"]), texts | st.integers() | st.booleans()), max_size=6)


@given(rows, st.randoms())
def test_the_fingerprint_ignores_order_and_nothing_else(table, random):
    shuffled = [dict(reversed(row.items())) for row in table]
    random.shuffle(shuffled)
    assert fingerprint(shuffled) == fingerprint(table)
    assert fingerprint([*table, {"id": "one more"}]) != fingerprint(table)
    if table:
        assert fingerprint(table[1:]) != fingerprint(table)
        assert fingerprint([{**table[0], "extra": 1}, *table[1:]]) != fingerprint(table)


def test_the_fingerprint_is_stable():
    # sha256 of the one row's digest, computed once with sha256sum: a change here makes stored runs unrecognisable
    assert fingerprint([]) == hashlib.sha256(b"").hexdigest()
    row = hashlib.sha256('{"answer":"é","id":1}'.encode()).digest()
    assert fingerprint([{"id": 1, "answer": "é"}]) == hashlib.sha256(row).hexdigest()


def test_a_row_without_a_fingerprint_is_refused():
    with pytest.raises(DataError, match="'x'"):
        fingerprint([{"id": "x", "score": float("nan")}])
