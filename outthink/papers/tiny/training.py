"""The one training loop of the sweeps. A run can be stopped at any step, copied and continued, which is what a cooldown needs. Needs torch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from outthink.papers.tiny.text import MASK, Symbols

Batch = tuple[Tensor, Tensor]
"""(what a network is called on, the targets of its logits); a target of -100 is not scored."""

MASKED = 0.15
"""Share of places that a masked model has to fill in."""


@dataclass
class Run:
    """A network under training.

    Args:
        network: changed in place.
        batches: step -> batch; the same step gives the same batch, so that two schedules see the same data.
        rate: peak learning rate of AdamW (betas .9 and .95, no weight decay, gradients clipped to norm 1).
    """

    network: nn.Module
    batches: Callable[[int], Batch]
    rate: float
    step: int = 0
    optimiser: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=self.rate, betas=(0.9, 0.95), weight_decay=0.0)

    def advance(self, until: int, schedule: Callable[[int], float], after: Callable[[int], None] | None = None) -> None:
        """Train to a step. `schedule` gives the factor on the rate of each step, `after` is called with the number of steps done."""
        parameters = list(self.network.parameters())
        while self.step < until:
            for group in self.optimiser.param_groups:
                group["lr"] = self.rate * schedule(self.step)
            given, targets = self.batches(self.step)
            self.optimiser.zero_grad()
            loss_of(self.network, given, targets).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, 1.0)
            self.optimiser.step()
            self.step += 1
            if after is not None:
                after(self.step)

    def branch(self) -> Run:
        """A copy with its own weights and optimiser state: the run goes on from here twice."""
        twin = copy.copy(self)
        twin.network, twin.optimiser = copy.deepcopy((self.network, self.optimiser))
        return twin


def loss_of(network: nn.Module, given: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy over the scored targets, nats."""
    logits = network(given)
    return functional.cross_entropy(logits.flatten(0, -2), targets.flatten())


def evaluate(network: nn.Module, batch: Batch, chunk: int = 256) -> float:
    """Mean cross-entropy on a fixed batch, nats a scored target."""
    total, scored = 0.0, 0
    with torch.no_grad():
        for start in range(0, batch[0].shape[0], chunk):
            given, targets = (part[start : start + chunk] for part in batch)
            known = int((targets != -100).sum())
            total += float(loss_of(network, given, targets)) * known
            scored += known
    return total / scored


def following(symbols: Symbols, *, batch: int, context: int, seed: int) -> Callable[[int], Batch]:
    """Batches for a causal network: (batch, context) symbols and, for each, the one that follows."""

    def draw(step: int) -> Batch:
        window = _windows(symbols, batch, context + 1, seed, step)
        return window[:, :-1].contiguous(), window[:, 1:].contiguous()

    return draw


def next_one(symbols: Symbols, *, batch: int, context: int, seed: int) -> Callable[[int], Batch]:
    """Batches for a perceptron: (batch, context) symbols and the (batch,) next one."""

    def draw(step: int) -> Batch:
        window = _windows(symbols, batch, context + 1, seed, step)
        return window[:, :-1].contiguous(), window[:, -1].contiguous()

    return draw


def masked(symbols: Symbols, *, batch: int, context: int, seed: int) -> Callable[[int], Batch]:
    """Batches for a masked network: 15% of the places hide their symbol and are scored."""

    def draw(step: int) -> Batch:
        window = _windows(symbols, batch, context, seed, step)
        hidden = torch.from_numpy(np.random.default_rng((seed, step, 1)).random((batch, context)) < MASKED)
        return torch.where(hidden, MASK, window), torch.where(hidden, window, -100)

    return draw


def _windows(symbols: Symbols, batch: int, length: int, seed: int, step: int) -> Tensor:
    starts = np.random.default_rng((seed, step)).integers(symbols.size - length, size=batch)
    return torch.from_numpy(symbols[starts[:, None] + np.arange(length)])


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: networks this small lose time on more, and a sum's order stays the same."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
