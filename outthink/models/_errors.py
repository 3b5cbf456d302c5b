"""What goes wrong with a server, in its own words and without keys; and the form of its address."""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit, urlunsplit

from outthink.core.errors import ModelError

_SECRETS = re.compile(r"\b(sk|pk|hf|gsk|xai|key)[-_][A-Za-z0-9_\-*.]{6,}|(?<=Bearer )\S+|(?<=://)[^/@\s]+(?=@)|(?<=[?&]key=)[^&\s]+")
PASSING = (408, 409, 425, 429)  # statuses below 500 that asking again may cure
_SHOWN = 400  # characters of a server's own words in a message


class Rejected(Exception):
    """The server refuses this request: its status and its words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Unserved(Exception):
    """This request failed for good: a short kind for counting, and one sentence."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Broken(Exception):
    """A reply that cannot be used. `again` says whether asking once more may help and wastes nothing that was passed on."""

    def __init__(self, kind: str, message: str, *, again: bool = True) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.again = again


def redact(text: str, key: str | None) -> str:
    """A text without the key, and without what looks like one."""
    if key:
        text = text.replace(key, "***")
    return _SECRETS.sub("***", text)


def clean_url(url: str) -> str:
    """The base address: with a scheme, without a slash at its end, and with `/v1` where no path is given.

    Raises:
        ModelError: it is not an http(s) address.
    """
    text = url.strip()
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0  # reading a port out of range raises
    except ValueError:
        usable = False
    if not usable:
        raise ModelError(f"{redact(url, None)!r} is not an address of a server; write http://host:port/v1")
    path = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/completions") or "/v1"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def refused_by(reply: dict[str, object]) -> int | None:
    """The status (400 to 499) by which an error in a reply of status 200 refuses the request; None where asking again may help."""
    error = reply.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 500 and code not in PASSING else None


def words_of(body: bytes) -> str:
    """What an error reply says, from any of the usual shapes, else the start of its text."""
    text = body.decode("utf-8", "replace")
    try:
        data = json.loads(text)
    except ValueError:
        return re.sub(r"<[^>]*>", " ", text).strip()[:_SHOWN] or "no reason given"
    found = data
    while isinstance(found, dict):
        found = next((found[name] for name in ("error", "message", "detail") if found.get(name)), None)
    code = data.get("error", {}).get("code") if isinstance(data, dict) and isinstance(data.get("error"), dict) else None
    said = found if isinstance(found, str) else text[:_SHOWN]
    return f"{said[:_SHOWN]} ({code})" if isinstance(code, str) and code not in said else said[:_SHOWN]
