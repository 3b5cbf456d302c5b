"""Losses on predictions without labels, in nats. Shapes: logits and probabilities (batch, classes); results (batch,) unless said otherwise."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def entropy(logits: Tensor) -> Tensor:
    """H(p) = -sum_c p_c log p_c of each prediction."""
    logs = logits.log_softmax(1)
    return -(logs.exp() * logs).sum(1)


def entropy_of(probabilities: Tensor) -> Tensor:
    """The same from probabilities; 0 log 0 is 0."""
    terms: Tensor = torch.special.entr(probabilities)
    return terms.sum(1)


def marginal_entropy(logits: Tensor) -> Tensor:
    """Entropy of the mean prediction, a scalar: what MEMO minimises over views of one sample, and SHOT maximises over samples."""
    # in logarithms: where a probability underflows, the gradient of p log p would not be a number
    logs = (logits.log_softmax(1).logsumexp(0) - math.log(len(logits))).clamp_min(torch.finfo(logits.dtype).min)
    return -(logs.exp() * logs).sum()


def information_maximisation(logits: Tensor) -> Tensor:
    """Mean entropy less entropy of the mean, a scalar; at least -log classes, which certain and balanced predictions reach."""
    return entropy(logits).mean() - marginal_entropy(logits)


def cross_entropy_to(target: Tensor, logits: Tensor) -> Tensor:
    """-sum_c target_c log p_c: a student's logits against a teacher's probabilities."""
    return -(target * logits.log_softmax(1)).sum(1)


def reverse_cross_entropy_to(target: Tensor, logits: Tensor) -> Tensor:
    """-sum_c p_c log target_c: linear in the student's probabilities ([60])."""
    return -(logits.softmax(1) * target.clamp_min(torch.finfo(target.dtype).tiny).log()).sum(1)


def symmetric_cross_entropy(first: Tensor, second: Tensor) -> Tensor:
    """[99] Half the sum of both cross-entropies between two predictions, given as logits."""
    a, b = first.log_softmax(1), second.log_softmax(1)
    return -0.5 * (b.exp() * a + a.exp() * b).sum(1)
