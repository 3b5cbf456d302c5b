"""[31 baseline] MEMO: one sample at a time, lower the entropy of the mean prediction over its views, predict, and forget.

    minimise H( (1/A) sum_a p(view_a x) ) over all weights, one step; predict on x itself; back to the source for the next sample

Batch normalisation blends (1 - a) source + a batch, a = 1 / (1 + prior) for the views and for the sample alike; no gradient flows through the
batch's moments, whose variance is unbiased, as in the official code. Every step draws new views. Predicts after the step.
Cost: `views` forward and backward passes and one more forward a sample, and a copy of the weights. Identity: the order of samples changes no
prediction, and the sample's views are drawn from a seed of its content alone, so neither does the batch that it comes in.
Departure from the official code (zhangmarvin/memo): views are the project's own, not AugMix. It has three sets of constants: SGD of 5e-3 and 32 views
for CIFAR-10 and a ResNet-26 with group normalisation, the defaults here; SGD of 2.5e-4, 64 views and the blend above for ImageNet and a ResNet-50
with batch normalisation; AdamW of 1e-5 for transformers and ResNeXt-101. mariodoebler/test-time-adaptation keeps 5e-3 for a WideResNet-28 with batch
normalisation on CIFAR-10 (a Nesterov step, 1.9 times as long) and 2.5e-4 for a ResNet-50. Trap: a step that is too long makes views agree on any
class. A small network for 8 x 8 digits under fog errs on .72 and .74 of 300 images without a step (two seeds), on .81 and .79 after one of 5e-3, and
on .74 and .73 after one of 2.5e-4; with group normalisation .62 and .49, .69 and .55, .63 and .50. Take 2.5e-4 and 64 views unless the network is
like that of CIFAR-10.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from outthink.adapt.augment import Augmentation, Jitter, default_views
from outthink.adapt.losses import marginal_entropy
from outthink.adapt.method import Contract, State, method
from outthink.adapt.norms import AdaptiveNorm, moments, replace_norms, unbiased
from outthink.adapt.source import Source
from outthink.adapt.view import free_parameters, has_batch_norm, train_only


@dataclass(frozen=True)
class _Prior:
    # the source's moments with a little of the batch's, which count as constants
    prior: float

    def __call__(self, norm: AdaptiveNorm, batch: Tensor) -> tuple[Tensor, Tensor]:
        if batch.numel() == batch.shape[1]:  # a lone vector has no variance to blend
            return norm.source_mean, norm.source_variance
        mean, variance = moments(batch.detach())
        variance = variance * unbiased(batch.numel() // batch.shape[1])
        share = 1.0 / (1.0 + self.prior)
        return torch.lerp(norm.source_mean, mean, share), torch.lerp(norm.source_variance, variance, share)


class _Memo(State):
    def __init__(self, model: nn.Module, generator: torch.Generator, parameters: list[nn.Parameter], knobs: Memo) -> None:
        super().__init__(model, generator)
        self.knobs, self.adapting = knobs, parameters
        self.origin = [parameter.detach().clone() for parameter in parameters]
        self.seed = generator.initial_seed()

    def step(self, batch: Tensor) -> Tensor:
        return torch.cat([self._one(sample[None]) for sample in batch])

    def preview(self, batch: Tensor) -> Tensor:
        """Each sample alone."""
        return torch.cat([self.model(sample[None]) for sample in batch])

    def _one(self, sample: Tensor) -> Tensor:
        draws = self._draws(sample)
        # restarted for every sample: momentum of another sample has no place here
        self.optimiser = torch.optim.SGD(self.adapting, lr=self.knobs.lr)
        for _ in range(self.knobs.steps):
            self.descend(marginal_entropy(self.predict(self._views(sample, draws))), self.knobs.views)
        with torch.no_grad():
            logits = self.predict(sample)
            for parameter, before in zip(self.adapting, self.origin, strict=True):
                parameter.copy_(before)
        self.optimiser = None
        return logits

    def _views(self, sample: Tensor, draws: torch.Generator) -> Tensor:
        view = self.knobs.view or default_views(sample)
        if isinstance(view, Jitter):  # its noise is in units of the batch's deviation, and copies of one sample have none
            return torch.cat([view(sample, draws) for _ in range(self.knobs.views)])
        return view(sample.expand(self.knobs.views, *sample.shape[1:]), draws)

    def _draws(self, sample: Tensor) -> torch.Generator:
        content = hashlib.sha256(sample.detach().cpu().numpy().tobytes()).digest()
        return torch.Generator().manual_seed((int.from_bytes(content[:6], "big") + self.seed) % 2**63)

    def get_extra_state(self) -> dict[str, object]:
        return super().get_extra_state() | {"seed": self.seed}

    def set_extra_state(self, state: dict[str, object]) -> None:
        super().set_extra_state(state)
        assert isinstance(state["seed"], int)
        self.seed = state["seed"]


@method("memo", papers=(31,))
@dataclass(frozen=True)
class Memo:
    """For each sample alone, make the mean prediction over its views certain, predict, and go back to the source.

    Args:
        lr: of SGD; 2.5e-4 for a network with batch normalisation or a small one.
        views: of one sample; 64 with such a step.
        steps: for each sample.
        prior: how many times the batch's moments those of the source count.
        view: how views are made; image views for images, noise for other data if None.
    """

    lr: float = 5e-3
    views: int = 32
    steps: int = 1
    prior: float = 16.0
    view: Augmentation | None = None
    contract: ClassVar[Contract] = Contract(predicts="after", network="student", changes="every weight, for one sample at a time")

    def __post_init__(self) -> None:
        if self.views < 1 or self.steps < 0:
            raise ValueError(f"views must be 1 or more and steps 0 or more, got {self.views} and {self.steps}")
        if not self.prior >= 0:
            raise ValueError(f"prior must be 0 or more, got {self.prior}")

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Takes any classifier with free parameters."""
        parameters = free_parameters(model)
        train_only(model, parameters)
        if has_batch_norm(model):
            replace_norms(model, lambda *_: _Prior(self.prior))
        return _Memo(model, generator, parameters, self)
