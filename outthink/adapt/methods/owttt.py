"""[73] OWTTT: open-world test-time training: known samples go to the source's prototypes, unknown ones to prototypes of their own.

    o = 1 - max_k cos(h, P_k);   tau: Otsu's threshold of the last `queue` scores;   unknown: o >= tau
    loss = cluster / 2 [ CE(cos(h, P) / delta of the known) + CE((cos(h, P), max_q cos(h, Q_q)) / delta of the unknown) ]
           + align D(source Gaussian, running Gaussian of the known),   D the symmetric KL divergence

P are the source's class means; Q is a pool of at most `pool` features: the unknown of a batch are offered from the farthest from P on, and one
whose distance to all prototypes is above a second Otsu threshold inside the unknown comes in. A known sample's label is its nearest class, an
unknown one's the class of Q; the half of each side that is farthest from tau learns. The clustering and the prediction, which comes after the step,
use running statistics of the normalisation layers, which the passes of the known samples for the alignment move as in training (momentum .1): order
and constants of the official code (Yushu-Li/OWTTT). The head stays. Returns cos / delta; `unknown(logits)` has the decision. Cost: two forward
passes a sample and one backward, and one of each more for the known. Trap: with no unknown samples Otsu still splits, and known ones are rejected.
Departures: where all scores lie on one side of every threshold all are taken for known (there for unknown, as the first of equal points is 0); a
known sample alone is not aligned, having no covariance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outthink.adapt.gaussians import Gaussian, symmetric_divergence
from outthink.adapt.method import Contract, State, method
from outthink.adapt.norms import TrainStatistics, moving, replace_norms
from outthink.adapt.source import Moments, Source, feature_moments
from outthink.adapt.view import Split, free_parameters, has_batch_norm, train_only


def otsu_on_grid(scores: Tensor) -> float:
    """The threshold among 0, .01, ..., .99 with the least variance within both groups, a score at the threshold above it.

    Args:
        scores: (samples,).

    Returns:
        The first of the best; 1, which splits nothing off, where all scores are on one side of every point.
    """
    grid = torch.arange(100, dtype=torch.float64) / 100
    values = scores.detach().double().cpu()
    above = (values[None] >= grid[:, None]).double()  # (grid, samples)
    within = torch.zeros(100, dtype=torch.float64)
    for side in (above, 1.0 - above):
        count = side.sum(1)
        mean = (side @ values) / count.clamp_min(1)
        within += (side * (values[None] - mean[:, None]) ** 2).sum(1)
        within[count == 0] = torch.inf
    best = int(within.argmin())
    return float(grid[best]) if torch.isfinite(within[best]) else 1.0


class _Owttt(State):
    prototypes: Tensor

    def __init__(self, model: nn.Module, generator: torch.Generator, parameters: list[nn.Parameter], knobs: Owttt, source: Moments) -> None:
        super().__init__(model, generator, parameters, lambda free: torch.optim.SGD(free, lr=knobs.lr, momentum=0.9))
        self.knobs, self.split = knobs, Split(model)
        self.register_buffer("prototypes", F.normalize(source.class_means, dim=1))
        self.anchor = Gaussian(source.mean, source.covariance)
        self.ridge = source.covariance.max() / 30
        self.known = self.anchor  # holds no sample yet, so the first batch replaces it
        self.pool = self.prototypes[:0]
        self.scores = self.prototypes[:0, 0]

    def preview(self, batch: Tensor) -> Tensor:
        """Cosines to the source's prototypes over delta."""
        return F.normalize(self.split(batch)[1], dim=1) @ self.prototypes.T / self.knobs.delta

    def step(self, batch: Tensor) -> Tensor:
        self.cost.forwards += 2 * len(batch)
        unit = F.normalize(self.split(batch)[1], dim=1)
        cosines = unit @ self.prototypes.T
        score = (1.0 - cosines.amax(1)).detach()
        self.scores = torch.cat([self.scores, score])[-self.knobs.queue :]
        tau = otsu_on_grid(self.scores) if self.knobs.prune else 1.0 + score.max().item()
        unknown = score >= tau
        before = self.pool
        if unknown.any():
            self._grow(unit.detach()[unknown])
        loss = self._aligned(batch[~unknown])
        if len(before) or not self.knobs.prune:
            loss = loss + self.knobs.cluster * self.clustering(unit, cosines, score, unknown, before)
        if loss.requires_grad:
            self.descend(loss, len(batch) + int((~unknown).sum()))
        with torch.no_grad():
            return self.preview(batch)

    def _aligned(self, known: Tensor) -> Tensor:
        if len(known) < 2:
            return self.prototypes.new_zeros(())
        self.cost.forwards += len(known)
        moving(self.model, True)
        now = self.known.updated(self.split(known)[1], least=1 / self.knobs.memory)
        moving(self.model, False)
        self.known = now.detached()
        return self.knobs.align * symmetric_divergence(self.anchor, now, self.ridge)

    def _grow(self, strangers: Tensor) -> None:
        apart = 1.0 - (strangers @ torch.cat([self.prototypes, self.pool]).T).amax(1)
        limit = otsu_on_grid(apart)
        if limit == 1.0:  # one alone, or all at one distance: nothing to split, and each that is not in the pool yet may come
            limit = 0.0
        far = 1.0 - (strangers @ self.prototypes.T).amax(1)
        for row in far.argsort(descending=True).tolist():
            nearest = 1.0 - float((torch.cat([self.prototypes, self.pool]) @ strangers[row]).max())
            if nearest > limit:
                self.pool = torch.cat([self.pool, strangers[row : row + 1]])[-self.knobs.pool :]

    def clustering(self, unit: Tensor, cosines: Tensor, score: Tensor, unknown: Tensor, pool: Tensor) -> Tensor:
        """Half the cross-entropy of the known to their classes and half that of the unknown to the pool, a scalar in nats.

        Args:
            unit: normalised features (batch, features).
            cosines: of them to the prototypes (batch, classes).
            score: (batch,) of being unknown.
            unknown: (batch,), which are taken for that.
            pool: (held, features).
        """
        known = ~unknown
        if known.any() and unknown.any():  # the half of each side that is farthest from the threshold
            low, high = (score[side].sort(descending=True).values for side in (known, unknown))
            known = known & (score < low[-max(1, len(low) // 2)])
            unknown = unknown & (score > high[len(high) // 2])
        total = cosines.new_zeros(())
        if known.any():
            total = total + F.cross_entropy(cosines[known] / self.knobs.delta, cosines[known].argmax(1))
        if unknown.any() and len(pool):
            logits = torch.cat([cosines, (unit @ pool.T).amax(1, keepdim=True)], 1)[unknown] / self.knobs.delta
            total = total + F.cross_entropy(logits, torch.full((len(logits),), cosines.shape[1], device=logits.device))
        return total / 2

    def get_extra_state(self) -> dict[str, object]:
        own = {"pool": self.pool, "scores": self.scores, "ridge": self.ridge}
        kept = [[gaussian.mean, gaussian.covariance, gaussian.count] for gaussian in (self.known, self.anchor)]
        return super().get_extra_state() | own | {"moments": kept}

    def set_extra_state(self, state: dict[str, object]) -> None:
        super().set_extra_state(state)
        pool, scores, ridge, kept = state["pool"], state["scores"], state["ridge"], state["moments"]
        assert isinstance(pool, Tensor)
        assert isinstance(scores, Tensor)
        assert isinstance(ridge, Tensor)
        assert isinstance(kept, list)
        self.pool, self.scores, self.ridge = pool, scores, ridge
        self.known, self.anchor = (Gaussian(*row) for row in kept)


@method("owttt", papers=(73,))
@dataclass(frozen=True)
class Owttt:
    """Cluster known samples at the source's prototypes and unknown ones at a growing pool of their own, and align the known with the source.

    Args:
        lr: of SGD with momentum .9.
        delta: temperature of the cosines.
        cluster: weight of the clustering loss.
        align: weight of the divergence of the known samples' Gaussian from the source's.
        queue: scores that the threshold looks back on.
        pool: most prototypes of unknown samples.
        memory: samples that the running Gaussian looks back on.
        prune: take samples above the threshold for unknown; otherwise all are taken for known, the ablation of the paper.
    """

    lr: float = 0.01
    delta: float = 0.1
    cluster: float = 0.2
    align: float = 0.05
    queue: int = 512
    pool: int = 100
    memory: int = 1280
    prune: bool = True
    contract: ClassVar[Contract] = Contract(
        predicts="after", network="student",
        changes="every weight but the head's, running statistics of normalisation layers, and prototypes of unknown samples",
        keeps="mean of each class's features, mean and covariance of all", needs=("head", "source"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.delta <= 0 or min(self.queue, self.pool, self.memory) < 1:
            raise ValueError(f"delta must be above 0, and queue, pool and memory 1 or more, got {self}")

    def unknown(self, logits: Tensor, *, batch: int) -> Tensor:
        """Which samples of a stream are taken for unknown, each batch by the threshold of the last `queue` scores up to it.

        Args:
            logits: what the adapted model returned (samples, classes), in the order of the stream.
            batch: size of the batches.

        Returns:
            (samples,), bool.
        """
        scores = 1.0 - self.delta * logits.amax(1)
        ends = range(batch, len(scores) + batch, batch)
        return torch.cat([scores[end - batch : end] > otsu_on_grid(scores[max(0, min(end, len(scores)) - self.queue) : end]) for end in ends])

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs a linear head, and the source's inputs."""
        assert source is not None, "adapt() sees to the contract's needs"
        kept = feature_moments(model, source)
        parameters = free_parameters(model, without=Split(model).head)
        train_only(model, parameters)
        if has_batch_norm(model):
            replace_norms(model, lambda layer, *_: TrainStatistics(layer, 0.1))
            moving(model, False)
        return _Owttt(model, generator, parameters, self, kept)
