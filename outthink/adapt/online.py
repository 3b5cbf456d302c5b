"""Running an adapting model over a stream, and what came of it: error overall, by domain and over time, calibration, forgetting, open world.

    run = run_online(adapt(net, Tent()), stream)
    run.error(seed=0), run.by_domain(seed=0), run.over_time(3, seed=0)
    run.less(other, seed=0)        # paired: the same samples under another method
    run_afterwards(model, clean)   # what it has forgotten

The model sees inputs alone; labels join its predictions when all are made.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from outthink.adapt.adapter import Adapted
from outthink.adapt.losses import entropy
from outthink.adapt.method import Cost, State
from outthink.adapt.streams import UNKNOWN, Stream
from outthink.stats.calibration import auroc, expected_calibration_error
from outthink.stats.intervals import Interval, clustered_bootstrap

Progress = Callable[[int, int, float], None]
"""Called with (batches done, batches in all, error so far)."""


@dataclass(frozen=True)
class OpenWorld:
    """How known samples among unknown ones fared ([73]); accuracies in [0, 1].

    Args:
        known: share of known samples that were accepted and classified rightly (ACC_S).
        unknown: share of unknown samples that were rejected (ACC_N).
        harmonic: 2 known unknown / (known + unknown).
        auroc: of the entropy, known against unknown; needs no threshold.
        threshold: samples whose entropy (nats) is above it were rejected.
    """

    known: float
    unknown: float
    harmonic: float
    auroc: float
    threshold: float


@dataclass(frozen=True)
class Run:
    """Predictions on a stream with the labels that the model never saw.

    Args:
        logits: (samples, classes), in the order of the stream.
        labels: (samples,); `UNKNOWN` for samples of no known class, which count in no error.
        shifts: (samples,) position of each sample's domain.
        rows: (samples,) position of each sample in its domain. Domains mostly show the same samples under different shifts: whatever they have in
            common, samples of one position count as one in every interval.
        domains: names of the domains.
        cost: samples forwards and backwards, and labels asked.
        seconds: spent in the model.
    """

    logits: Tensor
    labels: Tensor
    shifts: Tensor
    rows: Tensor
    domains: tuple[str, ...]
    cost: Cost
    seconds: float

    @property
    def known(self) -> Tensor:
        """Which samples are of a known class: (samples,), bool."""
        return self.labels != UNKNOWN

    @property
    def wrong(self) -> NDArray[np.float64]:
        """1 for a wrong prediction, 0 for a right one, of each known sample in order."""
        known = self.known
        return (self.logits[known].argmax(1) != self.labels[known]).double().numpy()

    @property
    def clusters(self) -> NDArray[np.int64]:
        """The row of each known sample in order: what may be shared by several domains."""
        found: NDArray[np.int64] = self.rows[self.known].numpy()
        return found

    def error(self, *, seed: int) -> Interval:
        """Online error in [0, 1] with a bootstrap interval over samples."""
        return clustered_bootstrap(self.wrong, self.clusters, seed=seed)

    def by_domain(self, *, seed: int) -> dict[str, Interval]:
        """Error of each domain that has known samples; domains of one name count together."""
        shifts, wrong, clusters = self.shifts[self.known].numpy(), self.wrong, self.clusters
        found: dict[str, Interval] = {}
        for name in dict.fromkeys(self.domains):
            own = np.isin(shifts, [at for at, other in enumerate(self.domains) if other == name])
            if len(np.unique(clusters[own])) >= 2:
                found[name] = clustered_bootstrap(wrong[own], clusters[own], seed=seed)
        return found

    def over_time(self, parts: int, *, seed: int) -> list[Interval]:
        """Error in equal parts of the stream, first to last.

        Raises:
            ValueError: a part would have fewer than two known samples.
        """
        wrong = self.wrong
        if not 1 <= parts <= len(wrong) // 2:
            raise ValueError(f"parts must be 1 to {len(wrong) // 2} for {len(wrong)} known samples, got {parts}")
        pieces = zip(np.array_split(wrong, parts), np.array_split(self.clusters, parts), strict=True)
        return [clustered_bootstrap(piece, clusters, seed=seed) for piece, clusters in pieces]

    def less(self, other: Run, *, seed: int) -> Interval:
        """This run's error less another's on the same samples in the same order, with a paired bootstrap interval over samples.

        Raises:
            ValueError: the runs are of different streams.
        """
        if any(not torch.equal(own, others) for own, others in ((self.labels, other.labels), (self.shifts, other.shifts), (self.rows, other.rows))):
            raise ValueError("a paired comparison needs two runs over the same stream; these differ in labels, domains or order")
        return clustered_bootstrap(self.wrong - other.wrong, self.clusters, seed=seed)

    def calibration_error(self, *, bins: int = 15) -> float:
        """Expected calibration error of the known samples' largest probability, in [0, 1]."""
        confidence = self.logits[self.known].double().softmax(1).amax(1).clamp(max=1.0)
        return expected_calibration_error(confidence.numpy(), 1.0 - self.wrong, bins=bins)

    def log_loss(self) -> float:
        """Mean negative log-likelihood of the known samples' labels, in nats."""
        known = self.known
        return float(torch.nn.functional.cross_entropy(self.logits[known].double(), self.labels[known]))

    def open_world(self, *, threshold: float | None = None) -> OpenWorld:
        """Known against unknown samples by the entropy of the prediction.

        Args:
            threshold: entropy in nats above which a sample is rejected; Otsu's of all entropies if None, which needs no label.

        Raises:
            ValueError: the stream has no unknown or no known samples.
        """
        known = self.known.numpy()
        if known.all() or not known.any():
            raise ValueError("open-world measures need both known and unknown samples; make the stream with streams.open_world")
        uncertainty = entropy(self.logits.double()).numpy()
        limit = otsu(uncertainty) if threshold is None else threshold
        accepted = uncertainty <= limit
        right = float((accepted[known] & (self.wrong == 0)).mean())
        rejected = float((~accepted[~known]).mean())
        harmonic = 2 * right * rejected / (right + rejected) if right + rejected > 0 else 0.0
        return OpenWorld(right, rejected, harmonic, auroc(-uncertainty, known), float(limit))


