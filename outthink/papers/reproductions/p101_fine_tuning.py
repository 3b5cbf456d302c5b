"""[101] Selecting a model to fine-tune by the rectified law and by accept-then-stop."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from outthink.core import data
from outthink.laws.fit import fit
from outthink.laws.methods.selection import accept_then_stop, relative_accuracy
from outthink.laws.objective import Objective
from outthink.laws.table import read_table, table_of
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured

_SET = "laws/finetune-rectified"
_SIZES = np.array([200.0 * 2**power for power in range(14)])
_NAMES = {"FLAN": "flan", "WMT19": "wmt19", "GIGAWORD": "gigaword"}
_NEEDS = tuple(f"data:{_SET}/{name}" for name in ("flan.csv", "wmt19.csv", "gigaword.csv", "tab1.txt"))
_RATIOS = tuple(2**power for power in range(3, 10))
_RMSE = {"FLAN": (0.0065, 0.0358), "WMT19": (0.0123, 0.0629), "GIGAWORD": (0.0052, 0.0106)}  # published means, rectified and plain


def _losses(name: str) -> NDArray[np.float64]:
    (path,) = data.find(_SET, f"{_NAMES[name]}.csv")
    table = read_table(path)
    return np.stack([table.column(str(int(size))) for size in _SIZES], axis=1)


def _published() -> dict[tuple[str, str, int], float]:
    (path,) = data.find(_SET, "tab1.txt")
    cells: dict[tuple[str, str, int], float] = {}
    head: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        parts = [re.sub(r"\\textbf\{([^}]*)\}|\\underline\{([^}]*)\}", r"\1\2", part).strip(" \\") for part in line.split("&")]
        if "FLAN-AtS" in parts:
            head = parts
        elif match := re.fullmatch(r"(\w+)-1/(\d+)", parts[0]):
            for column, text in zip(head[1:], parts[1:], strict=True):
                cells[match[1], column, int(match[2])] = float(text)
    return cells


@reproduction(paper=101, kind="recorded", fast=True, needs=_NEEDS)
def selection_table() -> Iterator[Measured]:
    """All cells of the published selection table follow from the published losses."""
    published = _published()
    off: dict[str, list[float]] = {
        "AtS, correlation": [],
        "AtS, relative accuracy": [],
        "sub-tuning, correlation": [],
        "sub-tuning, relative accuracy": [],
    }
    eighth = {}
    for name in _NAMES:
        losses = _losses(name)
        actual = losses[:, -1]
        for ratio in _RATIOS:
            seen = len(_SIZES) - int(np.log2(ratio))
            guess = accept_then_stop(_SIZES[:seen], losses[:, :seen], _SIZES[-1])
            small = losses[:, seen - 1]
            for method, column, values in (("AtS", "AtS", guess), ("sub-tuning", "SubTuning", small)):
                correlation = 100 * float(np.corrcoef(values, actual)[0, 1])
                off[f"{method}, correlation"].append(abs(correlation - published["PearCorr", f"{name}-{column}", ratio]))
                accuracy = 100 * relative_accuracy(values, actual)
                off[f"{method}, relative accuracy"].append(abs(accuracy - published["RelAcc", f"{name}-{column}", ratio]))
                if ratio == 8:
                    eighth[name, method] = correlation
    for what, gaps in off.items():
        yield Measured.at_most(
            f"{what}: largest deviation from the published cell, in per cent", value=max(gaps), bound=0.1, data="FLAN, WMT19, Gigaword",
            size=f"{len(gaps)} cells, 30 models",
        )  # fmt: skip
    for name in _NAMES:
        yield Measured.at_least(
            f"{name}, an eighth of the budget: gain of AtS over sub-tuning in correlation, per cent",
            value=eighth[name, "AtS"] - eighth[name, "sub-tuning"], bound=5.0, data=name, size="30 models",
            not_covered="the choice among models that were never tuned at all",
        )  # fmt: skip


@reproduction(paper=101, kind="recorded", needs=_NEEDS)
def rectified_against_plain() -> Iterator[Measured]:
    """The rectified law fits fine-tuning curves several times better than the plain one."""
    objective = Objective(loss="squared")
    for name, (published, published_plain) in _RMSE.items():
        errors: dict[str, list[float]] = defaultdict(list)
        for row in _losses(name):
            table = table_of({"samples": _SIZES, "x": _SIZES, "loss": row})
            for law in ("rectified", "power-floor"):
                found = fit(law, table, objective=objective)
                errors[law].append(float(np.sqrt(np.mean(found.residuals() ** 2))))
        ours, plain = float(np.mean(errors["rectified"])), float(np.mean(errors["power-floor"]))
        size = "30 models, 14 sizes"
        yield Measured.at_most(
            f"{name}: root mean square error of the rectified law in log loss", value=ours, bound=published + 5e-5, data=name, size=size
        )
        yield Measured.at_most(f"{name}: that of the plain law", value=plain, bound=published_plain + 5e-5, data=name, size=size)
        yield Measured.within(
            f"{name}: plain over rectified", value=plain / ours, target=published_plain / published, tolerance=0.15 * published_plain / published,
            data=name, size=size, expected=f"{published_plain / published:.2g} ± 15%, as published",
        )  # fmt: skip
