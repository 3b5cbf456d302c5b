"""A file is written whole or not at all."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from outthink.core.errors import StoreError
from outthink.core.files import write_whole


def test_text_bytes_and_writers_arrive_and_folders_are_made(tmp_path):
    write_whole(tmp_path / "a" / "b.txt", "größe")
    assert (tmp_path / "a" / "b.txt").read_text(encoding="utf-8") == "größe"
    write_whole(tmp_path / "c", b"\x00\x01")
    assert (tmp_path / "c").read_bytes() == b"\x00\x01"
    write_whole(tmp_path / "c", lambda file: file.write(b"later"))
    assert (tmp_path / "c").read_bytes() == b"later"
    assert sorted(place.name for place in tmp_path.iterdir()) == ["a", "c"]


def test_half_of_a_character_is_escaped_as_json_reads_it(tmp_path):
    write_whole(tmp_path / "a.json", json.dumps("cut \ud83d", ensure_ascii=False))
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == "cut \ud83d"


def test_what_was_there_stays_when_writing_fails(tmp_path):
    write_whole(tmp_path / "c", "before")

    def fails(file):
        file.write(b"half")
        raise OSError("no space left on device")

    with pytest.raises(StoreError, match=r"no space left.*; it is as it was"):
        write_whole(tmp_path / "c", fails, kept="it is as it was")
    assert (tmp_path / "c").read_text() == "before"
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match=r"folder cannot be written: Is a directory$"):
        write_whole(tmp_path / "folder", "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_whole(tmp_path / "file" / "below", "x")


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    """With one part between them the slow one would fill the file that the quick one has already put in its place."""
    slow_began, quick_ended = threading.Event(), threading.Event()

    def slow(file):
        file.write(b"slow " * 1000)
        file.flush()
        slow_began.set()
        quick_ended.wait(10)
        file.write(b"end")

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(write_whole, tmp_path / "c", slow)
        assert slow_began.wait(10)
        write_whole(tmp_path / "c", b"quick")
        assert (tmp_path / "c").read_bytes() == b"quick"
        quick_ended.set()
        waiting.result(10)
    assert (tmp_path / "c").read_bytes() == b"slow " * 1000 + b"end"
    assert [place.name for place in tmp_path.iterdir()] == ["c"]


def test_a_link_is_followed_and_a_pipe_is_written_straight(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "x"
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit((tmp_path / "pipe").read_text)
        write_whole(tmp_path / "pipe", "y")
        assert reading.result(10) == "y"
    assert (tmp_path / "pipe").is_fifo()
