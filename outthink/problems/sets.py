"""Problem sets: published ones by name, generated ones by spec, and files. Keys stand beside the problems, never in them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from outthink.core.data import Row, data_folders, find, fingerprint
from outthink.core.errors import DataError, UsageError, nearest
from outthink.core.problem import AnswerKind, Problem
from outthink.core.text import utf8
from outthink.problems import fields as rows_fields
from outthink.problems.answers import answer_kind
from outthink.problems.fields import Fields
from outthink.problems.generated import GENERATORS, generator
from outthink.problems.prompts import PROMPTS, Prompt, prompt_of
from outthink.problems.published import items, published
from outthink.problems.tables import ENDINGS, read_table

_CONTEXT = ("level", "subject", "type", "task", "lang", "year", "category")  # fields that a solver may see
_OWN_PROMPT = {"arithmetic": "sum", "game24": "game24", "game24_generated": "game24", "countdown": "countdown"}


@dataclass(frozen=True)
class ProblemSet:
    """Problems, and apart from them what is right.

    Args:
        name: as it was asked for.
        problems: in the order of the file.
        keys: problem id -> key; several accepted texts stand on a line each. A problem without one can be solved and not graded.
        fingerprint: of the rows that these problems were made from (`outthink.core.data.fingerprint`); a part of a set has its own.
        licence: under which terms the set may be used, "not stated" where it does not say.
        source: where it comes from.
        prompt: name and version of the prompt.
        stop: texts that end a reply to this prompt.
    """

    name: str
    problems: tuple[Problem, ...]
    keys: Mapping[str, str]
    fingerprint: str
    licence: str
    source: str
    prompt: str = ""
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Source:
    name: str
    rows: list[tuple[str, Row]]  # where, row
    licence: str
    source: str
    answer: str | None = None
    generated: bool = False


def load(
    name_or_path: str | Path,
    *,
    prompt: str | Prompt | None = None,
    shots: int = 0,
    limit: int | None = None,
    seed: int = 0,
    answer: str | AnswerKind | None = None,
    extract: str | None = None,
    question_field: str = "question",
    answer_field: str = "answer",
    id_field: str = "id",
) -> ProblemSet:
    """A problem set.

    Args:
        name_or_path: a published set (`gsm8k`), a folder of `OUTTHINK_DATA` with items, a generated set (`arithmetic(n=50, digits=2)`), or a
            `.jsonl`, `.csv` or `.parquet` file.
        prompt: a named prompt, a prompt file or a prompt; by default the one that fits the set or the kind of answer. A question that
            the prompt itself answers, as an example, is left out of the set.
        shots: worked examples before each question, drawn from the set; they are then no problems of it (a generated set makes extra ones).
        limit: at most this many problems, a random part that depends on `seed` and on the ids only; a smaller part is inside every larger one.
        seed: of that part and of the examples.
        answer: kind of answer (`number`, `math`, `choice(5)`, `exact`, `free`, or a kind); by default what the set or its keys say.
        extract: a regular expression that finds the answer in a reply.
        question_field, answer_field, id_field: columns of a file. A row without an id gets one made from its question.

    Raises:
        DataError: an unknown set (with the nearest known name), a missing column, a broken line, an id that is there twice, too few rows.
        UsageError: a malformed spec, an unknown prompt or kind of answer, a limit below 1 or negative shots.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be 1 or more, got {limit}")
    if shots < 0:
        raise UsageError(f"shots must be 0 or more, got {shots}")
    wanted = prompt_of(prompt) if isinstance(prompt, str) else prompt
    named = str(name_or_path)
    base = named.partition("(")[0].strip()
    shots = shots or (wanted.shots if wanted else 0)
    found = _source(named, shots)
    ids = _ids(found.rows, id_field, question_field)
    read = [rows_fields.fields(found.name, row, where, question_field, answer_field, extract or "") for where, row in found.rows]
    if answer_field != "answer" and not any(answer_field in row for _, row in found.rows):
        raise DataError(f"{named}: no row has the field {answer_field!r}; name the right one with --answer-field")
    kinds = _kinds(found, read, answer, extract or "")
    wanted = wanted or PROMPTS[_OWN_PROMPT.get(base) or _prompt_for(kinds[0])]
    order = list(range(len(ids))) if found.generated else sorted(range(len(ids)), key=lambda i: _rank(seed, ids[i]))
    given_away = {question for question, _ in wanted.examples}
    order = [i for i in order if read[i].question not in given_away]
    examples = _examples(named, order, read, wanted, shots)
    left = [i for i in order if i not in examples]
    if found.generated and limit is not None:
        left.sort(key=lambda i: _rank(seed, ids[i]))
    chosen = sorted(left[:limit])
    if not chosen:
        raise DataError(f"{named}: {len(ids)} rows are too few for {shots} examples and at least one problem")
    shown = [(read[i].question, wanted.answered(read[i].worked or (read[i].key or "").partition("\n")[0], read[i].rationale)) for i in examples]
    problems = tuple(
        Problem(
            ids[i], wanted.messages(read[i].question, shown), kinds[i], context=_context(found.rows[i][1]),
            prompt_version=wanted.label(shots), prefix=wanted.start,
        )
        for i in chosen
    )  # fmt: skip
    keys = {ids[i]: key for i in chosen if (key := read[i].key) is not None}
    return ProblemSet(
        named, problems, keys, _fingerprint([found.rows[i] for i in chosen]), found.licence, found.source, wanted.label(shots), wanted.stop
    )


