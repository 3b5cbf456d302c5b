"""[120] DynaPrompt: Dynamic Test-Time Prompt Tuning.

The paper: a prompt that is tuned on sample after sample collapses, since errors pile up; choosing among several prompts for each sample keeps what
was learnt and avoids that, and is better than tuning anew for each sample (TPT).

Here: three models of images and texts made on the spot (a network for digits, a small text tower taught the words of its classes), which meet digits
under motion blur (severity 5) with 30% junk among them (collages of four digits, which no class fits and which are not scored), 64 views a sample.
Settings are the method's defaults, set before. Not covered: CLIP, natural images, other kinds of junk.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from outthink.papers.adapting import DIGITS, SEEDS, digit_world, paired
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured

BATCH, JUNK = 64, 0.3


@reproduction(paper=120, kind="real", needs=("extra:adapt",), prepare=DIGITS)
def prompts_among_junk() -> Iterator[Measured]:
    """Against tuning anew for each sample, against one prompt tuned on all, and against none."""
    from outthink.adapt.adapter import adapt
    from outthink.adapt.augment import ImageViews
    from outthink.adapt.methods.dynaprompt import DynaPrompt
    from outthink.adapt.online import run_online
    from outthink.adapt.source import Source
    from outthink.adapt.streams import Domain, collages, open_world

    view = ImageViews(flip=False)  # a mirrored digit is another sign
    ways = {
        "none": DynaPrompt(lr=0.0, prompts=1, select=False, views=1), "tpt": DynaPrompt(prompts=1, select=False, keep=False, view=view),
        "online": DynaPrompt(prompts=1, select=False, view=view), "dynaprompt": DynaPrompt(view=view),
    }  # fmt: skip
    wrong: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    for seed in SEEDS[:3]:
        world = digit_world(seed)
        known = Domain("motion blur", world.corrupted["motion_blur"], world.test.labels)
        ratio = JUNK / (1 - JUNK)
        junk = collages(known.inputs, known.labels, len(known.labels), seed=seed)
        stream = open_world(known, junk, batch=BATCH, seed=seed, ratio=ratio)
        made = DynaPrompt().prepare(world.network, Source(world.train.inputs, world.train.labels), seed=seed)
        for name, way in ways.items():
            wrong[name].append(run_online(adapt(made, way, seed=seed), stream).wrong)
    mean = {name: float(np.mean(np.concatenate(values))) for name, values in wrong.items()}
    data, size = "scikit-learn digits under motion blur, 30% junk", "3 seeds, 897 images each; interval over images"
    told = ", ".join(f"{name} {value:.3f}" for name, value in mean.items())
    worse = paired(wrong["online"], wrong["tpt"])
    yield Measured.above(
        f"error of one prompt tuned on all samples less that of TPT ({told})", value=worse.estimate, interval=(worse.low, worse.high), bound=0.0,
        data=data, size=size,
    )  # fmt: skip
    near = paired(wrong["dynaprompt"], wrong["tpt"])
    yield Measured.at_most(
        "error of DynaPrompt less that of TPT", value=near.estimate, interval=(near.low, near.high), bound=0.02, data=data, size=size
    )
    for other, label in (("online", "one prompt tuned on all samples"), ("tpt", "TPT"), ("none", "the initial prompt")):
        gain = paired(wrong[other], wrong["dynaprompt"])
        yield Measured.above(
            f"error of {label} less that of DynaPrompt", value=gain.estimate, interval=(gain.low, gain.high), bound=0.0, data=data, size=size
        )
