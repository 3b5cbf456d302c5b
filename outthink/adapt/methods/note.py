"""[31 baseline] NOTE: instance-aware batch normalisation, and a memory with as many samples of every predicted class as can be had.

    mean = mean_r + shrink(m_i - mean_r, k sqrt(variance_r / L)),   variance = variance_r + shrink(v_i - variance_r, k variance_r sqrt(2 / (L - 1)))

m_i, v_i are a sample's own moments over its L places, mean_r and variance_r the running ones, shrink(x, t) = sign(x) max(|x| - t, 0): a sample
leaves the running moments only as far as chance does not explain. Every `every` samples one Adam step on the mean entropy of the memory moves
scale and shift, and the running moments by their momentum. Predicts before the step.
Cost: one forward pass a sample, and for every update one forward and one backward pass of the memory. Identities: k -> infinity normalises
with the running moments alone, k = 0 is instance normalisation. No prediction depends on the other samples of its batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from outthink.adapt.losses import entropy
from outthink.adapt.memory import BalancedReservoir, Bank
from outthink.adapt.method import Contract, State, method
from outthink.adapt.norms import BATCH_NORMS, AdaptiveNorm, instance_moments, moments, replace_norms
from outthink.adapt.source import Source
from outthink.adapt.view import affine_parameters, train_only


class InstanceAware(nn.Module):
    """Statistics of instance-aware batch normalisation.

    Args:
        layer: whose running moments it starts from.
        strength: k, in standard errors.
        momentum: of the running moments, moved by a batch while `learning`.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, layer: nn.Module, strength: float, momentum: float) -> None:
        super().__init__()
        assert isinstance(layer, BATCH_NORMS)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        self.strength, self.momentum, self.learning = strength, momentum, False
        self.register_buffer("mean", layer.running_mean.clone())
        self.register_buffer("variance", layer.running_var.clone())

    def forward(self, norm: AdaptiveNorm, batch: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, channels) twice, or (channels,) twice for vectors, which have no moments of their own."""
        if self.learning and batch.numel() > batch.shape[1]:
            mean, variance = moments(batch.detach())
            self.mean, self.variance = torch.lerp(self.mean, mean, self.momentum), torch.lerp(self.variance, variance, self.momentum)
        places = batch[0, 0].numel()
        if batch.ndim < 3 or places < 2:
            return self.mean, self.variance
        mean, variance = instance_moments(batch)
        own_mean = _shrunk(mean - self.mean, self.strength * (self.variance / places).sqrt())
        own_variance = _shrunk(variance - self.variance, self.strength * self.variance * (2.0 / (places - 1)) ** 0.5)
        # a variance of its own below the source's by more than chance stays one
        return self.mean + own_mean, (self.variance + own_variance).clamp_min(0.0)


def _shrunk(values: Tensor, threshold: Tensor) -> Tensor:
    return values.sign() * (values.abs() - threshold).clamp_min(0.0)


class _Note(State):
    def __init__(self, model: nn.Module, generator: torch.Generator, parameters: list[nn.Parameter], knobs: Note) -> None:
        super().__init__(model, generator, parameters, lambda free: torch.optim.Adam(free, lr=knobs.lr))
        self.knobs = knobs
        self.bank = Bank(knobs.memory, 0, BalancedReservoir())
        self.waiting = 0

    def step(self, batch: Tensor) -> Tensor:
        with torch.no_grad():
            logits = self.predict(batch)
        self.bank.classes = logits.shape[1]
        for sample, label in zip(batch, logits.argmax(1).tolist(), strict=True):
            self.bank.add(sample, label, 0.0, self.generator)
            self.waiting += 1
            if self.waiting == self.knobs.every:
                self.waiting = 0
                self._learn(self.bank.inputs())
        return logits

    def _learn(self, remembered: Tensor) -> None:
        layers = [module for module in self.model.modules() if isinstance(module, InstanceAware)]
        for layer in layers:
            layer.learning = True
        self.descend(entropy(self.predict(remembered)).mean(), len(remembered))
        for layer in layers:
            layer.learning = False

    def get_extra_state(self) -> dict[str, object]:
        return super().get_extra_state() | {"waiting": self.waiting}

    def set_extra_state(self, state: dict[str, object]) -> None:
        super().set_extra_state(state)
        assert isinstance(state["waiting"], int)
        self.waiting = state["waiting"]


@method("note", papers=(31,))
@dataclass(frozen=True)
class Note:
    """Normalise each sample by moments it shares with the source unless its own differ for good, and learn from a class-balanced memory.

    Args:
        lr: of Adam.
        memory: most samples it remembers.
        every: samples between two updates.
        strength: k: how many standard errors a sample's own moments must differ before they count.
        momentum: of the running moments, with every update.
    """

    lr: float = 1e-4
    memory: int = 64
    every: int = 64
    strength: float = 4.0
    momentum: float = 0.01
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="student",
        changes="scale and shift of normalisation layers, running moments, and what it remembers of the stream", needs=("batch norm",),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.memory < 1 or self.every < 1:
            raise ValueError(f"memory and every must be 1 or more samples, got {self.memory} and {self.every}")
        if self.strength < 0 or not 0 <= self.momentum <= 1:
            raise ValueError(f"strength must be 0 or more and momentum in [0, 1], got {self.strength} and {self.momentum}")

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs batch normalisation layers."""
        parameters = affine_parameters(model)
        replace_norms(model, lambda layer, *_: InstanceAware(layer, self.strength, self.momentum))
        train_only(model, parameters)
        return _Note(model, generator, parameters, self)
