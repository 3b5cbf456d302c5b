"""What one or several methods did on a stream: error with intervals, by domain and over time, calibration, cost, and what each method promises."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from outthink.adapt.method import Contract
from outthink.adapt.online import Run
from outthink.core.errors import StoreError
from outthink.stats import Interval, holm, mcnemar, paired_bootstrap

SCHEMA = "outthink.adapt.report/1"
PARTS = 3
"""The stream is cut into thirds to see drift."""
BASELINE = "source"


@dataclass(frozen=True)
class Difference:
    """A method against the source model, on the same samples.

    Args:
        gain: error of the source less the method's, with its interval; above 0 the method is better.
        p: of no difference, by McNemar's exact test, corrected by Holm for the number of methods compared.
    """

    gain: Interval
    p: float


@dataclass(frozen=True)
class AdaptReport:
    """Runs of methods over one stream.

    Args:
        runs: by the method's spec.
        contracts: likewise.
        plan: what was run.
        skipped: files that did not decode, each with the reason.
        seed: of the bootstraps.
    """

    runs: Mapping[str, Run]
    contracts: Mapping[str, Contract]
    plan: Mapping[str, object]
    skipped: tuple[tuple[str, str], ...]
    seed: int

    def differences(self) -> dict[str, Difference]:
        """Every other method against the source, where that was run too."""
        if BASELINE not in self.runs or len(self.runs) < 2:
            return {}
        base = self.runs[BASELINE].wrong
        others = {name: run.wrong for name, run in self.runs.items() if name != BASELINE}
        adjusted = holm([mcnemar(base, wrong) for wrong in others.values()])
        return {
            name: Difference(paired_bootstrap(base, wrong, seed=self.seed), float(p))
            for (name, wrong), p in zip(others.items(), adjusted, strict=True)
        }

    def drift(self, name: str) -> Interval | None:
        """Error of the last third less that of the first, both less the source's on the same samples.

        None without the source, and where there are several domains: what one gains is no measure of what another loses.
        """
        if BASELINE not in self.runs or name == BASELINE or len(set(self.runs[name].domains)) > 1:
            return None
        apart = self.runs[name].wrong - self.runs[BASELINE].wrong
        third = len(apart) // PARTS
        if third < 2:
            return None
        rng = np.random.default_rng(self.seed)
        first, last = apart[:third], apart[-third:]
        draws = [last[rng.integers(third, size=third)].mean() - first[rng.integers(third, size=third)].mean() for _ in range(1000)]
        return Interval(float(last.mean() - first.mean()), float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975)), 0.95)

    def to_json(self) -> dict[str, object]:
        """Plain data, shares in [0, 1]."""
        against = self.differences()
        methods = []
        for name, run in self.runs.items():
            error, drift = run.error(seed=self.seed), self.drift(name)
            methods.append(
                {
                    "method": name, "samples": len(run.labels), "error": _json(error),
                    "by_domain": {domain: _json(value) for domain, value in run.by_domain(seed=self.seed).items()},
                    "over_time": [_json(value) for value in run.over_time(min(PARTS, len(run.wrong) // 2), seed=self.seed)],
                    "gain_over_source": _json(against[name].gain) | {"p_holm": against[name].p} if name in against else None,
                    "drift_against_source": _json(drift) if drift is not None else None, "calibration_error": run.calibration_error(),
                    "log_loss": run.log_loss(), "forwards": run.cost.forwards, "backwards": run.cost.backwards, "labels": run.cost.labels,
                    "seconds": run.seconds, "contract": dataclasses.asdict(self.contracts[name]),
                }
            )  # fmt: skip
        return {"schema": SCHEMA, "plan": dict(self.plan), "methods": methods, "skipped": [list(pair) for pair in self.skipped]}

    def save(self, path: Path) -> None:
        """Write the plain data, whole or not at all.

        Raises:
            StoreError: the file cannot be written.
        """
        part = path.with_name(f"{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(self.to_json(), indent=1, ensure_ascii=False))
            part.replace(path)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error}") from error


def rows(report: AdaptReport) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of the table of methods, as text."""
    against = report.differences()
    heads = ["method", "error", *(["less than source"] if against else []), "first third", "last third", "ECE", "passes a sample", "ms a sample"]
    found = []
    for name, run in report.runs.items():
        thirds = run.over_time(min(PARTS, len(run.wrong) // 2), seed=report.seed)
        error, count = run.error(seed=report.seed), len(run.labels)
        cells = [name, f"{percent(error.estimate)} [{percent(error.low)}, {percent(error.high)}]"]
        if against:
            gap = against.get(name)
            cells.append("" if gap is None else f"{percent(gap.gain.estimate, sign=True)}, p {_p(gap.p)}")
        cells += [percent(thirds[0].estimate), percent(thirds[-1].estimate), f"{run.calibration_error():.3f}"]
        cells += [f"{run.cost.forwards / count:.2g} fwd, {run.cost.backwards / count:.2g} bwd", f"{1000 * run.seconds / count:.2g}"]
        found.append(cells)
    return heads, found


def notes(report: AdaptReport) -> list[str]:
    """What a reader should know before relying on the numbers, computed from them."""
    said = []
    for name in report.runs:
        drift = report.drift(name)
        if drift is not None and drift.low > 0:
            said.append(
                f"{name} drifts: against the source its error rises by {percent(drift.estimate)} points from the first third to the last "
                f"[{percent(drift.low)}, {percent(drift.high)}]; take smaller steps, or reset it."
            )
    for name, gap in report.differences().items():
        if gap.p < 0.05 and gap.gain.estimate < 0:
            said.append(f"{name} is worse than no adaptation here, by {percent(-gap.gain.estimate)} points.")
    labels = {name: run.cost.labels for name, run in report.runs.items() if run.cost.labels}
    said += [f"{name} was told {count} labels, which the others were not." for name, count in labels.items()]
    if report.skipped:
        said.append(f"{len(report.skipped)} files did not decode and were left out, the first: {report.skipped[0][0]} ({report.skipped[0][1]}).")
    return said


def told(report: AdaptReport) -> None:
    """Print the report."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    heads, cells = rows(report)
    table = Table(*heads, box=None, pad_edge=False)
    for line in cells:
        table.add_row(f"[bold]{escape(line[0])}[/bold]", *map(escape, line[1:]))
    console.print(table)
    console.print()
    domains = next(iter(report.runs.values())).by_domain(seed=report.seed)
    by_domain = Table("error by domain", *map(escape, report.runs), box=None, pad_edge=False)
    for domain in domains:
        found = [run.by_domain(seed=report.seed)[domain].estimate for run in report.runs.values()]
        by_domain.add_row(escape(domain), *map(percent, found))
    console.print(by_domain)
    count = len(next(iter(report.runs.values())).labels)
    console.print(f"\n{count} samples; error in per cent with 95% intervals over samples; ECE: expected calibration error.", highlight=False)
    if len(report.runs) == 1:
        contract = next(iter(report.contracts.values()))
        console.print(
            f"Predicts {contract.predicts} its step, with the {contract.network}. Changes: {contract.changes}. Of the source: {contract.keeps}.",
            highlight=False, markup=False,
        )  # fmt: skip
        console.print("Whether it pays: outthink adapt compare puts it beside the source model on the same stream.", highlight=False)
    for note in notes(report):
        console.print(f"[yellow]{escape(note)}[/yellow]", highlight=False)


def percent(share: float, *, sign: bool = False) -> str:
    """A share in [0, 1] in per cent, one decimal."""
    return f"{100 * share:+.1f}" if sign else f"{100 * share:.1f}"


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def _json(interval: Interval) -> dict[str, float]:
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}
