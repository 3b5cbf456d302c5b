"""[86] The published table of models as columns of raw counts, and the paper's split: the smallest model of the tested families is seen."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from outthink.core import data
from outthink.laws.table import Table, read_table, table_of

LEADERBOARD = ("IFEval", "BBH", "MATH Lvl 5", "GPQA", "MUSR", "MMLU-PRO")

# families that are tested together: a base family and what was tuned from it (sloth/definitions.py of the official repository)
GROUPS = (
    ("bloom",), ("pythia", "dolly-v2"), ("falcon", "falcon-instruct"), ("gemma-2", "gemma-2-it"), ("gpt-j-neo-neox",),
    ("meta-llama-3", "meta-llama-3-instruct", "llama-3-sauerkrautlm-instruct"), ("olmo",), ("opt",),
    ("qwen2", "qwen2-instruct", "dolphin-2.9.2-qwen2"), ("starcoder2",), ("smollm", "smollm-instruct"),
    ("yi-1.5", "yi-1.5-chat", "dolphin-2.9.1-yi-1.5"),
)  # fmt: skip

# (questions, choices) of the 24 tasks in BBH and the 3 in MuSR, from the same file
_BBH = (
    (250, 2), (187, 2), (250, 6), (250, 3), (250, 2), (250, 11), (250, 2), (250, 5), (250, 7), (250, 3), (250, 6), (250, 2), (250, 19),
    (146, 5), (250, 18), (250, 6), (250, 6), (178, 2), (250, 2), (250, 4), (250, 5), (250, 7), (250, 3), (250, 2),
)  # fmt: skip
_MUSR = ((250, 2), (256, 5), (250, 3))


def _chance(tasks: tuple[tuple[int, int], ...]) -> float:
    return sum(questions / choices for questions, choices in tasks) / sum(questions for questions, _ in tasks)


FLOORS = {"MMLU-PRO": 0.1, "GPQA": 0.25, "BBH": _chance(_BBH), "MUSR": _chance(_MUSR), "IFEval": 0.0, "MATH Lvl 5": 0.0}
"""Score by chance."""


@functools.cache
def models() -> Table:
    """Models with all six benchmarks whose family has two of them or more, by family and size: raw tokens, parameters and FLOPs."""
    raw = read_table(data.find("laws/sloth", "data_v2.csv")[0])
    columns = {name: raw.column(name) for name in LEADERBOARD}
    columns["tokens"] = raw.column("Pretraining Data Size (T)") * 1e12
    columns["parameters"] = raw.column("#Params (B)") * 1e9
    columns["flops"] = raw.column("FLOPs (1E21)") * 1e21
    table = table_of({**columns, "family": raw.label("Family2").tolist(), "model": raw.label("Model").tolist()}, source=raw.source)
    table = table.where(np.isfinite(np.column_stack(list(columns.values()))).all(axis=1))
    names, counts = np.unique(table.label("family"), return_counts=True)
    table = table.where(np.isin(table.label("family"), names[counts >= 2]))
    return table.where(np.lexsort((table.column("parameters"), table.label("family"))))


def held_out(group: tuple[str, ...]) -> NDArray[np.bool_]:
    """(models,) all but the smallest model of each family in the group."""
    families = models().label("family")
    held = np.zeros(len(models()), dtype=bool)
    for family in group:
        held[np.flatnonzero(families == family)[1:]] = True
    return held
