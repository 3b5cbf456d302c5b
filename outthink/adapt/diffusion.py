"""A small diffusion model: noise schedule, a denoiser trained on the spot, sampling, and the projection of strange images onto the source.

    q(x_t | x_0) = N(sqrt(a_t) x_0, (1 - a_t) I);   x_0^ = (x_t - sqrt(1 - a_t) noise^) / sqrt(a_t)
    q(x_t-1 | x_t, x_0) = N(c_t x_0 + d_t x_t, v_t I)       ancestral sampling puts x_0^ in the place of x_0

a_t is `kept[t]`, the share of the variance that is still the image after step t (0 <= t < steps). Images are handled in [-1, 1].
One denoiser serves with and without a class: the label `classes` stands for none, and a tenth of the training images show it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Denoise = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(noisy images (batch, ...), step (batch,), label (batch,)) -> the noise in them (batch, ...)."""


@dataclass(frozen=True)
class Schedule:
    """How much of the image is left after each step.

    Args:
        kept: (steps,) falling from nearly 1 to nearly 0.
    """

    kept: Tensor

    @property
    def before(self) -> Tensor:
        """`kept` of the step before; 1 before the first: (steps,)."""
        return torch.cat([torch.ones_like(self.kept[:1]), self.kept[:-1]])

    @property
    def posterior(self) -> tuple[Tensor, Tensor, Tensor]:
        """c, d and v of q(x_t-1 | x_t, x_0) = N(c x_0 + d x_t, v), each (steps,)."""
        single = self.kept / self.before
        first = self.before.sqrt() * (1 - single) / (1 - self.kept)
        second = single.sqrt() * (1 - self.before) / (1 - self.kept)
        return first, second, (1 - single) * (1 - self.before) / (1 - self.kept)

    def noised(self, images: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """x_t of images (batch, ...) at a step each (batch,)."""
        share = self.kept.to(images)[step].reshape(-1, *[1] * (images.ndim - 1))
        return share.sqrt() * images + (1 - share).sqrt() * noise

    def cleaned(self, noisy: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """x_0 from x_t and its noise: undoes `noised`."""
        share = self.kept.to(noisy)[step].reshape(-1, *[1] * (noisy.ndim - 1))
        return (noisy - (1 - share).sqrt() * noise) / share.sqrt()


def linear_schedule(steps: int = 100) -> Schedule:
    """The 1,000 steps of Ho et al. (variances from 1e-4 to 0.02), of which `steps` are kept at even distances, in double precision."""
    if not 2 <= steps <= 1000:
        raise ValueError(f"steps must be 2 to 1000, got {steps}")
    kept = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)
    return Schedule(kept[torch.linspace(0, 999, steps, dtype=torch.float64).round().long()])


class Denoiser(nn.Module):
    """Predicts the noise in an image from its numbers, the step and the class, by three residual layers.

    Args:
        shape: of one image.
        steps: of the schedule.
        classes: without the label for none.
        width: of the layers.
    """

    def __init__(self, shape: tuple[int, ...], steps: int, classes: int, width: int = 256) -> None:
        super().__init__()
        self.shape, size = shape, math.prod(shape)
        self.enter, self.leave = nn.Linear(size, width), nn.Linear(width, size)
        self.when, self.what = nn.Embedding(steps, width), nn.Embedding(classes + 1, width)
        self.blocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)) for _ in range(3))

    def forward(self, noisy: Tensor, step: Tensor, label: Tensor) -> Tensor:
        """The noise in the images, of their shape."""
        context = self.when(step) + self.what(label)
        hidden = self.enter(noisy.flatten(1))
        for block in self.blocks:
            hidden = hidden + block(hidden + context)
        noise: Tensor = self.leave(hidden).reshape(noisy.shape)
        return noise


