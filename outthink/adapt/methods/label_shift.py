"""[55] Label shift adapter: a small network that re-shapes the classifier for the class frequencies of the stream, learnt where the model is made.

    g(s) = (gamma, beta, dW, db),   f_s(x) = (W + dW)(gamma * h(x) + beta) + b + db,   pi_s proportional to prior^s
    prepare  min over g of CE(f_s(x) + tau (log prior - log pi_s), y) on source data, s uniform in [-1, 1]
    stream   pi <- (1 - momentum) pi + momentum mean_b softmax f_s(x_b),   s = <log pi, log prior> / |log prior|^2 (both centred), cut to [-1, 1]

One number s says how imbalanced the stream is: 1 as the source, 0 uniform, -1 the other way round. The loss is least at f_s = log p(y | x) + log pi_s
- log prior, the Bayes rule under pi_s. Predicts before its estimate moves, and before its step where it takes one. Cost: one forward pass a sample
(with `lr` one backward). Identities: g starts at 0, where the model is the source's; the mean of softmax f_s is the E-step of Saerens' EM under pi_s,
so the running mean is EM online. Written from the project's notes, as no official code was found; there s is drawn from {-1, 0, 1}, and they do not
say where the estimate starts: here at the source's frequencies, so that nothing changes before a batch was seen, and it takes 1 / momentum batches to
arrive (on digits turned round, four batches won .27 of what exact frequencies win, 32 batches .71). Traps: the sign (training adds log prior - log
pi, prediction does not); a mean over the unadapted predictions stays near the source's prior. The family cannot follow frequencies unlike prior^s:
that they fit is an assumption.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outthink.adapt.losses import entropy
from outthink.adapt.method import Contract, State, method
from outthink.adapt.norms import BatchStatistics, replace_norms
from outthink.adapt.source import Source
from outthink.adapt.view import Split, affine_parameters, has_batch_norm, train_only

_LEAST = 1.05
"""Below this ratio of the most frequent class to the rarest the source has no imbalance to speak of."""


class Shifting(nn.Module):
    """A classifier with an adapter for class frequencies; called plainly it is the classifier at the source's.

    Args:
        model: any classifier with a linear head.
        prior: (classes,) class frequencies of the source, above 0.
        hidden: units of g.
    """

    log_prior: Tensor

    def __init__(self, model: nn.Module, prior: Tensor, hidden: int) -> None:
        super().__init__()
        self.split = Split(model)
        classes, features = self.split.head.weight.shape
        self.register_buffer("log_prior", prior.log())
        last = nn.Linear(hidden, 2 * features + classes * features + classes)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.shape = nn.Sequential(nn.Linear(1, hidden), nn.ReLU(), last)

    def frequencies(self, degree: Tensor) -> Tensor:
        """log pi for degrees (...,) of imbalance: (..., classes)."""
        return (degree[..., None] * self.log_prior).log_softmax(-1)

    def degree(self, frequencies: Tensor) -> Tensor:
        """The degree, in [-1, 1], whose frequencies come nearest to these (classes,) in their logarithms."""
        prior = self.log_prior - self.log_prior.mean()
        own = frequencies.clamp_min(1e-6).log()
        return ((own - own.mean()) @ prior / (prior @ prior)).clamp(-1.0, 1.0)

    def classify(self, features: Tensor, degree: Tensor) -> Tensor:
        """Features (batch, features) -> logits (batch, classes) for one degree, a scalar."""
        head = self.split.head
        classes, count = head.weight.shape
        scale, shift, rows, offset = self.shape(degree.reshape(1)).split([count, count, classes * count, classes])
        bias = offset if head.bias is None else head.bias + offset
        return F.linear((1.0 + scale) * features + shift, head.weight + rows.reshape(classes, count), bias)

    def forward(self, batch: Tensor) -> Tensor:
        """(batch, ...) -> logits (batch, classes) at the frequencies of the source."""
        return self.classify(self.split(batch)[1], torch.ones((), device=batch.device, dtype=batch.dtype))


class _LabelShift(State):
    frequencies: Tensor

    def __init__(self, model: Shifting, generator: torch.Generator, parameters: list[nn.Parameter], knobs: LabelShift) -> None:
        super().__init__(model, generator, parameters, lambda free: torch.optim.Adam(free, lr=knobs.lr))
        self.shifting, self.knobs = model, knobs
        self.register_buffer("frequencies", model.log_prior.exp())

    def preview(self, batch: Tensor) -> Tensor:
        """Logits for the frequencies estimated so far."""
        return self.shifting.classify(self.shifting.split(batch)[1], self.shifting.degree(self.frequencies))

    def step(self, batch: Tensor) -> Tensor:
        self.cost.forwards += len(batch)
        logits = self.preview(batch)
        if self.optimiser is not None:
            self.descend(entropy(logits).mean(), len(batch))
        seen = logits.detach().softmax(1).mean(0)
        self.frequencies = torch.lerp(self.frequencies, seen, self.knobs.momentum)
        return logits


@method("label_shift", papers=(55,))
@dataclass(frozen=True)
class LabelShift:
    """Estimate how imbalanced the classes of the stream are, and re-shape the classifier for it by a network learnt at a long-tailed source.

    Args:
        momentum: weight of a batch in the estimated frequencies, in [0, 1].
        lr: of an entropy step on scale and shift of the normalisation layers, with batch statistics (TENT on top); 0 takes none and keeps the
            statistics of the source.
        tau: weight of the adjustment in training; 1 is the Bayes rule.
        hidden: units of the adapter.
        steps, source_lr, batch: of its training in `prepare`, by Adam.
    """

    momentum: float = 0.1
    lr: float = 0.0
    tau: float = 1.0
    hidden: int = 64
    steps: int = 1000
    source_lr: float = 1e-3
    batch: int = 128
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="student", changes="its estimate of the class frequencies; with lr the scale and shift of normalisation layers",
        keeps="class frequencies, and an adapter made by `prepare`", needs=("head", "prepared"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not 0 <= self.momentum <= 1 or not self.lr >= 0:
            raise ValueError(f"momentum must be in [0, 1] and lr 0 or more, got {self.momentum} and {self.lr}")
        if self.hidden < 1 or self.steps < 0 or self.batch < 1:
            raise ValueError(f"hidden and batch must be 1 or more and steps 0 or more, got {self.hidden}, {self.batch} and {self.steps}")

    def prepare(self, model: nn.Module, source: Source, *, seed: int, progress: Callable[[int, int], None] | None = None) -> nn.Module:
        """Learn the adapter on the source's labelled samples, the model itself held fixed.

        Raises:
            ValueError: there are no labels, a class has none, or the classes are equally frequent.
        """
        if source.labels is None:
            raise ValueError("the label shift adapter learns from labelled source samples: give Source(inputs, labels)")
        net = copy.deepcopy(model).eval()
        with torch.no_grad():
            features = torch.cat([Split(net)(piece)[1] for piece in source.batches()])
        classes = Split(net).head.out_features
        counts = torch.bincount(source.labels.cpu(), minlength=classes).to(features)
        if len(counts) > classes or int(counts.min()) == 0:
            raise ValueError(f"every one of the model's {classes} classes needs a source sample, got counts {counts.long().tolist()}")
        if float(counts.max() / counts.min()) < _LEAST:
            raise ValueError(
                f"the source's classes are equally frequent ({int(counts.min())} to {int(counts.max())} samples), so it says nothing about "
                "imbalance; the label shift adapter needs a long-tailed source, lame and rotta need none"
            )
        draw = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            made = Shifting(net, counts / counts.sum(), self.hidden).to(features)
        optimiser = torch.optim.Adam(made.shape.parameters(), lr=self.source_lr)
        for number in range(self.steps):
            rows = torch.randint(len(features), (self.batch,), generator=draw)
            degree = (2 * torch.rand((), generator=draw) - 1).to(features)
            with torch.enable_grad():
                adjusted = made.classify(features[rows], degree) + self.tau * (made.log_prior - made.frequencies(degree))
                loss = F.cross_entropy(adjusted, source.labels[rows])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if progress is not None:
                progress(number + 1, self.steps)
        optimiser.zero_grad(set_to_none=True)
        net.zero_grad(set_to_none=True)
        return made.eval()

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Takes the model that `prepare` made."""
        if not isinstance(model, Shifting):
            raise ValueError(
                "the label shift adapter adapts a model that it prepared at the source: adapt(method.prepare(model, source, seed=0), method)"
            )
        parameters = affine_parameters(model) if self.lr else []
        train_only(model, parameters)
        if self.lr and has_batch_norm(model):
            replace_norms(model, lambda *_: BatchStatistics())
        return _LabelShift(model, generator, parameters, self)
