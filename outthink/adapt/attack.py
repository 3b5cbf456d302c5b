"""[46] The Distribution Invading Attack: whoever may put some samples into a batch can change what an adapting model says of the others.

    poisoned = invade(model, batch, malicious=rows, loss=towards(target, label))
    attempts = [attempt(model, batch, labels, malicious=10, target=0) for ...]
    transferred = judged(another, batch, poisoned, labels, malicious=10, target=0)

The attacker knows the model. The attack is approximated as published: the weights stay as they are before the batch, so that its samples are
coupled by what the prediction itself takes from the batch alone (statistics, an assignment, centroids: `State.preview`), and the malicious ones
follow the sign of the gradient (projected gradient descent from gray images). The poisoned batch then goes through the real step of the method.
The model that is attacked is left as it was. `coupling` says what such an attack can see of a method before it is tried.
Departures from the official code (inspire-group/tta_risk): epsilon is a distance from the gray start, not from the images that were there (the same
at the published 1); a target that had the wanted label before counts as no success.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from outthink.adapt.adapter import Adapted

Loss = Callable[[Tensor], Tensor]
"""From the logits (batch, classes) of the whole batch to a scalar that the attacker lowers."""


def towards(row: int, label: int) -> Loss:
    """Targeted: the sample in this row shall be given this label."""
    return lambda logits: F.cross_entropy(logits[row : row + 1], torch.tensor([label], device=logits.device))


def away_from(rows: Tensor, labels: Tensor) -> Loss:
    """Untargeted for one row, indiscriminate for many: these samples (rows,) shall lose their true labels (rows,)."""
    return lambda logits: -F.cross_entropy(logits[rows], labels)


@dataclass(frozen=True)
class Coupling:
    """How far samples of a batch move the predictions of others.

    Args:
        moved: largest change of a benign logit when the malicious samples are replaced, through the method's real step.
        slope: largest derivative of a benign logit by a malicious value, with the weights as they are: what the attack follows.
    """

    moved: float
    slope: float

    @property
    def none(self) -> bool:
        """No prediction depends on another sample of its batch: not a bit changed, so there is nothing to attack."""
        return self.moved == 0.0

    @property
    def unseen(self) -> bool:
        """Samples touch one another through the step alone, which the attack does not differentiate: that it fails shows nothing."""
        return not self.none and self.slope == 0.0


def coupling(model: Adapted, batch: Tensor, *, malicious: Tensor, seed: int = 0) -> Coupling:
    """Measure what the owner of some rows can move at all.

    Args:
        model: as it stands before the batch; it is not changed.
        batch: (batch, ...).
        malicious: rows that are the attacker's.
        seed: of what replaces them: values drawn uniformly over the batch's range.
    """
    low, high, malicious = float(batch.min()), float(batch.max()), malicious.to(batch.device)
    draw = torch.Generator().manual_seed(seed)
    noise = low + (high - low) * torch.rand(batch[malicious].shape, generator=draw).to(batch)
    benign = torch.ones(len(batch), dtype=torch.bool).index_fill(0, malicious.cpu(), False)
    poisoned = batch.index_copy(0, malicious, noise)
    before, after = (copy.deepcopy(model)(each)[benign] for each in (batch, poisoned))
    state = copy.deepcopy(model.state).requires_grad_(False)
    chosen = noise.clone().requires_grad_()
    with torch.enable_grad():
        logits = state.preview(batch.index_copy(0, malicious, chosen))[benign]
        # squares, so that no two derivatives of one sample cancel: softmax scores of a class sum to a constant
        (gradient,) = torch.autograd.grad(logits.square().sum(), chosen, allow_unused=True, materialize_grads=True)
    return Coupling(float((after - before).abs().max()), float(gradient.abs().max()))


def invade(
    model: Adapted, batch: Tensor, *, malicious: Tensor, loss: Loss, steps: int = 500, size: float = 1 / 255, epsilon: float = 1.0,
    low: float = 0.0, high: float = 1.0,
) -> Tensor:  # fmt: skip
    """Choose the malicious samples of a batch.

    Args:
        model: an adapting model as it stands before the batch; it is not changed.
        batch: (batch, ...).
        malicious: rows that are the attacker's.
        loss: what to lower.
        steps, size: of the descent, in units of the input.
        epsilon: largest distance of a value from the gray start; 1 leaves pixels in [0, 1] free.
        low, high: range of a value.

    Returns:
        The batch with those rows replaced.

    Raises:
        ValueError: there is no malicious row, or no other.
    """
    if not 0 < len(malicious) < len(batch):
        raise ValueError(f"malicious must be 1 to {len(batch) - 1} rows of the batch of {len(batch)}, got {len(malicious)}")
    malicious = malicious.to(batch.device)
    state = copy.deepcopy(model.state).requires_grad_(False)
    kept = [buffer.clone() for buffer in state.buffers()]
    start = torch.full_like(batch[malicious], (low + high) / 2)
    chosen = start.clone()
    for _ in range(steps):
        chosen.requires_grad_()
        with torch.enable_grad():
            value = loss(state.preview(batch.index_copy(0, malicious, chosen)))
            (gradient,) = torch.autograd.grad(value, chosen, allow_unused=True, materialize_grads=True)
        if not gradient.any():  # nothing leads from these samples to the loss
            break
        with torch.no_grad():
            chosen = chosen - size * gradient.sign()
            chosen = torch.minimum(torch.maximum(chosen, start - epsilon), start + epsilon).clamp(low, high)
            # layers with a memory of their own would otherwise see every trial as a batch
            for buffer, before in zip(state.buffers(), kept, strict=True):
                buffer.copy_(before)
    return batch.index_copy(0, malicious, chosen.detach())


@dataclass(frozen=True)
class Attempt:
    """One targeted attack on one benign sample.

    Args:
        wanted: the label that the attacker wanted.
        before: what the model says of the target in the batch as it was.
        after: what it says in the poisoned batch.
        right_before, right_after: share of the benign samples, the target left out, that were classified rightly; in [0, 1].
    """

    wanted: int
    before: int
    after: int
    right_before: float
    right_after: float

    @property
    def succeeded(self) -> bool:
        """The target got the wanted label, which it did not have before."""
        return self.after == self.wanted != self.before


def attempt(
    model: Adapted, batch: Tensor, labels: Tensor, *, malicious: int, target: int = 0, steps: int = 500, size: float = 1 / 255, again: bool = False
) -> Attempt:
    """Attack one sample of a batch through the last rows of it, with the method's real step on both batches.

    Args:
        model: as it stands before the batch; copied for each of the two steps.
        batch: (batch, ...), values in [0, 1].
        labels: (batch,) true classes: the attacker's aim is the class after the target's.
        malicious: how many rows are the attacker's, the last ones.
        target: row of the sample to be misclassified.
        steps, size: of the descent.
        again: as for `judged`.
    """
    first = len(batch) - malicious
    if not 0 <= target < first:
        raise ValueError(f"target must be one of the {first} benign rows, got {target}")
    with torch.no_grad():
        classes = copy.deepcopy(model.state).preview(batch).shape[1]
    aim = towards(target, (int(labels[target]) + 1) % classes)
    poisoned = invade(model, batch, malicious=torch.arange(first, len(batch)), loss=aim, steps=steps, size=size)
    return judged(model, batch, poisoned, labels, malicious=malicious, target=target, again=again)


def judged(model: Adapted, batch: Tensor, poisoned: Tensor, labels: Tensor, *, malicious: int, target: int = 0, again: bool = False) -> Attempt:
    """What a poisoned batch, which may be made for another method, does to this one.

    Args:
        model: as it stands before the batch; copied for each of the two steps.
        batch, poisoned: (batch, ...), as it was and with the last rows replaced.
        labels: (batch,) true classes.
        malicious: how many rows those are.
        target: row of the sample to be misclassified.
        again: predict once more after the method's step on the same batch, as the paper does; a method that predicts before it learns would
            otherwise say of the batch what it says without its step.
    """
    found = []
    for each in (batch, poisoned):
        adapting = copy.deepcopy(model)
        logits = adapting(each)
        with torch.no_grad():
            found.append(adapting.state.preview(each) if again else logits)
    before, after = found
    others = torch.arange(len(batch) - malicious) != target
    benign = labels[: len(batch) - malicious][others]
    right = [float((logits[: len(batch) - malicious][others].argmax(1) == benign).double().mean()) for logits in found]
    wanted = (int(labels[target]) + 1) % before.shape[1]
    return Attempt(wanted, int(before[target].argmax()), int(after[target].argmax()), right[0], right[1])