def train_denoiser(
    images: Tensor, labels: Tensor, classes: int, schedule: Schedule, *, epochs: int, seed: int, batch: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> Denoiser:  # fmt: skip
    """Train one on labelled images by Adam (2e-3, falling linearly to 0) on the squared error of the noise.

    Args:
        images: (images, ...) in [-1, 1].
        labels: (images,) class indices.
        seed: of the start and of every draw; the global random state stays as it was.
        progress: called with (epochs done, epochs in all).
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Denoiser(tuple(images.shape[1:]), len(schedule.kept), classes).to(images)
    draw = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    for epoch in range(epochs):
        optimiser.param_groups[0]["lr"] = 2e-3 * (1 - epoch / epochs)
        for rows in torch.randperm(len(images), generator=draw).split(batch):  # type: ignore[no-untyped-call]
            clean = images[rows]
            step = torch.randint(len(schedule.kept), (len(rows),), generator=draw).to(images.device)
            noise = torch.randn(clean.shape, generator=draw).to(images)
            none = (torch.rand(len(rows), generator=draw) < 0.1).to(images.device)
            label = torch.where(none, torch.full_like(labels[rows], classes), labels[rows])
            with torch.enable_grad():
                loss = F.mse_loss(net(schedule.noised(clean, step, noise), step, label), noise)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        if progress is not None:
            progress(epoch + 1, epochs)
    optimiser.zero_grad(set_to_none=True)
    return net.eval().requires_grad_(False)


def low_pass(images: Tensor, factor: int) -> Tensor:
    """Means over squares of `factor` pixels, at the size of the image: an orthogonal projection of (batch, channels, height, width).

    Raises:
        ValueError: the factor does not divide the sides.
    """
    if factor < 1 or images.shape[2] % factor or images.shape[3] % factor:
        raise ValueError(f"factor must divide the sides of the images, {images.shape[2]} x {images.shape[3]}, got {factor}")
    return F.avg_pool2d(images, factor).repeat_interleave(factor, 2).repeat_interleave(factor, 3)


@torch.no_grad()
def sample(denoise: Denoise, schedule: Schedule, labels: Tensor, shape: tuple[int, ...], generator: torch.Generator, *, clip: bool = True) -> Tensor:
    """Images (labels, *shape) of the classes given, in [-1, 1] where clipped, by ancestral sampling from noise."""
    noises = (torch.randn((len(labels), *shape), generator=generator) for _ in range(len(schedule.kept) + 1))
    noisy = next(noises).to(labels.device)
    for step in reversed(range(len(schedule.kept))):
        noisy = _back(denoise, schedule, noisy, step, labels, next(noises).to(noisy), clip)[0]
    return noisy


def project(
    denoise: Denoise, schedule: Schedule, images: Tensor, noises: Tensor, *, none: int, keep: Callable[[Tensor], Tensor], scale: float,
    clip: bool = True, graph: bool = False,
) -> Tensor:  # fmt: skip
    """[92] Noise images to a step and denoise them without a class, held to what `keep` leaves of them.

        x_t-1  ~  q(x_t-1 | x_t, x_0^)  -  scale  d/dx_t || keep(x) - keep(x_0^) ||          the norm of each image, not its square

    Args:
        images: (batch, ...) in [-1, 1].
        noises: (n + 1, batch or 1, ...), standard normal, n >= 1 steps: the first noises the image, the others its steps back.
        none: the label for no class.
        keep: what must stay, such as a low pass.
        scale: length of the guidance; 0 leaves it out.
        graph: keep the graph, so that the result can be differentiated in the images.

    Raises:
        ValueError: no step, or more than the schedule has.
    """
    steps = len(noises) - 1
    if not 1 <= steps <= len(schedule.kept):
        raise ValueError(f"project goes back 1 to {len(schedule.kept)} steps and needs noise for one more, got {len(noises)} noises")
    label = torch.full((len(images),), none, device=images.device)
    first = torch.full_like(label, steps - 1)
    noisy = schedule.noised(images, first, noises[0].to(images).expand_as(images))
    for step in reversed(range(steps)):
        with torch.enable_grad():
            at = noisy if graph and noisy.requires_grad else noisy.detach().requires_grad_()
            after, clean = _back(denoise, schedule, at, step, label, noises[steps - step].to(images).expand_as(images), clip)
            if scale:
                apart = (keep(images) - keep(clean)).flatten(1).norm(dim=1).sum()
                after = after - scale * torch.autograd.grad(apart, at, create_graph=graph, retain_graph=True)[0]
        noisy = after if graph else after.detach()
    return noisy


def _back(
    denoise: Denoise, schedule: Schedule, noisy: Tensor, step: int, labels: Tensor, noise: Tensor, clip: bool
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """x_t-1, and the clean image that was foreseen."""
    when = torch.full_like(labels, step)
    clean = schedule.cleaned(noisy, when, denoise(noisy, when, labels))
    clean = clean.clamp(-1, 1) if clip else clean
    first, second, variance = (float(part[step]) for part in schedule.posterior)
    # the variance is 0 at the first step, so nothing is added to the last image
    return first * clean + second * noisy + variance**0.5 * noise, clean
