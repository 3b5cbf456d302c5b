"""What is to be measured: strategies x problems x budgets x seeds, as cells that can be counted, skipped and compared."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from outthink.core.errors import DataError, UsageError
from outthink.core.keys import digest
from outthink.core.protocols import Model, Strategy
from outthink.core.request import Sampling
from outthink.core.spec import describe
from outthink.core.spend import Budget
from outthink.evaluate.redact import redact
from outthink.problems.sets import ProblemSet


@dataclass(frozen=True)
class Cell:
    """One strategy under one budget with one seed: what is done once for every problem.

    Args:
        strategy: with the number of samples set, where the budget is one.
        budget: caps on spending.
        seed: seed of the draws; cells with equal seeds share recorded samples.
        family: the strategy's spec without its number of samples: what makes one line of a chart.
        samples: its number of samples, None where it has no such knob.
    """

    strategy: Strategy
    budget: Budget
    seed: int
    family: str
    samples: int | None

    @property
    def spec(self) -> str:
        """The strategy's spec."""
        return describe(self.strategy)

    @property
    def caps(self) -> str:
        """The budget as text, "" without caps."""
        return str(self.budget) if self.budget != Budget() else ""

    def name(self, problem: str) -> str:
        """What identifies the record of this cell for a problem."""
        return digest(problem, self.spec, self.caps, str(self.seed))


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Args:
        strategies: what to compare; the first (or `greedy`) is the one that gains are measured against.
        problems: the set, with its keys.
        budgets: a whole number k gives every strategy that has the knob `n` k samples (one that has none runs once); a `Budget`
            caps the spending on each problem; None leaves the strategy as it is.
        seeds: independent repetitions.
        sampling: how problems are sampled.
        model: the model as the user named it, for reports.
        roles: role -> model as the user named it.
        command: the command line that made the plan, for reports.

    Raises:
        UsageError: nothing to do, a seed or a strategy twice, or a number of samples below 1.
        DataError: a problem without a key.
    """

    strategies: tuple[Strategy, ...]
    problems: ProblemSet
    budgets: tuple[Budget | int | None, ...] = (None,)
    seeds: tuple[int, ...] = (0,)
    sampling: Sampling = Sampling()
    model: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    command: str = ""

    def __post_init__(self) -> None:
        for name in ("strategies", "budgets", "seeds"):
            if not getattr(self, name):
                raise UsageError(f"plan: no {name} given; name at least one")
        if not self.problems.problems:
            raise UsageError(f"plan: the problem set {self.problems.name!r} is empty")
        keyless = [problem.id for problem in self.problems.problems if problem.id not in self.problems.keys]
        if len(keyless) == len(self.problems.problems):
            raise DataError(
                f"{self.problems.name}: no problem has a key to grade by; name the field that holds it (--answer-field), or take another set: "
                "what is graded by running code, by rules or by a planner cannot be run yet"
            )
        if keyless:
            raise DataError(f"{self.problems.name}: {len(keyless)} problems have no key, such as {keyless[0]!r}; give them one, or leave them out")
        for budget in self.budgets:
            if isinstance(budget, int) and budget < 1:
                raise UsageError(f"plan: a number of samples must be 1 or more, got {budget}")
        for what, values in (("seed", list(map(str, self.seeds))), ("strategy", [describe(s) for s in self.strategies])):
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise UsageError(f"plan: the {what} {twice} is given twice")

    def cells(self) -> list[Cell]:
        """All cells of one problem in the order given, each once."""
        found: dict[tuple[str, str, int], Cell] = {}
        for strategy in self.strategies:
            for budget in self.budgets:
                for seed in self.seeds:
                    cell = _cell(strategy, budget, seed)
                    found.setdefault((cell.spec, cell.caps, cell.seed), cell)
        return list(found.values())

    @property
    def size(self) -> int:
        """How many records a complete run has."""
        return len(self.cells()) * len(self.problems.problems)

    def settings(self, models: Mapping[str, Model]) -> dict[str, object]:
        """What makes two runs the same run, as plain data without secrets. The command line and addresses are no part of it."""
        content = json.dumps([[p.id, p.request(self.sampling).digest] for p in self.problems.problems])
        return {
            "set": self.problems.name,
            "fingerprint": self.problems.fingerprint,
            "problems": len(self.problems.problems),
            "prompts": hashlib.sha256(content.encode()).hexdigest()[:16],
            "strategies": [describe(strategy) for strategy in self.strategies],
            "budgets": ["default" if b is None else f"samples={b}" if isinstance(b, int) else str(b) for b in self.budgets],
            "seeds": list(self.seeds),
            "sampling": dataclasses.asdict(self.sampling),
            "models": {role: redact(f"{model.name}@{model.engine}") for role, model in models.items()},
        }


def _cell(strategy: Strategy, budget: Budget | int | None, seed: int) -> Cell:
    knobs = _knobs(strategy)
    caps = budget if isinstance(budget, Budget) else Budget()
    samples = getattr(strategy, "n", None)
    if "n" not in knobs or not isinstance(samples, int):
        return Cell(strategy, caps, seed, describe(strategy), None)
    if isinstance(budget, int):
        samples = budget
        strategy = _with_samples(strategy, samples)
    default = knobs["n"].default
    family = _with_samples(strategy, default) if isinstance(default, int) else strategy
    return Cell(strategy, caps, seed, describe(family), samples)


def _knobs(strategy: object) -> dict[str, dataclasses.Field[object]]:
    if not dataclasses.is_dataclass(strategy):
        return {}
    return {knob.name: knob for knob in dataclasses.fields(strategy)}


def _with_samples(strategy: Strategy, n: int) -> Strategy:
    return dataclasses.replace(strategy, n=n)  # type: ignore[type-var]  # only called where `_knobs` has found the knob n


def differences(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """What differs between two settings, a sentence piece each: `seeds: was [0], is now [0, 1]`."""
    changed = [name for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]
    if "set" in changed:  # another set has another fingerprint, which says nothing more
        changed = [name for name in changed if name not in ("fingerprint", "problems", "prompts")]
    return [f"{name}: was {_short(old.get(name))}, is now {_short(new.get(name))}" for name in changed]


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:197] + "..."
