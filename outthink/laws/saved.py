"""Reading a fit back from JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import numpy as np

from outthink.core.errors import UsageError
from outthink.laws.check import Flag
from outthink.laws.fit import Fit, Spread
from outthink.laws.form import form
from outthink.laws.objective import Objective
from outthink.laws.table import Table


def read_fit(data: object) -> Fit:
    """The fit that `Fit.to_json` wrote, with a table of no rows.

    Raises:
        UsageError: `data` is no such thing, or its law is unknown here.
    """
    if not isinstance(data, dict) or not isinstance(data.get("law"), str):
        raise UsageError("not a saved fit: expected the JSON object that Fit.to_json or `outthink laws fit` writes, with its 'law'")
    known = form(data["law"])
    values = _part(data, "values")
    if set(values) != set(known.names):
        raise UsageError(f"this saved fit of {known.name!r} has parameters {', '.join(sorted(values))}; the law has {', '.join(known.names)}")
    try:
        domain = {name: (float(cast(list[float], ends)[0]), float(cast(list[float], ends)[1])) for name, ends in _part(data, "domain").items()}
        spread = dict(_part(data, "spread"))
        second = spread["second"]
        names = [variable.name for variable in (*known.variables, known.target)]
        return Fit(
            form=known,
            values={name: float(cast(float, values[name])) for name in known.names},
            objective=Objective(**cast(dict[str, str], _part(data, "objective"))),  # type: ignore[arg-type]
            value=float(data["value"]),
            rows=int(data["rows"]),
            domain=domain,
            residual_sd=math.nan if data["residual_sd"] is None else float(data["residual_sd"]),
            spread=Spread(
                int(cast(int, spread["starts"])), float(cast(float, spread["share"])), float(cast(float, spread["distance"])),
                math.inf if second is None else float(cast(float, second)),
            ),
            flags=tuple(Flag(flag["kind"], flag["text"]) for flag in data["flags"]),
            fixed=tuple(map(str, data["fixed"])),
            weights=str(data["weights"]),
            table=Table({name: np.empty(0) for name in names}, {}, str(data["source"])),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UsageError(f"this saved fit of {known.name!r} is broken: {type(error).__name__} {error}") from error


def _part(data: Mapping[str, object], name: str) -> Mapping[str, object]:
    part = data.get(name)
    if not isinstance(part, dict):
        raise UsageError(f"this saved fit has no {name!r}")
    return part
