"""Digits in several domains of contrast and brightness, and what is learnt from them: shared by reproductions about domain generalisation.

A domain is a map of pixels x -> level + contrast (x - 1/2), without cutting, so that nothing of a digit is lost and style alone changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from outthink.core.files import write_whole
from outthink.papers.adapting import SEEDS
from outthink.papers.fixtures import Fixture, Progress

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

    from outthink.adapt.networks import DigitNet, train

    assert source.labels is not None
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = DigitNet(norm=norm)
    return train(net, source.inputs, source.labels, epochs=epochs, seed=seed)


def make_classifiers(folder: Path, params: Mapping[str, str | int | float], progress: Progress) -> None:
    """Train the network of each seed on the three domains; one file a seed, written whole."""
    import torch

    from outthink.adapt.data import digits

    count = int(params["seeds"])
    for seed in range(count):
        progress("networks for digits in three domains", seed, count)
        place = folder / f"{seed}.pt"
        if place.exists():
            continue
        net = classifier(three_domains(digits(seed=seed)[0]), seed=seed, epochs=int(params["epochs"]))
        write_whole(place, partial(torch.save, net.state_dict()))
    progress("networks for digits in three domains", count, count)


DOMAINS = Fixture(
    "adaptation-domains",
    make_classifiers,
    # the recipe's version: changed domains or a changed network need new ones
    {"seeds": len(SEEDS), "epochs": 15, "recipe": "domains/1"},
    "half a minute on one core",
)


def learnt_classifier(seed: int) -> nn.Module:
    """The prepared network of one seed, in evaluation mode."""
    import torch

    from outthink.adapt.networks import DigitNet

    net = DigitNet()
    net.load_state_dict(torch.load(DOMAINS.path / f"{seed}.pt", weights_only=True))
    return net.eval()
