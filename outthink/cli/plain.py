"""Text of models and files on a terminal: what could command the terminal is shown, not sent."""

from __future__ import annotations

# control characters but tab and newline; and marks that reverse the direction of what follows them
_SENT = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}
_TURNED = {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_SHOWN = {**_SENT, **_TURNED}


def plain(text: str) -> str:
    """The text with control characters written out, such as \\\\x1b for the escape that starts a terminal's commands."""
    return text.replace("\r\n", "\n").translate(_SHOWN)
