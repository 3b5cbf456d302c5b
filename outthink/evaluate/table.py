"""A pool as arrays: for every problem, the answer class, correctness, length and verifier scores of its samples. Curves are made of these."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from outthink.core.completion import Completion
from outthink.core.errors import DataError, UsageError
from outthink.core.journal import Journal
from outthink.core.pool import Pool

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class SampleTable:
    """Graded samples. A row is a problem under one seed, so a problem may have several rows.

    Args:
        problems: (rows,) problem ids.
        labels: (rows, n) answer class, -1 where there is no answer.
        correct: (rows, n) 0 or 1.
        tokens: (rows, n) completion tokens.
        scores: verifier -> (rows, n), nan where it did not judge or failed.
        absent: how many samples are not there because they failed; each counts as drawn, without an answer and with no tokens.
        model: who drew them.
        unfinished: how many ended at their allowance of tokens before they gave an answer.
    """

    problems: tuple[str, ...]
    labels: IntArray
    correct: FloatArray
    tokens: FloatArray
    scores: Mapping[str, FloatArray] = field(default_factory=dict)
    absent: int = 0
    model: str = ""
    unfinished: int = 0

    def __post_init__(self) -> None:
        rows = len(self.problems)
        for name, array in (("labels", self.labels), ("correct", self.correct), ("tokens", self.tokens), *self.scores.items()):
            if array.shape != self.labels.shape or array.ndim != 2 or array.shape[0] != rows:
                raise ValueError(f"{name} must have the shape (rows, samples) = ({rows}, n), got {array.shape}")

    @property
    def n(self) -> int:
        """Samples a row."""
        return int(self.labels.shape[1])

    @property
    def tokens_per_sample(self) -> float:
        """Mean completion tokens of a sample, over all rows."""
        return float(self.tokens.mean())

    def by_problem(self, values: FloatArray) -> FloatArray:
        """Mean over the rows of each problem: (rows, ...) -> (distinct problems, ...), in order of first appearance."""
        order = {problem: position for position, problem in enumerate(dict.fromkeys(self.problems))}
        if len(order) == len(self.problems):
            return values
        where = np.array([order[problem] for problem in self.problems])
        total = np.zeros((len(order), *values.shape[1:]))
        np.add.at(total, where, values)
        return np.asarray(total / np.bincount(where).reshape(-1, *[1] * (values.ndim - 1)))

    @classmethod
    def load(cls, journal: Journal, *, model: str | None = None) -> SampleTable:
        """The graded plain samples of a journal.

        Args:
            journal: of a run, a built pool or an imported recording.
            model: `name@engine`, needed where several models' samples are graded.

        Raises:
            DataError: nothing is graded yet.
            UsageError: several models, and `model` names none of them.
        """
        graded = dict(journal.records("grade"))
        rows: dict[tuple[str, str], dict[int, tuple[str, Completion]]] = defaultdict(dict)
        models: set[str] = set()
        for sample in Pool(journal).samples():
            if sample.key in graded:
                models.add(sample.model)
                if model in (None, sample.model):
                    rows[sample.problem, sample.place][sample.draw] = (sample.key, sample.completion)
        if not models:
            raise DataError(f"{journal.path or 'this journal'}: holds no graded samples; fill it with `outthink run` or `outthink pool build`")
        if (model is None and len(models) > 1) or not rows:
            raise UsageError(f"{journal.path or 'this journal'}: holds samples of {', '.join(sorted(models))}; say which with model=...")
        return _arrays(rows, graded, _judged(journal), model or next(iter(models)))


def _judged(journal: Journal) -> dict[str, dict[str, float]]:
    # the first judgement of a sample stands: a second one is another draw
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for judged in Pool(journal).judgements():
        if judged.judgement.score is not None:
            found[judged.verifier].setdefault(judged.sample, judged.judgement.score)
    return found


def _arrays(
    rows: Mapping[tuple[str, str], Mapping[int, tuple[str, Completion]]],
    graded: Mapping[str, Mapping[str, object]],
    judged: Mapping[str, Mapping[str, float]],
    model: str,
) -> SampleTable:
    shape = len(rows), 1 + max(draw for row in rows.values() for draw in row)
    labels, correct, tokens = np.full(shape, -1, dtype=np.int64), np.zeros(shape), np.zeros(shape)
    likelihood = np.full(shape, np.nan)
    scores = {verifier: np.full(shape, np.nan) for verifier in judged}
    present = unfinished = 0
    for position, row in enumerate(rows.values()):
        classes: dict[object, int] = {}
        for draw, (key, completion) in sorted(row.items()):
            grade = graded[key]
            if grade["class"] is not None:
                labels[position, draw] = classes.setdefault(grade["class"], len(classes))
            correct[position, draw] = float(bool(grade["correct"]))
            tokens[position, draw] = completion.usage.generated
            if completion.logprob is not None:
                likelihood[position, draw] = min(0.0, completion.logprob / max(1, completion.scored_tokens))
            for verifier, known in judged.items():
                scores[verifier][position, draw] = known.get(key, np.nan)
            present += 1
            unfinished += grade["class"] is None and completion.finish == "length"
    if not np.isnan(likelihood).all():
        scores.setdefault("sequence_likelihood", likelihood)
    problems = tuple(problem for problem, _ in rows)
    return SampleTable(problems, labels, correct, tokens, scores, shape[0] * shape[1] - present, model, unfinished)
