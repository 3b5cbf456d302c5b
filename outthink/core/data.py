"""Where data comes from: local folders, the cache, and published addresses that are checked against a SHA-256.

Nothing of a published set is shipped. A file is looked for in this order:

1. `OUTTHINK_DATA/NAME/FILE`, the user's own folder of data;
2. `CACHE/data/NAME/FILE`, with CACHE = `OUTTHINK_CACHE`, else `XDG_CACHE_HOME/outthink`, else `~/.cache/outthink`;
3. for published sets, the address that `outthink.problems.published` records: kept in `CACHE/data/downloads` once its checksum is right.

A big table may be cut into pieces `FILE.0.jsonl`, `FILE.1.jsonl`, ...; they are read in that order.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from outthink.core.errors import DataError
from outthink.core.text import utf8

Row = dict[str, object]
"""One line of a table: an item, a recorded sample, a label."""

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all) while a file downloads."""

_CHUNK = 1 << 16  # bytes
_SILENCE = 60.0  # seconds without a byte before a download counts as broken


@dataclass(frozen=True)
class Published:
    """A file as its authors published it.

    Args:
        url: a permanent address (it names a commit, so its content cannot change).
        sha256: checksum of its bytes, in hexadecimal.
        size: its length in bytes.
    """

    url: str
    sha256: str
    size: int


def cache_folder() -> Path:
    """The folder for everything that can be fetched or computed again. It need not exist yet."""
    if chosen := os.environ.get("OUTTHINK_CACHE"):
        return Path(chosen).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser() / "outthink"
    return Path.home() / ".cache" / "outthink"


def data_folders() -> list[Path]:
    """The folders that are searched for data, in order: `OUTTHINK_DATA` if it is set, then the cache."""
    own = os.environ.get("OUTTHINK_DATA")
    return [*([Path(own).expanduser()] if own else []), cache_folder() / "data"]


def find(name: str, file: str) -> list[Path]:
    """The local files of a table, or an empty list if it is not here.

    Args:
        name: the data set, a folder such as `gsm8k` or `laws/gemstones`.
        file: a table without its ending (`items` is `items.jsonl` or its pieces), or a whole file name such as `c17.v`.

    Returns:
        One path, or the pieces in the order of their numbers. Pieces are never mixed from two folders.

    Raises:
        DataError: if the name leaves the folder of data, or a piece in the middle is missing.
    """
    for part in (name, file):
        pure = PurePosixPath(part)
        if not part or pure.is_absolute() or ".." in pure.parts:
            raise DataError(f"{part!r} is not a name of data: give a folder and a file inside it, such as 'gsm8k' and 'items'")
    for folder in data_folders():
        place = folder / name
        for whole in (place / f"{file}.jsonl", place / file):
            if whole.is_file():
                return [whole]
        if pieces := _pieces(place, file):
            return pieces
    return []


def locate(name: str, file: str = "items") -> list[Path]:
    """As `find`, but a table that is not here is an error that says where it was looked for.

    Raises:
        DataError: if it is not here, or the name is not one.
    """
    paths = find(name, file)
    if paths:
        return paths
    places = " and ".join(str(folder / name) for folder in data_folders())
    raise DataError(
        f"no {file!r} of {name!r} in {places}: set OUTTHINK_DATA to a folder that has {name}/{file}.jsonl, or put that file into the cache"
    )


def recording(name: str, file: str) -> Path:
    """One recorded file, whole: a `.jsonl`, a `.csv`, or any other. Recordings are never downloaded.

    Args:
        name: the data set, such as `laws/gemstones`.
        file: its file, with or without the ending `.jsonl`.

    Raises:
        DataError: if it is not here, or is cut into pieces (then use `read`).
    """
    paths = locate(name, file)
    if len(paths) > 1:
        raise DataError(f"{file!r} of {name!r} is cut into {len(paths)} pieces: read its rows with outthink.core.data.read")
    return paths[0]


def read(name: str, file: str = "items") -> Iterator[Row]:
    """The rows of a local table, through all its pieces.

    Raises:
        DataError: if it is not here or a line is broken.
    """
    for path in locate(name, file):
        yield from read_jsonl(path)


