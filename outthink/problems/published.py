"""Published problem sets by name: `gsm8k`, `math500`, `svamp`, ...

`items("gsm8k")` reads the set from `OUTTHINK_DATA` or the cache if it is there in outthink's own form (`gsm8k/items.jsonl`); else it
downloads what the authors published, checks it, and converts it. Both give equal rows, so a part of a set that was prepared by hand and the
whole of it share ids; `outthink.core.data.fingerprint` tells them apart.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from outthink.core.data import Progress, Published, Row, download, find, read
from outthink.core.errors import DataError, nearest
from outthink.problems.convert import CONVERTERS, Convert

ANSWERS = ("number", "math", "choice", "exact", "free", "checked")
"""The kinds of answer a set may have; `checked` sets have no reference text: a program or a game's rules decide."""


@dataclass(frozen=True)
class PublishedSet:
    """One set as its authors published it.

    Args:
        name: what it is called here and in `OUTTHINK_DATA`.
        title: one line about it.
        licence: under which terms it may be used; what is "for evaluation only" must not be passed on.
        answer: one of `ANSWERS`.
        n: items in the published files.
        files: where they are; converted in this order.
        convert: turns the bytes of each file into rows.
    """

    name: str
    title: str
    licence: str
    answer: str
    n: int
    files: tuple[Published, ...]
    convert: Convert

    @property
    def size(self) -> int:
        """Bytes to download in all."""
        return sum(file.size for file in self.files)

    def fetch(self, progress: Progress | None = None) -> list[Row]:
        """The whole set from the published files, downloading those that are not in the cache.

        Args:
            progress: called with (bytes so far, bytes in all) over all files; a cached file counts when it is reached.

        Raises:
            DataError: if a file cannot be had or is not what was published.
        """
        rows: list[Row] = []
        before = 0
        for file in self.files:
            within = None if progress is None else _shifted(progress, before, self.size)
            path = download(self.name, file, within)
            rows += self.convert(file.url, path.read_bytes())
            before += file.size
        return rows


@cache
def published() -> Mapping[str, PublishedSet]:
    """Every published set by name. Read once; read-only."""
    table = tomllib.loads(files("outthink.problems").joinpath("published.toml").read_text(encoding="utf-8"))
    return MappingProxyType(
        {
            name: PublishedSet(
                name=name,
                title=record["title"],
                licence=record["licence"],
                answer=record["answer"],
                n=record["n"],
                files=tuple(Published(file["url"], file["sha256"], file["bytes"]) for file in record["files"]),
                convert=CONVERTERS[record["convert"]],
            )
            for name, record in table.items()
        }
    )


def items(name: str, progress: Progress | None = None) -> list[Row]:
    """The items of a set: local if they are here, else as published.

    Args:
        name: a published set, or any folder with `items.jsonl` under `OUTTHINK_DATA`.
        progress: as of `PublishedSet.fetch`; not called when the items are local.

    Raises:
        DataError: if the set is neither here nor published, cannot be downloaded, or has a broken line.
    """
    if find(name, "items"):
        return list(read(name, "items"))
    if name not in published():
        raise DataError(f"{name!r} is not a published set and has no items.jsonl under OUTTHINK_DATA or the cache.{nearest(name, list(published()))}")
    return published()[name].fetch(progress)


def _shifted(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _: progress(before + done, total)
