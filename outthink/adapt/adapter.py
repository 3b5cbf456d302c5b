"""`adapt(model, method)`: a network that predicts and adapts on every call, with a complete reset."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from outthink.adapt.method import Contract, Cost, Labels, Method, State
from outthink.adapt.source import Source


class Adapted(nn.Module):
    """What `adapt` returns. Call it on batches in the order in which they arrive; it returns logits (batch, classes).

    It owns copies of all that changes; the model it was made from stays as it was. `state_dict` holds networks, optimiser moments, banks,
    random state and counters, so a loaded one goes on exactly where the saved one stopped.
    """

    def __init__(self, model: nn.Module, method: Method, source: Source | None, seed: int, oracle: Labels | None = None) -> None:
        super().__init__()
        self.method, self.seed = method, seed
        # in tuples, so that neither is a part of the state
        self._origin = (_copied(model),)
        self._source = (source,)
        self._oracle = oracle
        self._shape: tuple[int, ...] | None = None
        first = next(iter(model.parameters()))
        self._dtype, self._device = first.dtype, first.device
        self.state = self._started()
        super().train(False)

    def _started(self) -> State:
        generator = torch.Generator(device="cpu").manual_seed(self.seed)
        # networks are moved to their parameters' device; draws are made on the CPU, so that they are the same everywhere
        with torch.enable_grad():
            state = self.method.start(_copied(self._origin[0]), self._source[0], generator)
        state.contract, state.oracle = self.method.contract, self._oracle
        return state

    @property
    def contract(self) -> Contract:
        """What the method promises."""
        return self.method.contract

    @property
    def cost(self) -> Cost:
        """Samples that went forwards and backwards so far, and labels asked."""
        return self.state.cost

    def forward(self, batch: Tensor) -> Tensor:
        """Predict and adapt: (batch, ...) -> logits (batch, classes), without a gradient.

        Raises:
            ValueError: the batch is empty or too small for the method, holds NaN or infinity, or has another shape or type than the model takes.
            RuntimeError: called under `torch.inference_mode`, where nothing can learn.
        """
        if torch.is_inference_mode_enabled():
            raise RuntimeError("an adapting model cannot learn under torch.inference_mode(); call it under torch.no_grad() or plainly")
        self._check(batch)
        with torch.enable_grad():
            logits: Tensor = self.state.step(batch.detach())
        return logits.detach()

    def _check(self, batch: Tensor) -> None:
        name = type(self._origin[0]).__name__
        if batch.ndim < 2:
            raise ValueError(f"a batch must be (batch, ...), got shape {tuple(batch.shape)}; add the batch dimension with x[None]")
        if not batch.is_floating_point() or batch.dtype != self._dtype:
            raise ValueError(f"{name} computes in {self._dtype} and the batch is {batch.dtype}; convert it with batch.to({self._dtype})")
        if len(batch) < max(1, self.contract.smallest_batch):
            reason = f": {self.contract.reason}" if self.contract.reason else ""
            raise ValueError(
                f"{type(self.method).__name__} needs at least {max(1, self.contract.smallest_batch)} samples a batch, got {len(batch)}{reason}"
            )
        if "images" in self.contract.needs and batch.ndim != 4:
            raise ValueError(
                f"{type(self.method).__name__} works on images, (batch, channels, height, width), got shape {tuple(batch.shape)}; "
                "tent, eata and t3a take any input"
            )
        if batch.device != self._device:
            raise ValueError(f"{name} is on {self._device} and the batch on {batch.device}; move it with batch.to({str(self._device)!r})")
        if not torch.isfinite(batch).all():
            bad = (~torch.isfinite(batch)).flatten(1).any(1)
            raise ValueError(
                f"{int(bad.sum())} of {len(batch)} samples hold NaN or infinity, the first at position {int(bad.nonzero()[0])}; drop them"
            )
        if self._shape is None:
            try:
                with torch.no_grad():
                    given = self._origin[0](batch[:1])
            except RuntimeError as error:
                raise ValueError(f"{name} does not take samples of shape {tuple(batch.shape[1:])}: {str(error).splitlines()[0]}") from error
            if not isinstance(given, Tensor) or given.ndim != 2 or len(given) != 1:
                gives = f"shape {tuple(given.shape)}" if isinstance(given, Tensor) else f"a {type(given).__name__}"
                raise ValueError(f"{name} returns {gives} for one sample and must return logits, (1, classes); wrap it in a module that does")
            self._shape = tuple(batch.shape[1:])
        if tuple(batch.shape[1:]) != self._shape:
            raise ValueError(f"samples were {self._shape} so far and are {tuple(batch.shape[1:])} now; start another adapted model for another shape")

    def reset(self) -> None:
        """Back to the first call: weights, buffers, optimiser, teacher, memory, counters and random state. A second run is identical."""
        self.state = self._started()
        super().train(False)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take up a saved state, on whatever device it was saved or read; see `torch.nn.Module.load_state_dict`."""
        return super().load_state_dict({name: _moved(value, self._device) for name, value in state_dict.items()}, strict, assign)

    def train(self, mode: bool = True) -> Adapted:
        """Has no effect: which layer uses which statistics is the method's business."""
        return self


