"""[60] TeSLA: a student that follows its slow teacher by a flipped cross-entropy, with augmentations that are learnt to be hard for the teacher.

    q = the teacher's mean softmax over the sample and `views` easy views, then that of the `neighbours` nearest in a queue balanced by class
    loss = -sum_k p_k log q_k - H(mean_b p) + hard KL(q || p(hard view)),   p the student's softmax on one of these views
    policy (`policy.Policy`): raise H(teacher(hard view)) - norm x (shift of the means of every normalisation layer's inputs)

The flipped cross-entropy is linear in p: KL(p || q) + H(p), without the blow-up of -log p. The hard view is one of the view that the student sees.
Magnitudes of the policy get the direct gradient, probabilities a REINFORCE one; Adam at .1. All but the head moves, by Adam. The teacher predicts the
sample after the step, by running moments that all its passes before moved, those on hard views too (share .1). Order and constants are those of the
official code for CIFAR-10 online (devavratTomar/TeSLA; for ImageNet it has SGD with momentum .9, and .9 for the teacher). Departures: the penalty's
weight counts for magnitudes too (there it does not, which is the same at its 1), the queue never holds more than its size of a class (there one more
can stay), and those of the operations that `policy` names. Cost: views + 6 forward passes a sample and 3 backward. Identity: -sum p log q - H(mean p)
= KL(p || q) + H(p) - H(mean p). Trap: p and q the other way round is plain cross-entropy (`flipped=False`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outthink.adapt.augment import Augmentation, default_views
from outthink.adapt.losses import cross_entropy_to, entropy, marginal_entropy, reverse_cross_entropy_to
from outthink.adapt.method import Contract, State, method
from outthink.adapt.norms import OTHER_NORMS, AdaptiveNorm, TrainStatistics, moving, replace_norms
from outthink.adapt.policy import Policy
from outthink.adapt.source import Source
from outthink.adapt.teacher import follow, frozen_copy
from outthink.adapt.view import Split, free_parameters, has_batch_norm, train_only

_STEP = 0.1  # of the policy
_SHARE = 0.1  # of a batch in running moments


class Queue(nn.Module):
    """The latest features and soft labels of each predicted class.

    Args:
        size: of each class.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}

    def add(self, features: Tensor, labels: Tensor) -> None:
        """Features (batch, features) and soft labels (batch, classes); the oldest of a class make room."""
        for label in sorted(set(labels.argmax(1).tolist())):
            rows = labels.argmax(1) == label
            before = self.kept.get(label, (features[:0], labels[:0]))
            joined = torch.cat([before[0], features[rows]]), torch.cat([before[1], labels[rows]])
            self.kept[label] = joined[0][-self.size :], joined[1][-self.size :]

    def refined(self, features: Tensor, neighbours: int) -> Tensor:
        """The mean soft label (batch, classes) of the nearest by cosine."""
        every, labels = (torch.cat(parts) for parts in zip(*self.kept.values(), strict=True))
        nearness = F.normalize(features, dim=1) @ F.normalize(every, dim=1).T
        return labels[nearness.topk(min(neighbours, len(every)), dim=1).indices].mean(1)

    def get_extra_state(self) -> dict[int, tuple[Tensor, Tensor]]:
        """What it holds."""
        return dict(self.kept)

    def set_extra_state(self, state: dict[int, tuple[Tensor, Tensor]]) -> None:
        """Take up what `get_extra_state` gave."""
        self.kept = {label: (pair[0], pair[1]) for label, pair in state.items()}


