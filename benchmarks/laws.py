"""Fits of the Chinchilla law to the 240 published points: outthink, the usual SciPy scripts, SciPy's global search and PyPI's `chinchilla`.

    OUTTHINK_DATA=... python benchmarks/laws.py [--pairs 5] [--peers FOLDER]

The usual script is L-BFGS-B on the sum of Huber losses from 4,500 starts (a grid of 6 x 6 x 5 x 5 x 5), once with an analytic gradient and
once with finite differences; it is timed on starts drawn from its grid and extrapolated to all of them. Bootstrap: 4,000 refits, against
SciPy refits from 10 starts each (the fit's own optimum and nine of the grid), timed on 20 refits and extrapolated, with tolerances at
which it does refit. `chinchilla` runs in a virtual environment of its own, made here from PyPI, on its README's grid of 3,125 starts, timed
on the 32 corners of it. All but `chinchilla` is one process on one thread, in processor seconds, so that a busy machine changes little;
`chinchilla` uses all cores, as it does by default, and is in seconds of the clock, as is ours beside it. Rounds are interleaved in pairs; a
ratio is the geometric mean of the paired ratios with its bootstrap interval. Targets: 100, for the usual script and for the bootstrap.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"

import numpy as np  # noqa: E402 - after the number of threads is set

GRID = list(itertools.product([0.0, 5, 10, 15, 20, 25], [0.0, 5, 10, 15, 20, 25], [-1.0, -0.5, 0.0, 0.5, 1.0], *[[0.0, 0.5, 1.0, 1.5, 2.0]] * 2))
REPLICATES, REFITS, REFIT_STARTS = 4000, 20, 10
PEER_GRID = 3125
TIGHT = {"ftol": 1e-13, "gtol": 1e-10, "maxiter": 2000}
"""With its default tolerances L-BFGS-B stays at the fit's own optimum on most resamples: standard error of alpha .0005 in place of .0150,
and basinhopping ends at 1.107e-3 in place of 1.018e-3."""
PEER_CODE = """
import sys, time, json, numpy as np
from chinchilla import Chinchilla
def seconds(ends):
    axis = lambda low, high: np.linspace(low, high, 5)[[0, -1]][:ends]
    cc = Chinchilla(sys.argv[1], param_grid=dict(E=axis(1, 2), a=axis(1, 10), b=axis(1, 10), alpha=axis(.1, .7), beta=axis(.1, .7)), log_level=40)
    start = time.perf_counter(); cc.fit(); return time.perf_counter() - start, cc.params
