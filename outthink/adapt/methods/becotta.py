"""[94] BECoTTA: low-rank experts after each stage of a frozen network, and for every known domain a router that chooses among them.

    h <- h + sum_k g_k(d) A_k(h),   A_k(h) = up_k relu(down_k h) on each place of a map
    g(d): the `chosen` largest of sum over places of W_d h (+ noise softplus(V_d h) in training), softmax over them, 0 elsewhere
    prepare  CE + domain_weight CE of a small classifier of domains - synergy I(domain; expert)
    stream   d = what the classifier of domains says;  one Adam step of experts and routers on CE to pseudo-labels, over the samples where it is
             `least` or more;  then each weight of theirs goes back to the prepared one with probability `restore`

I is the mutual information of the table of mean gates by domain. The pseudo-label is the model's own where its probability is above `confidence` and
not below that of the prepared model, and that of the mean over the image and `views` augmented ones elsewhere; what it is taken from is also the
prediction, which comes before the step. Departures from the official code (daeunni/BECoTTA): gates keep their gradient, so that the task trains the
routers (there `.item()` cuts it off); the mutual information is the textbook's (there min-max scaled); no noise on the gates at test time (there
always), so that a prediction is not a draw; a batch of sure samples makes no step (there the mean over none). Trap: with `confidence` at .69 and
`least` at .4 no sure sample learns, since -log .69 is .37: those in doubt do.
Cost: two forward passes a sample (the model, and the prepared model) and one backward, and `views` forward passes for samples in doubt.
Identities: the ups start at 0, where the model is the source's; gates are above 0 for `chosen` experts alone and sum to 1.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outthink.adapt.augment import Augmentation, default_views
from outthink.adapt.maps import Edit, edited, map_layers, stages
from outthink.adapt.method import Contract, State, method
from outthink.adapt.source import Source
from outthink.adapt.teacher import frozen_copy, restore
from outthink.adapt.view import train_only


def gates(scores: Tensor, chosen: int) -> Tensor:
    """Softmax over the largest scores of each sample, 0 elsewhere: (batch, experts) -> the same."""
    kept = scores.topk(min(chosen, scores.shape[1]), dim=1)
    return torch.zeros_like(scores).scatter(1, kept.indices, kept.values.softmax(1))


def mutual_information(table: Tensor) -> Tensor:
    """Of rows and columns of a joint distribution (rows, columns), not negative, summing to 1; a scalar in nats."""
    apart = table / (table.sum(1, keepdim=True) * table.sum(0, keepdim=True)).clamp_min(1e-12)
    return (table * apart.clamp_min(1e-12).log()).sum()


def by_domain(gate: Tensor, domains: Tensor, count: int) -> Tensor:
    """Joint distribution of domain, taken as equally frequent, and expert: gates (batch, experts), domains (batch,) -> (present domains, experts)."""
    seen = [gate[domains == domain].mean(0) for domain in range(count) if bool((domains == domain).any())]
    return torch.stack(seen) / len(seen)


class Experts(nn.Module):
    """Low-rank adapters on the maps of one layer, and a router for every domain.

    Args:
        channels: of the maps.
        domains, experts, rank, chosen: how many of each, and how many experts a sample uses.
    """

    def __init__(self, channels: int, domains: int, experts: int, rank: int, chosen: int) -> None:
        super().__init__()
        self.chosen = chosen
        self.down = nn.Parameter(torch.randn(experts, rank, channels) / channels**0.5)
        self.up = nn.Parameter(torch.zeros(experts, channels, rank))
        self.route = nn.Parameter(torch.randn(domains, experts, channels) / channels**0.5)
        self.noise = nn.Parameter(torch.zeros(domains, experts, channels))

    def gate(self, maps: Tensor, domains: Tensor, draw: torch.Generator | None) -> Tensor:
        """(batch, channels, height, width), domains (batch,) -> (batch, experts); noisy where a generator is given."""
        # W h summed over places is W of the summed h
        summed = maps.sum((2, 3))
        scores = torch.einsum("bec,bc->be", self.route[domains], summed)
        if draw is not None:
            spread = F.softplus(torch.einsum("bec,bc->be", self.noise[domains], summed)) + 0.01
            scores = scores + spread * torch.randn(scores.shape, generator=draw).to(scores)
        return gates(scores, self.chosen)

    def forward(self, maps: Tensor, gate: Tensor) -> Tensor:
        """Maps with the experts' part added."""
        low = torch.einsum("erc,bchw->berhw", self.down, maps).relu()
        return maps + torch.einsum("be,ecr,berhw->bchw", gate, self.up, low)


