"""[62] Online test-time training on video: one step of masked reconstruction on the last frames before each frame is classified.

    frames t-k+1 .. t  ->  a batch of them, drawn with replacement, each under its own mask  ->  one step on the squared error of the hidden
    patches, by the encoder and the reconstruction head  ->  predict the whole frame t by the new encoder and the source's head

Parameters go on from frame to frame; the optimiser starts anew on each (so nothing of an old frame is left in a momentum, and Adam's step
does not depend on the gradient's size: clipping would change nothing). Cost: `batch` forwards and backwards a frame, and one forward.
Identities: lr 0 is the prepared model; `carry=False` starts each frame from it; window 1 sees the current frame alone.
Trap: without the joint training of `prepare` the reconstruction's gradient has nothing to do with the classes.
Departures from the official code (renwang435/video-ttt-release), whose settings are for a large transformer: batches of 16 (published 32) and Adam
at one step for all (AdamW at 1e-4 with a tenth of it for the encoder and weight decay .05); hidden patches show a learnt token (there 0, and the
mask is a fourth channel of the input).
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

from outthink.adapt.maps import chosen_stage, map_layers, maps_at
from outthink.adapt.method import Contract, State, method
from outthink.adapt.source import Source
from outthink.adapt.view import train_only


class Reconstructing(nn.Module):
    """A classifier that also completes masked images from one of its maps.

    Args:
        model: (batch, channels, height, width) -> logits (batch, classes).
        layer: the map from which both go on; what lies before it is the encoder.
        shape: of an image, (channels, height, width).
        cells: of the map, (channels, height, width); its sides must divide the image's.
        patch: side of a hidden square, in pixels.
    """

    def __init__(self, model: nn.Module, layer: str, shape: tuple[int, int, int], cells: tuple[int, int, int], patch: int) -> None:
        super().__init__()
        if shape[1] % cells[1] or shape[2] % cells[2] or shape[1] % patch or shape[2] % patch:
            raise ValueError(
                f"images of {shape[1]} x {shape[2]} pixels must be whole numbers of patches of {patch} and of the {cells[1]} x {cells[2]} cells of "
                f"{layer!r}; choose another patch or layer"
            )
        self.model, self.layer, self.shape, self.cells, self.patch = model, layer, shape, cells, patch
        self.token = nn.Parameter(torch.zeros(shape[0], 1, 1))
        pixels = shape[0] * (shape[1] // cells[1]) * (shape[2] // cells[2])
        wide = max(32, cells[0])
        self.decoder = nn.Sequential(nn.Conv2d(cells[0], wide, 3, padding=1), nn.ReLU(), nn.Conv2d(wide, pixels, 1))

    def forward(self, batch: Tensor) -> Tensor:
        """Logits (batch, classes) of whole images."""
        logits: Tensor = self.model(batch)
        return logits

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Those on which the map depends."""
        every = [p for p in self.model.parameters() if p.requires_grad]
        with torch.enable_grad():
            maps = maps_at(self.model, self.layer, torch.zeros(1, *self.shape, device=self.token.device))[1]
            found = torch.autograd.grad(maps.sum(), every, allow_unused=True)
        return [p for p, gradient in zip(every, found, strict=True) if gradient is not None]

    def masks(self, count: int, share: float, generator: torch.Generator) -> Tensor:
        """(count, 1, height, width), true where a patch is hidden: the same number of patches in each, at least one and not all."""
        rows, columns = self.shape[1] // self.patch, self.shape[2] // self.patch
        hidden = min(max(1, round(share * rows * columns)), max(1, rows * columns - 1))
        order = torch.rand((count, rows * columns), generator=generator).argsort(1)
        patches = (order.argsort(1) < hidden).reshape(count, 1, rows, columns)
        return patches.repeat_interleave(self.patch, 2).repeat_interleave(self.patch, 3).to(self.token.device)

    def error(self, images: Tensor, masks: Tensor) -> Tensor:
        """Mean squared error over the hidden pixels, a scalar; the network sees the token in their place."""
        maps = maps_at(self.model, self.layer, torch.where(masks, self.token, images))[1]
        high, wide = self.shape[1] // self.cells[1], self.shape[2] // self.cells[2]
        parts = self.decoder(maps).reshape(len(images), self.shape[0], high, wide, self.cells[1], self.cells[2])
        made = parts.permute(0, 1, 4, 2, 5, 3).reshape(images.shape)
        hidden = masks.expand_as(images)
        loss: Tensor = (made - images)[hidden].square().mean()
        return loss


