"""The report of a run: its table with controls, its curves, and all that is needed to read and to repeat it.

Every row stands beside three controls that are computed from the recorded samples: the majority vote at the same tokens, one sample at
random, and the oracle that always finds a right sample if there is one.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from outthink import stats
from outthink.core.errors import DataError
from outthink.core.files import write_whole
from outthink.evaluate.charts import Chart, line_chart, png, stacked
from outthink.evaluate.curves import CONTROLS, Curve, Matched, curves, matched_majority
from outthink.evaluate.grading import UNGRADED
from outthink.evaluate.run import Run, sentence
from outthink.evaluate.summary import DRAWS, Answered, Row, answers, best_of, summarise
from outthink.evaluate.table import SampleTable

SCHEMA = "outthink.report/1"
MISTAKES = 40


@dataclass(frozen=True)
class Controls:
    """What a row is measured against.

    Args:
        matched: majority vote at the row's completion tokens.
        random: accuracy of one sample chosen at random.
        ceiling: chance that a right one is among as many samples as the row chose among (at least 1, at most the pool's n).
    """

    matched: Matched
    random: float
    ceiling: float


@dataclass(frozen=True)
class Report:
    """All that a report shows, in any form.

    Args:
        name: of the run.
        rows: the table, and for each row its controls (None where no plain samples were recorded).
        controls: as long as `rows`.
        curves: from the recorded samples; empty where there are none.
        mistakes: records that are not correct, those of the best strategy first, at most `MISTAKES`.
        wrong: how many there are in all.
        facts: (what, value) pairs: set, size, fingerprint, model, sampling, seeds, intervals, what was cut, the command.
        notes: what the reader must know.
    """

    name: str
    rows: tuple[Row, ...]
    controls: tuple[Controls | None, ...]
    curves: tuple[Curve, ...]
    mistakes: tuple[Answered, ...]
    wrong: int
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Plain data: `schema`, `name`, `facts`, `notes`, `rows` (each with `controls`), `curves`, `wrong`."""
        rows = [
            {**dataclasses.asdict(row), "controls": dataclasses.asdict(control) if control else None}
            for row, control in zip(self.rows, self.controls, strict=True)
        ]
        listed = [
            {"problem": m.record.problem, "spec": m.record.spec, "seed": m.record.seed, "verdict": m.record.verdict, "question": m.question,
             "expected": m.expected, "answer": m.record.answer, "text": m.record.text}
            for m in self.mistakes
        ]  # fmt: skip
        return {
            "schema": SCHEMA, "name": self.name, "facts": dict(self.facts), "notes": list(self.notes), "rows": rows,
            "curves": [row for curve in self.curves for row in curve.rows()], "wrong": {"total": self.wrong, "listed": listed},
        }  # fmt: skip

    def charts(self) -> list[Chart]:
        """Accuracy against tokens for what was run, and against samples for what the pool would have bought."""
        found = []
        measured = [
            {"strategy": f"{row.family} (sees the key)" if row.oracle else row.family, "tokens": row.completion_tokens, "accuracy": row.accuracy,
             "low": row.low, "high": row.high}
            for row in self.rows
            if row.completion_tokens > 0 and row.accuracy is not None
        ]  # fmt: skip
        control = next((c for c in self.controls if c), None)
        if measured:
            levels = [("one sample at random", control.random)] if control else []
            found.append(
                line_chart(
                    measured, x="tokens", y="accuracy", series="strategy", low="low", high="high", levels=levels, percent=True, width=780,
                    x_title="completion tokens for each problem, all roles (log scale)", y_title="accuracy", title="What more compute bought",
                    subtitle=f"{max(row.problems for row in self.rows)} problems; bands are 95% bootstrap intervals over problems",
                )
            )  # fmt: skip
        drawn = [row for curve in self.curves for row in curve.rows()]
        if drawn and self.curves[0].k.size > 1:
            found.append(
                line_chart(
                    drawn, x="samples", y="accuracy", series="method", low="low", high="high", percent=True, points=self.curves[0].k.size <= 16,
                    controls=CONTROLS, width=780,
                    x_title="samples for each problem (log scale)", y_title="accuracy", title="What every number of samples would have bought",
                    subtitle="expected over random subsets of the recorded samples; the oracle ceiling is coverage (pass@k)",
                )
            )  # fmt: skip
        return found


def build(run: Run, *, seed: int = 0) -> Report:
    """Compute the report of a run, complete or not.

    Args:
        run: the run.
        seed: of the bootstrap intervals.

    Raises:
        DataError: nothing is recorded yet.
    """
    if not run.records:
        raise DataError(f"{run.name}: none of its {run.total} results is recorded yet; run its command again: {run.journal.meta('command')}")
    rows = tuple(summarise(run, seed=seed))
    best = best_of(rows)
    mistakes = answers(run, only_wrong=True)
    mistakes.sort(key=lambda one: best is not None and (one.record.spec, one.record.budget) != (best.spec, best.budget))
    notes = []
    table: SampleTable | None = None
    models = run.settings.get("models")
    policy = models.get("policy") if isinstance(models, Mapping) else None
    try:
        table = SampleTable.load(run.journal, model=policy)
    except DataError:
        notes.append("No plain samples are graded (none was drawn, or the answers are free text), so there are no controls and no curves.")
    if not run.complete:
        notes.append(f"The run is not complete: {len(run.records)} of {run.total} results. Run its command again to finish it.")
    if run.loss:
        again = "; the run's command asks for them again and keeps the rest" if run.folder else ""
        notes.append(f"{run.loss}. They count as unanswered here{again}.")
    notes += [f"{count} missing ({reason}), the first: {said}." for reason, count, said in _kept(run)]
    ungraded = sum(row.ungraded for row in rows)
    if ungraded:
        said = next((record.reasons[UNGRADED] for record in run.records if UNGRADED in record.reasons), "the judge gave no verdict")
        notes.append(f"{ungraded} results are not graded and count neither as right nor as wrong; the first: {sentence(said)}.")
    if any(row.paid_completion_tokens + 0.5 < row.completion_tokens for row in rows):
        notes.append(
            "Samples are drawn once and shared: tokens and calls are what a strategy costs by itself; seconds are what was left to do for it here, "
            "waiting for what ran beside it included; tokens/s is the speed of all that ran meanwhile."
        )
    if any(row.oracle for row in rows):
        notes.append("A strategy whose verifier is the oracle sees the key: it is a ceiling, not a method.")
    controls = tuple(_controls(table, row, seed) if table else None for row in rows)
    for row, control in zip(rows, controls, strict=True):
        if control and control.matched.limited == "pool":
            samples = table.n if table else 0
            notes.append(f"{row.label} costs more tokens than the whole pool: its vote at the same tokens is that of all {samples} samples.")
    if table and table.absent:
        notes.append(f"{table.absent} samples failed; in the curves each counts as a sample without an answer.")
    if table and table.unfinished:
        notes.append(
            f"{table.unfinished} of {table.labels.size - table.absent} samples ended at their allowance of tokens before an answer; "
            "raise --max-tokens (a model that thinks may need thousands)."
        )
    ks = None if table is None else [k for k in range(1, table.n + 1) if table.n <= 64 or k in _powers(table.n)]
    drawn = tuple(curves(table, ks, seed=seed)) if table else ()
    return Report(run.name, rows, controls, drawn, tuple(mistakes[:MISTAKES]), len(mistakes), _facts(run, rows, drawn, seed), tuple(notes))


def _kept(run: Run) -> list[tuple[str, int, str]]:
    # what did not come back and will not by asking again, apart from budgets: judgements, what a pool does not hold
    counts, said = Counter[str](), dict[str, str]()
    for record in run.records:
        counts.update({reason: n for reason, n in record.missing.items() if reason not in record.lost and reason not in ("budget", "seconds")})
        said = {**record.reasons, **said}
    return [(reason, count, sentence(said.get(reason, reason))) for reason, count in counts.items()]


def as_report(source: Run | Report) -> Report:
    """The report itself, or that of a run."""
    return source if isinstance(source, Report) else build(source)


def _powers(n: int) -> set[int]:
    # eight budgets a doubling: enough for a smooth curve on a log axis
    return {round(2 ** (step / 8)) for step in range(8 * n.bit_length())} | {n}


def _controls(table: SampleTable, row: Row, seed: int) -> Controls:
    k = min(max(1, round(row.candidates)), table.n)
    covered = table.by_problem(stats.pass_at_k(table.n, table.correct.sum(axis=1), k)).mean()
    single = table.by_problem(table.correct.mean(axis=1)).mean()
    return Controls(matched_majority(table, row.completion_tokens, seed=seed), float(single), float(covered))


def _facts(run: Run, rows: tuple[Row, ...], drawn: tuple[Curve, ...], seed: int) -> tuple[tuple[str, str], ...]:
    settings = run.settings
    sampling = settings.get("sampling")
    models = settings.get("models")
    cut = sum(row.cut for row in rows)
    missing = sum(sum(row.missing.values()) for row in rows)
    estimated = next((curve for curve in drawn if curve.method != "exact"), None)
    interval = f"95%, percentile bootstrap over problems ({DRAWS:,} draws, seed {seed}; Wilson's where all are alike); gains are paired by problem"
    how = f"{interval}; votes over random orders, standard error at most {estimated.error:.4f}" if estimated else interval
    seeds = settings.get("seeds")
    shown = {
        "problem set": str(settings.get("set", "")),
        "size": f"{settings.get('problems')} problems, {rows[0].problems if rows else 0} graded",
        "fingerprint": str(settings.get("fingerprint", "")),
        "model": ", ".join(f"{role}: {name}" for role, name in models.items()) if isinstance(models, Mapping) else "",
        "sampling": ", ".join(f"{k}={v}" for k, v in sampling.items() if v not in (None, [], 0, "")) if isinstance(sampling, Mapping) else "",
        "seeds": ", ".join(map(str, seeds)) if isinstance(seeds, list) else "",
        "intervals": how,
        "cut": f"{cut} results ended at their budget; {missing} samples or judgements did not come back",
        "to repeat": run.journal.meta("command") or "",
    }
    return tuple((name, value) for name, value in shown.items() if value)


def write_json(source: Run | Report, path: Path | str) -> None:
    """Write the report as JSON; see `Report.to_json`."""
    write_whole(Path(path), json.dumps(as_report(source).to_json(), indent=2, ensure_ascii=False) + "\n")


def write_png(source: Run | Report, path: Path | str) -> None:
    """Write the charts as one picture.

    Raises:
        DataError: there is nothing to draw yet.
    """
    charts = as_report(source).charts()
    if not charts:
        raise DataError("there is nothing to draw: the run has no graded result with generated tokens yet")
    png(stacked(*charts), path)


def write_html(source: Run | Report, path: Path | str) -> None:
    """Write a page that needs nothing else: no network, no other file."""
    from outthink.evaluate.page import page

    write_whole(Path(path), page(as_report(source)))


def write_markdown(source: Run | Report, path: Path | str) -> None:
    """Write the table and the facts as Markdown."""
    from outthink.evaluate.text import markdown

    write_whole(Path(path), markdown(as_report(source)))


def terminal(source: Run | Report) -> None:
    """Print the report to the terminal."""
    from outthink.evaluate.text import show

    show(as_report(source))
