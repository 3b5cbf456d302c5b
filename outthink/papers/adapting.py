"""What reproductions of test-time adaptation share: networks trained on scikit-learn's digits and their corrupted test images, made once.

For each seed: a split of the digits into 900 training and 897 test images, a network with batch normalisation, one with group normalisation,
one that knows the digits 0 to 7 alone, and the test images under each corruption at severity 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from outthink.core.files import write_whole
from outthink.papers.fixtures import Fixture, Progress
from outthink.stats import Interval, clustered_bootstrap

if TYPE_CHECKING:
    from torch import Tensor, nn

    from outthink.adapt.data import Images
    from outthink.adapt.online import Run
    from outthink.adapt.streams import Domain, Stream

SHIFTS = ("contrast", "brightness", "fog", "defocus_blur", "motion_blur", "elastic_transform")
SEEDS = (0, 1, 2, 3, 4)
BATCH = 100


@dataclass(frozen=True)
class DigitWorld:
    """One seed's networks and images.

    Args:
        network, grouped, eight: with batch normalisation, with group normalisation, and with batch normalisation for the digits 0 to 7; in
            evaluation mode, not to be changed.
        train, test: clean images.
        corrupted: name of a corruption -> all test images under it.
        again: the test images under `fog`, drawn anew several times, for one long stream.
    """

    seed: int
    network: nn.Module
    grouped: nn.Module
    eight: nn.Module
    train: Images
    test: Images
    corrupted: Mapping[str, Tensor]
    again: Tensor

    def domain(self, name: str) -> Domain:
        """The test images under one corruption, or `clean`."""
        from outthink.adapt.streams import Domain

        return Domain(name, self.test.inputs if name == "clean" else self.corrupted[name], self.test.labels)

    def domains(self) -> list[Domain]:
        """One for each of `SHIFTS`."""
        return [self.domain(name) for name in SHIFTS]

    def long(self) -> Domain:
        """Every test image under several draws of one corruption."""
        from outthink.adapt.streams import Domain

        return Domain("fog", self.again, self.test.labels.repeat(len(self.again) // len(self.test)))


def make_digit_worlds(folder: Path, params: Mapping[str, str | int | float], progress: Progress) -> None:
    """Train the networks and corrupt the test images of each seed; one file a seed, written whole."""
    import torch

    from outthink.adapt.corruptions import corrupt
    from outthink.adapt.data import digits
    from outthink.adapt.networks import DigitNet, train

    count = int(params["seeds"])
    for seed in range(count):
        progress("networks for digits and their corrupted images", seed, count)
        place = folder / f"{seed}.pt"
        if place.exists():
            continue
        learnt, test = digits(seed=seed, train=int(params["train"]))
        few = learnt.take((learnt.labels < 8).nonzero()[:, 0])
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            nets = {
                name: train(DigitNet(norm=norm), images.inputs, images.labels, epochs=int(params["epochs"]), seed=seed)
                for name, norm, images in (("network", "batch", learnt), ("grouped", "group", learnt), ("eight", "batch", few))
            }
        severity = int(params["severity"])
        images = {name: corrupt(test.inputs, name, severity=severity, seed=seed) for name in str(params["shifts"]).split()}
        draws = [corrupt(test.inputs, "fog", severity=severity, seed=1000 * (seed + 1) + draw) for draw in range(int(params["draws"]))]
        kept = {"nets": {name: net.state_dict() for name, net in nets.items()}, "corrupted": images, "again": torch.cat(draws)}
        write_whole(place, partial(torch.save, kept))
    progress("networks for digits and their corrupted images", count, count)


DIGITS = Fixture(
    "adaptation-digits",
    make_digit_worlds,
    # the recipe's version: a changed network or corruption needs new ones
    {"seeds": len(SEEDS), "train": 900, "epochs": 25, "severity": 5, "shifts": " ".join(SHIFTS), "draws": 4, "recipe": "digits/1"},
    "about a minute on one core",
)


@cache
def digit_world(seed: int) -> DigitWorld:
    """What the prepared fixture holds of one seed."""
    import torch

    from outthink.adapt.data import digits
    from outthink.adapt.networks import DigitNet

    kept = torch.load(DIGITS.path / f"{seed}.pt", weights_only=True)
    train, test = digits(seed=seed, train=int(DIGITS.params["train"]))
    nets: dict[str, nn.Module] = {}
    for name, norm in (("network", "batch"), ("grouped", "group"), ("eight", "batch")):
        net = DigitNet(norm=norm)
        net.load_state_dict(kept["nets"][name])
        nets[name] = net.eval()
    return DigitWorld(
        seed, nets["network"], nets["grouped"], nets["eight"], train, test, kept["corrupted"], kept["again"]
    )  # fmt: skip


def by_image(run: Run, stream: Stream) -> NDArray[np.float64]:
    """1 for each image that a run got wrong, ordered by domain and image: runs in different orders become comparable."""
    order = stream.order.numpy()
    return run.wrong[np.lexsort((order[:, 1], order[:, 0]))]


def paired(
    first: Sequence[NDArray[np.float64]], second: Sequence[NDArray[np.float64]], *, images: Sequence[NDArray[np.int64]] | None = None
) -> Interval:
    """Mean difference of two measurements on the same samples, with a paired bootstrap interval over images.

    Args:
        first, second: pieces (samples,), such as one a seed.
        images: for each piece the image that each sample shows, where several samples show the same one (under several corruptions): it then
            counts as one. Each sample is an image of its own if None.
    """
    apart = np.concatenate(first) - np.concatenate(second)
    shown = np.arange(len(apart)) if images is None else np.concatenate(images)
    return clustered_bootstrap(apart, shown, seed=0, draws=2000)


def shown(count: int, domains: int, group: int = 0) -> NDArray[np.int64]:
    """Which image each sample shows, where `domains` domains show the same `count` images one after another (as `by_image` sorts them).

    Args:
        group: pieces of other images, such as another seed's, have another one.
    """
    return np.tile(np.arange(count), domains) + count * group
