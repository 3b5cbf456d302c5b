"""[31] Selection protocols: what a method reaches with many steps a batch, if the last step is taken or if labels choose the best one.

Oracle selection is an upper bound and cannot be deployed: it reads the labels of every batch, which its cost shows.
"""

from __future__ import annotations

import time
from typing import Literal

import torch
from torch import Tensor

from outthink.adapt.adapter import Adapted
from outthink.adapt.method import Cost
from outthink.adapt.online import Progress, Run, joined, saved
from outthink.adapt.streams import UNKNOWN, Stream


def run_protocol(
    model: Adapted, stream: Stream, *, steps: int, select: Literal["last", "oracle"], episodic: bool, progress: Progress | None = None
) -> Run:
    """Several steps on each batch, of which one prediction is kept.

    Args:
        model: made with `adapt`; it is reset first.
        stream: whose labels the oracle reads.
        steps: adaptation steps a batch, 1 or more. Every prediction on the way competes; of a method that predicts before its step that is
            the one without a step too.
        select: the prediction after the last step, or the one with the fewest errors (ties: the lower cross-entropy).
        episodic: reset before each batch; otherwise the next batch starts from the state that was selected.
        progress: called after every batch with (batches done, in all, error so far).

    Returns:
        The run; in episodic mode the oracle's has no batch with more errors than the last iterate's, since that is among its candidates.
    """
    if steps < 1:
        raise ValueError(f"steps must be 1 or more, got {steps}")
    if select not in ("last", "oracle"):
        raise ValueError(f"select must be 'last' or 'oracle', got {select!r}")
    model.reset()
    # a method that predicts before its step shows what step n did in call n + 1
    ahead = model.contract.predicts == "before"
    pieces: list[Tensor] = []
    cost = Cost()
    wrong = seen = 0
    spent = 0.0
    for done, batch in enumerate(stream, start=1):
        if episodic or stream.fresh(batch):
            model.reset()
        labels = stream.labels(batch.ids)
        known = labels != UNKNOWN
        before = Cost(**vars(model.cost))
        candidates: list[tuple[int, float, Tensor]] = []
        best: dict[str, object] | None = None
        start = time.perf_counter()
        for _ in range(steps + 1 if ahead else steps):
            state = saved(model) if ahead and not episodic else None
            logits = model(batch.inputs).cpu()
            if not ahead and not episodic:
                state = saved(model)
            score = _score(logits[known], labels[known])
            if select == "last" or best is None or score < min(candidate[:2] for candidate in candidates):
                best = state if state is not None else {}
            candidates.append((*score, logits))
        spent += time.perf_counter() - start
        cost = Cost(cost.forwards + model.cost.forwards - before.forwards, cost.backwards + model.cost.backwards - before.backwards, cost.labels)
        chosen = candidates[-1][2]
        if select == "oracle":
            cost.labels += int(known.sum())
            chosen = min(candidates, key=lambda candidate: candidate[:2])[2]
        if best:
            model.load_state_dict(best)
        pieces.append(chosen)
        wrong, seen = wrong + _score(chosen[known], labels[known])[0], seen + int(known.sum())
        if progress is not None:
            progress(done, len(stream), wrong / seen if seen else float("nan"))
    return joined(pieces, stream, cost, spent)


def _score(logits: Tensor, labels: Tensor) -> tuple[int, float]:
    if not len(labels):
        return 0, 0.0
    return int((logits.argmax(1) != labels).sum()), float(torch.nn.functional.cross_entropy(logits.double(), labels))
