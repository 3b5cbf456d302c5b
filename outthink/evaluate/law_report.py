"""The report of a fitted law: its numbers with intervals, what is wrong with them, the held-out check, the checklist; in every form."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from outthink.core.errors import DataError, OutthinkError, UsageError
from outthink.core.files import write_whole
from outthink.laws.bootstrap import Bootstrap, bootstrap
from outthink.laws.checklist import Answer, fill
from outthink.laws.extrapolation import Extrapolation, extrapolate
from outthink.laws.fit import Fit, Method, fit
from outthink.laws.form import Form
from outthink.laws.objective import Objective
from outthink.laws.table import Table
from outthink.stats._arrays import FloatArray

SCHEMA = "outthink.laws.fit/1"
BATCH = 100
"""Refits between two signs of progress."""

Progress = Callable[[str, int | None, int | None], None]


@dataclass(frozen=True)
class LawReport:
    """A fit with everything said about it.

    Args:
        fit: the law.
        draws: its bootstrap, None without one.
        held_out: its check on unseen rows; None where there is none, then `unchecked` says why.
        answers: the checklist.
        notes: what was done to the data.
        flops: of the largest row, 6 parameters tokens; None where the law has not both.
    """

    fit: Fit
    draws: Bootstrap | None
    held_out: Extrapolation | None
    unchecked: str
    answers: tuple[Answer, ...]
    notes: tuple[str, ...]
    flops: float | None

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95% intervals of the parameters that were searched."""
        return {} if self.draws is None else {name: self.draws.interval(name) for name in self.fit.free}

    def to_json(self) -> dict[str, object]:
        """What fit.json holds."""
        draws: dict[str, object] | None = None
        if self.draws is not None:
            draws = {
                "cluster": self.draws.cluster,
                "failed": self.draws.failed,
                "names": list(self.fit.form.names),
                "values": self.draws.values.tolist(),
            }
        return {
            "schema": SCHEMA, **self.fit.to_json(), "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "held_out": self.held_out.to_json() if self.held_out else None, "unchecked": self.unchecked, "largest_flops": self.flops,
            "notes": list(self.notes), "checklist": {answer.item.key: {"text": answer.text, "from": answer.origin} for answer in self.answers},
            "bootstrap": draws,
        }  # fmt: skip


def made(
    law: Form, table: Table, *, objective: Objective, weights: str | None, fixed: Mapping[str, float], method: str | None, starts: int | None,
    replicates: int, cluster: str | None, order: str | None, tables: Iterator[Table] | None, seed: int, progress: Progress,
    notes: tuple[str, ...] = (),
) -> LawReport:  # fmt: skip
    """Fit, draw again, hold out.

    Args:
        law, table, objective, weights, fixed, method, starts, seed: as in `fit`.
        replicates: refits, 0 for none.
        cluster: column of the run of each row.
        order: column of compute.
        tables: other tables of the same kind, drawn for the bootstrap in place of the table's rows.
        progress: called with what is done, and the done and total number of steps.
        notes: for the reader.

    Raises:
        UsageError, DataError: the law cannot be fitted to the table.
    """
    progress(f"fitting {law.name}", None, None)
    if method not in (None, "projection", "multistart"):
        raise UsageError(f"no method {method!r}; use projection or multistart")
    chosen: Method | None = method  # type: ignore[assignment]  # checked above
    found = fit(law, table, objective=objective, weights=weights, method=chosen, starts=starts, fixed=fixed, seed=seed)
    draws = None
    if replicates:
        draws = _redrawn(found, replicates, tables, seed, progress) if tables is not None else _rows_drawn(found, replicates, cluster, seed, progress)
    progress("holding out the largest", None, None)
    held_out, unchecked = None, ""
    if fixed:
        unchecked = "parameters were held, so the law is not refitted below a cut"
    else:
        try:
            held_out = extrapolate(law, table, order=order, cluster=cluster, objective=objective, weights=weights, seed=seed)
        except OutthinkError as error:  # shown in the report: the fit itself stands
            unchecked = str(error)
    answers = fill(found, table=table, draws=draws, held_out=held_out, run=cluster)
    columns = found.table.columns
    flops = float((6.0 * columns["parameters"] * columns["tokens"]).max()) if {"parameters", "tokens"} <= set(columns) else None
    return LawReport(found, draws, held_out, unchecked, answers, notes, flops)


