"""[124] Scores of training methods by the time they need to a target, from a table of trials."""

from __future__ import annotations

from outthink.laws.methods.time_to_result import fit_target_times
from outthink.laws.procedure import Column, Outcome, procedure
from outthink.laws.table import Table


@procedure(
    "time-to-target", papers=(124,), title="AlgoPerf score: how fast a method reaches the target, over all workloads",
    columns=(
        Column("submission", "the method", "label"),
        Column("workload", "the task", "label"),
        Column("study", "repeat of the whole tuning; the fastest trial of each counts", "label"),
        Column("time_to_target_s", "seconds until the target was met; inf where it never was"),
    ),
    source="[124] sections 4.2 and 4.3, performance profiles with r_max = 4",
)  # fmt: skip
def run(table: Table, seed: int) -> Outcome:
    """One row a submission, the best first. Nothing in it is random."""
    scores = fit_target_times(table).scores()
    ordered = sorted(scores.items(), key=lambda item: -item[1])
    return Outcome(tuple({"submission": name, "score": score} for name, score in ordered))
