"""Where a law's data come from: a table in a file, a run's folder or a pool; and the options that all commands on laws share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from outthink.evaluate.law_table import Recorded
    from outthink.laws.form import Form
    from outthink.laws.objective import Objective
    from outthink.laws.table import Table

Data = Annotated[str, typer.Argument(help="A table (.csv, .tsv, .jsonl, .json, .parquet), the folder of a run, or a pool.")]
Columns = Annotated[
    str | None, typer.Option("--columns", "-c", help="Where headings differ: loss=final_loss,parameters=N. A factor puts units right: tokens=D*1e9.")
]
ObjectiveName = Annotated[str | None, typer.Option("--objective", help="huber, squared or absolute; by default the one that suits the law.")]
Delta = Annotated[float, typer.Option(help="Residual at which Huber turns from square to line; 0.001 of a logarithm is usual.")]
Reduction = Annotated[str, typer.Option(help="sum, or mean to compare with scripts that use it.")]
Overestimate = Annotated[float, typer.Option(help="Factor on residuals above the data; over 1 (10 is in use) leans on the best runs.")]
Weights = Annotated[str | None, typer.Option(help="Column of weights of the rows, 0 or more.")]
Cluster = Annotated[
    str | None,
    typer.Option("--cluster", help="Column, or several with commas, that name the run of a row: rows of one run are drawn and held out together."),
]
Order = Annotated[str | None, typer.Option(help="Column of the compute that rows are ordered by to hold out the largest.")]
Where = Annotated[list[str] | None, typer.Option(help="Keep rows with COLUMN<NUMBER (also <=, >, >=, =, !=); several times for several.")]
OfModel = Annotated[str | None, typer.Option("--model", help="In a pool of several models' samples: whose, as `outthink pool show` names it.")]
Strategy = Annotated[str | None, typer.Option("--strategy", "-s", help="In a run: fit this strategy's accuracy over its budgets, not the samples.")]

RUN = "run"
"""The column that `--cluster` makes."""


@dataclass(frozen=True)
class Source:
    """A table, what it was recorded from if anything, and what was done to it."""

    table: Table
    recorded: Recorded | None
    notes: tuple[str, ...]
    cluster: str | None

    def resampled(self, seed: int) -> Iterator[Table]:
        """Tables of other problems, without end; only of what was recorded."""
        import numpy as np

        rng = np.random.default_rng(seed)
        while self.recorded is not None:
            yield self.recorded.resampled(rng)


def read(
    data: str, laws: Sequence[Form], *, columns: str | None = None, where: Sequence[str] | None = None, cluster: str | None = None,
    model: str | None = None, strategy: str | None = None,
) -> Source:  # fmt: skip
    """The data of a command.

    Args:
        data: path of a table, a run or a pool.
        laws: whose variables are looked for; a missing one is derived where FLOPs = 6 parameters tokens allows it.
        columns: as the option has it.
        where: likewise; only of tables.
        cluster: likewise; the table gets the column `run`.
        model, strategy: for what was recorded.

    Raises:
        OutthinkError: what is wrong with the path, the table or the options.
    """
    from outthink.core.errors import UsageError
    from outthink.evaluate.law_table import is_recorded, samples_table, strategy_table
    from outthink.laws.prepare import with_label
    from outthink.laws.table import read_table

    pairs = assignments(columns, "--columns")
    if is_recorded(data):
        if cluster:
            raise UsageError("rows of a run or pool are means over the same problems; problems are drawn anew by themselves: leave --cluster out")
        if where:
            raise UsageError(f"--where is for tables; {data} is a run or a pool")
        recorded = strategy_table(data, strategy) if strategy else samples_table(data, model=model)
        recorded = _renamed(recorded, pairs)
        dropped, notes = _drop_ends(recorded, laws)
        return Source(dropped.table, dropped, notes, None)
    if strategy or model:
        raise UsageError(f"{data} is a table: --strategy and --model are for the folder of a run or a pool")
    table = read_table(data)
    for name, (heading, factor) in pairs.items():
        if factor == 1.0 and heading in table.labels:
            table = with_label(table, [heading], name)
        else:
            table = table.with_columns(**{name: table.column(heading) * factor})
    table, notes = _derived(table, laws)
    _need(table, laws)
    for condition in where or ():
        kept = _kept(table, condition)
        notes = (*notes, f"{condition}: {len(table) - int(kept.sum())} of {len(table)} rows are left out")
        table = table.where(kept)
    if cluster:
        table = with_label(table, [part.strip() for part in cluster.split(",")], RUN)
    return Source(table, None, notes, RUN if cluster else None)


def assignments(text: str | None, option: str) -> dict[str, tuple[str, float]]:
    """`a=b,c=d*1e9` as name -> (heading, factor).

    Raises:
        UsageError: it is not that.
    """
    from outthink.core.errors import UsageError

    found: dict[str, tuple[str, float]] = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        name, equals, heading = part.partition("=")
        head, star, factor = heading.rpartition("*")
        if not equals or not name.strip() or not heading.strip():
            raise UsageError(f"{option}: {part.strip()!r} is not NAME=HEADING, such as loss=final_loss or tokens=D*1e9")
        try:
            found[name.strip()] = (head.strip(), float(factor)) if star else (heading.strip(), 1.0)
        except ValueError as error:
            raise UsageError(f"{option}: the factor {factor.strip()!r} in {part.strip()!r} is no number") from error
    return found


def numbers(text: str, option: str) -> dict[str, float]:
    """`a=1e9,b=2` as name -> number.

    Raises:
        UsageError: it is not that.
    """
    from outthink.core.errors import UsageError

    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError as error:
            raise UsageError(f"{option}: {part.strip()!r} is not NAME=NUMBER, such as parameters=1e9") from error
        if not equals or not name.strip():
            raise UsageError(f"{option}: {part.strip()!r} is not NAME=NUMBER, such as parameters=1e9")
    return found


def _kept(table: Table, condition: str) -> NDArray[np.bool_]:
    import operator
    import re

    from outthink.core.errors import UsageError

    parts = re.fullmatch(r"\s*(.+?)\s*(<=|>=|!=|<|>|=)\s*(.+?)\s*", condition)
    if parts is None:
        raise UsageError(f"--where {condition!r} is not COLUMN<VALUE, such as loss<3.4 or family=pythia")
    name, sign, value = parts.groups()
    signs = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "=": operator.eq, "!=": operator.ne}
    if name in table.labels:
        if sign not in ("=", "!="):
            raise UsageError(f"--where {condition!r}: {name} is text, which can be = or != only")
        kept = signs[sign](table.label(name), value)
    else:
        try:
            kept = signs[sign](table.column(name), float(value))
        except ValueError as error:
            raise UsageError(f"--where {condition!r}: {value!r} is no number") from error
    if not kept.any():
        raise UsageError(f"--where {condition!r} keeps none of the {len(table)} rows")
    return kept  # type: ignore[no-any-return]


def objective(law: Form, name: str | None, delta: float, reduction: str, overestimate: float) -> Objective:
    """The objective that options ask for."""
    from outthink.laws.prepare import objective_of

    return objective_of(law, loss=name, delta=delta, overestimate=overestimate, reduction=reduction)


def _derived(table: Table, laws: Sequence[Form]) -> tuple[Table, tuple[str, ...]]:
    wanted = {variable.name for law in laws for variable in law.variables}
    missing = [name for name in ("tokens", "parameters") if name in wanted and name not in table.names]
    if len(missing) != 1 or "flops" not in table.columns:
        return table, ()
    other = "parameters" if missing == ["tokens"] else "tokens"
    if other not in table.columns:
        return table, ()
    return table.with_columns(**{missing[0]: table.column("flops") / (6.0 * table.column(other))}), (f"{missing[0]} = flops / (6 {other})",)


def _need(table: Table, laws: Sequence[Form]) -> None:
    from outthink.core.errors import UsageError

    wanted = [variable.name for law in laws for variable in (*law.variables, law.target)]
    try:
        table.require(list(dict.fromkeys(wanted)))
    except UsageError as error:
        missing = next(name for name in wanted if name not in table.names)
        raise UsageError(f"{error} Say which heading it is: --columns {missing}=HEADING") from error


def _renamed(recorded: Recorded, pairs: dict[str, tuple[str, float]]) -> Recorded:
    import dataclasses

    from outthink.core.errors import UsageError, nearest

    fixed, means = dict(recorded.fixed), dict(recorded.means)
    for name, (heading, factor) in pairs.items():
        if heading in recorded.fixed:
            fixed[name] = recorded.fixed[heading] * factor
        elif heading in recorded.means:
            means[name] = recorded.means[heading] * factor
        else:
            known = [*recorded.fixed, *recorded.means]
            raise UsageError(f"{recorded.source} has no column {heading!r}; it has {', '.join(known)}.{nearest(heading, known)}")
    return dataclasses.replace(recorded, fixed=fixed, means=means)


def _drop_ends(recorded: Recorded, laws: Sequence[Form]) -> tuple[Recorded, tuple[str, ...]]:
    """Leave out rows whose share is 0 or 1, where a law cannot have them."""
    import dataclasses

    import numpy as np

    targets = {law.target.name for law in laws if law.target.unit == "share" and law.target.name in recorded.means}
    keep = np.ones(len(recorded.table), dtype=bool)
    for name in targets:
        share = recorded.means[name].mean(axis=0)
        keep &= (share > 0.0) & (share < 1.0)
    if keep.all() or not keep.any():
        return recorded, ()
    fixed = {name: values[keep] for name, values in recorded.fixed.items()}
    means = {name: values[:, keep] for name, values in recorded.means.items()}
    return dataclasses.replace(recorded, fixed=fixed, means=means), (f"{int((~keep).sum())} rows with a share of 0 or 1 are left out",)