def read_report(path: Path | str) -> tuple[Fit, Bootstrap | None, float | None]:
    """(fit, draws, FLOPs of the largest row) of a fit.json, or of the folder that holds it.

    Raises:
        DataError: no such file, or it is not what `outthink laws fit --out` writes; says what is wrong.
    """
    place = Path(path) / "fit.json" if Path(path).is_dir() else Path(path)
    try:
        data = json.loads(place.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{place} cannot be read: {error.strerror or error}; make it with: outthink laws fit LAW DATA --out FOLDER") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{place} is no fit: not JSON ({error})") from error
    try:
        found = Fit.from_json(data)
    except UsageError as error:
        raise DataError(f"{place} is no fit: {error}") from error
    drawn, flops = data.get("bootstrap"), data.get("largest_flops")
    if drawn is None:
        return found, None, flops
    try:
        values = np.array(drawn["values"], dtype=np.float64)
        if drawn["names"] != list(found.form.names) or values.ndim != 2 or values.shape[1] != len(found.form.names) or not np.isfinite(values).all():
            raise ValueError("its draws do not belong to this law")
        return found, Bootstrap(found, values, int(drawn["failed"]), str(drawn["cluster"])), None if flops is None else float(flops)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{place}: its bootstrap is broken: {error}") from error


