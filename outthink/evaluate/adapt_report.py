"""What one or several methods did on a stream: error with intervals, by domain and over time, calibration, cost, and what each method promises."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from outthink.adapt.method import Contract
from outthink.adapt.online import OpenWorld, Run
from outthink.core.files import write_whole
from outthink.stats import Interval, holm, sign_flip

SCHEMA = "outthink.adapt.report/1"
PARTS = 3
"""The stream is cut into thirds to see drift."""
BASELINE = "source"


@dataclass(frozen=True)
class Difference:
    """A method against the source model, on the same samples.

    Args:
        gain: error of the source less the method's, with its interval; above 0 the method is better.
        p: of no difference, by flipping the signs of whole images (an image that several domains show counts as one), corrected by Holm for
            the number of methods compared.
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
        clean: where clean images are known, error on them before the stream and after it, in [0, 1], by method.
    """

    runs: Mapping[str, Run]
    contracts: Mapping[str, Contract]
    plan: Mapping[str, object]
    skipped: tuple[tuple[str, str], ...]
    seed: int
    clean: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def differences(self) -> Mapping[str, Difference]:
        """Every other method against the source, where that was run too."""
        return self._differences

    @cached_property
    def _differences(self) -> dict[str, Difference]:
        if BASELINE not in self.runs or len(self.runs) < 2:
            return {}
        base = self.runs[BASELINE]
        others = {name: run for name, run in self.runs.items() if name != BASELINE}
        _, image = np.unique(base.clusters, return_inverse=True)

        def by_image(run: Run) -> NDArray[np.float64]:
            return np.bincount(image, weights=run.wrong).astype(np.float64)

        adjusted = holm([sign_flip(by_image(base), by_image(run), seed=self.seed) for run in others.values()])
        return {name: Difference(base.less(run, seed=self.seed), float(p)) for (name, run), p in zip(others.items(), adjusted, strict=True)}

    @cached_property
    def domains(self) -> Mapping[str, Mapping[str, Interval]]:
        """Method -> domain -> error."""
        return {name: run.by_domain(seed=self.seed) for name, run in self.runs.items()}

    @cached_property
    def open_world(self) -> Mapping[str, OpenWorld]:
        """By method, where the stream has samples of unknown classes."""
        return {name: run.open_world() for name, run in self.runs.items() if not bool(run.known.all())}

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
                    "by_domain": {domain: _json(value) for domain, value in self.domains[name].items()},
                    "over_time": [_json(value) for value in run.over_time(min(PARTS, len(run.wrong) // 2), seed=self.seed)],
                    "gain_over_source": _json(against[name].gain) | {"p_holm": against[name].p} if name in against else None,
                    "drift_against_source": _json(drift) if drift is not None else None, "calibration_error": run.calibration_error(),
                    "log_loss": run.log_loss(), "open_world": dataclasses.asdict(self.open_world[name]) if name in self.open_world else None,
                    "clean_error": dict(zip(("before", "after"), self.clean[name], strict=True)) if name in self.clean else None,
                    "forwards": run.cost.forwards, "backwards": run.cost.backwards, "labels": run.cost.labels,
                    "seconds": run.seconds, "contract": dataclasses.asdict(self.contracts[name]),
                }
            )  # fmt: skip
        return {"schema": SCHEMA, "plan": dict(self.plan), "methods": methods, "skipped": [list(pair) for pair in self.skipped]}

    def save(self, path: Path) -> None:
        """Write the plain data, whole or not at all.

        Raises:
            StoreError: the file cannot be written.
        """
        write_whole(path, json.dumps(self.to_json(), indent=1, ensure_ascii=False))


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
    for name, found in report.open_world.items():
        said.append(
            f"{name}, open world: {percent(found.known)} of the known accepted and right, {percent(found.unknown)} of the unknown rejected, "
            f"harmonic mean {percent(found.harmonic)}, AUROC {found.auroc:.3f} (by entropy; threshold {found.threshold:.2f} nats, Otsu's)."
        )
    for name, (before, after) in report.clean.items():
        said.append(f"{name}: error on clean images {percent(before)} before the stream and {percent(after)} after it.")
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
    domains = next(iter(report.domains.values()))
    by_domain = Table("error by domain", *map(escape, report.runs), box=None, pad_edge=False)
    for domain in domains:
        by_domain.add_row(escape(domain), *(percent(found[domain].estimate) for found in report.domains.values()))
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
