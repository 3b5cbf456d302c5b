"""[124] A benchmark of training methods in small: four workloads and one variant, five optimizers, learning rates tuned in each of three studies.

Networks have 100 to 10,000 parameters and train for 300 steps on generated data, so this shows that the scoring works on runs of our own
and what it says at that size, not which optimizer to take for a large model. Needs torch (extra `adapt`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from outthink.core.errors import need
from outthink.laws.methods.time_to_result import spent_to_target
from outthink.laws.table import Table, table_of
from outthink.papers.digits import digits
from outthink.papers.fixtures import Progress

STEPS, EVERY, BATCH = 300, 10, 64
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
STUDIES = ("0", "1", "2", "3")
"""Study 0 sets the targets and is not scored."""

OPTIMIZERS: dict[str, tuple[str, dict[str, float | bool]]] = {
    "sgd": ("SGD", {}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adagrad": ("Adagrad", {}),
    "rmsprop": ("RMSprop", {}),
    "adam": ("Adam", {}),
}
VARIANTS = {"digits_tanh": "digits"}
SLACK = 0.05
"""A target is the best final loss of study 0 and this share of the way back to the median loss at its first evaluations."""


@dataclass(frozen=True)
class Workload:
    """A task and its network: layer widths, activation, whether the target is a class."""

    draw: Callable[[np.random.Generator], tuple[NDArray[np.float64], NDArray[np.float64]]]
    widths: tuple[int, ...]
    activation: str = "ReLU"
    classes: bool = False


def _digits(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    images, labels = digits(3000, rng)
    return images.reshape(3000, -1), labels.astype(np.float64)


def _images(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    inputs, _ = _digits(rng)
    return inputs, inputs


def _stretched(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # least squares whose inputs differ in scale by 100 from first to last: a condition number of 10,000
    inputs = rng.normal(size=(3000, 20)) * np.logspace(-1.0, 1.0, 20)
    return inputs, inputs @ (rng.normal(size=(20, 1)) / np.logspace(-1.0, 1.0, 20)[:, None]) + 0.1 * rng.normal(size=(3000, 1))


def _spirals(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    labels = rng.integers(2, size=3000)
    turn = rng.uniform(0.25, 1.5, 3000)
    angle = 2.0 * np.pi * turn + np.pi * labels
    return np.stack([turn * np.cos(angle), turn * np.sin(angle)], axis=1) + 0.02 * rng.normal(size=(3000, 2)), labels.astype(np.float64)


WORKLOADS = {
    "digits": Workload(_digits, (81, 32, 10), classes=True),
    "digits_tanh": Workload(_digits, (81, 32, 10), "Tanh", classes=True),
    "autoencoder": Workload(_images, (81, 16, 81)),
    "stretched": Workload(_stretched, (20, 1)),
    "spirals": Workload(_spirals, (2, 32, 32, 2), classes=True),
}


def train(workload: str, optimizer: str, rate: float, seed: int) -> list[float]:
    """Losses on held-out data after every `EVERY` steps; NaN where the training diverged.

    Raises:
        MissingExtra: torch is not installed.
    """
    torch = need("torch", extra="adapt")
    torch.manual_seed(seed)
    task = WORKLOADS[workload]
    inputs, targets = (torch.tensor(part, dtype=torch.float32) for part in task.draw(np.random.default_rng(seed)))
    if task.classes:
        targets = targets.long()
    layers: list[object] = []
    for wide, narrow in zip(task.widths[:-1], task.widths[1:], strict=True):
        layers += [torch.nn.Linear(wide, narrow), getattr(torch.nn, task.activation)()]
    model = torch.nn.Sequential(*layers[:-1])
    loss = torch.nn.CrossEntropyLoss() if task.classes else torch.nn.MSELoss()
    kind, options = OPTIMIZERS[optimizer]
    steps = getattr(torch.optim, kind)(model.parameters(), lr=rate, **options)
    losses = []
    for step in range(1, STEPS + 1):
        chosen = torch.randint(2000, (BATCH,))
        steps.zero_grad()
        loss(model(inputs[chosen]), targets[chosen]).backward()
        steps.step()
        if step % EVERY == 0:
            with torch.no_grad():
                value = float(loss(model(inputs[2000:]), targets[2000:]))
            losses.append(value if np.isfinite(value) else float("nan"))
    return losses


def record(folder: Path, params: Mapping[str, str | int | float], progress: Progress) -> None:
    """Train everything; one line a trial in `trials.jsonl`, going on from what is there. The parameters only name the recording."""
    torch = need("torch", extra="adapt")
    path = folder / "trials.jsonl"
    done = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    todo = [(task, optimizer, rate, study) for task in WORKLOADS for optimizer in OPTIMIZERS for rate in RATES for study in STUDIES]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with path.open("a", encoding="utf-8") as out:
            for number, (task, optimizer, rate, study) in enumerate(todo[len(done) :], len(done)):
                progress(f"{task}, {optimizer}", number, len(todo))
                losses = train(task, optimizer, rate, int(study))
                out.write(json.dumps({"workload": task, "submission": optimizer, "rate": rate, "study": study, "losses": losses}) + "\n")
    finally:
        torch.set_num_threads(threads)


def trials(folder: Path) -> Table:
    """Scored trials with their steps to the target: labels submission, workload, study; column `steps`, inf where never."""
    rows = [json.loads(line) for line in (folder / "trials.jsonl").read_text(encoding="utf-8").splitlines()]
    targets = {}
    for task in WORKLOADS:
        table = np.array([row["losses"] for row in rows if row["workload"] == task and row["study"] == STUDIES[0]])  # (trials, evaluations)
        best = float(np.nanmin(table[:, -1]))
        targets[task] = best + SLACK * (float(np.nanmedian(table[:, 0])) - best)
    scored = [row for row in rows if row["study"] != STUDIES[0]]
    spent = np.arange(EVERY, STEPS + 1, EVERY)
    steps = [spent_to_target(spent, row["losses"], targets[row["workload"]], falling=True) for row in scored]
    labels = {name: [str(row[name]) for row in scored] for name in ("submission", "workload", "study")}
    return table_of({**labels, "steps": steps})
