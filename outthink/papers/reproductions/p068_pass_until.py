"""[68] PassUntil: estimates of tiny pass rates, and the task law over model size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from outthink.core import data
from outthink.laws.methods.pass_until import fit_task_law, pass_rate, pooled_pass_rate, sample_until
from outthink.laws.table import read_table
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured

_SET = "laws/monkeys-pythia"
_SIZES = {  # of the Pythia models, without embeddings counted twice: their model cards
    "Pythia 70M": 70_426_624, "Pythia 160M": 162_322_944, "Pythia 410M": 405_334_016, "Pythia 1B": 1_011_781_632, "Pythia 2.8B": 2_775_208_960,
    "Pythia 6.9B": 6_857_302_016, "Pythia 12B": 11_846_072_320,
}  # fmt: skip
_RATE = 0.002


def _expected(successes: int, *, biased: bool) -> float:
    # sum over K of P(K samples are needed) times the estimate; beyond 30,000 samples the remainder is below 1e-20
    used = np.arange(successes, 30_000)
    ways = np.ones(len(used))
    for k in range(1, successes):
        ways *= (used - k) / k
    chance = ways * _RATE**successes * np.exp((used - successes) * np.log1p(-_RATE))
    return float((chance * pass_rate(np.full(len(used), successes), used, biased=biased)).sum() / _RATE)


@reproduction(paper=68, kind="exact", fast=True)
def bias() -> Iterator[Measured]:
    """Successes over samples overestimates a small pass rate, sixfold at one success; one less of each is unbiased."""
    yield Measured.within(
        f"E[r / K] over the true rate of {_RATE}, r = 1: log(1/p) / (1 - p)", value=_expected(1, biased=True), target=-np.log(_RATE) / (1 - _RATE),
        tolerance=1e-9,
    )  # fmt: skip
    for successes, factor in ((2, 1.98), (5, 1.25)):
        yield Measured.within(
            f"E[r / K] over the true rate of {_RATE}, r = {successes}", value=_expected(successes, biased=True), target=factor, tolerance=0.005
        )
    for successes in (2, 5):
        yield Measured.within(f"E[(r - 1) / (K - 1)] over it, r = {successes}", value=_expected(successes, biased=False), target=1.0, tolerance=1e-9)


@reproduction(paper=68, kind="simulated")
def censoring() -> Iterator[Measured]:
    """With a cap, instances that reached it must stay in: leaving them out counts the easy ones alone."""
    rng = np.random.default_rng(0)
    rates = rng.beta(0.4, 30.0, 6000)
    runs = [sample_until(lambda rate=rate: bool(rng.random() < rate), 2, 1000) for rate in rates]  # type: ignore[misc]
    seen, used, capped = (np.array([getattr(run, name) for run in runs]) for name in ("successes", "samples", "capped"))
    kept = pass_rate(seen, used, capped=capped)
    error = float((kept - rates).std() / np.sqrt(len(kept)))
    yield Measured.covers(
        "mean pass rate with capped instances, less the true mean", value=float(kept.mean() - rates.mean()), target=0.0, widest=0.004,
        interval=(float(kept.mean() - rates.mean()) - 3 * error, float(kept.mean() - rates.mean()) + 3 * error), seed=0,
        data="rates from Beta(0.4, 30), r = 2, cap 1000", size=f"6000 instances, {int(capped.sum())} capped",
    )  # fmt: skip
    yield Measured.at_least(
        "mean pass rate without them over the true mean", value=float(kept[~capped].mean() / rates.mean()), bound=1.2, seed=0,
        data="rates from Beta(0.4, 30), r = 2, cap 1000", size=f"6000 instances, {int(capped.sum())} capped",
    )  # fmt: skip
    same = [sample_until(lambda: bool(rng.random() < _RATE), 1, 10**6) for _ in range(2000)]
    pooled = pooled_pass_rate([run.successes for run in same], [run.samples for run in same])
    yield Measured.within(
        "pooled estimate over the true rate, one success each", value=pooled / _RATE, target=1.0, tolerance=3 / np.sqrt(2000), seed=0,
        data=f"one rate of {_RATE}", size="2000 instances",
    )  # fmt: skip


def _rates() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    (path,) = data.find(_SET, "monkeys_pythia_math.csv")
    table = read_table(path)
    model, share = table.label("model"), table.column("c") / table.column("n")
    return np.array([*_SIZES.values()], dtype=np.float64), np.array([share[model == name].mean() for name in _SIZES])


@reproduction(paper=68, kind="recorded", fast=True, needs=(f"data:{_SET}/monkeys_pythia_math.csv", f"data:{_SET}/pythia_ckpts_math.csv"))
def pythia() -> Iterator[Measured]:
    """Seven Pythia models follow the task law, and the largest is predicted from the others to forty per cent, not to a twentieth of one."""
    sizes, rates = _rates()
    whole, part = fit_task_law(sizes, rates), fit_task_law(sizes[:-1], rates[:-1])
    said = "Pythia, 128 MATH problems x 10,000 samples"
    yield Measured.within("exponent of the size", value=whole.alpha, target=0.1237, tolerance=5e-4, data=said, size="7 models")
    yield Measured.within("R squared of the line", value=whole.r_squared, target=0.930, tolerance=1e-3, data=said, size="7 models")
    predicted = float(part(sizes[-1]))
    yield Measured.within("pass rate of 12B predicted from the six smaller models", value=predicted, target=0.0327, tolerance=2e-4, data=said)
    yield Measured.within("its measured pass rate", value=float(rates[-1]), target=0.0232, tolerance=5e-5, data=said)
    yield Measured.at_most(
        "error of that prediction in shares of the measured rate", value=abs(predicted / float(rates[-1]) - 1), bound=5e-4, data=said,
        size="7 models", expected="≤ 0.0005, as the paper reports for its own 2.4B model",
        not_covered="models trained alike for this purpose, as the paper's are",
    )  # fmt: skip
    (path,) = data.find(_SET, "pythia_ckpts_math.csv")
    table = read_table(path)
    last = table.where(table.label("model") == "Pythia_70M_300B")
    yield Measured.within(
        f"problems that the fully trained Pythia 70M solves, of {len(last)}, in up to {int(last.column('n').max()):,} samples",
        value=int((last.column("c") > 0).sum()), target=0, tolerance=0, data="Pythia checkpoints on MATH",
    )  # fmt: skip
