"""Tokens that an engine did not tell, found from the text; and the vocabulary in a GGUF header."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from outthink.models._gguf import metadata, pieces
from outthink.models._recover import Vocabulary

FACE = "😀".encode()  # f0 9f 98 80
WORDS = [b"a", b" b", FACE[:2], FACE[2:3], FACE[3:], FACE[:1], FACE[1:3], "é".encode(), b"\xc3", b"\xa9", b""]
A, B, HEAD, MIDDLE, TAIL, FIRST, INNER, ACUTE, LEAD, END_OF_ACUTE, CONTROL = range(len(WORDS))


def test_what_lies_between_known_tokens_is_found() -> None:
    text = b"a" + FACE + b" b"
    assert Vocabulary(WORDS[:5]).recover(text, {0: A, 3: TAIL, 4: B}, 5) == [A, HEAD, MIDDLE, TAIL, B]


def test_two_ways_to_write_a_character_are_told_apart_by_their_number_or_not_at_all() -> None:
    vocabulary = Vocabulary(WORDS)
    assert vocabulary.recover(FACE, {2: TAIL}, 3) is None, "head + middle, or first + inner"
    assert vocabulary.recover("éa".encode(), {0: ACUTE, 1: A}, 2) == [ACUTE, A]
    assert vocabulary.recover("éa".encode(), {1: END_OF_ACUTE, 2: A}, 3) == [LEAD, END_OF_ACUTE, A]


def test_a_lost_token_ends_inside_a_character() -> None:
    # "a" completes a character, so the engine would have told it
    assert Vocabulary(WORDS).recover(b"aa", {1: A}, 2) is None
    assert Vocabulary(WORDS).recover("é".encode(), {}, 2) is None


def test_control_tokens_add_nothing_and_a_stop_text_may_be_missing() -> None:
    vocabulary = Vocabulary([*WORDS[:5], b""])
    assert vocabulary.recover(b"a" + FACE, {0: A, 3: TAIL, 4: 5}, 5) == [A, HEAD, MIDDLE, TAIL, 5]
    assert vocabulary.recover(FACE + b"a", {2: TAIL, 3: A, 4: B}, 5) == [HEAD, MIDDLE, TAIL, A, B]
    assert vocabulary.recover(FACE + b"x", {2: TAIL, 3: A}, 4) is None, "the text is not of these tokens"


def test_a_text_that_was_cut_inside_a_character_is_left_open() -> None:
    assert Vocabulary(WORDS).recover(b"a", {0: A}, 2) is None


def gguf(path: Path, kind: bytes, tokens: list[bytes], types: list[int]) -> Path:
    def string(text: bytes) -> bytes:
        return struct.pack("<Q", len(text)) + text

    def pair(key: bytes, value_type: int, value: bytes) -> bytes:
        return string(key) + struct.pack("<I", value_type) + value

    head = [
        pair(b"general.architecture", 8, string(b"tiny")),
        pair(b"tiny.pooling_type", 4, struct.pack("<I", 3)),
        pair(b"tiny.scales", 9, struct.pack("<IQ2f", 6, 2, 0.5, 1.5)),
        pair(b"tokenizer.ggml.model", 8, string(kind)),
        pair(b"tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, len(tokens)) + b"".join(map(string, tokens))),
        pair(b"tokenizer.ggml.token_type", 9, struct.pack(f"<IQ{len(types)}i", 5, len(types), *types)),
    ]
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(head)) + b"".join(head))
    return path


def test_a_header_is_read(tmp_path: Path) -> None:
    file = gguf(tmp_path / "x.gguf", b"gpt2", ["Ġa".encode(), "ðŁĺ".encode(), b"<|end|>"], [1, 1, 3])
    assert pieces(file) == [b" a", FACE[:3], b""]
    assert metadata(file)["tiny.pooling_type"] == 3
    assert "tiny.scales" not in metadata(file)


def test_sentence_piece_has_bytes_by_their_number(tmp_path: Path) -> None:
    assert pieces(gguf(tmp_path / "x.gguf", b"llama", ["▁a".encode(), b"<0xF0>", b"</s>"], [1, 6, 3])) == [b" a", b"\xf0", b""]


def test_other_tokenizers_and_other_files(tmp_path: Path) -> None:
    assert pieces(gguf(tmp_path / "x.gguf", b"bert", [b"a"], [1])) is None
    (tmp_path / "y.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 1, 0, 0))
    with pytest.raises(ValueError, match="version 2 or 3"):
        metadata(tmp_path / "y.gguf")