def _fingerprint(rows: Sequence[tuple[str, Row]]) -> str:
    try:
        return fingerprint(row for _, row in rows)
    except DataError:
        for where, row in rows:
            try:
                fingerprint([row])
            except DataError as error:
                raise DataError(f"{where}: {error}") from error
        raise


def _is_file(named: str) -> bool:
    return Path(named).suffix in ENDINGS or Path(named).is_file()


def _source(named: str, shots: int) -> _Source:
    base = named.partition("(")[0].strip()
    if _is_file(named):
        path = Path(named)
        rows = [(f"{path}, {place}", row) for place, row in read_table(path)]
        return _Source(path.stem, rows, "not stated", str(path))
    if "(" in named or (base in GENERATORS and not find(base, "items")):
        made = generator(named)
        rows = [(f"{named}, problem {i}", row) for i, row in enumerate(dataclasses.replace(made, n=made.n + shots).rows(), 1)]
        return _Source(base, rows, "public domain, generated", f"generated by outthink: {named}", made.answer, generated=True)
    known = published().get(named)
    if known is None and not _has_items(named):
        local = {path.parent.name for folder in data_folders() for path in folder.glob("*/items*.jsonl")}
        every = sorted({*published(), *GENERATORS, *local})
        raise DataError(f"unknown problem set {named!r}: not a published or generated set, nor a file.{nearest(named, every)}")
    rows = [(f"{named}, item {i}", row) for i, row in enumerate(items(named), 1)]
    if known is None:
        return _Source(named, rows, "not stated", f"{named}/items.jsonl under OUTTHINK_DATA or the cache")
    kind = None if known.answer in ("checked", "choice") else known.answer
    return _Source(named, rows, known.licence, known.files[0].url, "free" if known.answer == "checked" else kind)


def _has_items(named: str) -> bool:
    try:
        return bool(find(named, "items"))
    except DataError:  # a path that leaves the folder is no set's name
        return False


def _ids(rows: Sequence[tuple[str, Row]], id_field: str, question_field: str) -> list[str]:
    ids: list[str] = []
    first: dict[str, str] = {}
    for where, row in rows:
        given = row.get(id_field)
        if given is None or given == "":
            content = hashlib.blake2b(utf8(str(row.get(question_field, ""))), digest_size=6).hexdigest()
            name, reason = f"q/{content}", "have the same question and no id"
        elif isinstance(given, (str, int)):
            name, reason = str(given), f"have the same id {given!r}"
        else:
            raise DataError(f"{where}: the id must be text or a whole number, got {given!r:.80}")
        if name in first:
            raise DataError(f"{first[name]} and {where} {reason}; ids must be unique")
        first[name] = where
        ids.append(name)
    return ids


def _kinds(found: _Source, read: Sequence[Fields], answer: str | AnswerKind | None, extract: str) -> list[AnswerKind]:
    if answer is not None and not isinstance(answer, str):
        return [answer] * len(read)
    if answer is not None and answer != "choice":
        return [answer_kind(answer, extract=extract)] * len(read)
    name = answer or (found.answer if found.answer != "expression" else None) or rows_fields.guess([row.key for row in read if row.key is not None])
    other = answer_kind(name, extract=extract)
    return [row.kind or other for row in read]


def _prompt_for(kind: AnswerKind) -> str:
    by_kind = {"Number": "cot", "Math": "boxed", "Choice": "choice", "Exact": "cot", "Expression": "countdown"}
    return by_kind.get(type(kind).__name__, "direct")


def _examples(named: str, order: list[int], read: Sequence[Fields], prompt: Prompt, shots: int) -> list[int]:
    """The last `shots` rows of the order that have an answer: problems are taken from its start."""
    usable = [i for i in order if read[i].worked or (read[i].key is not None and "Expression" not in type(read[i].kind).__name__)]
    if shots > len(usable):
        raise DataError(f"{named}: {shots} examples were asked for and {len(usable)} rows have an answer to show; lower --shots")
    return usable[len(usable) - shots :]


def _rank(seed: int, name: str) -> bytes:
    return hashlib.blake2b(utf8(f"{seed} {name}"), digest_size=16).digest()


def _context(row: Row) -> dict[str, Hashable]:
    return {name: value for name in _CONTEXT if isinstance(value := row.get(name), (str, int))}
