"""Majority, weighted vote and best-of-n at every k up to n, from a pool of 1000 problems x 1000 samples: seconds and peak memory.

    python benchmarks/replay.py [problems] [samples]

The pool is arrays, as `outthink.evaluate.table.SampleTable` holds it: answer classes, correctness, scores. Each estimator runs in a process of
its own for its memory, then all of them together as `outthink.evaluate.curves.curves` runs them, with bootstrap intervals over problems.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable

import numpy as np

from outthink import stats
from outthink.evaluate.curves import curves
from outthink.evaluate.table import SampleTable

CLASSES = 20


def pool(problems: int, samples: int) -> SampleTable:
    """Each problem has a right answer of Beta(1, 2) probability; the rest is spread unevenly over wrong ones and over no answer."""
    rng = np.random.default_rng(0)
    right = rng.beta(1.0, 2.0, size=(problems, 1))
    wrong = rng.dirichlet(np.full(CLASSES, 0.3), size=problems)
    chosen = (rng.random((problems, samples))[..., None] > wrong.cumsum(axis=1)[:, None, :]).sum(axis=2)
    labels = np.where(rng.random((problems, samples)) < right, 0, 1 + chosen)
    labels = np.where(rng.random((problems, samples)) < 0.05, -1, labels)
    correct = (labels == 0).astype(np.float64)
    scores = rng.normal(loc=correct, scale=1.0)
    return SampleTable(tuple(map(str, range(problems))), labels, correct, np.full(labels.shape, 200.0), {"verifier": 1 / (1 + np.exp(-scores))})


def majority(table: SampleTable) -> None:
    """Majority at every k."""
    stats.majority_at_k(table.labels, table.correct, seed=0)


def weighted(table: SampleTable) -> None:
    """Weighted vote at every k."""
    stats.weighted_majority_at_k(table.labels, table.scores["verifier"], table.correct, seed=0)


def best(table: SampleTable) -> None:
    """Best-of-n at every k."""
    stats.best_of_k(table.scores["verifier"], table.correct)


def three(table: SampleTable) -> None:
    """The three of them."""
    for work in (majority, weighted, best):
        work(table)


def with_controls(table: SampleTable) -> None:
    """All curves of a report, with their intervals."""
    curves(table, seed=0)


def measure(work: Callable[[SampleTable], None], problems: int, samples: int, out: multiprocessing.Queue[tuple[float, float, float]]) -> None:
    """Put (wall seconds, processor seconds, peak memory of the whole process in GB) of one piece of work."""
    table = pool(problems, samples)
    start, processor = time.perf_counter(), time.process_time()
    work(table)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    out.put((seconds, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9))


def main(problems: int, samples: int) -> None:
    """Print a row a piece of work."""
    spawn = multiprocessing.get_context("spawn")
    print(f"{problems} problems x {samples} samples, every k from 1 to {samples}")
    for work in (majority, weighted, best, three, with_controls):
        out = spawn.Queue()
        process = spawn.Process(target=measure, args=(work, problems, samples, out))
        process.start()
        seconds, processor, memory = out.get()
        process.join()
        print(f"{work.__name__:14} {seconds:7.2f} s wall  {processor:6.2f} s processor   peak {memory:5.2f} GB (pool included)")


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*(given + [1000, 1000][len(given) :])[:2])
