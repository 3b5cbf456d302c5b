"""Which tokens a text was made of, where an engine told only some of them.

llama.cpp's server reports a token when it completes a character. Of a character that takes several tokens all but the last go
unreported; the text has their bytes, and the vocabulary says which tokens these can be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Path = tuple[int, "Path | None"]
"""Token ids, the last one first."""


class Vocabulary:
    """The bytes of every token, and which tokens can end inside a character.

    Args:
        pieces: bytes by token id.
    """

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = pieces
        self._parts: dict[bytes, list[int]] = {}
        for token, piece in enumerate(pieces):
            if piece and not _is_text(piece):
                self._parts.setdefault(piece, []).append(token)
        self._lengths = sorted({len(piece) for piece in self._parts})

    def recover(self, text: bytes, known: Mapping[int, int], count: int) -> list[int] | None:
        """All tokens of a text, or None where what is known fits to none or to several sequences of tokens.

        Args:
            text: what the tokens made; it may end before the last of them (a stop text that was left out).
            known: position -> token.
            count: how many tokens there are.
        """
        states: dict[int, tuple[bool, Path | None]] = {0: (True, None)}  # bytes so far -> whether in one way only, and the tokens
        for position in range(count):
            after: dict[int, tuple[bool, Path | None]] = {}
            for start, (single, path) in states.items():
                for token, end in self._steps(text, start, known.get(position)):
                    after[end] = single and end not in after, (token, path)
            states = after
        single, path = states.get(len(text), (False, None))
        if not single:
            return None
        tokens: list[int] = []
        while path is not None:
            tokens.append(path[0])
            path = path[1]
        return tokens[::-1]

    def _steps(self, text: bytes, start: int, known: int | None) -> list[tuple[int, int]]:
        if known is not None:
            piece = self.pieces[known] if known < len(self.pieces) else b""
            rest = text[start : start + len(piece)]
            return [(known, start + len(rest))] if piece.startswith(rest) and (rest == piece or start + len(rest) == len(text)) else []
        found = []
        for length in self._lengths:
            end = start + length
            if end <= len(text) and _cuts_a_character(text, end):
                found += [(token, end) for token in self._parts.get(text[start:end], ())]
        return found


def _is_text(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True


def _cuts_a_character(text: bytes, end: int) -> bool:
    # whether the last character before `end` goes on after it
    for back in range(1, min(4, end) + 1):
        byte = text[end - back]
        if byte & 0xC0 != 0x80:
            return back < (4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1)
    return False
