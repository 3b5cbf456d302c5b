"""Fixtures: what reproductions share and what takes long to make, such as a recorded pool of a real model's samples.

A fixture lives in `CACHE/reproductions/NAME-DIGEST`, where the digest covers its parameters and the code that makes it, so a
changed recipe never meets old data. It is made in `NAME-DIGEST.part`, which stays if the making is interrupted (the next one goes
on from what is there), and gets its name in one step when it is complete.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from outthink.core.data import cache_folder
from outthink.core.errors import DataError
from outthink.core.keys import digest

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, how much is done, how much in all)."""


def silent(what: str, done: int, total: int) -> None:
    """A progress that shows nothing."""


def folder() -> Path:
    """Where fixtures and logs of reproductions are kept."""
    return cache_folder() / "reproductions"


@dataclass(frozen=True)
class Fixture:
    """Something that is made once and kept.

    Args:
        name: of its folder.
        make: called with (folder to fill, parameters, progress). It must go on from what an interrupted call left in the folder.
        params: what it depends on, besides the code of `make`.
        cost: how long the making takes, in words, for the message of who lacks it.
    """

    name: str
    make: Callable[[Path, Mapping[str, str | int | float], Progress], None]
    params: Mapping[str, str | int | float]
    cost: str

    @property
    def path(self) -> Path:
        """Its folder, whether or not it is there."""
        key = digest(json.dumps(dict(self.params), sort_keys=True), inspect.getsource(self.make))
        return folder() / f"{self.name}-{key[:12]}"

    @property
    def ready(self) -> bool:
        """Whether it is complete."""
        return self.path.is_dir()

    def prepare(self, progress: Progress = silent) -> Path:
        """Make it unless it is there, and return its folder.

        Raises:
            DataError: it cannot be written.
        """
        if self.ready:
            return self.path
        partial = self.path.with_name(self.path.name + ".part")
        try:
            partial.mkdir(parents=True, exist_ok=True)
            self.make(partial, self.params, progress)
            partial.replace(self.path)
        except OSError as error:
            raise DataError(
                f"the fixture {self.name} cannot be kept in {folder()}: {error.strerror or error}; "
                "make room there or set OUTTHINK_CACHE to another folder"
            ) from error
        return self.path
