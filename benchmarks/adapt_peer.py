"""The methods of mariodoebler/test-time-adaptation on a model of ours, with the same settings: what `adapt.py` compares with.

Its method modules are imported from a checkout and nothing else of it: its model zoo, data sets and configuration need packages that have no
part in a method: small stand-ins take their places here (a loader over tensors, a split of ResNet-20). torchvision and tqdm, which
its modules import, must be installed; where its compiled operators do not load beside this torch, they are declared, and never called.

Mended, since it stops otherwise: RoTTA's `loss_calculation` is called with an argument that it does not take. Left as they are: augmentations
that draw once for a whole batch (ours draw once a sample), batch normalisation whose blend lets no gradient through the batch's statistics
(MEMO), a copy of the statistics on every pass (RoTTA). MEMO's views come from its data loader, as PIL images; here ours are handed to it,
within its time, since they are a part of ours.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import logging
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outthink.adapt.augment import ImageViews
from outthink.adapt.networks import CifarResNet
from outthink.adapt.source import Source

Step = Callable[[Tensor], Tensor]
PEERS = {
    "source": ("source", "Source"), "bn_adapt": ("norm", "BNTest"), "tent": ("tent", "Tent"), "eata": ("eata", "EATA"), "sar": ("sar", "SAR"),
    "lame": ("lame", "LAME"), "cotta": ("cotta", "CoTTA"), "rotta": ("rotta", "RoTTA"), "rmt": ("rmt", "RMT"), "memo": ("memo", "MEMO"),
}  # fmt: skip
"""Our name: the module and the class there."""
SETTINGS: dict[str, dict[str, dict[str, object]]] = {
    "sar": {"OPTIM": {"METHOD": "SGD"}},
    "memo": {"OPTIM": {"METHOD": "SGD", "MOMENTUM": 0.0, "NESTEROV": False}, "MODEL": {"EPISODIC": True}, "BN": {"ALPHA": 32 / (32 + 16)}},
}
"""What differs from the settings that all share; each is the default of our method."""


class _Features(nn.Module):
    """ResNet-20 up to its head."""

    def __init__(self, net: CifarResNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        net = self.net
        maps = F.relu(net.bn1(net.conv1((images - net.mean) / net.deviation)))
        features: Tensor = net.layer3(net.layer2(net.layer1(maps))).mean((2, 3))
        return features


class Peer:
    """The checkout, ready to make methods.

    Args:
        checkout: of mariodoebler/test-time-adaptation.
        source: what its methods may look at of the source, with labels.
        rows: size of a batch.

    Raises:
        FileNotFoundError: it is no such checkout.
        ModuleNotFoundError: torchvision is missing.
    """

    def __init__(self, checkout: Path, source: Source, rows: int) -> None:
        self.root, self.source, self.rows = checkout / "classification", source, rows
        if not (self.root / "methods" / "tent.py").is_file():
            raise FileNotFoundError(f"{checkout} has no classification/methods/tent.py; give a checkout of mariodoebler/test-time-adaptation")
        logging.getLogger("methods").setLevel(logging.WARNING)
        _import_torchvision()
        sys.path.insert(0, str(self.root))
        package = types.ModuleType("methods")  # its own __init__ imports every method, and with them CLIP
        package.__path__ = [str(self.root / "methods")]
        zoo, loading = types.ModuleType("models.model"), types.ModuleType("datasets.data_loading")
        zoo.__dict__.update(
            ResNetDomainNet126=type("ResNetDomainNet126", (nn.Module,), {}), split_up_model=lambda net, *_: (_Features(net), net.linear)
        )
        loading.__dict__.update(get_source_loader=lambda **_: (None, self._batches()))
        stand_ins = {"methods": package, "models": types.ModuleType("models"), "datasets": types.ModuleType("datasets")}
        sys.modules.update(stand_ins | {"models.model": zoo, "datasets.data_loading": loading})
        self._folder = tempfile.TemporaryDirectory()  # RMT keeps its prototypes in a file

    def _batches(self) -> list[tuple[Tensor, Tensor]]:
        assert self.source.labels is not None
        return list(zip(self.source.inputs.split(64), self.source.labels.split(64), strict=True))

    def _settings(self, name: str) -> SimpleNamespace:
        sections: dict[str, dict[str, object]] = {
            "MODEL": {"EPISODIC": False, "RESET_AFTER_NUM_UPDATES": 0, "ARCH": "resnet20", "CKPT_PATH": "", "ADAPTATION": name},
            "CORRUPTION": {"DATASET": "cifar10_c"},
            "OPTIM": {"STEPS": 1, "METHOD": "Adam", "LR": 1e-3, "BETA": 0.9, "WD": 0.0, "MOMENTUM": 0.9, "DAMPENING": 0.0, "NESTEROV": True},
            "TEST": {"WINDOW_LENGTH": 1, "N_AUGMENTATIONS": 32, "BATCH_SIZE": self.rows},
            "BN": {"ALPHA": 0.1},
            "EATA": {"FISHER_ALPHA": 1.0, "D_MARGIN": 0.4, "MARGIN_E0": 0.4},
            "SAR": {"RESET_CONSTANT_EM": 0.2},
            "LAME": {"AFFINITY": "rbf", "SIGMA": 1.0, "KNN": 5, "FORCE_SYMMETRY": False},
            "M_TEACHER": {"MOMENTUM": 0.999},
            "COTTA": {"RST": 0.01, "AP": 0.92},
            "ROTTA": {"MEMORY_SIZE": 64, "LAMBDA_T": 1.0, "LAMBDA_U": 1.0, "NU": 0.001, "UPDATE_FREQUENCY": 64, "ALPHA": 0.05},
            "RMT": {"LAMBDA_CE_SRC": 0.0, "LAMBDA_CE_TRG": 1.0, "LAMBDA_CONT": 1.0, "NUM_SAMPLES_WARM_UP": 0},
            "CONTRAST": {"MODE": "all", "TEMPERATURE": 0.1, "PROJECTION_DIM": 128},
            "SOURCE": {"NUM_SAMPLES": len(self.source.inputs), "PERCENTAGE": 1.0, "NUM_WORKERS": 0},
        }
        for section, values in SETTINGS.get(name, {}).items():
            sections[section] |= values
        top = {"MIXED_PRECISION": False, "DATA_DIR": "", "CKPT_DIR": self._folder.name}
        return SimpleNamespace(**top, **{section: SimpleNamespace(**values) for section, values in sections.items()})

    def start(self, name: str, net: nn.Module, classes: int) -> Step:
        """Its method of our name at work on a copy of a network: a function from a batch to logits that adapts as it goes."""
        module, kind = PEERS[name]
        own = copy.deepcopy(net)
        own.model_preprocess = None
        found = importlib.import_module(f"methods.{module}")
        method = getattr(found, kind)
        if name == "rotta":
            method = type(kind, (method,), {"loss_calculation": lambda self, _: found.RoTTA.loss_calculation(self)})
        with contextlib.redirect_stdout(sys.stderr):
            state = method(self._settings(name), own, classes)
        if name == "memo":
            return _by_sample(state)

        @torch.no_grad()
        def step(batch: Tensor) -> Tensor:
            logits: Tensor = state(batch)
            return logits

        return step


def _import_torchvision() -> None:
    try:
        importlib.import_module("torchvision")
    except RuntimeError:  # built for another torch: its operators are not there, and only its transforms are wanted
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        importlib.import_module("torchvision")


def _by_sample(state: Callable[[list[Tensor]], Tensor]) -> Step:
    views, generator = ImageViews(), torch.Generator().manual_seed(0)

    @torch.no_grad()
    def step(batch: Tensor) -> Tensor:
        def one(sample: Tensor) -> Tensor:
            return state([sample, views(sample.expand(32, *sample.shape[1:]), generator)])

        return torch.cat([one(sample[None]) for sample in batch])

    return step