def terminal(report: LawReport) -> None:
    """Print a report."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Shown

    fitted, console = report.fit, Console()
    console.print(f"[bold]{escape(fitted.form.formula)}[/bold]   {fitted.rows} rows of {escape(fitted.table.source or 'arrays')}\n", highlight=False)
    shown = Shown("parameter", "value", "95% interval", "unit", "what it is", box=None, pad_edge=False)
    for name, value, interval, unit, meaning in parameter_rows(report):
        shown.add_row(escape(name), value, interval, escape(unit), escape(meaning))
    console.print(shown)
    console.print()
    for name, text in facts(report):
        console.print(f"[dim]{name:10}[/dim] {escape(text)}", highlight=False)
    for flag in fitted.flags:
        console.print(f"[yellow]{flag.kind.replace('_', ' ')}[/yellow]: {escape(flag.text)}", highlight=False)
    for note in report.notes:
        console.print(f"[dim]note[/dim]       {escape(note)}", highlight=False)


def parameter_rows(report: LawReport) -> list[tuple[str, str, str, str, str]]:
    """(name, value, interval, unit, meaning) of every parameter, as text; what follows from them comes last."""
    fitted, intervals = report.fit, report.intervals
    rows = []
    for parameter in fitted.form.parameters:
        name = parameter.name
        interval = span(*intervals[name]) if name in intervals else "held" if name in fitted.fixed else ""
        rows.append((name, f"{fitted.values[name]:.5g}", interval, parameter.unit, parameter.meaning))
    values = fitted.values
    if {"alpha", "beta"} <= set(values) and fitted.form.name.startswith("chinchilla"):
        share = values["beta"] / (values["alpha"] + values["beta"])
        drawn = report.draws.of(lambda p: np.asarray(p["beta"] / (p["alpha"] + p["beta"]))) if report.draws else None
        interval = span(*map(float, np.quantile(drawn, [0.025, 0.975]))) if drawn is not None else ""
        rows.append(("a", f"{share:.5g}", interval, "", "exponent of the best size with compute, beta / (alpha + beta)"))
    return rows


def facts(report: LawReport) -> list[tuple[str, str]]:
    """(what, sentence) about the fit."""
    fitted, objective = report.fit, report.fit.objective
    delta = f" (delta {objective.delta:g})" if objective.loss == "huber" else ""
    spread = fitted.spread
    agree = f"{100 * spread.share:.0f}% of {spread.starts} starts end within 1% of it"
    second = f"; the next optimum is {spread.second:.4g} times as high" if math.isfinite(spread.second) else ""
    residual = "no rows to spare for an error" if math.isnan(fitted.residual_sd) else f"residual sd {fitted.residual_sd:.4g}"
    told = [
        ("objective", f"{fitted.value:.6g}, {objective.loss}{delta} of {objective.scale} residuals, {objective.reduction}; {residual}"),
        ("optimum", agree + second),
    ]
    if report.draws is not None:
        drawn = f"whole {report.draws.cluster}s" if report.draws.cluster else "rows"
        failed = f", {report.draws.failed} more reached no optimum" if report.draws.failed else ""
        told.append(("bootstrap", f"{len(report.draws.values)} refits, drawing {drawn}{failed}"))
    told.append(("validation", report.held_out.sentence() if report.held_out else report.unchecked))
    blank = [answer.item.key for answer in report.answers if answer.origin == "missing"]
    told.append(("checklist", f"{len(report.answers) - len(blank)} of {len(report.answers)} answered; missing: {', '.join(blank)}"))
    return told


def span(low: float, high: float) -> str:
    """An interval as text."""
    return f"{low:.4g} to {high:.4g}"


def write(report: LawReport, folder: Path) -> list[Path]:
    """fit.json, fit.png and fit.html in a folder, made if absent.

    Raises:
        StoreError: it cannot be written. MissingExtra: what draws charts is not installed; fit.json is written all the same.
    """
    from outthink.evaluate.charts import png, stacked
    from outthink.evaluate.law_page import charts, page

    write_whole(folder / "fit.json", json.dumps(report.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    drawn = charts(report)
    png(stacked(*drawn), folder / "fit.png")
    write_whole(folder / "fit.html", page(report, drawn))
    return [folder / "fit.json", folder / "fit.png", folder / "fit.html"]


def _rows_drawn(found: Fit, replicates: int, cluster: str | None, seed: int, progress: Progress) -> Bootstrap:
    parts: list[Bootstrap] = []
    done = 0
    while done < replicates:
        progress("bootstrap", done, replicates)
        count = min(BATCH, replicates - done) if replicates - done > BATCH + 1 else max(2, replicates - done)
        part_seed = int(np.random.SeedSequence((seed, done)).generate_state(1)[0])
        parts.append(bootstrap(found, replicates=count, cluster=cluster, seed=part_seed))
        done += count
    progress("bootstrap", replicates, replicates)
    return Bootstrap(found, np.concatenate([part.values for part in parts]), sum(part.failed for part in parts), cluster or "")


def _redrawn(found: Fit, replicates: int, tables: Iterator[Table], seed: int, progress: Progress) -> Bootstrap:
    held = {name: found.values[name] for name in found.fixed}
    values: list[FloatArray] = []
    failed = 0
    for number in range(replicates):
        if number % 10 == 0:
            progress("bootstrap over problems", number, replicates)
        try:
            again = fit(found.form, _inside(next(tables), found), objective=found.objective, fixed=held, starts=2, seed=seed)
        except OutthinkError:  # a draw without any success has no law: counted and shown
            failed += 1
        else:
            values.append(np.array([again.values[name] for name in found.form.names]))
    if len(values) < 2:
        raise UsageError(f"of {replicates} draws of problems {len(values)} could be fitted: too few problems, or too few solved, for intervals")
    return Bootstrap(found, np.array(values), failed, "problem")


def _inside(table: Table, found: Fit) -> Table:
    """Without rows whose share is 0 or 1 in this draw."""
    if found.form.target.unit != "share":
        return table
    share = table.column(found.form.target.name)
    return table.where((share > 0.0) & (share < 1.0))
