"""Every registered law: its derivatives, its stated linearity, and that a fit to points it made finds it again."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from outthink.laws.fit import fit
from outthink.laws.form import Form, Parameter, Variable, forms
from outthink.laws.objective import Objective, scaled
from outthink.laws.problem import Problem
from outthink.laws.projection import spaced
from outthink.laws.table import Table, table_of

RANGES = {
    "parameters": (1e7, 1e11), "tokens": (1e9, 1e13), "FLOPs": (1e17, 1e24), "resource": (1e2, 1e9), "samples": (1e1, 1e6), "steps": (1e2, 1e6),
    "nats per token": (1.5, 5.0), "share": (0.05, 0.95),
}  # fmt: skip
"""What variables of these units are drawn from; others from their own range, or [0.1, 10] where it has no end."""

NOT_REFITTED: dict[str, str] = {}
"""Laws whose numbers a fit cannot find again from 60 points without noise, each with the reason."""

SLOW = {"trajectory": "each prediction solves an implicit equation"}
"""Laws whose fit takes too long for every run of the tests, each with the reason."""

EVERY = sorted(forms())


def column(variable: Variable, rng: np.random.Generator, rows: int) -> np.ndarray:
    low, high = RANGES.get(variable.unit, (0.1, 10.0))
    low, high = max(low, variable.low), min(high, variable.high)
    if variable.low > low or low >= high:
        low, high = variable.low, variable.high
    share = (rng.permutation(rows) + rng.random(rows)) / rows
    return np.asarray(low * (high / low) ** share if low > 0.0 and high > 10.0 * low else low + (high - low) * share)


def truth(parameter: Parameter, form: Form, rng: np.random.Generator, amid: bool) -> float:
    """A value from the middle of the starts; with `amid` the place of a break lies amid the data, as otherwise nothing could find it."""
    low, high = parameter.starts
    for variable in form.variables:
        if amid and variable.unit and variable.unit == parameter.unit and parameter.name not in form.linear:
            low, high = RANGES.get(variable.unit, (0.1, 10.0))
            return float(low * (high / low) ** rng.uniform(0.3, 0.6))
    return float(spaced(low, high, np.array(rng.uniform(0.25, 0.75))))


def made(form: Form, seed: int, rows: int = 60) -> tuple[np.ndarray, Table]:
    """A law and a table of its predictions, drawn again until every prediction is a value that its target may take, and they vary."""
    rng = np.random.default_rng([seed, zlib.crc32(form.name.encode())])
    for attempt in range(2000):  # a floor of a variable must lie below its data instead: then only the later attempts give numbers
        values = np.array([truth(parameter, form, rng, amid=attempt < 1000) for parameter in form.parameters])
        columns = {variable.name: column(variable, rng, rows) for variable in form.variables}
        with np.errstate(all="ignore"):
            target = np.broadcast_to(form.predict(values, tuple(columns.values())), (rows,))
        low, high = max(form.target.low, 1e-9), min(form.target.high, 1e9)
        middle = np.all((target > low) & (target < high) & np.isfinite(target))
        if middle and np.ptp(target) > 0.02 * np.abs(target).mean() and (form.target.high != 1.0 or target.max() < 1.0 - 1e-6):
            return values, table_of({**columns, form.target.name: target})
    raise AssertionError(f"{form.name}: no parameters within `starts` give predictions within the target's range")


@pytest.mark.parametrize("name", EVERY)
def test_the_complex_step_agrees_with_differences(name: str) -> None:
    """A body with abs, maximum or a float() cast on its parameters loses the imaginary part; the analytic gradient goes the same way."""
    form = forms()[name]
    values, table = made(form, 1)
    columns = tuple(table.column(variable.name) for variable in form.variables)
    exact = np.stack([form.predict(values + 1e-30j * np.eye(len(values))[i], columns).imag * np.ones(len(table)) / 1e-30 for i in range(len(values))])
    for i, value in enumerate(values):
        step = 1e-6 * (abs(value) or 1.0)
        moved = np.eye(len(values))[i] * step
        difference = (form.predict(values + moved, columns) - form.predict(values - moved, columns)) / (2.0 * step)
        np.testing.assert_allclose(exact[i], difference * np.ones(len(table)), rtol=2e-3, atol=1e-6 * np.abs(exact[i]).max() + 1e-12)
    if hasattr(form.law, "gradient"):
        for own, step in zip(form.law(*values).gradient(*columns), exact, strict=True):
            np.testing.assert_allclose(np.broadcast_to(own, step.shape), step, rtol=1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_many_laws_at_once_are_each_by_itself(name: str) -> None:
    form = forms()[name]
    several = [made(form, seed)[0] for seed in range(3)]
    _, table = made(form, 0)
    columns = tuple(table.column(variable.name) for variable in form.variables)
    with np.errstate(all="ignore"):
        together = form.predict(np.stack(several), columns)
        for one, row in zip(several, np.broadcast_to(together, (3, len(table))), strict=True):
            np.testing.assert_allclose(row, np.broadcast_to(form.predict(one, columns), row.shape), rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in EVERY if forms()[name].linear])
def test_link_of_the_prediction_is_linear_as_stated(name: str) -> None:
    form = forms()[name]
    values, table = made(form, 2)
    columns = tuple(table.column(variable.name) for variable in form.variables)
    linear = [form.names.index(other) for other in form.linear]

    def on_link(share: dict[int, float]) -> np.ndarray:
        moved = values.copy()
        moved[linear] *= [share.get(i, 0.0) for i in linear]
        return np.broadcast_to(scaled(form.link, form.predict(moved, columns)), (len(table),))

    nothing, whole = on_link({}), on_link(dict.fromkeys(linear, 1.0))
    parts = np.sum([on_link({i: 0.5}) - nothing for i in linear], axis=0)
    np.testing.assert_allclose(nothing + 2.0 * parts, whole, rtol=1e-8, atol=1e-10)
    if hasattr(form.law, "gradient") and form.link == "identity":  # the fit then takes the prediction as the sum over linear slopes
        np.testing.assert_allclose(nothing, 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "seed"),
    [pytest.param(name, seed, marks=[pytest.mark.slow] if seed or name in SLOW else []) for name in EVERY for seed in range(6)],
)
def test_a_fit_to_its_own_points_finds_the_law(name: str, seed: int) -> None:
    if name in NOT_REFITTED:
        pytest.skip(NOT_REFITTED[name])
    form = forms()[name]
    values, table = made(form, seed)
    target = table.column(form.target.name)
    objective = Objective(scale="log" if form.target.low >= 0.0 and target.min() > 0.0 else "identity", loss="squared")
    found = fit(form, table, objective=objective, fixed={p.name: float(v) for p, v in zip(form.parameters, values, strict=True) if p.low == p.high})
    columns = tuple(table.column(variable.name) for variable in form.variables)
    np.testing.assert_allclose(
        found.predict(*columns) * np.ones(len(table)), target, rtol=1e-4, err_msg=f"truth {values}, found {dict(found.values)}"
    )


@pytest.mark.parametrize("name", EVERY)
def test_coordinates_and_values_are_inverse(name: str) -> None:
    form = forms()[name]
    values, table = made(form, 3)
    problem = Problem(form, table, Objective("identity", "squared"))
    np.testing.assert_allclose(problem.values(problem.coordinates(values[None]))[0], values, rtol=1e-9)
