"""[123] Test-time style shifting: an image whose style is far from every source domain's takes on the style of the nearest one.

    d* = argmin_d ||(mu, sigma)(h) - centroid_d||;  if that distance > alpha radius_d*:  h <- sigma_d* (h - mu)/sigma + mu_d*     (AdaIN)

h is the map of an early layer, mu and sigma its channels' over the pixels of this one image, radius_d the mean distance of domain d's images
to their centroid. Cost: one forward pass a sample, no update, any batch size. Identities: alpha = infinity is the source model; alpha = 0
shifts every image. Centroids are those of the final network. `prepare` trains with style balancing: where a class is rarer in one domain
than in others, images of it are moved there in style, so that every domain expects the same number of each class.
Trap: statistics of the batch in place of the image's make it batch normalisation. No official code was found; details are from notes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outthink.adapt.maps import chosen_stage, edited, maps_at, restyle, style
from outthink.adapt.method import Contract, State, method
from outthink.adapt.source import Source


class Styled(nn.Module):
    """A classifier and the styles of the domains that it was trained on.

    Args:
        model: (batch, channels, height, width) -> logits (batch, classes).
        layer: whose maps' styles are compared.
        centroids: (domains, 2 channels), mean style of each domain: means, then deviations.
        radius: (domains,) mean distance of a domain's images to its centroid.
    """

    centroids: Tensor
    radius: Tensor

    def __init__(self, model: nn.Module, layer: str, centroids: Tensor, radius: Tensor) -> None:
        super().__init__()
        self.model, self.layer = model, layer
        self.register_buffer("centroids", centroids)
        self.register_buffer("radius", radius)

    def forward(self, batch: Tensor) -> Tensor:
        """Logits (batch, classes), nothing shifted."""
        logits: Tensor = self.model(batch)
        return logits

    def shifted(self, batch: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
        """Logits (batch, classes), and which images were shifted (batch,)."""
        moved: list[Tensor] = []

        def shift(maps: Tensor) -> Tensor:
            distance = torch.cdist(torch.cat(style(maps), 1), self.centroids, compute_mode="donot_use_mm_for_euclid_dist")
            least, nearest = distance.min(1)
            # infinity times a radius of 0 is not a number, and nothing is above that: such images stay
            far = least > alpha * self.radius[nearest] if alpha else torch.ones_like(least, dtype=torch.bool)
            moved.append(far)
            mean, deviation = self.centroids[nearest].chunk(2, 1)
            return torch.where(far[:, None, None, None], restyle(maps, mean, deviation), maps)

        with edited(self.model, {self.layer: shift}):
            logits: Tensor = self.model(batch)
        return logits, moved[-1]


@torch.no_grad()
def measured_styles(model: nn.Module, source: Source, layer: str | None = None) -> Styled:
    """A classifier with the centroid style of each source domain.

    Args:
        model: in evaluation mode.
        source: images with domains.
        layer: name of an early layer that gives maps; the first stage if None.

    Raises:
        ValueError: the source names no domains.
    """
    if source.domains is None:
        raise ValueError("style_shift needs to know which domain each source image is from: give Source(inputs, labels, domains)")
    place = chosen_stage(model, source.inputs[:1], layer, default=0)
    styles = torch.cat([torch.cat(style(maps_at(model, place, batch)[1]), 1) for batch in source.batches()])
    centroids, radii = [], []
    for domain in source.domains.unique():  # type: ignore[no-untyped-call]
        own = styles[source.domains.to(styles.device) == domain]
        centroids.append(own.mean(0))
        radii.append((own - own.mean(0)).norm(dim=1).mean())
    return Styled(model, place, torch.stack(centroids), torch.stack(radii)).eval()


def balanced_domains(labels: Tensor, domains: Tensor, counts: Tensor, generator: torch.Generator) -> Tensor:
    """Where style balancing sends each sample: (batch,) its own domain, or one in which its class is rarer than on average.

    A sample of a class with n images in its domain and m on average leaves with probability (n - m)/n, for a domain drawn in proportion to
    what it lacks: all domains then expect m images of that class.

    Args:
        labels, domains: (batch,) indices.
        counts: (domains, classes) images of the whole source.
    """
    counts = counts.double()
    lack = counts.mean(0) - counts
    target = domains.clone()
    draws = torch.rand(len(labels), generator=generator, dtype=torch.float64)
    for row, (label, domain) in enumerate(zip(labels.tolist(), domains.tolist(), strict=True)):
        if lack[domain, label] < 0 and draws[row] < -lack[domain, label] / counts[domain, label]:
            target[row] = torch.multinomial(lack[:, label].clamp_min(0), 1, generator=generator)[0]
    return target


class _StyleShift(State):
    def __init__(self, model: Styled, generator: torch.Generator, alpha: float) -> None:
        super().__init__(model, generator)
        self.styled, self.alpha = model, alpha

    def step(self, batch: Tensor) -> Tensor:
        self.cost.forwards += len(batch)
        with torch.no_grad():
            return self.styled.shifted(batch, self.alpha)[0]


@method("style_shift", papers=(123,))
@dataclass(frozen=True)
class StyleShift:
    """Give images of a strange style the style of the nearest source domain; no update, one image at a time.

    Args:
        alpha: an image is strange when its style is farther from the nearest domain than this many times that domain's mean distance.
        layer: whose maps carry the style; the first stage if None.
        epochs, lr, batch: of the training with style balancing in `prepare`, by Adam; 0 epochs measure the styles alone.
    """

    alpha: float = 3.0
    layer: str | None = None
    epochs: int = 5
    lr: float = 1e-3
    batch: int = 64
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="student", changes="nothing; far images' early maps, one image at a time",
        keeps="mean style and radius of each source domain", needs=("images",), domains=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not self.alpha >= 0:
            raise ValueError(f"alpha must be 0 or more, got {self.alpha}")

    def prepare(self, model: nn.Module, source: Source, *, seed: int, progress: Callable[[int, int], None] | None = None) -> nn.Module:
        """Train on with style balancing (stored statistics of batch normalisation stay), then measure the styles; needs labels and domains."""
        if source.labels is None or source.domains is None:
            raise ValueError("style balancing needs each source image's class and domain: give Source(inputs, labels, domains)")
        net, draw = copy.deepcopy(model).eval(), torch.Generator().manual_seed(seed)
        place = chosen_stage(net, source.inputs[:1], self.layer, default=0)
        labels = source.labels.cpu()
        places = source.domains.cpu().unique(return_inverse=True)[1]  # type: ignore[no-untyped-call]
        domains = int(places.max()) + 1
        classes = int(labels.max()) + 1
        counts = torch.bincount(places * classes + labels, minlength=domains * classes).reshape(domains, classes)
        optimiser = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=self.lr)
        steps = self.epochs * math.ceil(len(labels) / self.batch)
        done = 0
        for _ in range(self.epochs):
            for rows in torch.randperm(len(labels), generator=draw).split(self.batch):  # type: ignore[no-untyped-call]
                target = balanced_domains(labels[rows], places[rows], counts, draw)
                donor = _donors(places[rows], target, draw).to(source.inputs.device)

                def move(maps: Tensor, donor: Tensor = donor) -> Tensor:
                    mean, deviation = (value.detach() for value in style(maps))
                    stays = donor == torch.arange(len(maps), device=maps.device)
                    return torch.where(stays[:, None, None, None], maps, restyle(maps, mean[donor], deviation[donor]))

                with torch.enable_grad(), edited(net, {place: move}):
                    loss = F.cross_entropy(net(source.inputs[rows]), source.labels[rows])
                    optimiser.zero_grad(set_to_none=True)
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimiser.step()
                done += 1
                if progress is not None:
                    progress(done, steps)
        optimiser.zero_grad(set_to_none=True)
        return measured_styles(net, source, place)

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Takes a model that `prepare` made, or any with layers that give maps and a source with domains."""
        if not isinstance(model, Styled):
            if source is None or source.domains is None:
                raise ValueError(
                    "style_shift needs the source's styles: adapt(method.prepare(model, source, seed=0), method), or give "
                    "adapt(..., source=Source(inputs, labels, domains))"
                )
            model = measured_styles(model, source, self.layer)
        return _StyleShift(model, generator, self.alpha)


def _donors(domains: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
    """Row of the batch whose style each sample takes: one of the target domain, its own where it stays or none is there."""
    rows = torch.arange(len(domains))
    for row in (target != domains).nonzero()[:, 0].tolist():
        there = (domains == target[row]).nonzero()[:, 0]
        if len(there):
            rows[row] = there[torch.randint(len(there), (1,), generator=generator)[0]]
    return rows
