"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from outthink.core.errors import StoreError


def write_whole(path: Path, content: str | bytes | Callable[[BinaryIO], object], *, kept: str = "") -> None:
    """Write beside the file, bring it to the disk, then put it in its place: a crash leaves the old content or the new, never a part.

    Args:
        path: whose folder is made where it is missing.
        content: text, bytes, or what writes to an open file.
        kept: said at the end of the error, such as what is still there.

    Raises:
        StoreError: it cannot be written; what was there before is as it was.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"{path} cannot be written: {said}{'; ' + kept if kept else ''}") from error
