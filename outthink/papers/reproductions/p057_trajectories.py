"""[57] Scaling laws of whole trajectories: size, steps and batch size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from outthink.laws.forms.trajectory import Trajectory, fit_trajectory
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured

# constants of the order of those on C4; the paper's own are not at hand to compare with
_TRUE = Trajectory(N_c=1.5e14, alpha_N=0.076, S_c=2.6e3, alpha_S=0.67, B_star=1.7e8, alpha_B=0.205)
_SIZES = np.geomspace(1e6, 6e7, 6)
_BATCHES = np.geomspace(3e4, 2e6, 5)
_STEPS = np.geomspace(1e3, 1e5, 40)
_SAID, _GAP = "trajectories of known constants, 1% noise", "the constants of [57] on C4, whose runs are not published, and models to 33B"


@reproduction(paper=57, kind="exact", fast=True)
def critical_batch() -> Iterator[Measured]:
    """At the critical batch a loss costs twice the least steps and twice the least examples."""
    loss = np.array([3.2])
    critical = float(_TRUE.critical_batch(loss)[0])
    least = float(_TRUE.S_c * (loss[0] - _TRUE.converged(np.array(1e9))) ** (-1 / _TRUE.alpha_S))
    reached = _TRUE(np.array([1e9]), np.array([2 * least]), np.array([critical]))
    yield Measured.within("loss after twice the least steps at the critical batch", value=float(reached[0]), target=3.2, tolerance=1e-9)
    small, large = 1e-3, 1e5
    few = _TRUE(np.array([1e9]), np.array([least * (1 + 1 / large)]), np.array([critical * large]))
    yield Measured.within("loss after the least steps at a huge batch", value=float(few[0]), target=3.2, tolerance=1e-9)
    many = _TRUE(np.array([1e9]), np.array([least * (1 + 1 / small)]), np.array([critical * small]))
    yield Measured.within(
        "examples at a tiny batch, over the least: loss at S_min (1 + B_crit / B) steps", value=float(many[0]), target=3.2, tolerance=1e-9
    )


@reproduction(paper=57, kind="simulated")
def round_trip() -> Iterator[Measured]:
    """The four steps give the exponents back, and the trajectory of a model thirty times larger than any fitted."""
    off: dict[str, list[float]] = {"alpha_N": [], "alpha_S": [], "alpha_B": []}
    errors = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        runs = []
        for size in _SIZES:
            for batch in _BATCHES:
                clean = _TRUE(np.full(len(_STEPS), size), _STEPS, np.full(len(_STEPS), batch))
                runs.append((float(size), float(batch), _STEPS, clean * np.exp(0.01 * rng.standard_normal(len(_STEPS)))))
        final = _TRUE.converged(_SIZES) * np.exp(0.01 * rng.standard_normal(len(_SIZES)))
        found = fit_trajectory((_SIZES, final), runs)
        for name, gaps in off.items():
            gaps.append(abs(getattr(found, name) / getattr(_TRUE, name) - 1))
        large = (np.full(len(_STEPS), 30 * _SIZES[-1]), _STEPS, np.full(len(_STEPS), 5e5))
        errors.append(float(np.abs(found(*large) / _TRUE(*large) - 1).max()))
    size = "20 sweeps of 6 sizes x 5 batch sizes x 40 steps"
    for name, gaps in off.items():
        yield Measured.at_most(
            f"{name}: relative error, mean over sweeps", value=float(np.mean(gaps)), bound=0.05, data=_SAID, seed=0, size=size, not_covered=_GAP
        )
    yield Measured.at_most(
        "trajectory of a 1.8B model: largest relative error of the loss, mean over sweeps", value=float(np.mean(errors)), bound=0.02, data=_SAID,
        seed=0, size=size, not_covered=_GAP,
    )  # fmt: skip
