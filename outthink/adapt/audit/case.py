"""A model, a method and labelled samples under audit: streams made of them, and what the method loses on each against the model as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from outthink.adapt.adapter import Adapted, adapt
from outthink.adapt.audit.finding import Point
from outthink.adapt.method import Labels, Method
from outthink.adapt.online import Run, run_online
from outthink.adapt.source import Source
from outthink.adapt.streams import Domain, Oracle, Stream
from outthink.stats import Interval, clustered_bootstrap


@dataclass(frozen=True)
class Case:
    """What is audited.

    Args:
        model: as `adapt` takes it.
        method: to be deployed.
        domains: labelled samples of what it will meet.
        clean: labelled samples like those it was trained on, if there are any.
        source: what it was trained on, if that is known.
        unknown: samples (count, ...) of no known class, if there are any.
        seed: of every draw.
    """

    model: nn.Module
    method: Method
    domains: Sequence[Domain]
    clean: Domain | None
    source: Source | None
    unknown: Tensor | None
    seed: int

    def adapted(self, stream: Stream, method: Method | None = None, model: nn.Module | None = None) -> Adapted:
        """The model with the method (or others), freshly started; one that asks for labels may ask for all of the stream's."""
        way = self.method if method is None else method
        oracle: Labels | None = Oracle(stream, budget=len(stream.order)) if "labels" in way.contract.needs else None
        return adapt(self.model if model is None else model, way, source=self.source, seed=self.seed, oracle=oracle)

    def run(self, stream: Stream, method: Method | None = None, model: nn.Module | None = None) -> Run:
        """The method over a stream, from a fresh start."""
        return run_online(self.adapted(stream, method, model), stream)

    @cached_property
    def _plain(self) -> dict[int, tuple[Domain, Tensor]]:
        return {}  # with the domain, whose identity must not be another's meanwhile

    def plain_logits(self, domain: Domain) -> Tensor:
        """What the model as it was says of a domain, (samples, classes): one pass, whatever the orders it is compared in."""
        if id(domain) not in self._plain:
            self._plain[id(domain)] = (domain, logits(self.model, domain.inputs))
        return self._plain[id(domain)][1]

    def plain_wrong(self, stream: Stream) -> NDArray[np.float64]:
        """1 where the model as it was is wrong, in the order of the stream."""
        predicted = [self.plain_logits(domain).argmax(1) != domain.labels for domain in stream.domains]
        return np.array([float(predicted[domain][row]) for domain, row in stream.order.tolist()])

    def point(self, label: str, stream: Stream, method: Method | None = None, model: nn.Module | None = None) -> Point:
        """One setting: the method over a stream against the model as it was (or another one as it is)."""
        own = self.run(stream, method, model)
        plain = self.plain_wrong(stream) if model is None else _wrong(model, stream)
        return Point(label, self.loss(own.wrong, plain, own.clusters), float(own.wrong.mean()), float(plain.mean()))

    def loss(self, own: NDArray[np.float64], other: NDArray[np.float64], clusters: NDArray[np.int64]) -> Interval:
        """Mean of own less other, both wrongs (samples,), with an interval over samples."""
        return clustered_bootstrap(own - other, clusters, seed=self.seed)

    def few(self, count: int) -> list[Domain]:
        """Some samples of each domain, about `count` in all; the same rows of each."""
        share = max(2, count // len(self.domains))
        found = []
        for domain in self.domains:
            draw = torch.Generator().manual_seed(self.seed)
            rows = torch.randperm(len(domain.labels), generator=draw)[:share].sort().values
            found.append(domain if len(rows) == len(domain.labels) else Domain(domain.name, domain.inputs[rows], domain.labels[rows]))
        return found


def by_place(run: Run) -> NDArray[np.int64]:
    """The order that sorts a run by domain and row: runs over the same samples in other orders become comparable."""
    return np.asarray(np.lexsort((run.rows[run.known].numpy(), run.shifts[run.known].numpy())))


@torch.no_grad()
def logits(model: nn.Module, inputs: Tensor) -> Tensor:
    """Of a model as it is, in pieces: (samples, ...) -> (samples, classes)."""
    return torch.cat([model(piece).cpu() for piece in inputs.split(256)])  # type: ignore[no-untyped-call]


def _wrong(model: nn.Module, stream: Stream) -> NDArray[np.float64]:
    inputs = torch.cat([batch.inputs for batch in stream])
    return (logits(model, inputs).argmax(1) != stream.labels()).double().numpy()