class Expert(nn.Module):
    """A frozen classifier with experts after its stages, and a small classifier of domains.

    Args:
        model: the classifier.
        sample: one input (1, ...).
        domains, experts, rank, chosen: as for `Experts`.
    """

    def __init__(self, model: nn.Module, sample: Tensor, domains: int, experts: int, rank: int, chosen: int) -> None:
        super().__init__()
        self.model, self.names = model, stages(model, sample)
        shapes = map_layers(model, sample)
        self.experts = nn.ModuleList(Experts(shapes[name][0], domains, experts, rank, chosen) for name in self.names)
        wide = sample.shape[1]
        self.domain = nn.Sequential(
            nn.Conv2d(wide, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
            nn.Linear(32, domains),
        )  # fmt: skip

    def routed(self, batch: Tensor, domains: Tensor, draw: torch.Generator | None = None) -> tuple[Tensor, list[Tensor]]:
        """Logits (batch, classes) with the routers of these domains (batch,), and each stage's gates (batch, experts)."""
        used: list[Tensor] = []

        def through(experts: nn.Module) -> Edit:
            assert isinstance(experts, Experts)

            def edit(maps: Tensor) -> Tensor:
                gate = experts.gate(maps, domains, draw)
                used.append(gate)
                changed: Tensor = experts(maps, gate)
                return changed

            return edit

        with edited(self.model, {name: through(experts) for name, experts in zip(self.names, self.experts, strict=True)}):
            logits: Tensor = self.model(batch)
        return logits, used

    def forward(self, batch: Tensor) -> Tensor:
        """(batch, channels, height, width) -> logits (batch, classes), with the routers of the domains that the images look like."""
        return self.routed(batch, self.domain(batch).argmax(1))[0]


class _Becotta(State):
    def __init__(self, model: Expert, generator: torch.Generator, knobs: Becotta) -> None:
        parameters = list(model.experts.parameters())
        train_only(model, parameters)
        super().__init__(model, generator, parameters, lambda free: torch.optim.Adam(free, lr=knobs.lr))
        self.expert, self.knobs, self.adapting = model, knobs, parameters
        prepared = frozen_copy(model)
        assert isinstance(prepared, Expert)
        self.prepared = prepared

    def step(self, batch: Tensor) -> Tensor:
        self.cost.forwards += 2 * len(batch)
        with torch.no_grad():
            domains = self.expert.domain(batch).argmax(1)
            before = self.prepared.routed(batch, domains)[0].softmax(1).amax(1)
        logits = self.expert.routed(batch, domains)[0]
        answer = self._answer(batch, domains, logits.detach(), before)
        losses = F.cross_entropy(logits, answer.argmax(1), reduction="none")
        learns = losses >= self.knobs.least
        if learns.any():
            self.descend(losses[learns].mean(), len(batch))
        restore(self.adapting, list(self.prepared.experts.parameters()), self.knobs.restore, self.generator)
        return answer

    @torch.no_grad()
    def _answer(self, batch: Tensor, domains: Tensor, logits: Tensor, before: Tensor) -> Tensor:
        own = logits.softmax(1)
        sure = own.amax(1)
        doubtful = (sure <= self.knobs.confidence) | (sure < before)
        if not self.knobs.views or not doubtful.any():
            return logits
        view = self.knobs.view or default_views(batch)
        total = own[doubtful]
        for _ in range(self.knobs.views):
            self.cost.forwards += len(total)
            # a view belongs to the domain of its image
            total = total + self.expert.routed(view(batch[doubtful], self.generator), domains[doubtful])[0].softmax(1)
        mean = (total / (self.knobs.views + 1)).clamp_min(torch.finfo(total.dtype).tiny).log()
        return logits.index_put((doubtful.nonzero()[:, 0],), mean)


@method("becotta", papers=(94,))
@dataclass(frozen=True)
class Becotta:
    """Adapt low-rank experts, chosen by a router for each known domain, on pseudo-labels of views where the prepared model was surer.

    Args:
        lr: of experts and routers at test time, by Adam; the official one, for a segmentation transformer.
        experts, chosen, rank: how many experts a stage has, how many a sample uses, and their rank.
        confidence: the model's own label counts above this probability.
        views: augmented views of samples in doubt; 0 takes the model's own label for them too.
        least: samples whose cross-entropy to their label is below this (nats) do not learn.
        restore: probability that a weight of experts and routers goes back to the prepared one after a step.
        domain_weight, synergy: of the loss of domains and of the mutual information in `prepare`.
        epochs, source_lr, batch: of that training, by Adam.
        view: how views are made; image views if None.
    """

    lr: float = 6e-7
    experts: int = 4
    chosen: int = 3
    rank: int = 2
    confidence: float = 0.69
    views: int = 4
    least: float = 0.4
    restore: float = 0.01
    domain_weight: float = 0.1
    synergy: float = 5e-4
    epochs: int = 5
    source_lr: float = 1e-3
    batch: int = 64
    view: Augmentation | None = None
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="student", changes="low-rank experts and routers after each stage",
        keeps="experts, routers and a classifier of domains, made by `prepare`", needs=("images", "prepared"), domains=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not 1 <= self.chosen <= self.experts or self.rank < 1 or self.views < 0:
            raise ValueError(f"chosen must be 1 to experts, rank 1 or more and views 0 or more, got {self.chosen}, {self.rank} and {self.views}")
        if not self.lr >= 0 or not self.source_lr >= 0:
            raise ValueError(f"lr and source_lr must be 0 or more, got {self.lr} and {self.source_lr}")
        if not self.least >= 0 or not 0 <= self.restore <= 1:
            raise ValueError(f"least must be 0 or more and restore in [0, 1], got {self.least} and {self.restore}")

    def prepare(self, model: nn.Module, source: Source, *, seed: int, progress: Callable[[int, int], None] | None = None) -> nn.Module:
        """Learn experts, routers and the classifier of domains on labelled images of several domains; the model itself is frozen.

        Raises:
            ValueError: labels or domains are missing, or there is one domain alone.
        """
        if source.labels is None or source.domains is None:
            raise ValueError("becotta learns a router for each domain: give Source(inputs, labels, domains)")
        count = int(source.domains.max()) + 1
        if count < 2:
            raise ValueError("becotta needs two domains or more at its source; corrupt some of the images, as style augmentation does in the paper")
        draw = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            made = Expert(copy.deepcopy(model).eval(), source.inputs[:1], count, self.experts, self.rank, self.chosen).to(source.inputs)
        made.model.requires_grad_(False)
        learns = [*made.experts.parameters(), *made.domain.parameters()]
        optimiser = torch.optim.Adam(learns, lr=self.source_lr)
        batches = list(itertools.chain.from_iterable(
            torch.randperm(len(source.inputs), generator=draw).split(self.batch) for _ in range(self.epochs)  # type: ignore[no-untyped-call]
        ))  # fmt: skip
        for number, rows in enumerate(batches, start=1):
            inputs, domains = source.inputs[rows], source.domains[rows]
            with torch.enable_grad():
                logits, used = made.routed(inputs, domains, draw)
                shared = torch.stack([mutual_information(by_domain(gate, domains, count)) for gate in used]).mean()
                loss = F.cross_entropy(logits, source.labels[rows]) + self.domain_weight * F.cross_entropy(made.domain(inputs), domains)
                optimiser.zero_grad(set_to_none=True)
                (loss - self.synergy * shared).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if progress is not None:
                progress(number, len(batches))
        optimiser.zero_grad(set_to_none=True)
        return made.eval().requires_grad_(True)

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Takes the model that `prepare` made."""
        if not isinstance(model, Expert):
            raise ValueError("becotta adapts a model that it prepared at the source: adapt(method.prepare(model, source, seed=0), method)")
        return _Becotta(model, generator, self)
