"""[31 baseline] SAR: sharpness-aware entropy minimisation on reliable samples, with a reset when predictions collapse.

    keep {b: H(p_b) < E0}, E0 = margin log classes; climb rho g / |g|; keep those still below E0; step down the entropy gradient found there

A moving average (0.9) of the second loss below `collapse` puts weights and optimiser back to the source's.
Cost: two forward and two backward passes for the reliable samples, one more forward for the prediction. Identity: rho 0 without filter and
reset is TENT with SGD. `skip` names the layers of the last stage, which the official code leaves alone (`layer4` of a ResNet).
Departure: where no sample is reliable nothing moves; the official code then goes on by SGD's momentum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from outthink.adapt.losses import entropy
from outthink.adapt.method import Contract, State, method
from outthink.adapt.sharpness import climbed
from outthink.adapt.source import Source
from outthink.adapt.view import affine_parameters, train_on_batches


class _Sar(State):
    def __init__(self, model: nn.Module, generator: torch.Generator, parameters: list[nn.Parameter], knobs: Sar) -> None:
        super().__init__(model, generator, parameters, knobs.optimiser)
        self.knobs, self.adapting = knobs, parameters
        self.origin = [parameter.detach().clone() for parameter in parameters]
        self.average: float | None = None

    def step(self, batch: Tensor) -> Tensor:
        logits = self.predict(batch)
        limit = self.knobs.margin * math.log(logits.shape[1])
        first = entropy(logits)
        reliable = first.detach() < limit
        if not reliable.any():
            return logits
        self.cost.backwards += int(reliable.sum())
        assert self.optimiser is not None
        self.optimiser.zero_grad(set_to_none=True)
        with climbed(self.adapting, first[reliable].mean(), self.knobs.rho):
            second = entropy(self.predict(batch))[reliable]
            still = second.detach() < limit
            loss = second[still].mean()
            value = float(loss.detach())
            if math.isfinite(value):
                loss.backward()  # type: ignore[no-untyped-call]
                self.cost.backwards += int(still.sum())
        if math.isfinite(value):
            self.optimiser.step()
            self.average = value if self.average is None else 0.9 * self.average + 0.1 * value
            if self.average < self.knobs.collapse:
                self._restart()
        return logits

    @torch.no_grad()
    def _restart(self) -> None:
        for parameter, before in zip(self.adapting, self.origin, strict=True):
            parameter.copy_(before)
        self.optimiser, self.average = self.knobs.optimiser(self.adapting), None

    def get_extra_state(self) -> dict[str, object]:
        return super().get_extra_state() | {"origin": self.origin, "average": self.average}

    def set_extra_state(self, state: dict[str, object]) -> None:
        super().set_extra_state(state)
        origin, average = state["origin"], state["average"]
        assert isinstance(origin, list)
        assert average is None or isinstance(average, float)
        self.origin, self.average = origin, average


@method("sar", papers=(31,))
@dataclass(frozen=True)
class Sar:
    """Minimise the entropy of reliable samples towards flat minima, and start again when predictions collapse.

    Args:
        lr, momentum: of SGD.
        margin: samples above margin x log(classes) nats are left out.
        rho: length of the climb.
        collapse: moving average of the loss, in nats, below which all is reset; 0 never resets.
        skip: beginnings of names of layers that do not adapt.
    """

    lr: float = 1e-3
    momentum: float = 0.9
    margin: float = 0.4
    rho: float = 0.05
    collapse: float = 0.2
    skip: tuple[str, ...] = ()
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="student", changes="scale and shift of normalisation layers; batch statistics in place of stored ones",
        needs=("affine norm",),
    )  # fmt: skip

    def optimiser(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """A fresh one."""
        return torch.optim.SGD(parameters, lr=self.lr, momentum=self.momentum)

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs normalisation layers with scale and shift outside `skip`."""
        parameters = affine_parameters(model, skip=self.skip)
        train_on_batches(model, parameters)
        return _Sar(model, generator, parameters, self)
