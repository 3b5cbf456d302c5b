"""Candidates' texts in a judge's prompt, cut to a length that is known before they are written: so their cost can be set aside."""

from __future__ import annotations

from outthink.core.completion import Usage
from outthink.core.request import Sampling
from outthink.core.session import Session
from outthink.core.spend import Spend
from outthink.core.text import utf8

BYTES_A_TOKEN = 6  # tokens of text have 4 on average; what is longer is shown from its end, where the answer is


def shown(text: str, sampling: Sampling) -> str:
    """The end of a text, at most `BYTES_A_TOKEN` bytes for each token that it could have."""
    return utf8(text)[-BYTES_A_TOKEN * sampling.max_tokens :].decode(errors="ignore")


def room(sampling: Sampling, session: Session) -> Spend:
    """An upper bound of what one shown text adds to a prompt in this session's role: no tokenizer makes more tokens than bytes."""
    return session.model.price.of(Usage(BYTES_A_TOKEN * sampling.max_tokens), calls=0)
