"""CIFAR-10 as JPEG with a pre-trained ResNet-20: the real benchmark of test-time adaptation, from the data folder `cifar10`.

The network was trained on lossless images, and JPEG is itself a shift: it is fine-tuned for one pass over the JPEG training images first.
Made once: the fine-tuned network, and 2,000 test images under each corruption at severity 5.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from outthink.core.data import recording
from outthink.core.errors import DataError, need
from outthink.core.files import write_whole
from outthink.papers.fixtures import Fixture, Progress

if TYPE_CHECKING:
    from torch import nn

    from outthink.adapt.data import Images
    from outthink.adapt.streams import Domain

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHIFTS = ("gaussian_noise", "contrast", "pixelate")
NEEDS = ("data:cifar10/test.tar.gz", "data:cifar10/train.tar.gz", "data:cifar10/resnet20-12fca82f.th", "extra:adapt")


def cifar_images(part: str, *, count: int, seed: int) -> Images:
    """Some images of a part, drawn without repeats.

    Args:
        part: `train` or `test`.

    Raises:
        DataError: it is not here, or an image in it is of no known class.
    """
    need("PIL", extra="adapt")
    import numpy as np
    import torch
    from PIL import Image

    from outthink.adapt.data import Images

    with tarfile.open(recording("cifar10", f"{part}.tar.gz")) as archive:
        files = {}
        for member in archive:
            read = archive.extractfile(member) if member.isfile() and member.name.endswith(".jpg") else None
            if read is not None:
                files[member.name] = read.read()
    names = sorted(files)
    if count > len(names):
        raise DataError(f"{count} images of cifar10/{part} are asked for and it has {len(names)}")
    chosen = [names[row] for row in torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))[:count].tolist()]
    folders = [name.split("/")[-2] for name in chosen]
    if strange := set(folders) - set(CLASSES):
        raise DataError(f"cifar10/{part} has the folder {sorted(strange)[0]!r}, which is none of the ten classes")
    pixels = np.stack([np.array(Image.open(io.BytesIO(files[name])).convert("RGB")) for name in chosen])
    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return Images(inputs.contiguous(), torch.tensor([CLASSES.index(folder) for folder in folders]), CLASSES)


def make_cifar(folder: Path, params: Mapping[str, str | int | float], progress: Progress) -> None:
    """Fine-tune the network and corrupt the test images; each file is written whole."""
    import torch

    from outthink.adapt.corruptions import corrupt
    from outthink.adapt.networks import CifarResNet

    network = folder / "network.pt"
    if not network.exists():
        stored = torch.load(recording("cifar10", "resnet20-12fca82f.th"), weights_only=True, map_location="cpu")["state_dict"]
        net = CifarResNet()
        net.load_state_dict({name.removeprefix("module."): value for name, value in stored.items()})
        steps, batch = int(params["steps"]), int(params["batch"])
        train = cifar_images("train", count=steps * batch, seed=0)
        draw = torch.Generator().manual_seed(0)
        optimiser = torch.optim.SGD(net.parameters(), lr=float(params["lr"]), momentum=0.9, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=float(params["lr"]), total_steps=steps)
        net.train()
        for step in range(steps):
            rows = slice(step * batch, (step + 1) * batch)
            images = torch.nn.functional.pad(train.inputs[rows], (4, 4, 4, 4))
            top, left = torch.randint(9, (2,), generator=draw).tolist()
            images = images[:, :, top : top + 32, left : left + 32]
            turned = torch.rand(len(images), generator=draw) < 0.5
            images[turned] = images[turned].flip(3)
            loss = torch.nn.functional.cross_entropy(net(images), train.labels[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            progress("fine-tuning ResNet-20 on JPEG images", step + 1, steps)
        write_whole(network, partial(torch.save, net.state_dict()))
    test = cifar_images("test", count=int(params["test"]), seed=0)
    kept = {"labels": test.labels, "clean": (test.inputs * 255).round().byte()}
    for name in str(params["shifts"]).split():
        progress(f"CIFAR-10 under {name}", len(kept) - 2, len(SHIFTS))
        kept[name] = (corrupt(test.inputs, name, severity=5, seed=0) * 255).round().byte()
    write_whole(folder / "images.pt", partial(torch.save, kept))


CIFAR = Fixture(
    "adaptation-cifar",
    make_cifar,
    {"steps": 156, "batch": 128, "lr": 0.01, "test": 2000, "shifts": " ".join(SHIFTS), "recipe": "resnet20/1"},
    "about two minutes on one core",
)


def cifar_world() -> tuple[nn.Module, dict[str, Domain]]:
    """The prepared network in evaluation mode, and its domains by name: `clean` and each of `SHIFTS`."""
    import torch

    from outthink.adapt.networks import CifarResNet
    from outthink.adapt.streams import Domain

    net = CifarResNet()
    net.load_state_dict(torch.load(CIFAR.path / "network.pt", weights_only=True))
    kept = torch.load(CIFAR.path / "images.pt", weights_only=True)
    return net.eval(), {name: Domain(name, kept[name].float() / 255, kept["labels"]) for name in ("clean", *SHIFTS)}
