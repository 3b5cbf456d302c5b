"""Test streams: the order in which a shifted world shows its samples. A stream hands out inputs and keeps the labels.

    stream = correlated(domains, batch=64, concentration=0.1, seed=0)
    for batch in stream:
        logits = model(batch.inputs)
    labels = stream.labels(batch.ids)      # for whoever scores, never for a method

Orders: `independent` (each domain from a fresh start), `continual` (one domain after another), `gradual` (a sequence of severities up and
down), `mixed` (all domains at once), `correlated` (Dirichlet: classes come in runs), `label_shifted` and `long_tailed` (class shares),
`open_world` (unknown classes among the known), `video` (neighbouring frames). A method that may pay for labels gets an `Oracle`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

UNKNOWN = -1
"""The label of a sample that belongs to no known class."""


@dataclass(frozen=True)
class Domain:
    """Labelled samples under one shift.

    Args:
        name: of the shift, such as `gaussian_noise 5`.
        inputs: (samples, ...).
        labels: (samples,) class indices; `UNKNOWN` for samples of no known class.
    """

    name: str
    inputs: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.labels.shape != (len(self.inputs),):
            raise ValueError(f"domain {self.name!r}: labels must be ({len(self.inputs)},), one a sample, got {tuple(self.labels.shape)}")
        if len(self.inputs) == 0:
            raise ValueError(f"domain {self.name!r} has no samples")


@dataclass(frozen=True)
class Batch:
    """What a method sees: inputs (batch, ...), and where they stand in the stream (batch,), by which labels can be asked for."""

    inputs: Tensor
    ids: Tensor


@dataclass(frozen=True)
class Stream:
    """Samples of some domains in a fixed order, cut into batches. Iterating again starts over.

    Args:
        domains: where samples come from.
        order: (length, 2) rows of (domain, sample).
        batch: size of a batch; the last one, and the last before a restart, may be smaller.
        restarts: positions above 0, growing, at which a new batch begins and the model is reset.
    """

    domains: tuple[Domain, ...]
    order: Tensor
    batch: int
    restarts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"batch must be 1 or more samples, got {self.batch}")
        if len(self.order) == 0:
            raise ValueError("a stream needs at least one sample")

    def __len__(self) -> int:
        """Batches."""
        ends = (*self.restarts, len(self.order))
        return sum(-(-(end - begin) // self.batch) for begin, end in zip((0, *self.restarts), ends, strict=True))

    def __iter__(self) -> Iterator[Batch]:
        for part in torch.arange(len(self.order)).tensor_split(self.restarts):
            for ids in part.split(self.batch):  # type: ignore[no-untyped-call]
                inputs = torch.stack([self.domains[int(domain)].inputs[int(row)] for domain, row in self.order[ids]])
                yield Batch(inputs, ids)

    def fresh(self, batch: Batch) -> bool:
        """Whether the model is to be reset before this batch: for whoever runs the stream."""
        return int(batch.ids[0]) in self.restarts

    def labels(self, ids: Tensor | None = None) -> Tensor:
        """True classes of these samples, or of all: for whoever scores."""
        rows = self.order if ids is None else self.order[ids]
        starts = torch.tensor([0, *(len(domain.labels) for domain in self.domains[:-1])]).cumsum(0)
        return torch.cat([domain.labels for domain in self.domains])[starts[rows[:, 0]] + rows[:, 1]]

    def shifts(self, ids: Tensor | None = None) -> Tensor:
        """Which domain each of these samples comes from, as its position."""
        return (self.order if ids is None else self.order[ids])[:, 0]


@dataclass
class Oracle:
    """Answers paid label requests ([54]), and counts them.

    Args:
        stream: whose labels it knows.
        budget: how many it gives; asking for more is refused.
    """

    stream: Stream
    budget: int
    asked: set[int] = field(default_factory=set)

    def ask(self, ids: Tensor) -> Tensor:
        """The labels of these samples. A label asked for again costs nothing.

        Raises:
            ValueError: it would exceed the budget; nothing is given then.
        """
        new = set(ids.tolist()) - self.asked
        if len(self.asked) + len(new) > self.budget:
            raise ValueError(f"{len(new)} labels asked for and {self.budget - len(self.asked)} of {self.budget} are left")
        self.asked |= new
        return self.stream.labels(ids)


def independent(*domains: Domain, batch: int, seed: int) -> Stream:
    """Each domain in random order, from a fresh start: the model is reset before each."""
    ends = torch.tensor([len(domain.labels) for domain in domains]).cumsum(0).tolist()
    return replace(continual(domains, batch=batch, seed=seed), restarts=tuple(ends[:-1]))


def continual(domains: Sequence[Domain], *, batch: int, seed: int) -> Stream:
    """One domain after another, each in random order; a domain that is listed twice comes twice."""
    draw = _draw(seed)
    return Stream(tuple(domains), torch.cat([_rows(at, torch.randperm(len(d.inputs), generator=draw)) for at, d in enumerate(domains)]), batch)


def gradual(severities: Sequence[Domain], *, batch: int, seed: int) -> Stream:
    """Severities upwards and down again (1, 2, ..., n, ..., 2, 1), no sample shown in both directions.

    Args:
        severities: the same samples at growing severity, or different ones.
    """
    draw = _draw(seed)
    up: list[Tensor] = []
    down: list[Tensor] = []
    for at, domain in enumerate(severities):
        rows = _rows(at, torch.randperm(len(domain.inputs), generator=draw))
        half = len(rows) if at == len(severities) - 1 else len(rows) // 2
        up.append(rows[:half])
        down.append(rows[half:])
    return Stream(tuple(severities), torch.cat([*up, *reversed(down)]), batch)


def mixed(domains: Sequence[Domain], *, batch: int, seed: int) -> Stream:
    """All domains shuffled together, so that a batch holds several shifts."""
    draw = _draw(seed)
    every = torch.cat([_rows(at, torch.arange(len(domain.inputs))) for at, domain in enumerate(domains)])
    return Stream(tuple(domains), every[torch.randperm(len(every), generator=draw)], batch)


def correlated(domains: Sequence[Domain], *, batch: int, seed: int, concentration: float = 0.1, slots: int | None = None) -> Stream:
    """[37] One domain after another, with classes in runs.

    Each class is spread over the slots of its domain by a Dirichlet draw, and within a slot one class follows another.

    Args:
        concentration: of the Dirichlet; small values give long runs of one class, large ones an even mixture in each slot.
        slots: of a domain; as many as it has classes if None.
    """
    if concentration <= 0:
        raise ValueError(f"concentration must be above 0, got {concentration}")
    draw = _draw(seed)
    parts = []
    for at, domain in enumerate(domains):
        classes = _classes(domain)
        count = len(classes) if slots is None else slots
        pieces: list[list[Tensor]] = [[] for _ in range(count)]
        for label in classes:
            rows = (domain.labels == label).nonzero()[:, 0]
            rows = rows[torch.randperm(len(rows), generator=draw)]
            share = torch._sample_dirichlet(torch.full((count,), concentration, dtype=torch.float64), generator=draw)
            cuts = (share.cumsum(0)[:-1] * len(rows)).round().long()
            for slot, piece in enumerate(torch.tensor_split(rows, cuts.tolist())):
                pieces[slot].append(piece)
        for runs in pieces:
            parts += [_rows(at, runs[int(place)]) for place in torch.randperm(len(runs), generator=draw)]
    return Stream(tuple(domains), torch.cat(parts), batch)


def label_shifted(domain: Domain, shares: Sequence[float], *, batch: int, seed: int) -> Stream:
    """A domain whose classes appear in given shares, as many samples as that leaves, in random order.

    Args:
        shares: one a class, in the order of the class indices; they need not sum to 1.
    """
    classes = _classes(domain)
    if len(shares) != len(classes) or min(shares) < 0 or sum(shares) <= 0:
        raise ValueError(f"shares must be {len(classes)} numbers of 0 or more, one a class of {domain.name!r}, got {list(shares)}")
    draw = _draw(seed)
    available = torch.tensor([int((domain.labels == label).sum()) for label in classes], dtype=torch.float64)
    wanted = torch.tensor(shares, dtype=torch.float64)
    whole = (available[wanted > 0] / wanted[wanted > 0]).min()
    kept = []
    for label, count in zip(classes, (wanted * whole).floor().long().tolist(), strict=True):
        rows = (domain.labels == label).nonzero()[:, 0]
        kept.append(rows[torch.randperm(len(rows), generator=draw)[:count]])
    rows = torch.cat(kept)
    return Stream((domain,), _rows(0, rows[torch.randperm(len(rows), generator=draw)]), batch)


def long_tailed(domain: Domain, *, ratio: float, batch: int, seed: int) -> Stream:
    """Class shares that fall geometrically from the first class to the last.

    Args:
        ratio: of the most frequent class to the rarest; below 1 the last class is the frequent one.
    """
    if ratio <= 0:
        raise ValueError(f"ratio must be above 0, got {ratio}")
    classes = len(_classes(domain))
    return label_shifted(domain, [ratio ** (-place / max(1, classes - 1)) for place in range(classes)], batch=batch, seed=seed)


def open_world(known: Domain, unknown: Tensor, *, batch: int, seed: int, ratio: float = 1.0) -> Stream:
    """Known samples with samples of unknown classes among them, in random order.

    Args:
        unknown: inputs (samples, ...) of no known class.
        ratio: unknown samples for each known one.
    """
    if tuple(unknown.shape[1:]) != tuple(known.inputs.shape[1:]):
        raise ValueError(f"unknown samples must have the shape {tuple(known.inputs.shape[1:])} of the known, got {tuple(unknown.shape[1:])}")
    count = round(ratio * len(known.inputs))
    if not 0 <= count <= len(unknown):
        raise ValueError(f"ratio {ratio} asks for {count} unknown samples and there are {len(unknown)}")
    draw = _draw(seed)
    strangers = unknown[torch.randperm(len(unknown), generator=draw)[:count]]
    domains = (known, Domain("unknown", strangers, torch.full((count,), UNKNOWN))) if count else (known,)
    return mixed(domains, batch=batch, seed=seed)


def collages(inputs: Tensor, labels: Tensor, count: int, *, seed: int) -> Tensor:
    """Samples of no class, for want of real ones: quarters of four images of different classes, or features of different samples.

    Args:
        inputs: (samples, ...); images are (samples, channels, height, width).
        labels: (samples,).
        count: how many to make.
        seed: of the draws.

    Returns:
        (count, ...).
    """
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(inputs), (4, count), generator=draw)
    for _ in range(20):  # draw again where two neighbours are of one class; with one class in all nothing helps
        same = labels[rows] == labels[rows.roll(1, 0)]
        if not same.any():
            break
        rows = torch.where(same, torch.randint(len(inputs), rows.shape, generator=draw), rows)
    if inputs.ndim != 4:
        features = inputs[0].numel()
        flat, which = inputs.flatten(1), torch.randint(4, (count, features), generator=draw)
        return torch.stack([flat[rows[:, place]][which[place], torch.arange(features)] for place in range(count)]).reshape(count, *inputs.shape[1:])
    tall, wide = inputs.shape[2] // 2, inputs.shape[3] // 2
    made = inputs[rows[0]].clone()
    made[:, :, :tall, wide:] = inputs[rows[1]][:, :, :tall, wide:]
    made[:, :, tall:, :wide] = inputs[rows[2]][:, :, tall:, :wide]
    made[:, :, tall:, wide:] = inputs[rows[3]][:, :, tall:, wide:]
    return made


def in_turn(streams: Sequence[Stream]) -> Stream:
    """One stream after another, as one; batches are cut from the whole."""
    if not streams:
        raise ValueError("there is no stream to put in turn")
    orders, restarts, before, samples = [], [], 0, 0
    for stream in streams:
        orders.append(stream.order + torch.tensor([before, 0]))
        restarts += [samples + place for place in stream.restarts]
        before, samples = before + len(stream.domains), samples + len(stream.order)
    return Stream(tuple(domain for stream in streams for domain in stream.domains), torch.cat(orders), streams[0].batch, tuple(restarts))


def video(domain: Domain, *, batch: int = 1) -> Stream:
    """Frames in the order in which they stand."""
    return Stream((domain,), _rows(0, torch.arange(len(domain.inputs))), batch)


def _rows(domain: int, rows: Tensor) -> Tensor:
    return torch.stack([torch.full_like(rows, domain), rows], dim=1)


def _classes(domain: Domain) -> list[int]:
    return sorted(set(domain.labels.tolist()))


def _draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
