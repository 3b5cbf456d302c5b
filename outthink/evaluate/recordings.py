"""Recordings that others have published, into the same journal that a run writes: their samples, scores and labels serve every curve.

A recording is rows of `id`, `question` (or none), and `samples`, each with `answer` or `text` or both, `correct`, and where they exist
`score` (a verifier's), `n` (how often that text was drawn), `model`, and `passes` (one 0 or 1 a generated test). What a strategy may see is
a call (samples, judgements); correctness stands in the records, which it cannot see.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from outthink.core.completion import Completion, Usage
from outthink.core.data import Row, fingerprint, read, read_jsonl
from outthink.core.errors import DataError, StoreError, nearest
from outthink.core.journal import Call, Journal
from outthink.core.keys import digest
from outthink.core.request import Message, Request
from outthink.core.spend import Spend
from outthink.core.text import utf8

PUBLISHED = {
    "gsm8k_verifier": "samples",
    "math_rm8": "samples",
    "date10": "samples",
    "cruxeval": "codellama7b_10",
    "humaneval_codet": "samples",
}
"""Recordings that are known by name -> their table in the folder of data."""

SCORE, TESTS = "recorded_score", "generated_tests"
_BYTES_A_TOKEN = 4


def import_recording(source: Path | str, path: Path | str, *, name: str | None = None) -> int:
    """Write a recording into a new pool file.

    Args:
        source: a name of `PUBLISHED`, found in `OUTTHINK_DATA` or the cache, or a JSON-lines file of the same form.
        path: the pool to make.
        name: what to call it; the source's name if None.

    Returns:
        How many samples it holds. Their tokens are estimated from the text, a token for four bytes; 0 where only answers were recorded.

    Raises:
        DataError: unknown, or a row that lacks what is needed; names the row.
        StoreError: something is at the path already, or it cannot be written.
    """
    text = str(source)
    if text in PUBLISHED:
        rows = list(read(text, PUBLISHED[text]))
    elif Path(source).is_file():
        rows = list(read_jsonl(Path(source)))
    else:
        raise DataError(f"recording {text!r}: neither a file nor a known one.{nearest(text, list(PUBLISHED))}")
    if Path(path).exists():
        raise StoreError(f"{path}: is there already; give the pool another name or remove it")
    called = name or Path(text).stem
    count = 0
    with Journal(path) as journal:
        journal.set_meta("imported", called)
        journal.set_meta("fingerprint", fingerprint(rows))
        for number, row in enumerate(rows, 1):
            count += _row(journal, row, called, number)
    return count


def _row(journal: Journal, row: Row, name: str, number: int) -> int:
    samples = row.get("samples")
    if not isinstance(samples, list) or "id" not in row:
        raise DataError(f"recording {name!r}, row {number}: needs 'id' and a list of 'samples', has {', '.join(row)}")
    problem = f"{row['id']}/{row['task']}" if "task" in row else str(row["id"])
    question = str(row.get("question", ""))
    request = Request((Message("user", question or problem),), prompt_version=f"{name}/recorded")
    calls: list[Call] = []
    grades: dict[str, dict[str, object]] = {}
    drawn: dict[str, int] = defaultdict(int)
    for sample in samples:
        if not isinstance(sample, Mapping) or "correct" not in sample or not ("text" in sample or "answer" in sample):
            raise DataError(f"recording {name!r}, {problem}: a sample needs 'correct' and 'answer' or 'text'; got {str(sample)[:80]}")
        model = f"{sample.get('model', name)}@recorded"
        for _ in range(int(sample.get("n", 1))):
            call = _sample(problem, request, model, drawn[model], sample, question)
            drawn[model] += 1
            calls += [call, *_judgements(call, sample)]
            grades[call.key] = _grade(sample)
    journal.append(calls)
    journal.record("grade", grades)
    journal.record("question", {problem: {"question": question, "key": row.get("answer")}})
    return len(grades)


def _sample(problem: str, request: Request, model: str, draw: int, sample: Mapping[str, object], question: str) -> Call:
    text = str(sample.get("text") or sample.get("answer") or "")
    tokens = math.ceil(len(utf8(text)) / _BYTES_A_TOKEN) if "text" in sample else 0
    usage = Usage(math.ceil(len(utf8(question)) / _BYTES_A_TOKEN), tokens, basis="estimated")
    spend = Spend(usage.completion_tokens, usage.prompt_tokens, 1)
    place = f"{problem.replace('/', '∕')}/seed=0"
    body = Completion(text, "stop", usage).to_json()
    return Call(place, request.digest, draw, "sample", "done", "policy", problem, model, None, spend, Spend(), "estimated", body, request.to_json())


def _judgements(call: Call, sample: Mapping[str, object]) -> Iterator[Call]:
    def judged(verifier: str, score: float, votes: list[float]) -> Call:
        body: dict[str, object] = {"score": score, "steps": [], "votes": votes, "text": "", "failure": None}
        return Call(f"{call.place}/judge", digest("judge", call.key), 0, "judge", "done", "judge", call.problem, verifier, call.key, body=body)

    score, passes = sample.get("score"), sample.get("passes")
    if isinstance(score, (int, float)):
        yield judged(SCORE, float(score), [])
    if isinstance(passes, str) and passes:
        votes = [float(character) for character in passes]
        yield judged(TESTS, sum(votes) / len(votes), votes)


def _grade(sample: Mapping[str, object]) -> dict[str, object]:
    # code that behaves alike on the generated tests is one answer; elsewhere an answer is its text
    answer = sample.get("answer")
    stands = sample.get("passes") if answer is None else answer
    known = None if stands is None or stands == "" else stands if isinstance(stands, str) else json.dumps(stands)
    return {"answer": answer, "class": known, "correct": bool(sample["correct"])}
