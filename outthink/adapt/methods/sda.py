"""[92] SDA: test images are taken to the synthetic domain of a diffusion model, and a copy of the classifier was taken there beforehand.

    prepare:  draw images of each class from a diffusion model; send them through the projection P; fine-tune a copy f' on the result
    test:     p = ( softmax f(x) + softmax f'(P(x)) ) / 2            predicts before; nothing is learnt from test images
    P:        noise to step N, denoise without a class, at each step less scale * gradient of || LP(x) - LP(x_0^) ||

LP is a low pass; the gradient is of the norm, not of its square. Cost an image: N passes of the denoiser forwards and backwards, and one
of each classifier. Identity: whatever order and batches samples come in, the prediction is the same (the noise of P is drawn once, one
for all images).
Trap: f' is fine-tuned on PROJECTED images: `align=False` leaves that out, and is the ablation that the paper is about.
Departures from the official code, all for size: one small denoiser trained on the source in place of two large ones (conditional, and
unconditional); its variance is fixed, not learnt; LP takes means of squares, not cubic resizing; the norm is each image's, where the code
takes the batch's, so that a batch weakens its images' guidance; noise goes to the step from which denoising starts, where the code goes one
further; `scale` is the published one for 3 x 256 x 256 numbers and shrinks with the root of their count. f' learns by SGD at 1e-2 (published:
5e-4 for large networks).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outthink.adapt.diffusion import Denoiser, Schedule, linear_schedule, low_pass, project, sample, train_denoiser
from outthink.adapt.method import Contract, State, method
from outthink.adapt.source import Source
from outthink.adapt.view import train_only


class Aligned(nn.Module):
    """A classifier, its copy for projected images, and the denoiser that projects.

    Args:
        model: the source's classifier.
        tuned: the copy.
        denoiser: trained on the source's images in [-1, 1].
        low, high: the source's least and largest number, which become -1 and 1.
    """

    kept: Tensor

    def __init__(self, model: nn.Module, tuned: nn.Module, denoiser: Denoiser, schedule: Schedule, low: float, high: float) -> None:
        super().__init__()
        self.model, self.tuned, self.denoiser, self.low, self.high = model, tuned, denoiser, low, high
        self.register_buffer("kept", schedule.kept)

    def forward(self, batch: Tensor) -> Tensor:
        """Logits (batch, classes) of the source's classifier on the image as it is."""
        logits: Tensor = self.model(batch)
        return logits

    def projected(self, batch: Tensor, noises: Tensor, *, factor: int, scale: float, graph: bool = False) -> Tensor:
        """The images as the diffusion model sees them: (batch, channels, height, width) -> the same, in the source's range.

        Args:
            noises: (n + 1, batch or 1, channels, height, width), as for `project`.
            factor, scale: the knobs of `Sda`.
            graph: keep the graph.
        """
        half = (self.high - self.low) / 2
        length = scale * math.sqrt(batch[0].numel() / (3 * 256 * 256))
        made = project(
            self.denoiser, Schedule(self.kept), (batch - self.low) / half - 1, noises, none=self.denoiser.what.num_embeddings - 1,
            keep=lambda images: low_pass(images, factor), scale=length, graph=graph,
        )  # fmt: skip
        return (made + 1) * half + self.low


class _Sda(State):
    def __init__(self, model: Aligned, generator: torch.Generator, knobs: Sda) -> None:
        train_only(model, [])
        super().__init__(model, generator)
        self.aligned, self.knobs = model, knobs
        self.noises: Tensor | None = None

    def step(self, batch: Tensor) -> Tensor:
        if self.noises is None:
            self.noises = torch.randn((self.knobs.steps + 1, 1, *batch.shape[1:]), generator=self.generator)
        self.cost.forwards += (2 + self.knobs.steps) * len(batch)
        self.cost.backwards += self.knobs.steps * len(batch) if self.knobs.scale else 0
        return self._combined(batch, self.noises, graph=False)

    def preview(self, batch: Tensor) -> Tensor:
        drawn = torch.Generator().manual_seed(0)
        drawn.set_state(self.generator.get_state())
        noises = self.noises if self.noises is not None else torch.randn((self.knobs.steps + 1, 1, *batch.shape[1:]), generator=drawn)
        return self._combined(batch, noises, graph=True)

    def _combined(self, batch: Tensor, noises: Tensor, *, graph: bool) -> Tensor:
        moved = self.aligned.projected(batch, noises, factor=self.knobs.factor, scale=self.knobs.scale, graph=graph)
        pair = torch.stack([self.aligned(batch).log_softmax(1), self.aligned.tuned(moved).log_softmax(1)])
        return pair.logsumexp(0) - math.log(2)

    def get_extra_state(self) -> dict[str, object]:
        return super().get_extra_state() | {"noises": self.noises}

    def set_extra_state(self, state: dict[str, object]) -> None:
        super().set_extra_state(state)
        noises = state["noises"]
        assert noises is None or isinstance(noises, Tensor)
        self.noises = noises


