"""Digits in several domains of contrast and brightness, and what is learnt from them: shared by reproductions about domain generalisation.

A domain is a map of pixels x -> level + contrast (x - 1/2), without cutting, so that nothing of a digit is lost and style alone changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from outthink.adapt.data import Images
    from outthink.adapt.source import Source

STYLES: Mapping[str, tuple[float, float]] = {"plain": (1.0, 0.5), "pale": (0.5, 0.7), "dark": (0.7, 0.2), "extreme": (0.15, 0.0)}
"""Name -> contrast and level. The networks learn on the first three; the last is far from all of them."""
LEARNT = ("plain", "pale", "dark")


def styled(images: Tensor, name: str) -> Tensor:
    """Digits in one domain."""
    contrast, level = STYLES[name]
    return level + contrast * (images - 0.5)


def three_domains(images: Images) -> Source:
    """Each third of the images in one of the domains that are learnt."""
    import torch

    from outthink.adapt.source import Source

    domains = torch.arange(len(images)) % len(LEARNT)
    inputs = torch.stack([styled(image, LEARNT[int(domain)]) for image, domain in zip(images.inputs, domains, strict=True)])
    return Source(inputs, images.labels, domains)


def classifier(source: Source, *, seed: int, epochs: int, norm: str = "batch") -> nn.Module:
    """A network trained on a labelled source, in evaluation mode."""
    import torch

    from outthink.adapt.networks import DigitNet

    assert source.labels is not None
    draw = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = DigitNet(norm=norm)
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(source.labels), generator=draw).split(64):  # type: ignore[no-untyped-call]
            loss = torch.nn.functional.cross_entropy(net(source.inputs[rows]), source.labels[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return net.eval()
