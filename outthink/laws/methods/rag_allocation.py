"""[12] Fitting the computation allocation model, and choosing how many documents, demonstrations and rounds an input budget should buy.

The law is `outthink.laws.forms.rag_allocation`. With the logits of the scores known it is linear in its six numbers, so that ordinary least
squares over (task, configuration) rows fits it. Scores of 0 and 1 have no logit: they are moved half a question inwards, since averaging infinite
or hugely clipped logits lets a few cells decide. `link="linear"` fits the score itself with the same columns: the control that should be worse.

A new task needs no fit, only its two gains from three probes (nothing, one document, one demonstration). They must come from probes other than
the scores being predicted, or the task leaks into its own prediction. Then the best configuration under a budget is an arg max
(`outthink.laws.allocation.best_under`). A curve over budgets is the maximum at each budget, never one configuration followed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError
from outthink.laws.allocation import Choice, best_under
from outthink.laws.forms.rag_allocation import OFFSET, RagAllocation
from outthink.stats._arrays import FloatArray, as_fractions

Link = Literal["logit", "linear"]

COLUMNS = ("documents", "shots", "rounds", "document_gain", "shot_gain")
"""Of a table of observations, beside `score`."""


@dataclass(frozen=True)
class AllocationFit:
    """The fitted model.

    Args:
        law: its coefficients; with `link="linear"` they act on scores instead of logits.
        link: on which scale it is linear.
        standard_errors: of the coefficients, in their order, from the scatter of the residuals; 0 for coefficients left out.
        r_squared: share of the variance of the scores that its predictions explain, on the scores' own scale for either link.
        mean_squared_error: on the scale of the link.
        rows: it rests on.
    """

    law: RagAllocation
    link: Link
    standard_errors: tuple[float, ...]
    r_squared: float
    mean_squared_error: float
    rows: int

    def predict(self, columns: Mapping[str, ArrayLike]) -> FloatArray:
        """Scores of configurations: (rows,). With the linear link they may leave [0, 1]."""
        return _predict(self.law, columns, self.link)


@dataclass(frozen=True)
class HeldOut:
    """How the allocation did on a task that the fit had not seen.

    Args:
        task: its name.
        chosen: row of the table with the predicted best configuration under the budget; its predicted score and its cost.
        score: what that configuration really scores.
        oracle: the best real score under the budget.
    """

    task: str
    chosen: Choice
    score: float
    oracle: float


def fit_allocation(
    columns: Mapping[str, ArrayLike], score: ArrayLike, *, questions: int, link: Link = "logit", task_gains: bool = True
) -> AllocationFit:
    """[12] The six coefficients by ordinary least squares.

    Args:
        columns: `COLUMNS` by name, each (rows,); one row a task and configuration.
        score: (rows,), share of questions answered.
        questions: that each score is a share of; sets how far 0 and 1 are moved inwards.
        link: "linear" is the control.
        task_gains: False leaves b out (0), the paper's ablation: every task is then allocated alike.

    Raises:
        UsageError: a column is missing, or the columns do not tell the coefficients apart (all rounds 1, one task only): says which.
    """
    if questions < 1:
        raise UsageError(f"questions must be at least 1, got {questions}")
    design, observed = _design(columns), as_fractions("score", score)
    if observed.shape != design.shape[:1]:
        raise UsageError(f"score has shape {observed.shape}, the columns have {design.shape[0]} rows")
    kept = np.array([True, True, True, task_gains, task_gains, True])
    design = design[:, kept]
    names = [field.name for field, keep in zip(dataclasses.fields(RagAllocation), kept, strict=True) if keep]
    size = np.linalg.norm(design, axis=0)
    size[size == 0.0] = 1.0
    _, singular, axes = np.linalg.svd(design / size, full_matrices=False)
    if len(singular) < len(names) or singular[-1] < 1e-9 * singular[0]:
        mixed = [name for name, part in zip(names, axes[-1], strict=True) if abs(part) > 0.1]
        raise UsageError(f"the rows do not tell {', '.join(mixed)} apart; vary documents, shots and rounds on at least two tasks of different gains")
    held = np.clip(observed, 0.5 / questions, 1.0 - 0.5 / questions)
    target = np.log(held) - np.log1p(-held) if link == "logit" else observed
    solution = np.linalg.lstsq(design / size, target, rcond=None)[0] / size
    residual = target - design @ solution
    spare = len(target) - len(names)
    variance = float(residual @ residual) / spare if spare > 0 else np.nan
    found, errors = np.zeros(kept.size), np.zeros(kept.size)
    found[kept] = solution
    errors[kept] = np.sqrt(variance * np.diag(np.linalg.inv((design / size).T @ (design / size)))) / size
    law = RagAllocation(*(float(value) for value in found))
    predicted = _predict(law, columns, link)
    explained = 1.0 - float(((observed - predicted) ** 2).sum() / ((observed - observed.mean()) ** 2).sum())
    return AllocationFit(law, link, tuple(float(error) for error in errors), explained, float((residual**2).mean()), len(target))


def choose(fitted: AllocationFit, columns: Mapping[str, ArrayLike], costs: ArrayLike, budget: float) -> Choice:
    """The configuration with the highest predicted score that the budget pays for.

    Args:
        columns: `COLUMNS` of the configurations on offer.
        costs: (configurations,), in input tokens over all rounds; see `input_tokens`.
        budget: in the same unit.

    Raises:
        UsageError: nothing is affordable.
    """
    return best_under(fitted.predict(columns), costs, budget)


def leave_one_task_out(
    columns: Mapping[str, ArrayLike], score: ArrayLike, tasks: ArrayLike, costs: ArrayLike, budget: float, *, questions: int, link: Link = "logit"
) -> list[HeldOut]:
    """[12] For each task: fit on the others, choose for this one by its two gains alone, and look up what the choice scores.

    Args:
        columns, score, questions, link: as in `fit_allocation`.
        tasks: (rows,), name of each row's task.
        costs: (rows,), in the unit of the budget.
        budget: for one question.
    """
    names, values, prices = np.asarray(tasks).astype(str), as_fractions("score", score), np.asarray(costs, dtype=np.float64)
    table = {name: np.asarray(columns[name], dtype=np.float64) for name in COLUMNS if name in columns}
    results = []
    for task in dict.fromkeys(names.tolist()):
        own = names == task
        fitted = fit_allocation({name: array[~own] for name, array in table.items()}, values[~own], questions=questions, link=link)
        chosen = choose(fitted, {name: array[own] for name, array in table.items()}, prices[own], budget)
        rows = np.flatnonzero(own)
        oracle = best_under(values[own], prices[own], budget)
        row = int(rows[chosen.index])
        results.append(HeldOut(task, Choice(row, chosen.score, chosen.cost), float(values[row]), oracle.score))
    return results


def input_tokens(
    documents: ArrayLike, shots: ArrayLike, rounds: ArrayLike, *, document_tokens: float = 1024.0, question_tokens: float = 128.0
) -> FloatArray:
    """[12] Effective context length: input tokens over all rounds, output not counted.

    A demonstration carries as many documents as the question does: rounds (shots + 1) (documents x document_tokens + question_tokens). Each round
    reads the whole prompt again; what earlier rounds wrote into it is left out here, so this is a lower bound.
    """
    prompt = np.asarray(documents, dtype=np.float64) * document_tokens + question_tokens
    return np.asarray(np.asarray(rounds, dtype=np.float64) * (np.asarray(shots, dtype=np.float64) + 1.0) * prompt)


def _design(columns: Mapping[str, ArrayLike]) -> FloatArray:
    """(rows, 6) in the order of the law's coefficients."""
    if missing := [name for name in COLUMNS if name not in columns]:
        raise UsageError(f"the allocation model needs the columns {', '.join(COLUMNS)}; {', '.join(missing)} missing")
    documents, shots, rounds, by_document, by_shot = np.broadcast_arrays(*(np.asarray(columns[name], dtype=np.float64) for name in COLUMNS))
    if np.any(documents < 0.0) or np.any(shots < 0.0) or np.any(rounds < 1.0):
        raise UsageError("documents and shots must be 0 or more and rounds 1 or more")
    by_documents, by_shots = np.log(documents + OFFSET), np.log(shots + OFFSET)
    return np.stack([by_documents, by_shots, np.log(rounds), by_document * by_documents, by_shot * by_shots, np.ones(documents.shape)], axis=-1)


def _predict(law: RagAllocation, columns: Mapping[str, ArrayLike], link: Link) -> FloatArray:
    if link == "logit":
        return law(*(np.asarray(columns[name], dtype=np.float64) for name in COLUMNS))
    coefficients = np.array([law.a_documents, law.a_shots, law.a_rounds, law.b_documents, law.b_shots, law.c])
    return np.asarray(_design(columns) @ coefficients)