def adapt(model: nn.Module, method: Method, *, source: Source | Tensor | None = None, seed: int = 0, oracle: Labels | None = None) -> Adapted:
    """Make a copy of a classifier that keeps adapting to what it is called on.

    Args:
        model: any classifier in evaluation mode, (batch, ...) -> logits (batch, classes), on the device where it is to run. A compiled one is
            copied as it was before compilation.
        method: such as `Tent(lr=1e-3)`.
        source: source inputs for methods whose contract needs them, (samples, ...) or with labels a `Source`.
        seed: of every random draw.
        oracle: who answers paid requests for labels, for methods whose contract needs them.

    Raises:
        ValueError: the model is in train mode, has no parameters, computes in half precision, or lacks what the method needs.
    """
    plain = adaptable(model)
    given = Source(source) if isinstance(source, Tensor) else source
    of, needs = type(method).__name__, method.contract.needs
    if any(need.startswith("source") for need in needs) and given is None:
        raise ValueError(f"{of} keeps {method.contract.keeps} of the source: give adapt(..., source=inputs it was trained on)")
    if given is not None and "source labels" in needs and given.labels is None:
        raise ValueError(f"{of} needs the source's labels: give adapt(..., source=Source(inputs, labels))")
    if given is not None and "source domains" in needs and given.domains is None:
        raise ValueError(f"{of} needs to know which domain each source sample is from: give adapt(..., source=Source(inputs, labels, domains))")
    if "labels" in needs and oracle is None:
        raise ValueError(f"{of} asks for labels as it goes: give adapt(..., oracle=Oracle(stream, budget=300)), or your own with ask(positions)")
    return Adapted(plain, method, given, seed, oracle)


def adaptable(model: nn.Module) -> nn.Module:
    """The model itself, as it was before compilation, if it can adapt.

    Raises:
        ValueError: it is in train mode, has no parameters, or computes in half precision.
    """
    plain = getattr(model, "_orig_mod", model)
    assert isinstance(plain, nn.Module)
    name = type(plain).__name__
    parameters = list(plain.parameters())
    if not parameters:
        raise ValueError(f"{name} has no parameters, so there is nothing to adapt")
    if plain.training:
        raise ValueError(f"{name} is in train mode; call model.eval() first, so that dropout is off and stored statistics are the ones you measured")
    half = {str(parameter.dtype) for parameter in parameters if parameter.dtype in (torch.float16, torch.bfloat16)}
    if half:
        raise ValueError(f"{name} holds {', '.join(sorted(half))} weights, in which small steps are lost; adapt model.float()")
    return plain


def _moved(value: Any, device: torch.device) -> Any:
    # banks and queues are no buffers, so torch leaves them where they were read
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: _moved(one, device) for key, one in value.items()}
    return [_moved(one, device) for one in value] if isinstance(value, list) else value


def _copied(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).eval()
