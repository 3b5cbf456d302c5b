"""[44] Fast compound scaling: widths grow a network with the fewest activations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import numpy as np

from outthink.core import data
from outthink.core.errors import DataError
from outthink.laws.frontier import power_fit
from outthink.laws.methods.compound import activation_exponent, bottleneck_network, compound
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured

_SET, _FILE = "laws/convnet-complexity", "model_complexity.json"
_RESNET = {
    (3, 4, 6, 3): "configs/dds_baselines/resnet/R-50-1x64d_dds_8gpu.yaml",
    (3, 4, 23, 3): "configs/dds_baselines/resnet/R-101-1x64d_dds_8gpu.yaml",
}


def _published() -> dict[str, dict[str, int]]:
    (path,) = data.find(_SET, _FILE)
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise DataError(f"{path} must be an object with a network a key")
    return {name: cells for name, cells in found.items() if isinstance(cells, dict)}


@reproduction(paper=44, kind="exact", fast=True, needs=(f"data:{_SET}/{_FILE}",))
def counts() -> Iterator[Measured]:
    """The counter agrees with the published counts of residual networks, to the last unit."""
    published = _published()
    for depths, name in _RESNET.items():
        ours, theirs = bottleneck_network(depths), published[name]
        layers = 2 + 3 * sum(depths)
        for what, value, number in (
            ("multiply-adds", ours.multiply_adds, theirs["flops"]), ("parameters", ours.parameters, theirs["params"]),
            ("activations", ours.activations, theirs["acts"]),
        ):  # fmt: skip
            yield Measured.within(f"ResNet-{layers}: {what}", value=value, target=number, tolerance=0, expected=f"{number:,}", data="pycls")


@reproduction(paper=44, kind="exact", fast=True)
def rule() -> Iterator[Measured]:
    """The fast rule multiplies operations by s and activations by s^.6; the uniform one by s^.833."""
    for name, weights, exponent in (
        ("fast", (1, 8, 1), 0.6),
        ("uniform", (1, 1, 1), 5 / 6),
        ("depth alone", (1, 0, 0), 1.0),
        ("width alone", (0, 1, 0), 0.5),
    ):
        depth, width, resolution = map(float, weights)
        yield Measured.within(
            f"{name}: exponent of the activations", value=activation_exponent(depth=depth, width=width, resolution=resolution), target=exponent,
            tolerance=1e-12,
        )  # fmt: skip
        grown = compound(4.0, depth=depth, width=width, resolution=resolution)
        yield Measured.within(
            f"{name}: operations at s = 4, by depth width^2 resolution^2", value=grown.depth * grown.width**2 * grown.resolution**2, target=4.0,
            tolerance=1e-12,
        )  # fmt: skip


@reproduction(paper=44, kind="recorded", fast=True, needs=(f"data:{_SET}/{_FILE}",))
def families() -> Iterator[Measured]:
    """EfficientNets, scaled uniformly, grow their activations as the rule says; RegNets, found by search, nearly as width alone would."""
    published = _published()
    for family, pattern, what, exponent in (
        ("EfficientNet B0 to B5", r"EN-B\d_dds", "acts", 0.821), ("EfficientNet B0 to B5", r"EN-B\d_dds", "params", 0.521),
        ("RegNetX", r"RegNetX-.*_dds", "acts", 0.550), ("RegNetY", r"RegNetY-.*_dds", "acts", 0.516),
    ):  # fmt: skip
        members = [cells for name, cells in published.items() if re.search(pattern, name)]
        flops, values = (np.array([cells[key] for cells in members], dtype=np.float64) for key in ("flops", what))
        yield Measured.within(
            f"{family}: power of operations with which {'activations' if what == 'acts' else 'parameters'} grow", value=power_fit(flops, values)[0],
            target=exponent, tolerance=1e-3, data="pycls", size=f"{len(members)} networks",
            not_covered="run time: the published timings do not say their batch sizes, and mix families",
        )  # fmt: skip
