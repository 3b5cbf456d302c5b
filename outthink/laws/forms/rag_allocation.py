"""[12] The computation allocation model of retrieval-augmented inference, as a law over documents, shots and rounds.

    logit score = (a_d + b_d i_d) log(documents + o) + (a_s + b_s i_s) log(shots + o) + a_r log(rounds) + c        o = OFFSET

i_d and i_s belong to the task: what one document, and one demonstration, adds to its score over none. a, b, c belong to the model. No
official repository; the formula is that of the paper (notes), the offset is ours: it has to keep log 0 away, and 1 makes "none" contribute 0.
Fit, allocation and its test across tasks are in `outthink.laws.methods.rag_allocation`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.laws.form import Parameter, Variable, law
from outthink.stats._arrays import FloatArray

OFFSET = 1.0
"""Added to the numbers of documents and shots, of which there may be none."""


@law(
    "rag-allocation",
    papers=(12,),
    title="Computation allocation for retrieval-augmented inference",
    formula="logit score = (a_documents + b_documents i_d) log(documents + 1) + (a_shots + b_shots i_s) log(shots + 1) + a_rounds log rounds + c",
    variables=(
        Variable("documents", "retrieved a round", "documents", open_low=False),
        Variable("shots", "demonstrations in the prompt", "demonstrations", open_low=False),
        Variable("rounds", "of generation, 1 without iteration", "rounds", low=1.0, open_low=False),
        Variable("document_gain", "i_d of the task: score with one document less score with none", "share", low=-1.0, high=1.0),
        Variable("shot_gain", "i_s of the task: score with one demonstration less score with none", "share", low=-1.0, high=1.0),
    ),
    target=Variable("score", "share of questions answered", "share", high=1.0),
    parameters=(
        Parameter("a_documents", "gain in logits for each log document"),
        Parameter("a_shots", "gain in logits for each log demonstration"),
        Parameter("a_rounds", "gain in logits for each log round"),
        Parameter("b_documents", "the same for each unit of i_d"),
        Parameter("b_shots", "the same for each unit of i_s"),
        Parameter("c", "logit of the score with nothing retrieved or shown"),
    ),
    linear=("a_documents", "a_shots", "a_rounds", "b_documents", "b_shots", "c"),
    link="logit",
    source="[12] equation of the computation allocation model; constants in the notes are from memory",
    valid="scores away from 0 and 1; within the documents, shots and rounds of the fit",
)
@dataclass(frozen=True)
class RagAllocation:
    """Score in (0, 1) of a configuration on a task."""

    a_documents: float
    a_shots: float
    a_rounds: float
    b_documents: float
    b_shots: float
    c: float

    def __call__(self, documents: ArrayLike, shots: ArrayLike, rounds: ArrayLike, document_gain: ArrayLike, shot_gain: ArrayLike) -> FloatArray:
        """Columns that broadcast."""
        logit = (
            (self.a_documents + self.b_documents * np.asarray(document_gain)) * np.log(np.asarray(documents) + OFFSET)
            + (self.a_shots + self.b_shots * np.asarray(shot_gain)) * np.log(np.asarray(shots) + OFFSET)
            + self.a_rounds * np.log(np.asarray(rounds))
            + self.c
        )
        return np.asarray(1.0 / (1.0 + np.exp(-logit)))
