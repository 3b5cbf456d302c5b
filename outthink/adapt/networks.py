"""Small networks for trying methods out: a convolutional one for digits and the ResNets for CIFAR."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DigitNet(nn.Module):
    """Three convolutions with batch (or group) normalisation, mean pooling over quarters, and a linear head.

    Args:
        channels: of the input.
        classes: of the output.
        width: channels of the first layer; the others have twice as many.
        norm: `batch` or `group`.
    """

    def __init__(self, channels: int = 1, classes: int = 10, width: int = 16, norm: str = "batch") -> None:
        super().__init__()
        if norm not in ("batch", "group"):
            raise ValueError(f"norm must be 'batch' or 'group', got {norm!r}")
        layers: list[nn.Module] = []
        for wide, wider in ((channels, width), (width, 2 * width), (2 * width, 2 * width)):
            normal = nn.BatchNorm2d(wider) if norm == "batch" else nn.GroupNorm(4, wider)
            layers += [nn.Conv2d(wide, wider, 3, padding=1, bias=False), normal, nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.head = nn.Linear(8 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) -> logits (batch, classes)."""
        logits: Tensor = self.head(self.body(images))
        return logits


class _Block(nn.Module):
    def __init__(self, wide: int, wider: int) -> None:
        super().__init__()
        self.stride, self.widen = wider // wide, wider - wide
        self.conv1, self.bn1 = nn.Conv2d(wide, wider, 3, stride=self.stride, padding=1, bias=False), nn.BatchNorm2d(wider)
        self.conv2, self.bn2 = nn.Conv2d(wider, wider, 3, padding=1, bias=False), nn.BatchNorm2d(wider)

    def forward(self, maps: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(maps)))))
        # the shortcut has no parameters: every second pixel, new channels zero
        short = F.pad(maps[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.widen // 2, self.widen // 2))
        return F.relu(out + short)


class CifarResNet(nn.Module):
    """He et al.'s residual network for 32 x 32 images with shortcuts without parameters; names as in akamaster/pytorch_resnet_cifar10.

    Takes pixels in [0, 1] and normalises them itself.

    Args:
        blocks: of each of three stages; 3 is ResNet-20, 9 is ResNet-56.
        mean, deviation: of each channel, taken off and divided by.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        blocks: int = 3,
        classes: int = 10,
        mean: tuple[float, float, float] = (0.485, 0.456, 0.406),
        deviation: tuple[float, float, float] = (0.229, 0.224, 0.225),
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None], persistent=False)
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(_Block(16, 16) for _ in range(blocks)))
        self.layer2 = nn.Sequential(_Block(16, 32), *(_Block(32, 32) for _ in range(blocks - 1)))
        self.layer3 = nn.Sequential(_Block(32, 64), *(_Block(64, 64) for _ in range(blocks - 1)))
        self.linear = nn.Linear(64, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, 3, 32, 32) in [0, 1] -> logits (batch, classes)."""
        maps = F.relu(self.bn1(self.conv1((images - self.mean) / self.deviation)))
        logits: Tensor = self.linear(self.layer3(self.layer2(self.layer1(maps))).mean((2, 3)))
        return logits


def train(net: nn.Module, inputs: Tensor, labels: Tensor, *, epochs: int, seed: int, progress: Callable[[int, int], None] | None = None) -> nn.Module:
    """Train a small classifier in place by Adam (5e-3, batches of 64), and return it in evaluation mode.

    Args:
        inputs, labels: (samples, ...) and (samples,).
        seed: of the order of the samples; the network's start is the caller's.
        progress: called with (epochs done, epochs in all).
    """
    draw = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    for epoch in range(epochs):
        for rows in torch.randperm(len(inputs), generator=draw).split(64):  # type: ignore[no-untyped-call]
            loss = F.cross_entropy(net(inputs[rows]), labels[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        if progress is not None:
            progress(epoch + 1, epochs)
    optimiser.zero_grad()
    return net.eval()
