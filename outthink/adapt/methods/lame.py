"""[31 baseline] LAME: re-assign the predictions of a batch so that samples with near features agree; no weight changes.

    minimise over rows Y_b of the simplex   sum_b KL(Y_b || p_b) - sum_bc W_bc Y_b . Y_c / 2,   by   Y <- softmax(log p + W Y)

W: affinity of the normalised features, radial (exp(-d^2 / 2 s^2), s the mean distance to the k-th neighbour) or k nearest neighbours.
Cost: one forward pass a sample and a batch x batch affinity. Identities: W = 0 returns p; with a positive semi-definite W the energy never
rises. It helps where neighbours in a batch share a class (correlated streams) and collapses where they do not (independent batches).
Departure: returns log Y, so that softmax gives the assignment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outthink.adapt.method import Contract, State, method
from outthink.adapt.source import Source
from outthink.adapt.view import Split

_STEPS, _STILL = 100, 1e-8  # most iterations, and the relative change of energy that ends them


def affinity(features: Tensor, kind: Literal["radial", "neighbours"], neighbours: int) -> Tensor:
    """Pairwise affinities (batch, batch), 0 on the diagonal for neighbours; features (batch, features) are normalised first."""
    unit = F.normalize(features, dim=1)
    distance = torch.cdist(unit, unit)
    nearest = min(neighbours, len(unit) - 1)
    if kind == "radial":
        scale = distance.kthvalue(nearest + 1, dim=1).values.mean() if nearest else distance.new_tensor(1.0)
        return torch.exp(-(distance**2) / (2.0 * scale.clamp_min(1e-12) ** 2))
    linked = torch.zeros_like(distance)
    if nearest:
        order = distance.clone().fill_diagonal_(torch.inf).argsort(dim=1)[:, :nearest]
        linked.scatter_(1, order, 1.0 / nearest)
    return linked


def assign(logits: Tensor, weights: Tensor) -> tuple[Tensor, list[float]]:
    """Iterate to the assignment.

    Args:
        logits: (batch, classes).
        weights: affinities (batch, batch).

    Returns:
        log Y (batch, classes), and the energy after each iteration.
    """
    unary = logits.log_softmax(1)
    logs, energies = unary, []
    for _ in range(_STEPS):
        logs = (unary + weights @ logs.exp()).log_softmax(1)
        share = logs.exp()
        energies.append(float(((share * (logs - unary)).sum() - 0.5 * (share * (weights @ share)).sum()).detach()))
        if len(energies) > 1 and abs(energies[-1] - energies[-2]) <= _STILL * abs(energies[-2]):
            break
    return logs, energies


class _Lame(State):
    def __init__(self, model: nn.Module, generator: torch.Generator, knobs: Lame) -> None:
        super().__init__(model, generator)
        self.split, self.knobs = Split(model), knobs

    @torch.no_grad()
    def step(self, batch: Tensor) -> Tensor:
        self.cost.forwards += len(batch)
        return self.preview(batch)

    def preview(self, batch: Tensor) -> Tensor:
        """The assignment, which couples the samples of a batch."""
        logits, features = self.split(batch)
        return assign(logits, affinity(features, self.knobs.affinity, self.knobs.neighbours))[0]


@method("lame", papers=(31,))
@dataclass(frozen=True)
class Lame:
    """Make near samples of a batch agree, by re-assigning predictions only.

    Args:
        affinity: `radial` or `neighbours`.
        neighbours: k, of either.
    """

    affinity: Literal["radial", "neighbours"] = "radial"
    neighbours: int = 5
    contract: ClassVar[Contract] = Contract(predicts="after", network="student", changes="nothing that lasts beyond a batch", needs=("head",))

    def __post_init__(self) -> None:
        if self.affinity not in ("radial", "neighbours"):
            raise ValueError(f"affinity must be radial or neighbours, got {self.affinity!r}")
        if self.neighbours < 1:
            raise ValueError(f"neighbours must be 1 or more, got {self.neighbours}")

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs a linear head."""
        return _Lame(model, generator, self)