@method("sda", papers=(92,))
@dataclass(frozen=True)
class Sda:
    """Project test images onto what a diffusion model knows of the source, and ask a classifier that was tuned on projected images too.

    Args:
        steps: back from the noise, of `schedule` in all.
        schedule: steps of the diffusion model.
        factor: side of the low pass's squares in pixels; published 4 for sides of 256.
        scale: of the guidance towards the image's low pass, as for 3 x 256 x 256 numbers.
        images: synthetic ones of each class.
        align: send the synthetic images through the projection too; False is the ablation.
        denoising_epochs: of the diffusion model.
        epochs, lr: of the fine-tuning, by SGD with momentum 0.9 and weight decay 1e-4.
    """

    steps: int = 50
    schedule: int = 100
    factor: int = 2
    scale: float = 6.0
    images: int = 50
    align: bool = True
    denoising_epochs: int = 200
    epochs: int = 15
    lr: float = 1e-2
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="student and teacher", changes="the images, one at a time; no weights",
        keeps="a denoiser and a classifier for projected images, made by `prepare`", needs=("images", "prepared"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= self.schedule or self.factor < 1 or not self.scale >= 0 or self.images < 1:
            raise ValueError(f"sda needs 1 <= steps <= schedule, factor and images of at least 1, and scale of 0 or more, got {self}")

    def prepare(self, model: nn.Module, source: Source, *, seed: int, progress: Callable[[int, int], None] | None = None) -> nn.Module:
        """Train the denoiser, draw images from it, and fine-tune a copy of the classifier on them. Needs the source's labels."""
        if source.labels is None:
            raise ValueError("sda trains a diffusion model of each class: give Source(inputs, labels)")
        if source.inputs.ndim != 4:
            raise ValueError(f"sda works on images, (batch, channels, height, width), got shape {tuple(source.inputs.shape)}")
        low, high = float(source.inputs.min()), float(source.inputs.max())
        if not low < high:
            raise ValueError(f"sda cannot learn from images that are {low} everywhere")
        low_pass(source.inputs[:1], self.factor)  # refuses a factor that does not fit, before the training
        net, schedule, classes = copy.deepcopy(model).eval(), linear_schedule(self.schedule), int(source.labels.max()) + 1
        scaled = (source.inputs - low) / ((high - low) / 2) - 1
        denoiser = train_denoiser(scaled, source.labels, classes, schedule, epochs=self.denoising_epochs, seed=seed, progress=progress)
        made = Aligned(net, copy.deepcopy(net).requires_grad_(True), denoiser, schedule, low, high).to(source.inputs.device)
        draw = torch.Generator().manual_seed(seed)
        # classes that the source shows, so that no class is drawn that the denoiser never saw
        labels = source.labels.unique().repeat_interleave(self.images)  # type: ignore[no-untyped-call]
        self.tune(made, self.synthetic(made, labels, draw), labels, draw)
        return made.eval()

    def synthetic(self, made: Aligned, labels: Tensor, draw: torch.Generator) -> Tensor:
        """Images of the classes given (labels,), projected unless `align` is off."""
        shape = made.denoiser.shape
        drawn = (sample(made.denoiser, Schedule(made.kept), labels, shape, draw) + 1) * (made.high - made.low) / 2 + made.low
        if not self.align:
            return drawn
        noises = torch.randn((self.steps + 1, *drawn.shape), generator=draw)
        return made.projected(drawn, noises, factor=self.factor, scale=self.scale)

    def tune(self, made: Aligned, images: Tensor, labels: Tensor, draw: torch.Generator) -> None:
        """Fine-tune the copy on images (images, ...) and labels (images,); batch normalisation keeps its stored statistics."""
        optimiser = torch.optim.SGD(made.tuned.parameters(), lr=self.lr, momentum=0.9, weight_decay=1e-4)
        for _ in range(self.epochs):
            for rows in torch.randperm(len(images), generator=draw).split(64):  # type: ignore[no-untyped-call]
                with torch.enable_grad():
                    loss = F.cross_entropy(made.tuned(images[rows]), labels[rows])
                    optimiser.zero_grad(set_to_none=True)
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Takes the model that `prepare` made."""
        if not isinstance(model, Aligned):
            raise ValueError("SDA adapts a model that it prepared at the source: adapt(method.prepare(model, source, seed=0), method)")
        return _Sda(model, generator, self)