alone, _ = seconds(1)
many, found = seconds(2)
print(json.dumps([(many - alone) / 31, {name: float(value) for name, value in found.items()}]))
"""


def huber(x: np.ndarray, log_n: np.ndarray, log_d: np.ndarray, target: np.ndarray, weights: np.ndarray | float = 1.0) -> tuple[float, np.ndarray]:
    """Sum of Huber losses (delta 1e-3) of log loss and its gradient, at (log A, log B, log E, alpha, beta): as scripts write it."""
    terms = np.stack([x[0] - x[3] * log_n, x[1] - x[4] * log_d, np.full_like(log_n, x[2])])
    top = terms.max(axis=0)
    parts = np.exp(terms - top)
    whole = parts.sum(axis=0)
    residual = top + np.log(whole) - target
    held = np.clip(residual, -1e-3, 1e-3)
    pull = weights * held * parts / whole
    gradient = np.array([pull[0].sum(), pull[1].sum(), pull[2].sum(), -(pull[0] * log_n).sum(), -(pull[1] * log_d).sum()])
    return float((weights * held * (residual - 0.5 * held)).sum()), gradient


class Points:
    """The replication's points, and every contender's way of fitting them; each returns (seconds for the whole job, best objective)."""

    def __init__(self) -> None:
        from outthink.core import data
        from outthink.laws.table import read_table

        table = read_table(data.recording("laws/chinchilla-svg", "svg_extracted_data.csv"), {"Model Size": "parameters", "Training FLOP": "flops"})
        table = table.with_columns(tokens=table.column("flops") / (6.0 * table.column("parameters")))
        self.table = table.where(np.sort(np.argsort(table.column("loss"), kind="stable")[:-5]))
        self.logs = tuple(np.log(self.table.column(name)) for name in ("parameters", "tokens", "loss"))
        self.rng = np.random.default_rng(0)
        self.peer_found: dict[str, float] = {}

    def ours(self, clock: Callable[[], float] = time.process_time) -> tuple[float, float]:
        from outthink.laws.fit import fit

        start = clock()
        for _ in range(5):
            found = fit("chinchilla", self.table)
        return (clock() - start) / 5, found.value

    def script(self, starts: int, analytic: bool) -> tuple[float, float]:
        from scipy.optimize import minimize

        chosen = [np.array(GRID[i]) for i in self.rng.choice(len(GRID), starts, replace=False)]
        start = time.process_time()
        if analytic:
            ends = [minimize(huber, x, args=self.logs, jac=True, method="L-BFGS-B") for x in chosen]
        else:
            ends = [minimize(lambda x: huber(x, *self.logs)[0], x, method="L-BFGS-B") for x in chosen]
        return (time.process_time() - start) / starts * len(GRID), min(float(end.fun) for end in ends)

    def hopping(self) -> tuple[float, float]:
        from scipy.optimize import basinhopping

        start = time.process_time()
        settings = {"args": self.logs, "jac": True, "method": "L-BFGS-B", "options": TIGHT}
        found = basinhopping(huber, np.array([5.0, 5.0, 0.5, 0.5, 0.5]), niter=100, minimizer_kwargs=settings, rng=int(self.rng.integers(1 << 31)))
        return time.process_time() - start, float(found.fun)

    def our_bootstrap(self) -> tuple[float, float]:
        from outthink.laws.bootstrap import bootstrap
        from outthink.laws.fit import fit

        result = fit("chinchilla", self.table)
        start = time.process_time()
        drawn = bootstrap(result, replicates=REPLICATES, seed=int(self.rng.integers(1 << 31)))
        return time.process_time() - start, drawn.standard_error("alpha")

    def script_bootstrap(self, starts: int) -> tuple[float, float]:
        from scipy.optimize import minimize

        rows = len(self.table)
        optimum = np.array([math.log(477.826), math.log(2143.42), math.log(1.81722), 0.347310, 0.367172])
        start, alphas = time.process_time(), []
        for _ in range(REFITS):
            counts = self.rng.multinomial(rows, np.full(rows, 1 / rows)).astype(float)
            begin = [optimum, *(np.array(GRID[i]) for i in self.rng.choice(len(GRID), starts - 1, replace=False))]
            ends = [minimize(huber, x, args=(*self.logs, counts), jac=True, method="L-BFGS-B", options=TIGHT) for x in begin]
            alphas.append(min(ends, key=lambda end: end.fun).x[3])
        return (time.process_time() - start) / REFITS * REPLICATES, float(np.std(alphas, ddof=1))

    def peer(self, python: str) -> tuple[float, float]:
        from outthink.laws.form import form
        from outthink.laws.objective import Objective

        with tempfile.TemporaryDirectory() as folder:
            columns = [self.table.column(name) for name in ("flops", "parameters", "tokens", "loss")]
            lines = ["C,N,D,loss", *(",".join(f"{float(cell)!r}" for cell in row) for row in zip(*columns, strict=True))]
            Path(folder, "df.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
            done = subprocess.run(
                [python, "-c", PEER_CODE, folder], check=True, capture_output=True, text=True, cwd=folder, env={**os.environ, "MPLBACKEND": "agg"}
            )
        each, self.peer_found = json.loads(done.stdout.strip().splitlines()[-1])
        law = form("chinchilla").law(**{name: self.peer_found[name] for name in ("A", "B", "E", "alpha", "beta")})
        predicted = law(self.table.column("parameters"), self.table.column("tokens"))
        return each * PEER_GRID, Objective().value(predicted, self.table.column("loss"))


def peer_python(folder: Path) -> str | None:
    """The Python of a virtual environment that has `chinchilla` 0.2.0, made if absent; None (and a line that says why) if it cannot be installed."""
    python = folder / "chinchilla" / "bin" / "python"
    try:
        if not python.exists():
            print("installing chinchilla ...", flush=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder / "chinchilla")], check=True, capture_output=True, text=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", "chinchilla==0.2.0"], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        print(f"chinchilla: cannot be installed ({(error.stderr or '').strip().splitlines()[-1:]}); its comparison is left out")
        return None
    return str(python)


Job = Callable[[], tuple[float, float]]


def compare(name: str, ours: Job, theirs: Job, pairs: int, target: float | None, what: str) -> dict[str, object]:
    """Interleaved pairs, ours first in every other."""
    from outthink.stats.intervals import bootstrap_mean

    seconds: tuple[list[float], list[float]] = ([], [])
    found: tuple[list[float], list[float]] = ([], [])
    for pair in range(pairs):
        for who in (0, 1) if pair % 2 == 0 else (1, 0):
            took, value = (ours, theirs)[who]()
            seconds[who].append(took)
            found[who].append(value)
    ratio = bootstrap_mean([math.log(b / a) for a, b in zip(*seconds, strict=True)], seed=0)
    times, low, high = math.exp(ratio.estimate), math.exp(ratio.low), math.exp(ratio.high)
    verdict = "" if target is None else f"   target {target:g}: {'met' if low >= target else 'NOT MET'}"
    print(
        f"{name:58} {np.median(seconds[0]):8.3f} s {np.median(seconds[1]):9.2f} s   {times:7.1f} [{low:.1f}, {high:.1f}] times{verdict}", flush=True
    )
    print(f"{'':58} {what}: {min(found[0]):.7g} and {min(found[1]):.7g}", flush=True)
    return {"against": name, "ours_s": seconds[0], "theirs_s": seconds[1], "ratio": times, "low": low, "high": high, what: [min(f) for f in found]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--peers", type=Path, help="folder of the peer's environment, kept; a temporary one if left out")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    points, pairs = Points(), given.pairs
    points.ours()  # imports, and numpy's first calls
    objective, spread = "lowest objective, ours and theirs", "standard error of alpha"
    print(f"{'':58} {'outthink':>10} {'other':>11}   other / outthink")
    results = [
        compare("usual script, 4500 starts, analytic gradient (of 90)", points.ours, lambda: points.script(90, True), pairs, 100.0, objective),
        compare("usual script, 4500 starts, finite differences (of 30)", points.ours, lambda: points.script(30, False), pairs, 100.0, objective),
        compare("SciPy basinhopping, 100 hops", points.ours, points.hopping, pairs, None, objective),
        compare("4000 refits, SciPy from 10 starts (of 20 refits)", points.our_bootstrap, lambda: points.script_bootstrap(10), pairs, 100.0, spread),
        compare(
            "4000 refits, SciPy from the optimum only (of 20 refits)", points.our_bootstrap, lambda: points.script_bootstrap(1), pairs, None, spread
        ),
    ]
    with tempfile.TemporaryDirectory() as temporary:
        if python := peer_python(given.peers or Path(temporary)):
            name = "chinchilla 0.2.0, its README's 3125 starts (of 32)"
            results.append(compare(name, lambda: points.ours(time.perf_counter), lambda: points.peer(python), max(2, pairs // 2), 100.0, objective))
            print(f"{'':58} it finds {points.peer_found}")
    if given.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
