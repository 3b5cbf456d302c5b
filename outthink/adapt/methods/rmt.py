"""[99] RMT: a robust mean teacher: symmetric cross-entropy to a slow teacher, and features held to the source's class prototypes.

    loss = (SCE(f(x), t(x)) + SCE(f(x'), t(x))) / 2 + contrast({prototype nearest to f(x), f(x), f(x')}) + replay CE on source samples
    SCE(a, b) = -(sum_k b_k log a_k + sum_k a_k log b_k) / 2;   teacher <- momentum teacher + (1 - momentum) student;   output f(x) + t(x)

x' is an augmented view; the three features of one sample are positives of one another in a SimCLR loss after a two-layer projector, prototypes
included. Predicts before the step, with the sum of both networks' logits. All weights move. Before deployment student and teacher are warmed
up on source samples by the SCE term, the step size rising linearly. Cost: two student passes and one teacher pass forwards, two
backwards a sample, and one of each for every replayed source sample. Identities: momentum 1 keeps the teacher at its warm-up; SCE is symmetric.
Prototypes are the means of each class's features under batch statistics, over shuffled batches; the class is the source's label, or the model's
own prediction where it has none. Departures from the official code: replay is off unless asked for (weight 1 there), and draws its samples with
replacement; the warm-up is shorter; views are milder (no hue, saturation, gamma or blur, no clipping to [0, 1]).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outthink.adapt.augment import Augmentation, default_views
from outthink.adapt.losses import symmetric_cross_entropy
from outthink.adapt.method import Contract, State, method
from outthink.adapt.source import Source
from outthink.adapt.teacher import follow, frozen_copy
from outthink.adapt.view import Split, free_parameters, train_on_batches


def contrast(views: Tensor, temperature: float) -> Tensor:
    """SimCLR with several views: every other view of the same sample is a positive, all else a negative.

    Args:
        views: (samples, views, features); normalised here.
        temperature: of the cosines.

    Returns:
        A scalar in nats: the mean over views and their positives of -log softmax.
    """
    count, each, _ = views.shape
    rows = F.normalize(views.reshape(count * each, -1), dim=1)
    cosines = (rows @ rows.T / temperature).fill_diagonal_(-torch.inf)
    sample = torch.arange(count * each, device=views.device) // each
    positive = (sample[:, None] == sample[None]).fill_diagonal_(False)
    return -cosines.log_softmax(1)[positive].mean()


@torch.no_grad()
def prototypes(model: nn.Module, source: Source, size: int, generator: torch.Generator) -> Tensor:
    """Mean features of each class, (classes, features), in shuffled batches, so that their statistics are those of the whole source.

    Args:
        model: normalises as it will at test time.
        source: a class without samples gets the mean of all.
        size: of the batches, at least, where the source has as many.
        generator: shuffles.
    """
    split = Split(model)
    rows = next(_shuffled(len(source.inputs), len(source.inputs), generator))
    pairs = [split(source.inputs[some]) for some in rows.tensor_split(max(1, len(rows) // size))]
    logits, features = torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs])
    labels = logits.argmax(1) if source.labels is None else source.labels[rows].to(logits.device)
    means = [features[labels == label].mean(0) if bool((labels == label).any()) else features.mean(0) for label in range(logits.shape[1])]
    return torch.stack(means)


def _shuffled(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    # without end, each round in a new order; pieces of `size` or a little more, so that none is too small for batch statistics
    while True:
        yield from torch.randperm(count, generator=generator).tensor_split(max(1, count // size))


class _Rmt(State):
    prototypes: Tensor

    def __init__(self, model: nn.Module, generator: torch.Generator, projector: nn.Module, knobs: Rmt, source: Source, prototypes: Tensor) -> None:
        parameters = free_parameters(model)
        super().__init__(model, generator, [*parameters, *projector.parameters()], lambda free: torch.optim.Adam(free, lr=knobs.lr))
        self.knobs, self.split, self.projector = knobs, Split(model), projector
        self.teacher = frozen_copy(model)
        self.register_buffer("prototypes", prototypes)
        # in a tuple, so that the source is no part of the state
        self._source = (source,)
        self._warm_up()

    def step(self, batch: Tensor) -> Tensor:
        view = self.knobs.view or default_views(batch)
        with torch.no_grad():
            taught = self.predict(batch, self.teacher)
        self.cost.forwards += 2 * len(batch)
        logits, features = self.split(batch)
        seen, changed = self.split(view(batch, self.generator))
        loss = 0.5 * (symmetric_cross_entropy(logits, taught) + symmetric_cross_entropy(seen, taught)).mean()
        if self.knobs.contrast:
            cosine = F.normalize(features.detach(), dim=1) @ F.normalize(self.prototypes, dim=1).T
            nearest = self.prototypes[cosine.argmax(1)]
            loss = loss + self.knobs.contrast * contrast(self.projector(torch.stack([nearest, features, changed], 1)), 0.1)
        replayed = 0
        if self.knobs.replay:
            inputs, labels = self._replayed(len(batch))
            loss = loss + self.knobs.replay * F.cross_entropy(self.predict(inputs), labels)
            replayed = len(inputs)
        self.descend(loss, 2 * len(batch) + replayed)
        follow(self.teacher, self.model, self.knobs.momentum)
        total: Tensor = logits + taught
        return total

    def _replayed(self, count: int) -> tuple[Tensor, Tensor]:
        source = self._source[0]
        assert source.labels is not None, "start() sees to it"
        rows = torch.randint(len(source.inputs), (count,), generator=self.generator)
        return source.inputs[rows], source.labels[rows]

    def _warm_up(self) -> None:
        assert self.optimiser is not None
        inputs = self._source[0].inputs
        steps = -(-self.knobs.warm_up // self.knobs.warm_batch)
        for number, rows in zip(range(1, steps + 1), _shuffled(len(inputs), self.knobs.warm_batch, self.generator), strict=False):
            batch = inputs[rows]
            for group in self.optimiser.param_groups:
                group["lr"] = self.knobs.lr * number / steps
            with torch.no_grad():
                taught = self.predict(batch, self.teacher)
            self.descend(symmetric_cross_entropy(self.predict(batch), taught).mean(), len(batch))
            follow(self.teacher, self.model, self.knobs.momentum)


@method("rmt", papers=(99,))
@dataclass(frozen=True)
class Rmt:
    """Follow a slow teacher by a symmetric cross-entropy, hold features to the source's prototypes, and replay source samples.

    Args:
        lr: of Adam.
        momentum: of the teacher.
        contrast: weight of the contrastive loss; 0 leaves it out.
        replay: weight of the cross-entropy on source samples, as many as the batch; 0 is the source-free variant, which needs no labels.
            1 in the paper's main variant.
        projection: features after the projector.
        warm_up: source samples before deployment; the paper takes 50,000.
        warm_batch: size of their batches.
        view: how views are made; image views for images, noise for other data if None.
    """

    lr: float = 1e-3
    momentum: float = 0.999
    contrast: float = 1.0
    replay: float = 0.0
    projection: int = 128
    warm_up: int = 2000
    warm_batch: int = 200
    view: Augmentation | None = None
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="student and teacher", changes="every weight of student and teacher; batch statistics in place of stored ones",
        keeps="a mean feature of each class; with replay the labelled samples themselves", needs=("head", "source"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not 0 <= self.momentum <= 1:
            raise ValueError(f"momentum must be in [0, 1], got {self.momentum}")
        if self.warm_batch < 2 or self.warm_up < 0:
            raise ValueError(f"warm_batch must be 2 or more and warm_up 0 or more samples, got {self.warm_batch} and {self.warm_up}")

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs a linear head and the source's inputs, with labels for replay."""
        assert source is not None, "adapt() sees to the contract's needs"
        if self.replay and source.labels is None:
            raise ValueError("rmt replays labelled source samples: give adapt(..., source=Source(inputs, labels)), or set replay=0")
        train_on_batches(model, free_parameters(model))
        means = prototypes(model, source, self.warm_batch, generator)
        wide = means.shape[1]
        with torch.random.fork_rng():
            torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
            projector = nn.Sequential(nn.Linear(wide, self.projection), nn.ReLU(), nn.Linear(self.projection, self.projection))
        return _Rmt(model, generator, projector.to(means), self, source, means)
