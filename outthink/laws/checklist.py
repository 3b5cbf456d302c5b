"""[96] The (Mis)Fitting checklist: what a reader must know to repeat a scaling-law fit. A fit fills in what it knows, and what is missing is shown.

    i law form, ii training set-up, iii data extraction, iv the fit itself

More than 50 papers were surveyed there, most of which leave out several of these. Nothing is guessed: an item is answered by the fit, by the table,
or by its author (TOML or `--note`), and is missing otherwise.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from outthink.core.errors import DataError, UsageError, nearest
from outthink.laws.bootstrap import Bootstrap
from outthink.laws.extrapolation import Extrapolation
from outthink.laws.fit import Fit
from outthink.laws.table import Table

Origin = Literal["fit", "table", "author", "missing"]


@dataclass(frozen=True)
class Item:
    """A question. `key` is its name in TOML and flags."""

    key: str
    part: str
    question: str


@dataclass(frozen=True)
class Answer:
    """To an item; `text` is "" and origin `missing` where nobody has answered."""

    item: Item
    text: str
    origin: Origin


ITEMS = (
    Item("law_form", "i law form", "What is the law, as a formula?"),
    Item("variables", "i law form", "What do its variables and its target count, in which units?"),
    Item("sizes", "ii training", "Which model sizes, how many of each?"),
    Item("tokens", "ii training", "Trained on how much data?"),
    Item("architecture", "ii training", "Which architecture, and how do depth and width grow?"),
    Item("training_data", "ii training", "Which training data and tokeniser; are any repeated?"),
    Item("optimizer_of_runs", "ii training", "Which optimizer, schedule and batch size did the runs use?"),
    Item("tuning", "ii training", "Were learning rate and batch size tuned, at every size or at one?"),
    Item("checkpoints", "iii data", "Final checkpoints of complete schedules only, or also intermediate ones?"),
    Item("parameter_count", "iii data", "Are embeddings counted as parameters?"),
    Item("compute_count", "iii data", "How are FLOPs counted?"),
    Item("evaluation", "iii data", "On what data was the loss measured, smoothed or interpolated how?"),
    Item("selection", "iii data", "Which runs were left out, and why?"),
    Item("objective", "iv fit", "Which loss on which scale, summed or averaged?"),
    Item("optimizer", "iv fit", "Which method found the minimum?"),
    Item("starts", "iv fit", "From how many starts, and how many of them agree?"),
    Item("bounds", "iv fit", "Within which bounds, and which held parameters?"),
    Item("validation", "iv fit", "What did it predict on held-out larger runs?"),
    Item("uncertainty", "iv fit", "How are the intervals made?"),
)
"""In the order of the paper's parts."""


def fill(
    fitted: Fit, *, table: Table | None = None, draws: Bootstrap | None = None, held_out: Extrapolation | None = None, run: str | None = None,
    given: Mapping[str, str] | None = None,
) -> tuple[Answer, ...]:  # fmt: skip
    """Answer what can be answered.

    Args:
        fitted: the fit.
        table: that it was made from, with the run's column; the fit's own if None.
        draws: its bootstrap.
        held_out: its extrapolation check.
        run: column that names the run of a row.
        given: the author's answers by key; they stand before what was found.

    Raises:
        UsageError: an answer to no item.
    """
    own = dict(given or {})
    keys = [item.key for item in ITEMS]
    if unknown := next((key for key in own if key not in keys), None):
        raise UsageError(f"the checklist has no item {unknown!r}.{nearest(unknown, keys)}")
    found = _found(fitted, table or fitted.table, draws, held_out, run)
    answers = []
    for item in ITEMS:
        text, origin = found.get(item.key, ("", "missing"))
        if own.get(item.key, "").strip():
            text, origin = own[item.key].strip(), "author"
        answers.append(Answer(item, text, origin))
    return tuple(answers)


def read_answers(path: str | Path) -> dict[str, str]:
    """The author's answers from a TOML file: `key = "text"`, at the top or under [checklist].

    Raises:
        DataError: the file cannot be read or is no TOML, or an answer is no text.
    """
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not valid TOML: {error}") from error
    section = data.get("checklist", data)
    if not isinstance(section, dict):
        raise DataError(f'{path}: [checklist] must be a table of key = "text"')
    if wrong := next((key for key, value in section.items() if not isinstance(value, (str, int, float))), None):
        raise DataError(f"{path}: the answer to {wrong!r} must be text, got a {type(section[wrong]).__name__}")
    return {key: str(value) for key, value in section.items()}


def missing(answers: Sequence[Answer]) -> list[str]:
    """Keys of what nobody has answered."""
    return [answer.item.key for answer in answers if answer.origin == "missing"]


def _found(fitted: Fit, table: Table, draws: Bootstrap | None, held_out: Extrapolation | None, run: str | None) -> dict[str, tuple[str, Origin]]:
    form, objective = fitted.form, fitted.objective
    variables = [f"{v.name}: {v.meaning}" + (f" ({v.unit})" if v.unit and v.unit != v.name else "") for v in (*form.variables, form.target)]
    delta = f", delta {objective.delta:g}" if objective.loss == "huber" else ""
    over = f", over-estimates times {objective.overestimate:g}" if objective.overestimate != 1.0 else ""
    weights = f", weighted by {fitted.weights}" if fitted.weights else ""
    bounds = ", ".join(
        f"{p.name} > {p.low:g}" if np.isinf(p.high) else f"{p.low:g} < {p.name} < {p.high:g}" for p in form.parameters if np.isfinite(p.low)
    )
    held = f"; held: {', '.join(f'{name} = {fitted.values[name]:g}' for name in fitted.fixed)}" if fitted.fixed else ""
    found: dict[str, tuple[str, Origin]] = {
        "law_form": (form.formula, "fit"),
        "variables": ("; ".join(variables), "fit"),
        "objective": (f"{objective.loss} of {objective.scale} residuals{delta}, {objective.reduction} over {fitted.rows} rows{over}{weights}", "fit"),
        "optimizer": ("variable projection, then quasi-Newton with exact gradients in float64" if form.linear else
                      "multi-start quasi-Newton with exact gradients in float64", "fit"),
        "starts": (f"{fitted.spread.starts}; {100 * fitted.spread.share:.0f}% end within 1% of the best objective", "fit"),
        "bounds": ((bounds or "none") + held, "fit"),
    }  # fmt: skip
    for key, name in (("sizes", "parameters"), ("tokens", "tokens")):
        if name in table.columns and len(table):
            values = table.column(name)
            found[key] = (f"{np.unique(values).size} different, {values.min():.3g} to {values.max():.3g}", "table")
    if run is not None:
        labels = table.label(run)
        runs = int(np.unique(labels).size)
        several = f"{len(labels)} rows are {runs} runs: several checkpoints of a run" if runs < len(labels) else f"one row a run, {runs} runs"
        found["checkpoints"] = (several, "table")
    if held_out is not None:
        found["validation"] = (held_out.sentence(), "fit")
    if draws is not None:
        drawn = f"whole runs ({draws.cluster})" if draws.cluster else "rows"
        found["uncertainty"] = (f"95% percentile bootstrap, {len(draws.values)} refits, drawing {drawn}", "fit")
    return found
