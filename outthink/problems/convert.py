"""From the bytes that the authors published to rows of one form: `id`, `question` (or `prompt`), `answer`, and what else the set has.

Each converter is a pure function of (address, bytes of the file there). An id is made from the set's name and the place in the published
file (or the authors' own id), so it is the same in every copy of the set. Answers are text; a number loses its thousands separators.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from outthink.core.data import Row

Convert = Callable[[str, bytes], list[Row]]
"""(address, bytes) to rows. The address is needed where the file's name says what its content does not: a language, a task, a year."""

_OPTION = re.compile(r"\n([A-Z])\. ")  # "\nA. first option", as the medical sets write the options below the question


def gsm8k(url: str, raw: bytes) -> list[Row]:
    """GSM8K: the rationale ends in `#### 18`; its `<<a*b=c>>` calculator marks are kept."""
    rows: list[Row] = []
    for i, record in enumerate(_lines(raw)):
        rationale, _, answer = record["answer"].rpartition("\n#### ")
        rows.append({"id": f"gsm8k/{i}", "question": record["question"], "answer": _plain(answer), "rationale": rationale})
    return rows


def math500(url: str, raw: bytes) -> list[Row]:
    """MATH-500: the answer is LaTeX; `level` runs from 1 to 5."""
    return [
        {
            "id": f"math/{record['unique_id']}",
            "question": record["problem"],
            "answer": record["answer"],
            "subject": record["subject"],
            "level": int(str(record["level"]).removeprefix("Level ")),
            "solution": record["solution"],
        }
        for record in _lines(raw)
    ]


def svamp(url: str, raw: bytes) -> list[Row]:
    """SVAMP: the question is the body and the question sentence. The answer is written as published, `145.0`."""
    return [
        {
            "id": f"svamp/{record['idx']}",
            "question": f"{record['Body']} {record['Question']}",
            "answer": str(record["Answer"]),
            "type": record["Type"],
        }
        for record in _lines(raw)
    ]


def aime(url: str, raw: bytes) -> list[Row]:
    """AIME: a file a year, in a folder `aime24` or `aime25`. Answers are integers from 0 to 999, without leading zeros."""
    folder = PurePosixPath(url).parent.name
    year = 2000 + int(folder.removeprefix("aime"))
    return [
        {"id": f"{folder}/{record['id']}", "question": record["problem"], "answer": str(int(record["answer"])), "year": year}
        for record in _lines(raw)
    ]


def amc23(url: str, raw: bytes) -> list[Row]:
    """AMC 2023: whole answers are published as `36.0` and given as `36`."""
    return [
        {"id": f"amc23/{record['id']}", "question": record["problem"], "answer": str(record["answer"]).removesuffix(".0")} for record in _lines(raw)
    ]


def bamboogle(url: str, raw: bytes) -> list[Row]:
    """Bamboogle: `answers` holds every accepted text."""
    return [{"id": record["id"], "question": record["Question"], "answers": record["answer"]} for record in json.loads(raw)]


def hotpotqa(url: str, raw: bytes) -> list[Row]:
    """HotpotQA, questions without their paragraphs."""
    return [
        {"id": f"hotpot/{i}", "question": record["question"], "answer": record["answer"], "type": record["type"]}
        for i, record in enumerate(json.loads(raw))
    ]


def game24(url: str, raw: bytes) -> list[Row]:
    """Game of 24: four numbers; the share of people who solved it, and their mean time in seconds. There is no reference answer."""
    return [
        {
            "id": f"game24/{i}",
            "question": record["Puzzles"],
            "rank": int(record["Rank"]),
            "human_solved": float(record["Solved rate"].removesuffix("%")) / 100,
            "human_seconds": float(record["AMT (s)"]),
        }
        for i, record in enumerate(csv.DictReader(io.StringIO(raw.decode())))
    ]


def bbh(url: str, raw: bytes) -> list[Row]:
    """BIG-Bench Hard: a file a task. Its canary line is not a row: never train on this set."""
    task = PurePosixPath(url).stem
    return [
        {"id": f"bbh/{task}/{i}", "task": task, "question": record["input"], "answer": record["target"]}
        for i, record in enumerate(json.loads(raw)["examples"])
    ]


