"""[123] Test-time style shifting.

The paper: an image of a style far from those of training takes on the style of the nearest training domain, and is classified better; images
near them are left alone and lose nothing.

Here: scikit-learn's digits in three domains of contrast and brightness to learn on, and a fourth of contrast 0.15 on black, five seeds, paired
over images. Pixels are not cut, so that the style alone changes. Domains, network and threshold (3 mean distances) were fixed before any
number was seen. Not covered: PACS, VLCS and Office-Home; style balancing where classes are missing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from outthink.papers.adapting import SEEDS, paired
from outthink.papers.domains import DOMAINS, LEARNT, learnt_classifier, styled, three_domains
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured

DATA = "scikit-learn digits in three domains of contrast, tested on a fourth"
SIZE = f"{len(SEEDS)} seeds, 897 images each; interval over images"


@reproduction(paper=123, kind="real", needs=("extra:adapt",), prepare=DOMAINS)
def far_and_near() -> Iterator[Measured]:
    """A far style is brought near, and near ones lose nothing."""
    import torch

    from outthink.adapt.adapter import adapt
    from outthink.adapt.data import digits
    from outthink.adapt.methods.style_shift import Styled, StyleShift

    way = StyleShift()
    found: dict[str, list[np.ndarray]] = {name: [] for name in ("far", "far shifted", "near", "near shifted")}
    shares = []
    for seed in SEEDS:
        train, test = digits(seed=seed)
        source = three_domains(train)
        prepared = way.prepare(learnt_classifier(seed), source, seed=seed)
        assert isinstance(prepared, Styled)
        near = torch.stack([styled(image, LEARNT[row % len(LEARNT)]) for row, image in enumerate(test.inputs)])
        for name, inputs in (("far", styled(test.inputs, "extreme")), ("near", near)):
            with torch.no_grad():
                plain = prepared(inputs).argmax(1)
            shifted = adapt(prepared, way, seed=seed)(inputs).argmax(1)
            found[name].append((plain != test.labels).double().numpy())
            found[f"{name} shifted"].append((shifted != test.labels).double().numpy())
            if name == "far":
                with torch.no_grad():
                    shares.append(float(prepared.shifted(inputs, way.alpha)[1].double().mean()))
    mean = {name: float(np.mean(np.concatenate(values))) for name, values in found.items()}
    gain = paired(found["far"], found["far shifted"])
    yield Measured.at_least(
        f"far domain: error without shifting ({mean['far']:.3f}) less error with it ({mean['far shifted']:.3f}); "
        f"{float(np.mean(shares)):.0%} of its images are shifted",
        value=gain.estimate, interval=(gain.low, gain.high), bound=0.10, data=DATA, size=SIZE, not_covered="PACS, VLCS and Office-Home",
    )  # fmt: skip
    loss = paired(found["near shifted"], found["near"])
    yield Measured.at_most(
        f"domains of training: error with shifting less error without it ({mean['near']:.3f})", value=loss.estimate,
        interval=(loss.low, loss.high), bound=0.01, data=DATA, size=SIZE,
    )  # fmt: skip
