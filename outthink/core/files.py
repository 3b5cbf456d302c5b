"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from outthink.core.errors import StoreError


def write_whole(path: Path, content: str | bytes | Callable[[BinaryIO], object], *, kept: str = "") -> None:
    """Write beside the file, bring it to the disk, then put it in its place: a crash leaves the old content or the new, never a part.

    Writers of one file do not meet: each has a part of its own, and the last one to end stays. One that is killed leaves its `NAME.*.part`.
    A link is followed; what is no file, such as a pipe, is written straight.

    Args:
        path: whose folder is made where it is missing.
        content: text, bytes, or what writes to an open file.
        kept: said at the end of the error, such as what is still there.

    Raises:
        StoreError: it cannot be written; what was there before is as it was.
    """
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as file:
                _fill(file, content)
            return
        place = path.resolve()
        part = place.with_name(f"{place.name}.{os.getpid()}-{threading.get_ident()}.part")
        with part.open("wb") as file:
            _fill(file, content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        # the system's words without the name of the part, which nobody asked to write
        words = getattr(error, "strerror", None) or str(error)
        said = words.splitlines()[0] if words else type(error).__name__
        raise StoreError(f"{path} cannot be written: {said}{'; ' + kept if kept else ''}") from error
    finally:
        if part is not None:
            with contextlib.suppress(OSError):  # whatever ended the writing is what is told
                part.unlink(missing_ok=True)


def _fill(file: BinaryIO, content: str | bytes | Callable[[BinaryIO], object]) -> None:
    if callable(content):
        content(file)
    else:
        # models write half of a character where they are cut; escaped, JSON reads it back
        file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
