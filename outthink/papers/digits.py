"""Generated digits: a 5 x 7 font moved by up to a pixel in a 9 x 9 image, of random strength, under Gaussian noise. No data set is needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float64]
Labels = NDArray[np.int64]

_FONT = (
    "01110 10001 10011 10101 11001 10001 01110", "00100 01100 00100 00100 00100 00100 01110", "01110 10001 00001 00110 01000 10000 11111",
    "11110 00001 00001 01110 00001 00001 11110", "00010 00110 01010 10010 11111 00010 00010", "11111 10000 11110 00001 00001 10001 01110",
    "00110 01000 10000 11110 10001 10001 01110", "11111 00001 00010 00100 01000 01000 01000", "01110 10001 10001 01110 10001 10001 01110",
    "01110 10001 10001 01111 00001 00010 01100",
)  # fmt: skip
_GLYPHS = np.array([[[float(bit) for bit in row] for row in glyph.split()] for glyph in _FONT])  # (10, 7, 5)
NOISE = 0.45
NOISY_LABELS = 0.4


def digits(count: int, rng: np.random.Generator) -> tuple[Images, Labels]:
    """(count, 9, 9) images and their labels."""
    labels = rng.integers(10, size=count)
    images = np.zeros((count, 9, 9))
    across, down = rng.integers(2, 4, size=count), rng.integers(1, 3, size=count)
    rows, columns = down[:, None, None] + np.arange(7)[:, None], across[:, None, None] + np.arange(5)
    images[np.arange(count)[:, None, None], rows, columns] = _GLYPHS[labels] * rng.uniform(0.6, 1.0, size=(count, 1, 1))
    return images + NOISE * rng.normal(size=images.shape), labels


@dataclass(frozen=True)
class Pool:
    """Three sources: clean, 40% of the labels replaced by random ones, and rotated by a quarter turn.

    Args:
        images: (images, 81) of each source. labels: (images,) of each.
    """

    images: tuple[Images, ...]
    labels: tuple[Labels, ...]

    @classmethod
    def drawn(cls, rng: np.random.Generator, *, each: int) -> Pool:
        """`each` images a source."""
        (clean, names), (noisy, wrong), (turned, right) = (digits(each, rng) for _ in range(3))
        wrong = np.where(rng.random(each) < NOISY_LABELS, rng.integers(10, size=each), wrong)
        images = tuple(part.reshape(each, -1) for part in (clean, noisy, np.rot90(turned, axes=(1, 2))))
        return cls(images, (names, wrong, right))

    def clean(self, count: int, rng: np.random.Generator) -> tuple[Images, Labels]:
        """Fresh clean images, of no source: (count, 81) and labels."""
        images, labels = digits(count, rng)
        return images.reshape(count, -1), labels

    def mixed(self, mixture: NDArray[np.float64], size: int, rng: np.random.Generator) -> tuple[Images, Labels]:
        """A training set of `size` with these shares of the sources, without repeats."""
        counts = np.diff(np.round(np.cumsum([0.0, *mixture]) * size).astype(int))
        chosen = [rng.choice(len(part), count, replace=False) for part, count in zip(self.images, counts, strict=True)]
        return (
            np.concatenate([part[rows] for part, rows in zip(self.images, chosen, strict=True)]),
            np.concatenate([part[rows] for part, rows in zip(self.labels, chosen, strict=True)]),
        )


def nearest_neighbour_accuracy(images: Images, labels: Labels, test: Images, test_labels: Labels) -> float:
    """Share of test images whose nearest training image has their label."""
    distance = (images**2).sum(axis=1) - 2.0 * test @ images.T  # less the test image's own norm, the same for all
    return float((labels[distance.argmin(axis=1)] == test_labels).mean())
