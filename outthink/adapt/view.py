"""Looking into any classifier: its head and the features before it, its normalisation layers, and what of it may be trained."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from outthink.adapt.norms import BATCH_NORMS, OTHER_NORMS, AdaptiveNorm, BatchStatistics, replace_norms


class Split(nn.Module):
    """A classifier whose features can be had: the tensors that enter its head.

    Args:
        model: any classifier that ends in a linear layer.
        head: name of that layer; the last `nn.Linear` in the order of definition if None.

    Raises:
        ValueError: there is no such layer, or none at all.
    """

    def __init__(self, model: nn.Module, head: str | None = None) -> None:
        super().__init__()
        linear = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
        if not linear:
            raise ValueError(f"{type(model).__name__} has no linear layer to be its head; methods that need none are source, bn_adapt and tent")
        name = head if head is not None else list(linear)[-1]
        if name not in linear:
            raise ValueError(f"{type(model).__name__} has no linear layer {name!r} to be its head; it has {', '.join(linear)}")
        self.model, self.head_name = model, name

    @property
    def head(self) -> nn.Linear:
        """The last linear layer: weight (classes, features)."""
        module = self.model.get_submodule(self.head_name)
        assert isinstance(module, nn.Linear)
        return module

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, ...) -> logits (batch, classes), features (batch, features)."""
        seen: list[Tensor] = []
        hook = self.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            logits: Tensor = self.model(batch)
        finally:
            hook.remove()
        if len(seen) != 1 or seen[0].ndim != 2 or len(seen[0]) != len(batch):
            raise ValueError(
                f"{self.head_name!r} is no head of {type(self.model).__name__}: it must be called once a batch on one vector a sample; "
                "name the layer that makes the class scores"
            )
        return logits, seen[0]


def affine_parameters(model: nn.Module, *, skip: Iterable[str] = ()) -> list[nn.Parameter]:
    """Scale and shift of the normalisation layers, without those that the user froze.

    Args:
        model: any network.
        skip: beginnings of layer names that are left alone, such as `layer4` ([SAR] leaves the last stage).

    Raises:
        ValueError: there is none, or all are frozen.
    """
    kinds = (*BATCH_NORMS, *OTHER_NORMS, AdaptiveNorm)
    skipped = tuple(skip)
    layers = [m for name, m in model.named_modules() if isinstance(m, kinds) and not (skipped and name.startswith(skipped))]
    found = [p for layer in layers for p in (layer.weight, layer.bias) if isinstance(p, nn.Parameter)]
    name = type(model).__name__
    if not found:
        raise ValueError(f"{name} has no normalisation layer with a scale and a shift; t3a and lame adapt without one")
    free = [parameter for parameter in found if parameter.requires_grad]
    if not free:
        raise ValueError(f"every scale and shift of {name}'s normalisation layers is frozen; call requires_grad_(True) on those that may adapt")
    return free


def train_only(model: nn.Module, parameters: list[nn.Parameter]) -> None:
    """Let gradients flow to these parameters alone."""
    wanted = {id(parameter) for parameter in parameters}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in wanted)


def train_on_batches(model: nn.Module, parameters: list[nn.Parameter]) -> None:
    """Let gradients flow to these parameters alone, and let batch normalisation, where there is any, use the statistics of the batch at hand.

    Args:
        model: changed in place.
        parameters: of it.
    """
    train_only(model, parameters)
    if has_batch_norm(model):
        replace_norms(model, lambda *_: BatchStatistics())


def free_parameters(model: nn.Module, *, without: nn.Module | None = None) -> list[nn.Parameter]:
    """All parameters that the user did not freeze, but those of one part.

    Raises:
        ValueError: none is left.
    """
    left_out = {id(parameter) for parameter in without.parameters()} if without is not None else set()
    found = [p for p in model.parameters() if p.requires_grad and id(p) not in left_out]
    if not found:
        raise ValueError(f"every parameter of {type(model).__name__} that could adapt is frozen; call requires_grad_(True) on those that may")
    return found


def has_batch_norm(model: nn.Module) -> bool:
    """Whether there is a layer with batch statistics."""
    return any(isinstance(module, BATCH_NORMS) for module in model.modules())
