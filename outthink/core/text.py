"""Text as bytes."""

from __future__ import annotations


def utf8(text: str) -> bytes:
    """The bytes of a text, to be counted or hashed, also where it holds half of a character: models that are cut leave some, and files do."""
    return text.encode("utf-8", "surrogatepass")