def mgsm(url: str, raw: bytes) -> list[Row]:
    """MGSM: a tab-separated file a language; `n` is the place in GSM8K's test set, the same in every language."""
    language = PurePosixPath(url).stem.removeprefix("mgsm_")
    rows: list[Row] = []
    for n, line in enumerate(raw.decode().strip("\r\n").split("\n")):
        question, _, answer = line.rstrip("\r").rpartition("\t")
        rows.append({"id": f"mgsm/{language}/{n}", "lang": language, "n": n, "question": question, "answer": _plain(answer)})
    return rows


def mmlu_pro(url: str, raw: bytes) -> list[Row]:
    """MMLU-Pro: up to ten options stand in the question's text; the answer is a letter."""
    return [{"id": f"mmlu_pro/{i}", "question": record["question"], "answer": record["solution"]} for i, record in enumerate(json.loads(raw))]


def medqa(url: str, raw: bytes) -> list[Row]:
    """MedQA: a question and five options."""
    return _medical("medqa", raw)


def medmcqa(url: str, raw: bytes) -> list[Row]:
    """MedMCQA: a question and four options."""
    return _medical("medmcqa", raw)


def pubmedqa(url: str, raw: bytes) -> list[Row]:
    """PubMedQA without the abstract: yes, no or maybe."""
    return _medical("pubmedqa", raw)


def humaneval(url: str, raw: bytes) -> list[Row]:
    """HumanEval, gzipped: `solution` is the body that continues the prompt; `test` defines `check(candidate)`."""
    return _programs(gzip.decompress(raw))


def mbpp(url: str, raw: bytes) -> list[Row]:
    """MBPP, sanitised, in the form of HumanEval."""
    return _programs(raw)


def cruxeval(url: str, raw: bytes) -> list[Row]:
    """CRUXEval: a function, an input and the output it gives."""
    return [{key: record[key] for key in ("id", "code", "input", "output")} for record in _lines(raw)]


def truthfulqa(url: str, raw: bytes) -> list[Row]:
    """TruthfulQA: the best answer, and lists of true and of false ones."""
    return [
        {
            "id": f"truthfulqa/{i}",
            "question": record["Question"],
            "category": record["Category"],
            "type": record["Type"],
            "best": record["Best Answer"],
            "correct": _listed(record["Correct Answers"]),
            "incorrect": _listed(record["Incorrect Answers"]),
        }
        for i, record in enumerate(csv.DictReader(io.StringIO(raw.decode(), newline="")))
    ]


def ifeval(url: str, raw: bytes) -> list[Row]:
    """IFEval: the instructions that an answer must follow, each with its arguments."""
    return [
        {
            "id": f"ifeval/{record['key']}",
            "question": record["prompt"],
            "instructions": record["instruction_id_list"],
            "kwargs": record["kwargs"],
        }
        for record in _lines(raw)
    ]


CONVERTERS: Mapping[str, Convert] = {
    convert.__name__: convert
    for convert in (
        aime, amc23, bamboogle, bbh, cruxeval, game24, gsm8k, hotpotqa, humaneval, ifeval,
        math500, mbpp, medmcqa, medqa, mgsm, mmlu_pro, pubmedqa, svamp, truthfulqa,
    )
}  # fmt: skip
"""Every converter by the name that `published.toml` uses."""


def _lines(raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in raw.decode().split("\n") if line.strip()]


def _plain(number: str) -> str:
    return number.strip().replace(",", "")


def _listed(answers: str) -> list[str]:
    return [answer.strip() for answer in answers.split(";") if answer.strip()]


def _medical(name: str, raw: bytes) -> list[Row]:
    rows: list[Row] = []
    for record in json.loads(raw):
        question, *rest = _OPTION.split(record["conversations"][0]["value"])
        rows.append(
            {
                "id": f"{name}/{str(record['id']).rpartition('_')[2]}",
                "question": question.strip(),
                "options": {letter: text.strip() for letter, text in zip(rest[::2], rest[1::2], strict=True)},
                "answer": record["eval"]["answer"],
            }
        )
    return rows


def _programs(raw: bytes) -> list[Row]:
    return [
        {
            "id": record["task_id"],
            "prompt": record["prompt"],
            "entry_point": record["entry_point"],
            "solution": record["canonical_solution"],
            "test": record["test"],
        }
        for record in _lines(raw)
    ]
