"""What the header of a GGUF file says: its metadata, and the bytes that each token of its vocabulary stands for."""

from __future__ import annotations

import functools
import struct
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_WHOLE = (0, 1, 2, 3, 4, 5, 10, 11)
_CONTROL = 3  # the type of a token that an engine does not write into its text
Value = int | float | bool | bytes | list[bytes] | list[int]


def metadata(path: Path, wanted: Collection[str] | None = None) -> dict[str, Value]:
    """The file's scalars, strings (as bytes), and lists of strings or whole numbers; other lists are left out.

    Args:
        path: a GGUF file of version 2 or 3; of a model in several files the first.
        wanted: read no further than to the last of these keys; all if None.

    Raises:
        ValueError: not such a file.
    """
    found: dict[str, Value] = {}
    with path.open("rb") as file:
        magic, version, _, count = struct.unpack("<4sIQQ", file.read(24))
        if magic != b"GGUF" or version not in (2, 3):
            raise ValueError(f"{path}: not a GGUF file of version 2 or 3")
        for _ in range(count):
            if wanted is not None and all(key in found for key in wanted):
                break
            key = _string(file).decode()
            value = _value(file, _scalar(file, "I"))
            if value is not None:
                found[key] = value
    return found


def _scalar(file: BinaryIO, code: str) -> int:
    return struct.unpack(f"<{code}", file.read(struct.calcsize(code)))[0]  # type: ignore[no-any-return]


def _string(file: BinaryIO) -> bytes:
    return file.read(_scalar(file, "Q"))


def _value(file: BinaryIO, kind: int) -> Value | None:
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        return _scalar(file, _SCALARS[kind])
    of, count = _scalar(file, "I"), _scalar(file, "Q")
    if of == _STRING:
        return [_string(file) for _ in range(count)]
    if of == _ARRAY:
        for _ in range(count):
            _value(file, _ARRAY)
        return None
    raw = file.read(count * struct.calcsize(f"<{_SCALARS[of]}"))
    return list(struct.unpack(f"<{count}{_SCALARS[of]}", raw)) if of in _WHOLE else None


def pieces(path: Path) -> list[bytes] | None:
    """The bytes that each token adds to a text, by id (none for control tokens); None for a tokenizer whose tokens are not written as bytes."""
    found = metadata(path, ("tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"))
    tokens, kind, types = (found.get(f"tokenizer.ggml.{name}") for name in ("tokens", "model", "token_type"))
    read = {b"gpt2": _byte_level, b"llama": _sentence_piece}.get(kind) if isinstance(kind, bytes) else None
    if read is None or not isinstance(tokens, list) or not isinstance(types, list) or len(types) != len(tokens):
        return None
    return [b"" if type_ == _CONTROL else read(token) for token, type_ in zip(tokens, types, strict=True) if isinstance(token, bytes)]


def _byte_level(token: bytes) -> bytes:
    letters = _letters()
    return b"".join(letters.get(letter) or letter.encode() for letter in token.decode(errors="replace"))


def _sentence_piece(token: bytes) -> bytes:
    # words with a mark for the space, and single bytes by their number
    if len(token) == 6 and token.startswith(b"<0x") and token.endswith(b">"):
        return bytes([int(token[3:5], 16)])
    return token.replace("\u2581".encode(), b" ")


@functools.cache
def _letters() -> dict[str, bytes]:
    # byte-level BPE writes printable bytes as themselves, the others as the letters from 256 on
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): bytes([byte]) for byte in plain} | {chr(256 + place): bytes([byte]) for place, byte in enumerate(others)}
