"""Labelled images as tensors: scikit-learn's digits, which need no download, and a folder with one subfolder a class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from outthink.core.errors import DataError, need

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Images:
    """Labelled images.

    Args:
        inputs: (images, 1 or 3, height, width), floats in [0, 1].
        labels: (images,) class indices.
        classes: their names.
        skipped: files that did not decode, each with the reason.
    """

    inputs: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor) -> Images:
        """Some of them, by position."""
        return Images(self.inputs[rows], self.labels[rows], self.classes)


def digits(*, seed: int = 0, train: int = 900) -> tuple[Images, Images]:
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, split into training and test images.

    Args:
        seed: of the split.
        train: images to train on, 1 to 1,796.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    loaded = need("sklearn.datasets", extra="adapt").load_digits()
    every = Images(torch.tensor(loaded.images, dtype=torch.float32)[:, None] / 16, torch.tensor(loaded.target).long(), tuple("0123456789"))
    if not 1 <= train < len(every):
        raise ValueError(f"train must be 1 to {len(every) - 1} of the {len(every)} digits, got {train}")
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(seed))
    return every.take(order[:train]), every.take(order[train:])


def read_folder(folder: Path, *, size: tuple[int, int] | None = None, channels: int = 3, progress: Progress | None = None) -> Images:
    """Read `folder/CLASS/FILE`: classes are the subfolders in the order of their names. Hidden files are passed over.

    Args:
        size: (height, width) to resize to; the first image's if None.
        channels: 3 for colour, 1 for grey.
        progress: called with (files read, files in all).

    Returns:
        The images; a file that does not decode is in `skipped` with its reason.

    Raises:
        DataError: there is no such folder, it has no classes or no files, or none of its files decodes.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 (grey) or 3 (colour), got {channels}")
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; give one with a subfolder of images for each class")
    classes = sorted(place for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))
    files = [
        (label, file) for label, place in enumerate(classes) for file in sorted(place.iterdir()) if file.is_file() and not file.name.startswith(".")
    ]
    if not files:
        found = f"{len(classes)} empty subfolders" if classes else "no subfolders"
        raise DataError(f"{folder} has {found}; images must be in {folder.name}/CLASS/FILE, one subfolder a class")
    inputs: list[Tensor] = []
    labels: list[int] = []
    skipped: list[tuple[str, str]] = []
    for done, (label, file) in enumerate(files, start=1):
        try:
            image = _decoded(file, size, channels)
        except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises for broken files
            skipped.append((str(file), str(error).splitlines()[0] if str(error) else type(error).__name__))
        else:
            size = (image.shape[1], image.shape[2]) if size is None else size
            inputs.append(image)
            labels.append(label)
        if progress is not None:
            progress(done, len(files))
    if not inputs:
        raise DataError(f"none of the {len(files)} files in {folder} is an image that decodes; the first: {skipped[0][0]}: {skipped[0][1]}")
    return Images(torch.stack(inputs), torch.tensor(labels), tuple(place.name for place in classes), tuple(skipped))


def _decoded(file: Path, size: tuple[int, int] | None, channels: int) -> Tensor:
    need("PIL", extra="adapt")
    import numpy as np
    from PIL import Image

    with Image.open(file) as opened:
        image = opened.convert("L" if channels == 1 else "RGB")
    if size is not None and image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(image)).float() / 255
    return pixels[None] if channels == 1 else pixels.permute(2, 0, 1)
