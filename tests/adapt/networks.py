"""Small classifiers and streams that tests of adaptation share."""

import torch
from torch import Tensor, nn


def images(count: int, seed: int = 0, shift: float = 0.0) -> Tensor:
    """(count, 1, 8, 8) blobs, one of four positions each, as loud as a shift makes them."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (count,), generator=generator)
    batch = 0.3 * torch.randn((count, 1, 8, 8), generator=generator)
    for row, label in enumerate(labels.tolist()):
        top, left = 4 * (label // 2), 4 * (label % 2)
        batch[row, 0, top : top + 4, left : left + 4] += 1.0
    return batch * (1.0 + shift) + shift


def labels(count: int, seed: int = 0) -> Tensor:
    """The classes of `images(count, seed)`."""
    return torch.randint(4, (count,), generator=torch.Generator().manual_seed(seed))


class Net(nn.Module):
    """Two convolutions and a linear head."""

    def __init__(self, norm: str = "batch") -> None:
        super().__init__()
        norms = {"batch": lambda c: nn.BatchNorm2d(c), "group": lambda c: nn.GroupNorm(2, c), "none": lambda c: nn.Identity()}
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), norms[norm](8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), norms[norm](8), nn.ReLU(), nn.AvgPool2d(2)
        )
        self.head = nn.Linear(8 * 16, 4)

    def forward(self, batch: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(batch).flatten(1))
        return out


def trained(norm: str = "batch", steps: int = 60) -> Net:
    """A network that has learnt the four positions."""
    torch.manual_seed(0)
    net = Net(norm).train()
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    for step in range(steps):
        loss = nn.functional.cross_entropy(net(images(64, seed=step)), labels(64, seed=step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    optimiser.zero_grad()
    return net.eval()
