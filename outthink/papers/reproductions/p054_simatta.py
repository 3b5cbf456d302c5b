"""[54] Active Test-Time Adaptation: Theoretical Analyses and An Algorithm (SimATTA).

The paper: a few labels, asked for where the model is in doubt and features are new, beat adaptation without labels by far, and samples that the
source is sure of keep it from forgetting.

Here: 600 digits made brighter and then 600 out of focus (severity 5), one stream after the other, three networks, batches of 100; 897 clean digits
afterwards. All constants are official ones: those for VLCS and OfficeHome (thresholds of 1e-2 and 1e-3, one more cluster a batch), but statistics of
batch normalisation move while it learns, as corruptions shift them. The two corruptions are those under which the source is sure of the most samples
at 1e-3, which was looked at before; fog and contrast, where it is sure of none or wrongly so, cannot show what sure samples are for. Controls: batch
statistics, TENT, and the same without sure samples. Not covered: PACS, VLCS; other ways to choose whom to ask about.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from outthink.papers.adapting import DIGITS, SEEDS, by_image, digit_world, paired, shown
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured

if TYPE_CHECKING:
    from outthink.adapt.method import Method

KINDS, BATCH, SHOWN, BUDGET = ("brightness", "defocus_blur"), 100, 600, 300


@reproduction(paper=54, kind="real", needs=("extra:adapt",), prepare=DIGITS)
def paid_labels() -> Iterator[Measured]:
    """Against no labels, and without samples that hold the source."""
    import torch

    from outthink.adapt.adapter import adapt
    from outthink.adapt.methods.bn_adapt import BatchNormAdapt
    from outthink.adapt.methods.simatta import Simatta
    from outthink.adapt.methods.tent import Tent
    from outthink.adapt.online import run_afterwards, run_online
    from outthink.adapt.streams import Domain, Oracle, continual, independent

    ways: dict[str, Method] = {
        "bn": BatchNormAdapt(), "tent": Tent(), "simatta": Simatta(budget=BUDGET, low=1e-3, freeze=False),
        "unheld": Simatta(budget=BUDGET, low=0.0, freeze=False),
    }  # fmt: skip
    wrong: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    after: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    asked: dict[str, list[int]] = {name: [] for name in ways}
    before: list[np.ndarray] = []
    for seed in SEEDS[:3]:
        world = digit_world(seed)
        met = [Domain(kind, world.corrupted[kind][:SHOWN], world.test.labels[:SHOWN]) for kind in KINDS]
        stream = continual(met, batch=BATCH, seed=seed)
        clean = independent(world.domain("clean"), batch=BATCH, seed=seed)
        with torch.no_grad():
            plain = torch.cat([world.network(batch.inputs) for batch in clean]).argmax(1)
        before.append((plain != clean.labels()).double().numpy())
        for name, way in ways.items():
            oracle = Oracle(stream, budget=BUDGET) if "labels" in way.contract.needs else None
            model = adapt(world.network, way, seed=seed, oracle=oracle)
            run = run_online(model, stream)
            wrong[name].append(by_image(run, stream))
            after[name].append(run_afterwards(model, clean).wrong)
            asked[name].append(model.cost.labels)
    mean = {name: float(np.mean(np.concatenate(values))) for name, values in wrong.items()}
    images = [shown(SHOWN, len(KINDS), seed) for seed in SEEDS[:3]]
    data, size = "scikit-learn digits, two corruptions at severity 5", f"3 seeds, {SHOWN * len(KINDS):,} samples each; interval over images"
    told = ", ".join(str(count) for count in asked["simatta"])
    for other, label, bound in (("bn", "batch statistics", 0.03), ("tent", "TENT", 0.0)):
        gain = paired(wrong[other], wrong["simatta"], images=images)
        yield Measured.above(
            f"error of {label} ({mean[other]:.3f}) less that of SimATTA ({mean['simatta']:.3f}; labels asked: {told})", value=gain.estimate,
            interval=(gain.low, gain.high), bound=bound, data=data, size=size,
        )  # fmt: skip
    clean_error = {name: float(np.mean(np.concatenate(values))) for name, values in after.items()}
    size = "3 seeds, 897 clean images each; interval over images"
    lost = paired(after["simatta"], before)
    yield Measured.at_most(
        f"clean error after SimATTA ({clean_error['simatta']:.3f}) less that of the source", value=lost.estimate, interval=(lost.low, lost.high),
        bound=0.02, data=data, size=size,
    )  # fmt: skip
    holds = paired(after["unheld"], after["simatta"])
    yield Measured.above(
        f"clean error without sure samples ({clean_error['unheld']:.3f}; on the stream {mean['unheld']:.3f}) less that with them",
        value=holds.estimate, interval=(holds.low, holds.high), bound=0.0, data=data, size=size,
    )  # fmt: skip
