"""[89] What an imperfect verifier leaves: accuracy of accepted answers against the accuracy of one sample, over models.

`verifier-ceiling` is the exact relation for one type of task, r / (r + leak (1 - r)) with leak = P(accept | wrong) / P(accept | right): a model
with r near 0 has almost only wrong acceptances. `verifier-line` is the straight line that the paper draws through its 17 models (slope .2183,
intercept .7247, R2 .892). A mix of easy and hard tasks lies between: its acceptances come from the easy ones, which lifts the left end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.laws.form import Parameter, Variable, law
from outthink.stats._arrays import FloatArray

_RATE = Variable("pass_rate", "chance that one sample is right, by the strong tests", "share", high=1.0)
_ACCEPTED = Variable("accepted_accuracy", "share of right ones among what the weak tests accept", "share", high=1.0)


@law(
    "verifier-ceiling",
    papers=(89,),
    title="Accuracy of accepted answers, one type of task",
    formula="accepted_accuracy = pass_rate / (pass_rate + leak (1 - pass_rate))",
    variables=(_RATE,),
    target=_ACCEPTED,
    parameters=(Parameter("leak", "P(accept | wrong) / P(accept | right) = (1 - soundness) / completeness", low=0.0, starts=(0.01, 1.0)),),
    source="[89]: c r / (c r + (1 - s)(1 - r)), the limit of resampling until accepted",
    valid="tasks of one difficulty and one verifier; the same number bounds resampling however often it is repeated",
)
@dataclass(frozen=True)
class VerifierCeiling:
    """Accuracy in [0, 1] of accepted answers."""

    leak: float

    def __call__(self, pass_rate: ArrayLike) -> FloatArray:
        """At pass rates in (0, 1]."""
        rate = np.asarray(pass_rate)
        return np.asarray(rate / (rate + self.leak * (1.0 - rate)))


@law(
    "verifier-line",
    papers=(89,),
    title="Accuracy of accepted answers, a line over models",
    formula="accepted_accuracy = slope pass_rate + intercept",
    variables=(_RATE,),
    target=_ACCEPTED,
    parameters=(
        Parameter("slope", "gain of accepted accuracy for each unit of pass rate", starts=(0.01, 1.0)),
        Parameter("intercept", "accepted accuracy of a model that is never right", starts=(0.1, 1.0)),
    ),
    linear=("slope", "intercept"),
    source="[89] figure on HumanEval+, recomputed from the printed values",
    valid="models of pass rate .06 to .86 on HumanEval+; a description, not a mechanism",
)
@dataclass(frozen=True)
class VerifierLine:
    """Accuracy of accepted answers."""

    slope: float
    intercept: float

    def __call__(self, pass_rate: ArrayLike) -> FloatArray:
        """At pass rates in [0, 1]."""
        return np.asarray(self.slope * np.asarray(pass_rate) + self.intercept)
