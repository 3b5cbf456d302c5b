"""A method that remembers samples of the stream and learns from its memory, once in a number of samples: what NOTE and RoTTA share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from outthink.adapt.losses import entropy
from outthink.adapt.memory import Bank, Eviction
from outthink.adapt.method import State
from outthink.adapt.norms import RunningMoments


class Remembering(State):
    """Predicts a batch, offers its samples to a bank under the classes predicted, and learns from the bank after every `every` samples.

    Moments of normalisation layers (`norms.RunningMoments`) move while it learns and stand still while it predicts.

    Args:
        model: the network that adapts.
        generator: of every random draw.
        parameters: what Adam updates.
        lr: of Adam.
        capacity: most samples it remembers.
        eviction: which of them make room.
        every: samples between two updates.
        teacher: the network that predicts, if it is not the model.
    """

    def __init__(
        self, model: nn.Module, generator: torch.Generator, parameters: list[nn.Parameter], *, lr: float, capacity: int, eviction: Eviction,
        every: int, teacher: nn.Module | None = None,
    ) -> None:  # fmt: skip
        super().__init__(model, generator, parameters, lambda free: torch.optim.Adam(free, lr=lr))
        self.teacher = teacher
        self.bank = Bank(capacity, 0, eviction)
        self.every, self.waiting = every, 0
        self._moving(False)

    def step(self, batch: Tensor) -> Tensor:
        with torch.no_grad():
            logits = self.predict(batch, self.teacher)
        self.bank.classes = logits.shape[1]
        for sample, label, doubt in zip(batch, logits.argmax(1).tolist(), entropy(logits).tolist(), strict=True):
            self.bank.add(sample, label, doubt, self.generator)
            self.waiting += 1
            if self.waiting == self.every:
                self.waiting = 0
                self._moving(True)
                self.learn(self.bank.inputs())
                self._moving(False)
        return logits

    def learn(self, remembered: Tensor) -> None:
        """One update from what the bank holds, (held, ...)."""
        raise NotImplementedError

    def _moving(self, on: bool) -> None:
        for module in self.modules():
            if isinstance(module, RunningMoments):
                module.learning = on

    def get_extra_state(self) -> dict[str, object]:
        """How many samples it waited since the last update, besides what every state keeps."""
        return super().get_extra_state() | {"waiting": self.waiting}

    def set_extra_state(self, state: dict[str, object]) -> None:
        """Take up what `get_extra_state` gave."""
        super().set_extra_state(state)
        assert isinstance(state["waiting"], int)
        self.waiting = state["waiting"]