def read_jsonl(path: Path) -> Iterator[Row]:
    """The objects of a JSON-lines file, one a line; empty lines are passed over.

    Raises:
        DataError: naming file and line, if the file cannot be read or a line is not UTF-8, not JSON or not an object.
    """
    try:
        with path.open("rb") as lines:  # bytes, so that only a newline ends a line and a bad byte is reported with its line
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _row(line, f"{path}, line {number}")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def fingerprint(rows: Iterable[Mapping[str, object]]) -> str:
    """What tells two versions of a set apart: a SHA-256 in hexadecimal over the rows' canonical JSON (keys sorted, no spaces).

    The order of rows does not count (a set is the same set when shuffled or cut into other pieces); a row's every field does, and so does a
    row that is there twice. A part of a set has another fingerprint than the whole.

    Raises:
        DataError: if a row holds what JSON cannot (NaN included).
    """
    digests = []
    for row in rows:
        try:
            text = json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise DataError(f"the row {row.get('id', '')!r} has no fingerprint: {error}") from error
        digests.append(hashlib.sha256(utf8(text)).digest())
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def downloaded(file: Published) -> Path:
    """Where a published file is kept in the cache, whether or not it is there. The checksum in the name keeps versions apart."""
    return cache_folder() / "data" / "downloads" / f"{file.sha256[:16]}-{file.url.rsplit('/', 1)[-1]}"


def download(name: str, file: Published, progress: Progress | None = None) -> Path:
    """A published file, from the cache or else from its address.

    It appears in the cache whole and checked, or not at all.

    Args:
        name: the data set it belongs to, for messages.
        file: what to fetch.
        progress: called with (bytes so far, bytes in all); not called when the file is cached.

    Raises:
        DataError: if the address cannot be reached, breaks off, or sends something else than what was published.
    """
    target = downloaded(file)
    if target.is_file():
        found = hashlib.sha256(target.read_bytes()).hexdigest()
        if found != file.sha256:
            raise DataError(
                f"{target} is not the {name} that was published: its SHA-256 is {found}, expected {file.sha256}; remove it to download it again"
            )
        return target
    import tempfile  # here, since it costs every start of the program and few of them download

    digest, count = hashlib.sha256(), 0
    partial: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=target.name, suffix=".part", delete=False) as out:
            partial = Path(out.name)
            for chunk in _body(name, file):
                out.write(chunk)
                digest.update(chunk)
                count += len(chunk)
                if progress is not None:
                    progress(count, file.size)
                if count > file.size:
                    raise DataError(f"{file.url} is longer than the {file.size:,} bytes that were published; nothing was kept")
        if count < file.size:
            raise DataError(f"the download of {name} from {file.url} broke off after {count:,} of {file.size:,} bytes; try again")
        if digest.hexdigest() != file.sha256:
            found = digest.hexdigest()
            raise DataError(f"{file.url} is not what was published: its SHA-256 is {found}, expected {file.sha256}; nothing was kept")
        partial.replace(target)
    except OSError as error:
        raise DataError(
            f"{name} cannot be kept in {target.parent}: {error.strerror or error}; make room there or set OUTTHINK_CACHE to another folder"
        ) from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)
    return target


def _body(name: str, file: Published) -> Iterator[bytes]:
    """What the address sends, in chunks. Errors of the network end here; what the consumer raises does not pass through."""
    import http.client
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(file.url, timeout=_SILENCE) as response:
            while chunk := response.read(_CHUNK):
                yield chunk
    except urllib.error.HTTPError as error:
        raise DataError(_unreachable(name, file, f"the server answered {error.code} {error.reason}")) from error
    except (OSError, http.client.HTTPException) as error:  # URLError, time-outs, resets and TLS errors are OSErrors
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise DataError(_unreachable(name, file, str(reason) or type(reason).__name__)) from error


def _unreachable(name: str, file: Published, reason: str) -> str:
    return (
        f"{name} cannot be downloaded from {file.url} ({reason}): set OUTTHINK_DATA to a folder that has {name}/items.jsonl, "
        f"or save what that address publishes as {downloaded(file)}"
    )


def _pieces(place: Path, file: str) -> list[Path]:
    numbered = {}
    for path in place.glob(f"{file}.*.jsonl"):
        number = path.name.removeprefix(f"{file}.").removesuffix(".jsonl")
        if number.isdecimal():
            numbered[int(number)] = path
    if sorted(numbered) != list(range(len(numbered))):
        missing = min(set(range(max(numbered))) - set(numbered))
        raise DataError(f"{place / f'{file}.{missing}.jsonl'} is missing, while later pieces of {file!r} are there")
    return [numbered[number] for number in sorted(numbered)]


def _row(line: bytes, where: str) -> Row:
    try:
        row = json.loads(line.decode("utf-8-sig").rstrip("\r\n"))
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: byte {error.start + 1} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON ({error.msg} at column {error.colno}); each line must be one JSON object") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: a {type(row).__name__} where an object is expected; each line must be one JSON object")
    return row
