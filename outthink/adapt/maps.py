"""Intermediate feature maps of any network: which layers give one, reading and replacing them, and their style.

A layer is named as in `named_modules`. The style of a map is each channel's mean and standard deviation over the pixels of that one image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

Edit = Callable[[Tensor], Tensor]
TINY = 1e-6


@torch.no_grad()
def map_layers(model: nn.Module, batch: Tensor) -> dict[str, tuple[int, int, int]]:
    """Layers that give a feature map, in the order in which they finish: name -> (channels, height, width).

    Args:
        model: any network.
        batch: what it takes; one sample is enough.

    Raises:
        ValueError: no layer gives a map (batch, channels, height, width).
    """
    found: dict[str, tuple[int, int, int]] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
        def hook(_: nn.Module, __: tuple[object, ...], out: object) -> None:
            if isinstance(out, Tensor) and out.ndim == 4 and len(out) == len(batch):
                found.pop(name, None)
                found[name] = (out.shape[1], out.shape[2], out.shape[3])

        return hook

    with ExitStack() as stack:
        for name, module in model.named_modules():
            if name:
                stack.callback(module.register_forward_hook(note(name)).remove)
        model(batch)
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no layer that gives feature maps (batch, channels, height, width); t3a and lame need features alone"
        )
    return found


def stages(model: nn.Module, batch: Tensor) -> list[str]:
    """One layer a stage: the last one of each run of maps of one shape. For a residual network these are its stages."""
    layers = list(map_layers(model, batch).items())
    following = [shape for _, shape in layers[1:]] + [None]
    return [name for (name, shape), after in zip(layers, following, strict=True) if shape != after]


def chosen_stage(model: nn.Module, batch: Tensor, name: str | None, *, default: int) -> str:
    """The layer of this name, or a stage by its position when the name is None.

    Raises:
        ValueError: the network has no such layer, or it gives no map; the message names those that do.
    """
    if name is None:
        return stages(model, batch)[default]
    layers = map_layers(model, batch)
    if name not in layers:
        raise ValueError(f"{type(model).__name__} has no layer {name!r} that gives a feature map; it has {', '.join(layers)}")
    return name


@contextmanager
def edited(model: nn.Module, edits: Mapping[str, Edit]) -> Iterator[None]:
    """While inside, the maps of these layers pass through the functions given before the network goes on with them.

    Args:
        edits: name of a layer -> what is to stand in place of its output; return the map itself to read it alone.
    """
    modules = dict(model.named_modules())

    def hook_of(edit: Edit) -> Callable[[nn.Module, tuple[object, ...], Tensor], Tensor]:
        return lambda _, __, out: edit(out)

    with ExitStack() as stack:
        for name, edit in edits.items():
            if name not in modules:
                raise ValueError(f"{type(model).__name__} has no layer {name!r}; it has {', '.join(key for key in modules if key)}")
            stack.callback(modules[name].register_forward_hook(hook_of(edit)).remove)
        yield


def maps_at(model: nn.Module, layer: str, batch: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, ...) -> output of the network, and of one of its layers."""
    seen: list[Tensor] = []

    def read(out: Tensor) -> Tensor:
        seen.append(out)
        return out

    with edited(model, {layer: read}):
        logits: Tensor = model(batch)
    return logits, seen[-1]


def style(maps: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, channels, height, width) -> mean and standard deviation of each image's channels, (batch, channels) each; biased."""
    return maps.mean((2, 3)), maps.std((2, 3), correction=0)


def restyle(maps: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """AdaIN: maps whose channels have these means and deviations, (batch, channels) each. A constant channel stays constant."""
    own_mean, own_deviation = style(maps)
    return _affine(maps, own_mean, deviation / own_deviation.clamp_min(TINY)) + mean[:, :, None, None]


def mix_style(maps: Tensor, alpha: float, generator: torch.Generator) -> Tensor:
    """MixStyle: each image's style mixed with that of another of the batch, by a share from Beta(alpha, alpha). One image alone stays."""
    count = len(maps)
    other = torch.randperm(count, generator=generator).to(maps.device)
    share = torch._sample_dirichlet(torch.full((count, 2), alpha, dtype=torch.float64), generator=generator)[:, :1].to(maps)
    # styles are constants for the gradient, as in MixStyle's own code
    mean, deviation = (value.detach() for value in style(maps))
    scale = (share * deviation + (1 - share) * deviation[other]) / deviation.clamp_min(TINY)
    shift = (share * mean + (1 - share) * mean[other])[:, :, None, None]
    return torch.where((other == torch.arange(count, device=maps.device))[:, None, None, None], maps, _affine(maps, mean, scale) + shift)


def _affine(maps: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    return (maps - mean[:, :, None, None]) * scale[:, :, None, None]