def run_online(model: Adapted, stream: Stream, *, progress: Progress | None = None) -> Run:
    """Predict and adapt batch by batch, from the state in which the model is.

    Args:
        model: made with `adapt`; call `reset()` first for a fresh start.
        stream: what it meets.
        progress: called after every batch.
    """
    before, spent = Cost(**vars(model.cost)), 0.0
    pieces: list[Tensor] = []
    tally = Tally(stream)
    for done, batch in enumerate(stream, start=1):
        if stream.fresh(batch):
            restart(model)
        start = time.perf_counter()
        logits = model(batch.inputs)
        spent += time.perf_counter() - start
        pieces.append(logits.cpu())
        error = tally.add(pieces[-1])
        if progress is not None:
            progress(done, len(stream), error)
    return joined(pieces, stream, _difference(model.cost, before), spent)


def restart(model: Adapted) -> None:
    """Reset a model where its stream says so; what was spent before stays counted.

    Raises:
        ValueError: the method asks for labels by their position since its start, which is no position of the stream after a reset.
    """
    if "labels" in model.contract.needs:
        raise ValueError(f"{type(model.method).__name__} asks for labels by position and cannot be reset within a stream; take a continual one")
    spent = model.cost
    model.reset()
    model.cost.forwards += spent.forwards
    model.cost.backwards += spent.backwards


class Tally:
    """The error of the known samples so far, counted as predictions come.

    Args:
        stream: whose labels it knows.
    """

    def __init__(self, stream: Stream) -> None:
        self._labels = stream.labels()
        self._seen = self._known = self._wrong = 0

    def add(self, logits: Tensor) -> float:
        """Take the next predictions (batch, classes) in the order of the stream; returns the error so far, NaN before a known sample."""
        labels = self._labels[self._seen : self._seen + len(logits)]
        known = labels != UNKNOWN
        self._seen += len(logits)
        self._known += int(known.sum())
        self._wrong += int((logits[known].argmax(1) != labels[known]).sum())
        return self._wrong / self._known if self._known else float("nan")


def run_afterwards(model: Adapted, stream: Stream, *, adapting: bool = False) -> Run:
    """How the model does on another stream now, such as the clean source: what it forgot. Its state is the same afterwards.

    Args:
        model: after a run.
        stream: mostly clean test samples.
        adapting: whether it goes on adapting there, or its adapted network predicts as it stands (with batch statistics where the method uses them).

    Raises:
        ValueError: a method that asks for labels shall go on adapting; its oracle knows the stream before, so make one stream of both.
    """
    if adapting and "labels" in model.contract.needs:
        raise ValueError(f"{type(model.method).__name__} asks for labels by position: run one stream that ends in these samples instead")
    kept = saved(model)
    before, spent, pieces = Cost(**vars(model.cost)), 0.0, []
    state = model.state
    assert isinstance(state, State)
    for batch in stream:
        start = time.perf_counter()
        if adapting:
            logits = model(batch.inputs)
        else:
            with torch.no_grad():
                logits = state.predict(batch.inputs)
        spent += time.perf_counter() - start
        pieces.append(logits.cpu())
    cost = _difference(model.cost, before)
    model.load_state_dict(kept)
    return joined(pieces, stream, cost, spent)


def saved(model: Adapted) -> dict[str, object]:
    """A copy of all that the model has become, for `load_state_dict`."""
    kept: dict[str, object] = copy.deepcopy(model.state_dict())
    return kept


def otsu(values: NDArray[np.float64]) -> float:
    """The cut that splits values into two groups with the largest variance between them; the middle of the gap.

    Raises:
        ValueError: fewer than two values.
    """
    if values.size < 2:
        raise ValueError("a threshold between two groups needs at least two values")
    ordered = np.sort(values)
    below = np.arange(1, ordered.size)
    sums = np.cumsum(ordered)[:-1]
    means = sums / below, (ordered.sum() - sums) / (ordered.size - below)
    between = below * (ordered.size - below) * (means[1] - means[0]) ** 2
    cut = int(between.argmax())
    return float((ordered[cut] + ordered[cut + 1]) / 2)


def joined(pieces: list[Tensor], stream: Stream, cost: Cost, seconds: float) -> Run:
    """The run over a whole stream from its predictions, (batch, classes) each."""
    names = tuple(domain.name for domain in stream.domains)
    return Run(torch.cat(pieces), stream.labels(), stream.shifts(), stream.order[:, 1], names, Cost(**vars(cost)), seconds)


def _difference(now: Cost, before: Cost) -> Cost:
    return Cost(now.forwards - before.forwards, now.backwards - before.backwards, now.labels - before.labels)