class _Tesla(State):
    def __init__(self, model: nn.Module, generator: torch.Generator, parameters: list[nn.Parameter], knobs: Tesla) -> None:
        super().__init__(model, generator, parameters, lambda free: torch.optim.Adam(free, lr=knobs.lr))
        self.knobs, self.split = knobs, Split(model)
        self.teacher = frozen_copy(model)
        moving(self.teacher, False)
        self.taught = Split(self.teacher)
        self.policy, self.queue = Policy().to(parameters[0].device), Queue(max(1, knobs.queue))
        self.policy_step = torch.optim.Adam(self.policy.parameters(), lr=_STEP)

    def step(self, batch: Tensor) -> Tensor:
        knobs = self.knobs
        view = knobs.view or default_views(batch)
        moving(self.teacher, True)
        views = [batch, *(view(batch, self.generator) for _ in range(knobs.views))]
        shown = views[int(torch.randint(len(views), (), generator=self.generator))]
        if knobs.hard:
            self.harden(shown)
        with torch.no_grad():
            hard = self.policy.applied(shown, self.policy.drawn(len(batch), self.generator), self.generator) if knobs.hard else None
            self.cost.forwards += len(views) * len(batch)
            pairs = [self.taught(each) for each in reversed(views)]  # the sample last: its moments weigh most in the running ones
            target = torch.stack([logits.softmax(1) for logits, _ in pairs]).mean(0)
            if knobs.queue:
                features = torch.stack([features for _, features in pairs]).mean(0)
                self.queue.add(features, target)
                target = self.queue.refined(features, knobs.neighbours)
        logits = self.predict(shown)
        loss = (
            reverse_cross_entropy_to(target, logits).mean() - marginal_entropy(logits) if knobs.flipped else cross_entropy_to(target, logits).mean()
        )
        if hard is not None:
            # the cross-entropy to q has the gradient of KL(q || p)
            loss = loss + knobs.hard * cross_entropy_to(target, self.predict(hard)).mean()
        self.descend(loss, (1 if hard is None else 2) * len(batch))
        follow(self.teacher, self.model, knobs.momentum)
        moving(self.teacher, False)
        with torch.no_grad():
            return self.predict(batch, self.teacher)

    def harden(self, batch: Tensor) -> None:
        """One step of the policy towards augmentations in which the teacher doubts, its layers seeing the same."""
        which = self.policy.drawn(len(batch), self.generator, uniform=True)
        self.cost.backwards += len(batch)
        with torch.no_grad():
            before = self._means(batch)[1]
        logits, means = self._means(self.policy.applied(batch, which, self.generator))
        shift = torch.stack([(now - kept).square().mean(1) for now, kept in zip(means, before, strict=True)]).mean(0) if means else 0.0
        own = self.knobs.norm * shift - entropy(logits)  # (batch,), lower is harder
        chosen = self.policy.probabilities[which.to(own.device)].clamp_min(1e-8).log()
        self.policy_step.zero_grad(set_to_none=True)
        (own.mean() + (own.detach() * chosen).mean()).backward()  # type: ignore[no-untyped-call]
        self.policy_step.step()
        self.policy_step.zero_grad(set_to_none=True)

    def _means(self, batch: Tensor) -> tuple[Tensor, list[Tensor]]:
        # the teacher's logits, and the mean of each channel of each sample before every normalisation layer
        seen: list[Tensor] = []

        def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen.append(inputs[0].flatten(2).mean(2) if inputs[0].ndim > 2 else inputs[0])

        layers = [module for module in self.teacher.modules() if isinstance(module, (AdaptiveNorm, *OTHER_NORMS))]
        hooks = [layer.register_forward_pre_hook(note) for layer in layers]
        try:
            logits = self.predict(batch, self.teacher)
        finally:
            for hook in hooks:
                hook.remove()
        return logits, seen

    def get_extra_state(self) -> dict[str, object]:
        return super().get_extra_state() | {"policy_step": self.policy_step.state_dict()}

    def set_extra_state(self, state: dict[str, object]) -> None:
        super().set_extra_state(state)
        moments = state["policy_step"]
        assert isinstance(moments, dict)
        self.policy_step.load_state_dict(moments)


@method("tesla", papers=(60,))
@dataclass(frozen=True)
class Tesla:
    """Follow a slow teacher by a flipped cross-entropy with balanced classes, also on augmentations that are learnt to be hard for it.

    Args:
        lr: of Adam.
        momentum: of the teacher.
        views: easy views that the teacher labels, beside the sample itself.
        hard: weight of the loss on hard views; 0 leaves them out.
        norm: weight of the penalty on what hard views shift.
        queue: samples of each class that labels are refined from; 0 takes the teacher's own label, as the official code cannot.
        neighbours: of those, how many count.
        flipped: the flipped cross-entropy with balanced classes; otherwise the plain one.
        view: how easy views are made; image views if None.
    """

    lr: float = 1e-3
    momentum: float = 0.99
    views: int = 4
    hard: float = 1.0
    norm: float = 1.0
    queue: int = 2
    neighbours: int = 1
    flipped: bool = True
    view: Augmentation | None = None
    contract: ClassVar[Contract] = Contract(
        predicts="after", network="teacher", changes="every weight but the head's, and a policy of augmentations; running statistics",
        needs=("head", "images"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.views < 0 or self.queue < 0 or self.neighbours < 1 or not 0 <= self.momentum <= 1:
            raise ValueError(f"views and queue must be 0 or more, neighbours 1 or more and momentum in [0, 1], got {self}")

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs a linear head."""
        parameters = free_parameters(model, without=Split(model).head)
        train_only(model, parameters)
        if has_batch_norm(model):
            replace_norms(model, lambda layer, *_: TrainStatistics(layer, _SHARE))
        return _Tesla(model, generator, parameters, self)
