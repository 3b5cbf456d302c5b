"""What a scaling law states about itself: its variables, its parameters with units and ranges, its source, and where it is linear.

A law is a frozen dataclass whose fields are its parameters and which is callable on its variables. It is written with numpy operations
that broadcast and accept complex numbers, so that one body serves a prediction, a thousand starts of a fit at once (each field an array of
shape (starts, 1) against columns of shape (points,)), and exact derivatives by the complex step:

    @law(
        "power", papers=(76,), title="Power law", formula="loss = a x^-b",
        variables=(Variable("x", "resource: parameters, tokens or FLOPs"),), target=Variable("loss", "loss", "nats per token"),
        parameters=(Parameter("a", "loss at x = 1", "nats per token", low=0.0), Parameter("b", "exponent", starts=(0.02, 1.0))),
        linear=("a",), source="...", valid="...",
    )
    @dataclass(frozen=True)
    class Power:
        a: float
        b: float

        def __call__(self, x: ArrayLike) -> FloatArray:
            return self.a * np.asarray(x) ** -self.b
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import math
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError
from outthink.stats._arrays import FloatArray

Link = Literal["identity", "log", "log10", "logit", "loglog"]
"""The scale on which a law is linear in its linear parameters; `loglog` is log(-log y), for coverage."""

Law = Callable[..., FloatArray]
"""A law with its parameters: called on columns in the order of its variables."""

C = TypeVar("C", bound=type)


@dataclass(frozen=True)
class Variable:
    """A column that a law reads or predicts.

    Args:
        name: of the column; commands map other headings to it.
        meaning: what it counts, in words.
        unit: raw counts (parameters, tokens, FLOPs), nats per token, or "share" for [0, 1]; "" for a plain number.
        low, high: the values it may take; the lower end itself is refused where `open_low`, as for everything whose logarithm is taken.
        open_low: see `low`.
    """

    name: str
    meaning: str
    unit: str = ""
    low: float = 0.0
    high: float = math.inf
    open_low: bool = True


@dataclass(frozen=True)
class Parameter:
    """A number that a fit finds.

    Args:
        name: the field of the law's dataclass.
        meaning: in words.
        unit: "" for a plain number.
        low, high: open bounds. A parameter with low = 0 is searched by its logarithm, one between two finite bounds by its logit.
        starts: the range in which a fit starts: the grid of a nonlinear parameter, and the box of the multi-start.
    """

    name: str
    meaning: str
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    starts: tuple[float, float] = (0.05, 1.0)


@dataclass(frozen=True)
class Form:
    """A law before it has numbers.

    Args:
        name: under which commands know it.
        law: the dataclass: `law(*parameters)` is callable on columns.
        papers: of the list, where it comes from or is used.
        title: one line.
        formula: in plain text, with the parameters' names.
        variables: what it is called on, in order.
        target: what it predicts.
        parameters: in the order of the dataclass's fields.
        linear: names of the parameters in which link(prediction) is linear once the others are fixed, and homogeneous too if the law has a
            `gradient` of its own; () if none. Where their `low` is 0 they are kept non-negative.
        link: the scale of that linearity.
        source: paper with its equation, or official code.
        valid: the range and the conditions for which its source claims it.
    """

    name: str
    law: Callable[..., Law]
    papers: tuple[int, ...]
    title: str
    formula: str
    variables: tuple[Variable, ...]
    target: Variable
    parameters: tuple[Parameter, ...]
    linear: tuple[str, ...]
    link: Link
    source: str
    valid: str

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in order."""
        return tuple(parameter.name for parameter in self.parameters)

    def predict(self, values: ArrayLike, columns: tuple[ArrayLike, ...]) -> FloatArray:
        """Predictions of one or many laws of this form.

        Args:
            values: (parameters,), or (starts, parameters) for many; real or complex.
            columns: one (points,) array a variable.

        Returns:
            (points,), or (starts, points).
        """
        array = np.asarray(values)
        fields = array if array.ndim == 1 else np.moveaxis(array, -1, 0)[..., None]
        return self.law(*fields)(*columns)


_FORMS: dict[str, Form] = {}


def law(
    name: str, *, papers: tuple[int, ...], title: str, formula: str, variables: tuple[Variable, ...], target: Variable,
    parameters: tuple[Parameter, ...], source: str, valid: str, linear: tuple[str, ...] = (), link: Link = "identity",
) -> Callable[[C], C]:  # fmt: skip
    """Make a frozen dataclass a law that commands and fits know; see `Form` for the arguments.

    Raises:
        ValueError: the name is taken, or the parameters are not the dataclass's fields.
    """

    def decorate(cls: C) -> C:
        fields = tuple(field.name for field in dataclasses.fields(cls))
        named = tuple(parameter.name for parameter in parameters)
        if named != fields:
            raise ValueError(f"law {name!r}: parameters {named} must be the fields of {cls.__name__} in order, {fields}")
        if unknown := set(linear) - set(named):
            raise ValueError(f"law {name!r}: linear names {sorted(unknown)} are no parameters")
        if name in _FORMS:
            raise ValueError(f"law {name!r} is there already: {_FORMS[name].law}")
        _FORMS[name] = Form(name, cls, papers, title, formula, variables, target, parameters, linear, link, source, valid)
        return cls

    return decorate


def forms() -> dict[str, Form]:
    """Every law by name: those of the room `laws.forms`, in the order of their names, then those that were registered from elsewhere."""
    room = importlib.import_module("outthink.laws.forms")
    for module in sorted(pkgutil.iter_modules(room.__path__), key=lambda module: module.name):
        importlib.import_module(f"{room.__name__}.{module.name}")
    return dict(sorted(_FORMS.items()))


def form(known_as: str | type) -> Form:
    """The form of a law by its name or its class.

    Raises:
        UsageError: there is none; the nearest names are suggested.
    """
    every = forms()
    if isinstance(known_as, str):
        if known_as in every:
            return every[known_as]
        near = difflib.get_close_matches(known_as, every, n=2, cutoff=0.5)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(f"there is no law {known_as!r}.{hint} `outthink laws list` shows all {len(every)}.")
    for found in every.values():
        if found.law is known_as:
            return found
    raise UsageError(f"{known_as.__name__} is not a law; decorate it with outthink.laws.law")
