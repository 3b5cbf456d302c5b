"""[65] ITTA: improved test-time adaptation for domain generalization.

The paper: a consistency loss is learnt so that its gradient points where the main loss's points, and small blocks adapt on it at test time.

Here: scikit-learn's digits in three domains of contrast and brightness to learn on, and a fourth of contrast 0.15 on black, five seeds. The
gradients are compared on training batches by the same network, with the learnt net and with it as it starts; accuracy is paired over images.
Settings were fixed before any number was seen: the method's own, batches of 100. In five epochs the learnt net moves by .007 a weight at most
(published: 5,000 steps of 5e-6, .025), so little is to be expected of it. Not covered: DomainBed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from outthink.papers.adapting import BATCH, SEEDS, paired
from outthink.papers.domains import DOMAINS, learnt_classifier, styled, three_domains
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.stats import bootstrap_mean

DATA = "scikit-learn digits in three domains of contrast, tested on a fourth"


@reproduction(paper=65, kind="real", needs=("extra:adapt",), prepare=DOMAINS)
def learnt_consistency() -> Iterator[Measured]:
    """The learnt loss points nearer to the main loss, and adapting on it does no harm."""
    import torch
    from torch.nn import functional as F

    from outthink.adapt.adapter import adapt
    from outthink.adapt.data import digits
    from outthink.adapt.methods.itta import Blocked, Itta

    way = Itta()
    cosines: dict[str, list[float]] = {"learnt": [], "fixed": []}
    before: list[np.ndarray] = []
    after: list[np.ndarray] = []
    for seed in SEEDS:
        train, test = digits(seed=seed)
        source = three_domains(train)
        prepared = way.prepare(learnt_classifier(seed), source, seed=seed)
        assert isinstance(prepared, Blocked)
        fixed = way.blocked(prepared.model, source)
        for name, made in (("learnt", prepared), ("fixed", fixed)):
            draw = torch.Generator().manual_seed(1000 + seed)
            for rows in torch.arange(640).split(64):  # type: ignore[no-untyped-call]
                main, other = way.gradients(made, source.inputs[rows], train.labels[rows], list(made.model.parameters()), draw)
                first, second = (torch.cat([part.detach().flatten() for part in parts]) for parts in (main, other))
                cosines[name].append(float(F.cosine_similarity(first, second, dim=0)))
        inputs = styled(test.inputs, "extreme")
        model = adapt(prepared, way, seed=seed)
        adapted = torch.cat([model(batch) for batch in inputs.split(BATCH)])  # type: ignore[no-untyped-call]
        with torch.no_grad():
            before.append((prepared(inputs).argmax(1) != test.labels).double().numpy())
        after.append((adapted.argmax(1) != test.labels).double().numpy())
    # batches of one seed share a network, so a seed counts as one
    nearer = bootstrap_mean((np.array(cosines["learnt"]) - np.array(cosines["fixed"])).reshape(len(SEEDS), -1).mean(1), seed=65)
    yield Measured.above(
        f"cosine of the learnt consistency gradient with the main one ({np.mean(cosines['learnt']):.3f}) less that of the fixed "
        f"({np.mean(cosines['fixed']):.3f})",
        value=nearer.estimate, interval=(nearer.low, nearer.high), bound=0.0, data=DATA,
        size=f"{len(SEEDS)} seeds, 10 batches of 64 each; interval over seeds",
    )  # fmt: skip
    gain = paired(before, after)
    wrong = [float(np.mean(np.concatenate(values))) for values in (before, after)]
    yield Measured.at_least(
        f"unseen domain: error before adapting ({wrong[0]:.3f}) less error while adapting ({wrong[1]:.3f})", value=gain.estimate,
        interval=(gain.low, gain.high), bound=0.0, data=DATA, size=f"{len(SEEDS)} seeds, 897 images each; interval over images",
        not_covered="DomainBed",
    )  # fmt: skip
