"""Digests and seeds: pure functions of content and place, so that nothing depends on timing."""

from __future__ import annotations

import hashlib
import json


def digest(*parts: str) -> str:
    """32 hexadecimal digits that identify a sequence of texts."""
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def place_seed(seed: int, place: tuple[str | int, ...]) -> int:
    """A 31-bit seed that depends on the run's seed and a structural place."""
    text = json.dumps([seed, *place])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") & 0x7FFFFFFF
