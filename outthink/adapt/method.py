"""What a method of test-time adaptation is: a frozen dataclass of knobs that starts a living `State`, and a contract that says what it does.

    @method("tent", papers=(31,))
    @dataclass(frozen=True)
    class Tent:
        lr: float = 1e-3
        contract: ClassVar[Contract] = Contract(predicts="before", network="student", changes="scale and shift of normalisation layers")

        def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State: ...

A state is a `torch.nn.Module`: networks are submodules, banks and queues are modules with an extra state, so that one `state_dict` holds all
that the method has become.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from outthink.adapt.source import Source
from outthink.core.errors import UsageError

Need = Literal["batch norm", "affine norm", "head", "source", "source labels", "source domains", "images", "labels", "prepared"]
C = TypeVar("C", bound=type)


@dataclass(frozen=True)
class Contract:
    """What a method promises, in words that a user can check.

    Args:
        predicts: whether the returned prediction was computed before or after the step on the same batch.
        network: which network it comes from.
        changes: what the method changes while it runs.
        keeps: what it keeps of the source data.
        needs: what the model and the caller must bring. `labels` is an oracle that can be asked at test time; `prepared` a model that the
            method's own `prepare` made where the model was trained.
        smallest_batch: smaller batches are refused.
        domains: it learns from several domains of the source, which must be named in `Source.domains`.
        reason: why; given in the refusal.
    """

    predicts: Literal["before", "after"]
    network: Literal["student", "teacher", "student and teacher"]
    changes: str
    keeps: str = "nothing"
    needs: tuple[Need, ...] = ()
    smallest_batch: int = 1
    reason: str = ""
    domains: bool = False


class Labels(Protocol):
    """Who can be asked for true classes, at a price ([54]): an `Oracle` on a stream, or a person."""

    def ask(self, ids: Tensor) -> Tensor:
        """Classes (asked,) of the samples at these positions of the stream, counted from 0 in the order of the calls."""
        ...


@dataclass
class Cost:
    """What was spent so far, in samples: a view of an image that went through a network counts as one."""

    forwards: int = 0
    backwards: int = 0
    labels: int = 0


class State(nn.Module):
    """A method at work on one model.

    Args:
        model: the network that adapts; the state owns it.
        generator: every random draw of the method comes from it.
        parameters: what the optimiser updates; an empty list for a method without one.
        optimiser: makes the optimiser; None for a method without one.
    """

    def __init__(
        self,
        model: nn.Module,
        generator: torch.Generator,
        parameters: list[nn.Parameter] | None = None,
        optimiser: Callable[[list[nn.Parameter]], torch.optim.Optimizer] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.generator = generator
        self.cost = Cost()
        # both set by `adapt`: what the method promises, and who is asked by a method that needs labels
        self.contract: Contract | None = None
        self.oracle: Labels | None = None
        self.optimiser = optimiser(parameters) if optimiser is not None and parameters else None

    def step(self, batch: Tensor) -> Tensor:
        """Predict and adapt on one batch: (batch, ...) -> logits (batch, classes). Called with gradients enabled."""
        raise NotImplementedError

    def preview(self, batch: Tensor) -> Tensor:
        """What `step` would return if nothing were learnt from this batch, differentiable in it: (batch, ...) -> logits (batch, classes).

        It is what an attacker of [46] differentiates. By default the network that the contract names predicts (the student where it names both);
        a method that couples the samples of a batch outside of its network overrides this. Counts no cost, and keeps nothing but what layers keep
        in buffers.
        """
        teacher = getattr(self, "teacher", None)
        taught = self.contract is not None and self.contract.network == "teacher"
        network = teacher if taught and isinstance(teacher, nn.Module) else self.model
        logits: Tensor = network(batch)
        return logits

    def predict(self, batch: Tensor, network: nn.Module | None = None) -> Tensor:
        """Logits (batch, classes) of a network of this state (the adapting one unless another is given), counted."""
        self.cost.forwards += len(batch)
        logits: Tensor = (self.model if network is None else network)(batch)
        return logits

    def descend(self, loss: Tensor, samples: int) -> None:
        """One step of the optimiser down a loss that came from this many samples."""
        assert self.optimiser is not None, "a state that descends is made with an optimiser"
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.cost.backwards += samples

    def get_extra_state(self) -> dict[str, object]:
        """What is neither weight nor buffer: optimiser moments, random state, counters."""
        moments = self.optimiser.state_dict() if self.optimiser is not None else None
        return {"optimiser": moments, "generator": self.generator.get_state(), "cost": dataclasses.asdict(self.cost)}

    def set_extra_state(self, state: dict[str, object]) -> None:
        """Take up what `get_extra_state` gave."""
        if self.optimiser is not None and isinstance(state["optimiser"], dict):
            self.optimiser.load_state_dict(state["optimiser"])
        if isinstance(state["generator"], Tensor):
            self.generator.set_state(state["generator"].cpu())  # draws are made there, wherever the networks are
        if isinstance(state["cost"], dict):
            self.cost = Cost(**state["cost"])


class Method(Protocol):
    """A way to adapt: a frozen dataclass whose fields are its knobs."""

    contract: ClassVar[Contract]

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Begin on a model, which is the method's own copy in evaluation mode and may be changed.

        Raises:
            ValueError: the model lacks what the method needs; the message names a method that fits.
        """
        ...


