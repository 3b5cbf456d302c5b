"""Our verdicts against recorded labels, and every published key against its own kind of answer."""

from __future__ import annotations

import json
from collections.abc import Iterator

import anyio
import pytest

from outthink.core.problem import AnswerKind
from outthink.problems.answers import Choice, Exact, Expression, Free, Math, Number
from outthink.problems.sets import load
from tests.problems.support import recorded

NAMES = (
    "gsm8k", "svamp", "mgsm", "math500", "aime", "amc23", "game24", "countdown", "bbh", "mmlu_pro", "medqa", "medmcqa", "pubmedqa", "bamboogle",
    "hotpotqa", "truthfulqa", "cruxeval", "gsm8k_stateful",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_key_is_read_and_equals_itself(name):
    recorded(f"{name}/items.jsonl" if name not in ("bbh", "mgsm") else name)
    found = load(name)
    assert len(found.keys) == len(found.problems) > 0

    async def residue() -> list[str]:
        left = []
        for problem in found.problems:
            key = found.keys[problem.id]
            if isinstance(problem.answer, (Free, Expression)):
                continue  # a judge or the rules decide
            for line in key.split("\n"):
                for text in (line, f"We think, in 7 steps.\nThe answer is {line}.", f"\\boxed{{{line}}}"):
                    answer = problem.answer.parse(text)
                    if text.startswith("\\") and ("{" in line or "}" in line) and isinstance(problem.answer, Exact):
                        continue  # brackets of a Dyck word or a Python dict need not balance, so no box can hold them
                    if answer is None or not await problem.answer.equal(answer, key):
                        left.append(f"{problem.id}: {text!r} -> {answer}")
        return left

    assert anyio.run(residue) == []


def test_countdown_solutions_satisfy_their_kind():
    recorded("countdown/items.jsonl")
    rows = {json.loads(line)["id"]: json.loads(line) for line in (recorded() / "countdown/items.jsonl").open()}

    async def right() -> int:
        count = 0
        for problem in load("countdown").problems:
            row = rows[problem.id]
            answer = problem.answer.parse(row["solution"])
            count += answer is not None and await problem.answer.equal(answer, str(row["target"]))
        return count

    assert anyio.run(right) == len(rows)


def rows(path: str) -> Iterator[dict]:
    for line in (recorded(path) / path).open():
        yield json.loads(line)


def agreement(pairs: list[tuple[AnswerKind, str, str, bool]]) -> tuple[int, int]:
    async def work() -> int:
        same = 0
        for kind, text, key, label in pairs:
            answer = kind.parse(text)
            same += (answer is not None and await kind.equal(answer, key)) == label
        return same

    return anyio.run(work), len(pairs)


def test_number_agrees_with_the_labels_of_gsm8k_samples():
    keys = {row["id"]: row["answer"] for row in rows("gsm8k/items.jsonl")}
    every = [(keys[row["id"]], sample) for row in rows("gsm8k_verifier/samples.jsonl") for sample in row["samples"]]
    same, n = agreement([(Number(), sample["text"], key, sample["correct"]) for key, sample in every])
    assert (same, n) == (3520, 3520)


def test_math_agrees_with_the_labels_of_math_samples():
    pytest.importorskip("math_verify", reason="math-verify is not installed: pip install 'outthink[math]'")
    same, n = agreement([(Math(), s["text"], row["answer"], s["correct"]) for row in rows("math_rm8/samples.jsonl") for s in row["samples"]])
    assert n == 528
    assert same >= 527  # one label calls 10000 wrong where the key is 10{,}000


def test_choice_and_exact_agree_with_the_labels_of_bbh():
    def kind(target: str) -> AnswerKind:
        return Choice(18) if len(target) == 3 and target[0] == "(" and target[1].isalpha() else Exact()

    every = [row for row in rows("bbh/codex_recorded.jsonl") if row["text"] is not None]
    same, n = agreement([(kind(row["target"]), row["text"], row["target"], row["correct"]) for row in every])
    assert (same, n) == (1957, 1957)