class _VideoTTT(State):
    def __init__(self, model: Reconstructing, generator: torch.Generator, knobs: VideoTTT) -> None:
        parameters = [*model.encoder_parameters(), *model.decoder.parameters(), model.token]
        train_only(model, parameters)
        super().__init__(model, generator, parameters, lambda free: torch.optim.Adam(free, lr=knobs.lr))
        self.video, self.knobs, self.adapting = model, knobs, parameters
        self.origin = [] if knobs.carry else [parameter.detach().clone() for parameter in parameters]
        self.frames: Tensor | None = None

    def step(self, batch: Tensor) -> Tensor:
        return torch.cat([self._frame(frame[None]) for frame in batch])

    def _frame(self, frame: Tensor) -> Tensor:
        assert self.optimiser is not None
        recent = frame if self.frames is None else torch.cat([self.frames, frame])
        self.frames = recent[-self.knobs.window :]
        with torch.no_grad():
            for parameter, before in zip(self.adapting, self.origin, strict=False):
                parameter.copy_(before)
        for _ in range(self.knobs.steps):
            rows = torch.randint(len(self.frames), (self.knobs.batch,), generator=self.generator).to(frame.device)
            masks = self.video.masks(self.knobs.batch, self.knobs.hidden, self.generator)
            self.cost.forwards += self.knobs.batch
            self.descend(self.video.error(self.frames[rows], masks), self.knobs.batch)
        self.optimiser.state.clear()
        with torch.no_grad():
            return self.predict(frame)

    def get_extra_state(self) -> dict[str, object]:
        return super().get_extra_state() | {"frames": self.frames, "origin": self.origin}

    def set_extra_state(self, state: dict[str, object]) -> None:
        super().set_extra_state(state)
        frames, origin = state["frames"], state["origin"]
        assert frames is None or isinstance(frames, Tensor)
        assert isinstance(origin, list)
        self.frames, self.origin = frames, origin


@method("video_ttt", papers=(62,))
@dataclass(frozen=True)
class VideoTTT:
    """Train on masked reconstruction of the last frames before each frame is classified; a batch is frames in their order.

    Args:
        lr: of Adam at test time.
        window: how many of the last frames are trained on, the current one included.
        batch: masked frames in each step.
        steps: a frame.
        hidden: share of the patches that are masked.
        patch: side of one in pixels; None is a quarter of the image's shorter side, 4 at most.
        carry: go on from the last frame's parameters; False starts every frame from the source's.
        layer: where encoder and heads part; the last stage if None.
        epochs, source_lr, weight: of the joint training in `prepare`, by Adam; the weight is the reconstruction's.
    """

    lr: float = 1e-3
    window: int = 16
    batch: int = 16
    steps: int = 1
    hidden: float = 0.8
    patch: int | None = None
    carry: bool = True
    layer: str | None = None
    epochs: int = 10
    source_lr: float = 1e-3
    weight: float = 1.0
    contract: ClassVar[Contract] = Contract(
        predicts="after", network="student", changes="all before the last map, and the reconstruction head; the classifier's head stays",
        keeps="a reconstruction head, made by `prepare`", needs=("images", "prepared"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not self.lr >= 0 or self.window < 1 or self.batch < 1 or self.steps < 1 or not 0 < self.hidden < 1:
            raise ValueError(f"video_ttt needs lr of 0 or more, window, batch and steps of at least 1, and hidden inside (0, 1), got {self}")

    def prepare(self, model: nn.Module, source: Source, *, seed: int, progress: Callable[[int, int], None] | None = None) -> nn.Module:
        """Add a reconstruction head and train it and the classifier jointly; batch normalisation keeps its stored statistics. Needs labels."""
        if source.labels is None:
            raise ValueError("video_ttt trains the classifier and the reconstruction jointly: give Source(inputs, labels)")
        if source.inputs.ndim != 4:
            raise ValueError(f"video_ttt works on images, (batch, channels, height, width), got shape {tuple(source.inputs.shape)}")
        net, draw = copy.deepcopy(model).eval(), torch.Generator().manual_seed(seed)
        one = source.inputs[:1]
        layer = chosen_stage(net, one, self.layer, default=-1)
        channels, height, width = one.shape[1:]
        patch = self.patch if self.patch is not None else max(1, min(4, min(height, width) // 4))
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            made = Reconstructing(net, layer, (channels, height, width), map_layers(net, one)[layer], patch).to(one.device)
        optimiser = torch.optim.Adam([p for p in made.parameters() if p.requires_grad], lr=self.source_lr)
        size = 64
        steps, done = self.epochs * math.ceil(len(source.inputs) / size), 0
        for _ in range(self.epochs):
            for rows in torch.randperm(len(source.inputs), generator=draw).split(size):  # type: ignore[no-untyped-call]
                images = source.inputs[rows]
                with torch.enable_grad():
                    loss = F.cross_entropy(made(images), source.labels[rows])
                    loss = loss + self.weight * made.error(images, made.masks(len(rows), self.hidden, draw))
                    optimiser.zero_grad(set_to_none=True)
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimiser.step()
                done += 1
                if progress is not None:
                    progress(done, steps)
        optimiser.zero_grad(set_to_none=True)
        return made.eval()

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Takes the model that `prepare` made."""
        if not isinstance(model, Reconstructing):
            raise ValueError("VideoTTT adapts a model that it prepared at the source: adapt(method.prepare(model, source, seed=0), method)")
        return _VideoTTT(model, generator, self)
