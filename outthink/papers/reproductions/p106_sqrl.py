"""[106] SQRL: statistical quantile rules, mined from data, find what a model gets wrong and lower it at test time.

The paper: up to 300,000 rules are mined, predictions of good models break many of them, and adapting to the rules removes up to 68.7% of the
violations.

Here: scikit-learn's breast cancer data (569 samples, 30 statistics, standardised by the training half), a network of one hidden layer, five splits;
one statistic of each test sample is moved by three standard deviations (the same for all, drawn with the split). One pass in batches of 32, a step of
1e-2, set before; ten passes stand beside it since. The counts are those of the adapted network on the test half afterwards. Controls: rules whose
bounds were shuffled among the statistics, and fresh clean samples for what rules break by design. Not covered: images by attributes, logical rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.stats import bootstrap_mean

if TYPE_CHECKING:
    from torch import Tensor, nn

    from outthink.adapt.rules import Rules
    from outthink.adapt.source import Source

SEEDS, BATCH, MOVED = range(5), 32, 3.0
DATA = "scikit-learn breast cancer, one statistic moved by three deviations"


@dataclass(frozen=True)
class _Split:
    net: nn.Module
    source: Source
    clean: Tensor
    moved: Tensor
    labels: Tensor


def _split(seed: int) -> _Split:
    import torch

    from outthink.adapt.networks import train
    from outthink.adapt.source import Source
    from outthink.core.errors import need

    table = need("sklearn.datasets", extra="adapt").load_breast_cancer()
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(table.target), generator=draw)
    inputs, labels = torch.from_numpy(table.data).float()[order], torch.from_numpy(table.target).long()[order]
    half = len(order) // 2
    mean, deviation = inputs[:half].mean(0), inputs[:half].std(0)
    inputs = (inputs - mean) / deviation
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = torch.nn.Sequential(torch.nn.Linear(30, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
    train(net, inputs[:half], labels[:half], epochs=20, seed=seed)
    moved = inputs[half:].clone()
    moved[:, int(torch.randint(30, (), generator=draw))] += MOVED
    return _Split(net, Source(inputs[:half], labels[:half]), inputs[half:], moved, labels[half:])


def _shuffled(rules: Rules, seed: int) -> Rules:
    import torch

    order = torch.randperm(len(rules), generator=torch.Generator().manual_seed(seed))
    return replace(rules, bound=rules.bound[order])


@reproduction(paper=106, kind="real", needs=("extra:adapt",))
def table_rules() -> Iterator[Measured]:
    """Violations before and after, with real rules and with shuffled ones."""
    import torch

    from outthink.adapt.adapter import adapt
    from outthink.adapt.methods.sqrl import Sqrl
    from outthink.adapt.rules import count_violations

    way = Sqrl(lr=1e-2, nested=True)
    plan = {"rules": 1, "ten": 10, "shuffled": 1}
    fell: dict[str, list[float]] = {name: [] for name in plan}
    gained: dict[str, list[float]] = {name: [] for name in plan}
    counts: dict[str, list[tuple[int, int]]] = {name: [] for name in plan}
    fresh: list[float] = []
    for seed in SEEDS:
        split = _split(seed)
        rules = way.rules(split.source)
        on_clean = count_violations(rules, split.clean, split.labels)
        fresh.append(on_clean.found / max(1e-9, on_clean.expected))
        with torch.no_grad():
            predicted = split.net(split.moved).argmax(1)
        before = count_violations(rules, split.moved, predicted)
        for name, passes in plan.items():
            model = adapt(split.net, way, source=split.source, seed=seed)
            if name == "shuffled":
                model.state.rules = _shuffled(rules, seed)  # type: ignore[assignment]
            for batch in split.moved.split(BATCH) * passes:  # type: ignore[no-untyped-call]
                model(batch)
            with torch.no_grad():
                after = model.state.predict(split.moved).argmax(1)
            found = count_violations(rules, split.moved, after)
            fell[name].append(1 - found.found / max(1, before.found))
            gained[name].append(float((after == split.labels).double().mean() - (predicted == split.labels).double().mean()))
            counts[name].append((before.found, found.found))
    size = f"{len(SEEDS)} splits, 285 test samples each; interval over splits"
    for name, label in (("rules", "one pass"), ("ten", "ten passes")):
        told = ", ".join(f"{first} -> {last}" for first, last in counts[name])
        share = bootstrap_mean(np.array(fell[name]), seed=106)
        yield Measured.at_least(
            f"{label}: share of the violations that adaptation removes ({told})", value=share.estimate, interval=(share.low, share.high), bound=0.4,
            data=DATA, size=size,
        )  # fmt: skip
        loss = bootstrap_mean(-np.array(gained[name]), seed=106)
        yield Measured.at_most(f"{label}: accuracy lost by it", value=loss.estimate, interval=(loss.low, loss.high), bound=0.01, data=DATA, size=size)
    control = bootstrap_mean(np.array(fell["rules"]) - np.array(fell["shuffled"]), seed=106)
    yield Measured.above(
        f"share removed less that with shuffled rules ({np.mean(fell['shuffled']):.3f})", value=control.estimate, bound=0.0,
        interval=(control.low, control.high), data=DATA, size=size,
    )  # fmt: skip
    design = bootstrap_mean(np.array(fresh), seed=106)
    yield Measured.at_most(
        "violations by true labels of clean test samples over those expected by design", value=design.estimate, bound=2.0,
        interval=(design.low, design.high), data="scikit-learn breast cancer", size=size,
    )  # fmt: skip
