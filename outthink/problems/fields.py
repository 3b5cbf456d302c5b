"""From a row of any set to the question, the key and the kind of the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from outthink.core.data import Row
from outthink.core.errors import DataError
from outthink.core.problem import AnswerKind
from outthink.problems.answers import Choice, Exact, Expression, answer_kind
from outthink.problems.numbers import number

_LETTERED = re.compile(r"^\s*\(?([A-Z])[).]", re.MULTILINE)


@dataclass(frozen=True)
class Fields:
    """What a row says. `key` is None where it has no answer; `kind` is None where the row does not decide it."""

    question: str
    key: str | None
    kind: AnswerKind | None = None
    rationale: str = ""
    worked: str = ""  # the answer as a worked example shows it, where that is not the key


def fields(name: str, row: Row, where: str, question_field: str, answer_field: str, extract: str) -> Fields:
    """The fields of one row.

    Args:
        name: the set, for those that need their own reading.
        row: as it stands in the file.
        where: file and line, for messages.
        question_field, answer_field: what the columns are called.
        extract: handed to the kind of answer.

    Raises:
        DataError: no question, one with half of a character, or an answer that is not text, a number or a list of texts.
    """
    own = _OWN.get(name)
    if own is not None and question_field == "question" and answer_field == "answer":
        row = own(row)
    if question_field not in row:
        raise DataError(f"{where}: no field {question_field!r}; it has {', '.join(map(str, row)) or 'none'}. Name it with --question-field")
    question = row[question_field]
    if not isinstance(question, str) or not question.strip():
        raise DataError(f"{where}: the field {question_field!r} must be a text that asks something, got {question!r}")
    half = next((letter for letter in question if "\ud800" <= letter <= "\udfff"), None)
    if half is not None:
        raise DataError(
            f"{where}: the field {question_field!r} holds half of a character ({ascii(half)[1:-1]}), which no model can read; mend the text"
        )
    rationale = row.get("rationale", row.get("solution", ""))
    rationale = rationale if isinstance(rationale, str) else ""
    if "numbers" in row and "target" in row:
        return _puzzle(row, where, question, rationale, extract)
    options = row.get("options")
    texts = [str(text) for text in (options.values() if isinstance(options, dict) else options)] if isinstance(options, (dict, list)) else []
    kind: AnswerKind | None = None
    if len(texts) > 1:
        question += "\n" + "\n".join(f"{chr(ord('A') + i)}. {text}" for i, text in enumerate(texts))
        kind = answer_kind("choice", options=texts, extract=extract)
    elif name == "mmlu_pro" or (name == "bbh" and "Options:\n(A)" in question):
        _, _, listed = question.rpartition("Choices:" if name == "mmlu_pro" else "Options:")
        kind = Choice(max(2, *(ord(letter) - ord("A") + 1 for letter in _LETTERED.findall(listed)), 2), extract=extract)
    elif name == "cruxeval":
        kind = Exact(extract, literal=True)
    return Fields(question, key_text(row.get(answer_field), f"{where}: {answer_field}"), kind, rationale)


def key_text(value: object, where: str) -> str | None:
    """A key as text; several accepted ones stand on a line each. None where there is none.

    Raises:
        DataError: if it is neither text, a number, true or false, nor a list of texts.
    """
    if value is None:
        return None
    if isinstance(value, (str, int, float)):
        text = str(value)
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        text = "\n".join(" ".join(item.split()) for item in value)
    else:
        raise DataError(f"{where} must be text, a number or a list of accepted texts, got {value!r:.80}")
    return text if text.strip() else None


def guess(keys: Sequence[str]) -> str:
    """The kind of answer that all keys are: `number`, `choice` (letters A to J), else `exact`; `free` if there are none."""
    if not keys:
        return "free"
    if all(number(key) is not None for key in keys):
        return "number"
    letters = [re.fullmatch(r"\(?([A-J])\)?", key.strip()) for key in keys]
    if all(letters):
        most = max(ord(match.group(1)) - ord("A") + 1 for match in letters if match)
        return f"choice({max(2, most)})"
    return "exact"


def _puzzle(row: Row, where: str, question: str, solution: str, extract: str) -> Fields:
    numbers, target = row["numbers"], row["target"]
    if not isinstance(numbers, list) or not all(type(number) is int and number >= 0 for number in numbers) or not numbers or type(target) is not int:
        raise DataError(f"{where}: numbers must be a list of whole numbers and target a whole number, got {numbers!r:.80} and {target!r:.80}")
    return Fields(question, str(target), Expression(tuple(numbers), target, extract=extract), worked=solution)


def _game24(row: Row) -> Row:
    return {**row, "numbers": [int(part) for part in str(row["question"]).split()], "target": 24}


def _cruxeval(row: Row) -> Row:
    return {**row, "question": f"{row['code']}\n\nWhat does f({row['input']}) return?", "answer": row["output"]}


_OWN: dict[str, Callable[[Row], Row]] = {
    "game24": _game24,
    "cruxeval": _cruxeval,
    "bamboogle": lambda row: {**row, "answer": row["answers"]},
    "truthfulqa": lambda row: {**row, "answer": row["correct"]},
    "humaneval": lambda row: {"question": row["prompt"]},  # its solution is no text to compare with
    "mbpp": lambda row: {"question": row["prompt"]},
}
