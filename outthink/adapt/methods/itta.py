"""[65] ITTA: a consistency loss that was learnt to point where the main loss points, and adaptive blocks that it moves at test time.

    source:  CE(z) + CE(z') + mean (w(z' - z))^2;   w: make standardised grad of the last term equal to that of both CE, times 0.1
    test:    one Adam step of the blocks alone on mean (w(z' - z))^2, then predict with the blocks in place

z are the features before the head, z' those with MixStyle at the first or second stage (a coin), before its block. w is elementwise: 10
layers of scale and shift, ReLU between them. A block after each stage: 5 layers of scale and shift for every place of the map, at first the
identity; ReLU between them only where the stage's maps are not negative on the source, since elsewhere it would cut them.
Identities: lr 0 predicts as the prepared model. In a batch of one MixStyle has no partner, so the loss is 0 and nothing adapts.
Departures from the official code (liangchen527/ITTA): w's gradient flows through the standardising too (there its mean and deviation are constants,
which lets w shrink at no gain); the loss at test time has no factor of its own (there 1e-6, or 0.1 for DomainNet, which Adam takes out again but for
its epsilon); networks here are small and take larger steps (published 5e-5, and a tenth of it for w and the blocks).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outthink.adapt.maps import Edit, edited, map_layers, maps_at, mix_style, stages
from outthink.adapt.method import Contract, State, method
from outthink.adapt.source import Source
from outthink.adapt.view import Split, train_only


class Elementwise(nn.Module):
    """Layers of scale and shift, one number of each for every place, with or without ReLU between them; at first scale 1 and shift 0.

    Args:
        shape: of one sample.
        layers: how many.
        rectified: ReLU after every layer but the last.
    """

    def __init__(self, shape: tuple[int, ...], layers: int, rectified: bool) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(layers, *shape)), nn.Parameter(torch.zeros(layers, *shape))
        self.rectified = rectified

    def forward(self, values: Tensor) -> Tensor:
        """(batch, *shape) -> the same."""
        for at, (scale, shift) in enumerate(zip(self.scale, self.shift, strict=True)):
            values = scale * values + shift
            if self.rectified and at < len(self.scale) - 1:
                values = values.relu()
        return values


class Blocked(nn.Module):
    """A classifier with an adaptive block after each stage, and the learnt consistency loss.

    Args:
        model: any that ends in a linear layer and has stages.
        blocks: one a stage.
        names: of the stages.
        weigh: the learnt net w on features.
    """

    def __init__(self, model: nn.Module, names: list[str], blocks: list[Elementwise], weigh: Elementwise) -> None:
        super().__init__()
        self.model, self.names = model, names
        self.blocks, self.weigh = nn.ModuleList(blocks), weigh

    def split(self, batch: Tensor, mixing: Mapping[str, Edit] | None = None) -> tuple[Tensor, Tensor]:
        """Logits (batch, classes) and features (batch, features), with style mixed before the blocks of the stages given."""
        mixed = mixing or {}

        def through(name: str, block: nn.Module) -> Edit:
            def edit(maps: Tensor) -> Tensor:
                changed: Tensor = block(mixed[name](maps) if name in mixed else maps)
                return changed

            return edit

        with edited(self.model, {name: through(name, block) for name, block in zip(self.names, self.blocks, strict=True)}):
            pair: tuple[Tensor, Tensor] = Split(self.model)(batch)
        return pair

    def forward(self, batch: Tensor) -> Tensor:
        """Logits (batch, classes) with the blocks in place."""
        return self.split(batch)[0]

    def augmented(self, batch: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """As `split`, with MixStyle at the first or the second stage."""
        names = self.names[:2]
        name = names[int(torch.randint(len(names), (1,), generator=generator))]
        return self.split(batch, {name: lambda maps: mix_style(maps, alpha, generator)})

    def inconsistency(self, features: Tensor, augmented: Tensor) -> Tensor:
        """The learnt consistency loss, a scalar."""
        loss: Tensor = self.weigh(augmented - features).square().mean()
        return loss


def alignment(main: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> Tensor:
    """Mean squared distance of two gradients, each flattened and standardised: 2 (1 - correlation)."""
    first, second = (torch.cat([part.flatten() for part in parts]) for parts in (main, other))
    first, second = ((value - value.mean()) / (value.std(correction=0) + 1e-12) for value in (first, second))
    return (first - second).square().mean()


class _Itta(State):
    def __init__(self, model: Blocked, generator: torch.Generator, knobs: Itta) -> None:
        parameters = list(model.blocks.parameters())
        train_only(model, parameters)
        super().__init__(model, generator, parameters, lambda free: torch.optim.Adam(free, lr=knobs.lr))
        self.blocked, self.knobs = model, knobs

    def step(self, batch: Tensor) -> Tensor:
        if len(batch) > 1:
            self.cost.forwards += 2 * len(batch)
            features = self.blocked.split(batch)[1]
            augmented = self.blocked.augmented(batch, self.knobs.alpha, self.generator)[1]
            self.descend(self.blocked.inconsistency(features, augmented), 2 * len(batch))
        with torch.no_grad():
            return self.predict(batch)


@method("itta", papers=(65,))
@dataclass(frozen=True)
class Itta:
    """Adapt small blocks after each stage on a consistency loss whose gradient was learnt to agree with the main loss's.

    Args:
        lr: of the blocks at test time, by Adam.
        alpha: MixStyle draws shares from Beta(alpha, alpha).
        layers: of the learnt net.
        depth: layers of each block.
        epochs, source_lr, batch: of the training in `prepare`, by Adam; the learnt net takes 0.1 of that step.
        matching: weight of the gradient matching; 0 leaves the consistency loss as it is.
    """

    lr: float = 1e-4
    alpha: float = 0.1
    layers: int = 10
    depth: int = 5
    epochs: int = 5
    source_lr: float = 1e-3
    batch: int = 64
    matching: float = 0.1
    contract: ClassVar[Contract] = Contract(
        predicts="after", network="student", changes="blocks of scale and shift after each stage",
        keeps="a learnt consistency loss, made by `prepare`", needs=("head", "images", "prepared"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not self.lr >= 0 or not self.alpha > 0 or self.layers < 1 or self.depth < 1:
            raise ValueError(f"itta needs lr of 0 or more, alpha above 0, and at least one layer in w and in each block, got {self}")

    def blocked(self, model: nn.Module, source: Source) -> Blocked:
        """A copy of the model with blocks that do nothing yet, and w as it starts."""
        net, few = copy.deepcopy(model).eval(), source.inputs[:256]
        shapes, names = map_layers(net, few[:1]), stages(net, few[:1])
        with torch.no_grad():
            blocks = [Elementwise(shapes[name], self.depth, bool((maps_at(net, name, few)[1] >= 0).all())) for name in names]
            features = Split(net)(few[:1])[1].shape[1]
        return Blocked(net, names, blocks, Elementwise((features,), self.layers, rectified=True)).to(few.device)

    def prepare(self, model: nn.Module, source: Source, *, seed: int, progress: Callable[[int, int], None] | None = None) -> nn.Module:
        """Train on with MixStyle and learn the consistency loss; batch normalisation keeps its stored statistics. Needs the source's labels."""
        if source.labels is None:
            raise ValueError("itta trains on with the main loss: give Source(inputs, labels)")
        made, draw = self.blocked(model, source), torch.Generator().manual_seed(seed)
        weights = [parameter for parameter in made.model.parameters() if parameter.requires_grad]
        optimiser = torch.optim.Adam(weights, lr=self.source_lr)
        learner = torch.optim.Adam(made.weigh.parameters(), lr=0.1 * self.source_lr)
        steps, done = self.epochs * math.ceil(len(source.inputs) / self.batch), 0
        for _ in range(self.epochs):
            for rows in torch.randperm(len(source.inputs), generator=draw).split(self.batch):  # type: ignore[no-untyped-call]
                with torch.enable_grad():
                    self.learn(made, source.inputs[rows], source.labels[rows], weights, optimiser, learner, draw)
                done += 1
                if progress is not None:
                    progress(done, steps)
        optimiser.zero_grad(set_to_none=True)
        learner.zero_grad(set_to_none=True)
        return made.eval()

    def learn(
        self, made: Blocked, inputs: Tensor, labels: Tensor, weights: list[nn.Parameter], optimiser: torch.optim.Optimizer | None,
        learner: torch.optim.Optimizer, draw: torch.Generator,
    ) -> tuple[float, float]:  # fmt: skip
        """One step of the network (none without an optimiser) and one of w: the matching loss before it, and the cosine of both gradients."""
        if optimiser is not None:
            logits, features = made.split(inputs)
            other, augmented = made.augmented(inputs, self.alpha, draw)
            loss = F.cross_entropy(logits, labels) + F.cross_entropy(other, labels) + made.inconsistency(features, augmented)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        main, consistency = self.gradients(made, inputs, labels, weights, draw)
        apart = alignment(main, consistency)
        learner.zero_grad(set_to_none=True)
        if self.matching:
            found = torch.autograd.grad(self.matching * apart, list(made.weigh.parameters()), allow_unused=True)
            for parameter, gradient in zip(made.weigh.parameters(), found, strict=True):
                parameter.grad = gradient
            learner.step()
        first, second = (torch.cat([part.detach().flatten() for part in parts]) for parts in (main, consistency))
        return float(apart.detach()), float(F.cosine_similarity(first, second, dim=0))

    def gradients(
        self, made: Blocked, inputs: Tensor, labels: Tensor, weights: list[nn.Parameter], draw: torch.Generator
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Gradients of the main loss (constants) and of the consistency loss (a function of w), by the weights that both depend on."""
        logits, features = made.split(inputs)
        mixed, augmented = made.augmented(inputs, self.alpha, draw)
        plain = F.cross_entropy(logits, labels) + F.cross_entropy(mixed, labels)
        main = torch.autograd.grad(plain, weights, retain_graph=True, allow_unused=True)
        other = torch.autograd.grad(made.inconsistency(features, augmented), weights, create_graph=True, allow_unused=True)
        both = [(one.detach(), two) for one, two in zip(main, other, strict=True) if one is not None and two is not None]
        return tuple(one for one, _ in both), tuple(two for _, two in both)

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Takes the model that `prepare` made."""
        if not isinstance(model, Blocked):
            raise ValueError("ITTA adapts a model that it prepared at the source: adapt(method.prepare(model, source, seed=0), method)")
        return _Itta(model, generator, self)
