"""[54] SimATTA: a few paid labels for the samples in doubt that stand for a cluster of their own, and sure ones that hold the source.

    in doubt   H(p_b) >= high: k-means over their features and those of labelled samples (weighted); a cluster without a labelled one asks for
               the label of the sample nearest to its centre
    sure       the frozen source model's `sure` most certain samples with entropy < low, under its own labels
    train      (1 - a) CE(sure) + a CE(labelled), a = labelled / (labelled + sure), at most .2 while there are fewer than `cold_start` sure ones

A labelled sample's weight grows by the share of its cluster; clusters grow by `growth` a batch; the optimiser starts anew each batch and stops when
windows of 5 losses have not improved for more than 5 windows, which takes 42 steps at least, or after `steps`. Predicts before it learns, so a label
is never used to score its own sample. Statistics of batch normalisation stay the source's, unless `freeze` is off: then as in training while it
learns (running moments, share .1). Order and constants are those of divelab/ATTA for PACS and VLCS, the thresholds of PACS (there 1e-2 and 1e-4; VLCS
1e-2 and 1e-3; Tiny-ImageNet-C .1 and .1, with lr 1e-4 and about 10 steps): they belong to how sure a model is, so look at the entropies of the
source. Departures: labels asked never exceed `budget` (the official code counts them), `steps` also bounds training where the official code does not,
and at most `keep` sure samples stay, the latest (there all). Cost: two forward passes a sample, two forward and two backward passes of `batch`
samples a step, one forward pass of the labelled ones a batch; and labels. Identities: no sample below `high` is asked for; labels asked in a batch
are at most its clusters without a labelled sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outthink.adapt.losses import entropy
from outthink.adapt.method import Contract, State, method
from outthink.adapt.norms import TrainStatistics, moving, replace_norms
from outthink.adapt.source import Source
from outthink.adapt.teacher import frozen_copy
from outthink.adapt.view import Split, free_parameters, has_batch_norm, train_only
from outthink.core.errors import need

_WINDOW, _PATIENCE = 5, 5


def representatives(held: Tensor, weights: Tensor, offered: Tensor, clusters: int, *, seed: int) -> tuple[list[int], list[float], Tensor]:
    """Which of some samples stand for clusters without a held one.

    Args:
        held: features of samples with a label (held, features).
        weights: of them (held,).
        offered: features of samples without one (offered, features).
        clusters: most clusters.
        seed: of k-means.

    Returns:
        Rows of `offered`; the size of each one's cluster; and the held samples' weights after their clusters' shares were added.
    """
    cluster = need("sklearn.cluster", extra="adapt")
    every = torch.cat([held, offered]).double().cpu()
    mass = torch.cat([weights, torch.ones(len(offered), dtype=weights.dtype)]).double().cpu()
    found = cluster.KMeans(min(clusters, len(torch.unique(every, dim=0))), n_init=10, random_state=seed).fit(
        every.numpy(), sample_weight=mass.numpy()
    )
    member, centres = torch.from_numpy(found.labels_).long(), torch.from_numpy(found.cluster_centers_)
    sizes = torch.bincount(member, minlength=len(centres))
    known = torch.bincount(member[: len(held)], minlength=len(centres))
    grown = weights + (sizes[member[: len(held)]] / known[member[: len(held)]]).to(weights)
    nearest = torch.cdist(centres, every).argmin(1) - len(held)
    new = [place for place in range(len(centres)) if known[place] == 0 and nearest[place] >= 0]
    return [int(nearest[place]) for place in new], [float(sizes[place]) for place in new], grown


class _Simatta(State):
    def __init__(self, model: nn.Module, generator: torch.Generator, parameters: list[nn.Parameter], knobs: Simatta, source: nn.Module) -> None:
        super().__init__(model, generator)
        self.knobs, self.adapting, self.split, self.frozen = knobs, parameters, Split(model), source
        self.seen = self.asked = 0
        self.clusters = knobs.clusters
        self.labelled: dict[str, Tensor] = {}
        self.sure: dict[str, Tensor] = {}

    def step(self, batch: Tensor) -> Tensor:
        self.cost.forwards += 2 * len(batch)
        with torch.no_grad():
            logits: Tensor
            logits, features = self.split(batch)
            before = self.frozen(batch)
        doubtful = (entropy(logits) >= self.knobs.high).nonzero()[:, 0]
        if len(doubtful) and self.asked < self.knobs.budget:
            self._ask(batch, features, doubtful)
        self._hold(batch, before)
        self.seen += len(batch)
        self.clusters += self.knobs.growth
        if self.labelled:
            self._train()
        return logits

    def _ask(self, batch: Tensor, features: Tensor, doubtful: Tensor) -> None:
        assert self.oracle is not None, "adapt() sees to the contract's needs"
        held = self.labelled or {"features": features[:0], "weights": torch.zeros(0, dtype=torch.float64)}
        seed = int(torch.randint(2**31, (), generator=self.generator))
        rows, sizes, grown = representatives(held["features"], held["weights"], features[doubtful], self.clusters, seed=seed)
        rows, sizes = rows[: self.knobs.budget - self.asked], sizes[: self.knobs.budget - self.asked]
        if self.labelled:
            self.labelled["weights"] = grown
        if not rows:
            return
        chosen = doubtful[torch.tensor(rows)]
        told = self.oracle.ask(self.seen + chosen.cpu())
        self.asked += len(rows)
        self.cost.labels += len(rows)
        known = told >= 0  # someone asked may say that a sample is of no known class; there is nothing to learn then
        new = {
            "inputs": batch[chosen][known], "labels": told[known].to(batch.device), "features": features[chosen][known],
            "weights": torch.tensor(sizes, dtype=torch.float64)[known],
        }  # fmt: skip
        self.labelled = {name: torch.cat([self.labelled[name], value]) for name, value in new.items()} if self.labelled else new
        if not len(self.labelled["labels"]):
            self.labelled = {}

    def _hold(self, batch: Tensor, before: Tensor) -> None:
        doubt = entropy(before)
        rows = doubt.argsort(stable=True)[: self.knobs.sure]
        rows = rows[doubt[rows] < self.knobs.low]
        new = {"inputs": batch[rows], "labels": before[rows].argmax(1)}
        self.sure = {name: torch.cat([self.sure[name], value])[-self.knobs.keep :] for name, value in new.items()} if self.sure else new

    def _train(self) -> None:
        labelled, sure = len(self.labelled["labels"]), len(self.sure["labels"])
        share = labelled / (labelled + sure)
        if sure < self.knobs.cold_start:
            share = min(0.2, share)
        optimiser = torch.optim.SGD(self.adapting, lr=self.knobs.lr, momentum=0.9)
        moving(self.model, True)
        window: list[float] = []
        lowest, bad = float("inf"), 0
        for _ in range(self.knobs.steps):
            held = self._loss(self.sure if sure else self.labelled)
            own = self._loss(self.labelled)
            optimiser.zero_grad(set_to_none=True)
            ((1 - share) * held + share * own).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if len(window) < _WINDOW:
                window.append(float(own.detach()))
                continue
            bad = 0 if (mean := sum(window) / _WINDOW) < lowest else bad + 1
            lowest, window = min(lowest, mean), []
            if bad > _PATIENCE:
                break
        optimiser.zero_grad(set_to_none=True)
        moving(self.model, False)
        self.cost.forwards += labelled
        with torch.no_grad():
            self.labelled["features"] = self.split(self.labelled["inputs"])[1]

    def _loss(self, samples: dict[str, Tensor]) -> Tensor:
        rows = torch.randint(len(samples["labels"]), (self.knobs.batch,), generator=self.generator)
        self.cost.backwards += len(rows)
        loss: Tensor = F.cross_entropy(self.predict(samples["inputs"][rows]), samples["labels"][rows])
        return loss

    def get_extra_state(self) -> dict[str, object]:
        counts = {"seen": self.seen, "asked": self.asked, "clusters": self.clusters}
        return super().get_extra_state() | counts | {"labelled": dict(self.labelled), "sure": dict(self.sure)}

    def set_extra_state(self, state: dict[str, object]) -> None:
        super().set_extra_state(state)
        counts = [state[name] for name in ("seen", "asked", "clusters")]
        assert all(isinstance(count, int) for count in counts)
        self.seen, self.asked, self.clusters = (int(str(count)) for count in counts)
        labelled, sure = state["labelled"], state["sure"]
        assert isinstance(labelled, dict)
        assert isinstance(sure, dict)
        self.labelled, self.sure = dict(labelled), dict(sure)


@method("simatta", papers=(54,))
@dataclass(frozen=True)
class Simatta:
    """Pay for the labels of a few samples in doubt, one for each new cluster, and hold the source by samples that it is sure of.

    Args:
        lr: of SGD with momentum .9.
        budget: most labels it asks for.
        high, low: entropies in nats from which a sample is in doubt, and below which it is sure.
        clusters, growth: of the first batch, and more with each.
        sure: most sure samples a batch.
        keep: most sure samples in all.
        cold_start: labelled samples count for a fifth at most while there are fewer sure ones.
        steps: most of a batch of the stream; below 42 losses never stop it.
        batch: samples of each kind a step.
        freeze: leave the statistics of batch normalisation as they are; turn it off where the statistics themselves have shifted, as under
            corruptions of images.
    """

    lr: float = 1e-3
    budget: int = 300
    high: float = 1e-2
    low: float = 1e-4
    clusters: int = 10
    growth: int = 1
    sure: int = 100
    keep: int = 1000
    cold_start: int = 100
    steps: int = 500
    batch: int = 16
    freeze: bool = True
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="student", changes="every weight, running statistics of normalisation layers, and samples that it keeps",
        keeps="the source model itself", needs=("head", "labels"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if min(self.budget, self.growth, self.sure, self.cold_start) < 0 or min(self.clusters, self.keep, self.steps, self.batch) < 1:
            raise ValueError(f"budget, growth, sure and cold_start must be 0 or more, clusters, keep, steps and batch 1 or more, got {self}")

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs a linear head, and someone to ask for labels."""
        frozen = frozen_copy(model)
        parameters = free_parameters(model)
        train_only(model, parameters)
        if has_batch_norm(model) and not self.freeze:
            replace_norms(model, lambda layer, *_: TrainStatistics(layer, 0.1))
            moving(model, False)
        return _Simatta(model, generator, parameters, self, frozen)
