"""Nothing secret in what is kept or shown: credentials in addresses, key parameters, and keys of the environment."""

from __future__ import annotations

import os
import re

_HIDDEN = "[redacted]"
_USER = re.compile(r"(?<=://)[^/\s@]+@")
_NAMED = re.compile(r"(?i)((?:api[-_]?key|token|secret|password|authorization)[\"']?\s*[=:]\s*[\"']?(?:bearer\s+)?)(?!\d+\b)[^\s\"'&,;)]+")
_TYPICAL = re.compile(r"\b(?:sk|pk|hf|gsk|xai)[-_][A-Za-z0-9_-]{16,}")
_SHORTEST = 8  # a shorter value of the environment would hide ordinary words


def redact(text: str) -> str:
    """The text with what looks like a credential replaced by `[redacted]`.

    Hidden are: user and password of an address, the values of parameters such as `api_key=`, tokens of well-known forms, and the
    value of every environment variable whose name ends in `_API_KEY` or `_TOKEN`. A number, as in `tokens=4096`, stays.
    """
    for name, value in os.environ.items():
        if name.endswith(("_API_KEY", "_TOKEN")) and len(value) >= _SHORTEST:
            text = text.replace(value, _HIDDEN)
    text = _USER.sub(f"{_HIDDEN}@", text)
    text = _NAMED.sub(rf"\g<1>{_HIDDEN}", text)
    return _TYPICAL.sub(_HIDDEN, text)
