"""A file is written whole or not at all."""

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


def test_what_was_there_stays_when_writing_fails(tmp_path):
    write_whole(tmp_path / "c", "before")

    def fails(file):
        file.write(b"half")
        raise OSError("no space left on device")

    with pytest.raises(StoreError, match=r"no space left.*; it is as it was"):
        write_whole(tmp_path / "c", fails, kept="it is as it was")
    assert (tmp_path / "c").read_text() == "before"
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_whole(tmp_path / "file" / "below", "x")