@runtime_checkable
class Preparing(Protocol):
    """A method with a part that is learnt where the model is made, before it is deployed."""

    def prepare(self, model: nn.Module, source: Source, *, seed: int, progress: Callable[[int, int], None] | None = None) -> nn.Module:
        """A new classifier (batch, ...) -> logits (batch, classes) that `start` takes; the model given stays as it was.

        Args:
            model: a trained classifier in evaluation mode.
            source: what it was trained on, with labels and domains where the contract asks for them.
            seed: of every random draw.
            progress: called with (steps done, steps in all).
        """
        ...


@dataclass(frozen=True)
class Entry:
    """A registered method."""

    name: str
    cls: type
    papers: tuple[int, ...]

    @property
    def summary(self) -> str:
        """First paragraph of the class's docstring, in one line."""
        return " ".join((self.cls.__doc__ or "").strip().split("\n\n")[0].split())


_METHODS: dict[str, Entry] = {}


def method(name: str, *, papers: tuple[int, ...]) -> Callable[[C], C]:
    """Register a frozen dataclass as a method.

    Args:
        name: in commands.
        papers: that it implements, or that compare it.

    Raises:
        ValueError: the name is taken.
        TypeError: not a dataclass, or it states no contract.
    """

    def decorate(cls: C) -> C:
        if not dataclasses.is_dataclass(cls) or not isinstance(getattr(cls, "contract", None), Contract):
            raise TypeError(f"{cls.__name__} must be a frozen dataclass with a `contract`: its fields are its knobs, its contract its promise")
        if name in _METHODS and _METHODS[name].cls.__qualname__ != cls.__qualname__:
            raise ValueError(f"method {name!r} is there already: {_METHODS[name].cls}")
        _METHODS[name] = Entry(name, cls, papers)
        return cls

    return decorate


def methods() -> dict[str, Entry]:
    """Every method by name: those of the room `adapt.methods`, and those that were registered from elsewhere."""
    room = importlib.import_module("outthink.adapt.methods")
    for module in sorted(pkgutil.iter_modules(room.__path__), key=lambda module: module.name):
        if not module.name.startswith("_"):
            importlib.import_module(f"{room.__name__}.{module.name}")
    return dict(sorted(_METHODS.items()))


def lookup(name: str) -> Entry:
    """The method of a name.

    Raises:
        UsageError: there is none; the nearest names are suggested.
    """
    every = methods()
    if name not in every:
        near = difflib.get_close_matches(name, every, n=2, cutoff=0.5)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(f"there is no adaptation method {name!r}.{hint} `outthink adapt list` shows all {len(every)}.")
    return every[name]
