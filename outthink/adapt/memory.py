"""One bank of samples for every method that keeps some: class-balanced, with the rule by which a newcomer takes a place as a part.

bank = Bank(capacity=64, classes=10, eviction=Timely())
bank.add(sample, label=3, score=0.4, generator=generator)
bank.inputs(), bank.labels, bank.scores, bank.ages
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn


class Eviction(Protocol):
    """Which place a newcomer takes. One that remembers something is a `torch.nn.Module`, so that it is saved with its bank."""

    def __call__(self, bank: Bank, label: int, score: float, generator: torch.Generator) -> int | None:
        """`len(bank)` appends (the bank is not full then), a smaller number replaces what is there, None turns the newcomer away."""
        ...


class Bank(nn.Module):
    """Samples with the class they were given, a score (such as the entropy of their prediction) and their age.

    Args:
        capacity: most samples it holds.
        classes: of the model; 0 where it is not known yet, and set with the first prediction (`bank.classes = logits.shape[1]`).
        eviction: who makes room for whom.
    """

    def __init__(self, capacity: int, classes: int, eviction: Eviction) -> None:
        super().__init__()
        if capacity < 1:
            raise ValueError(f"capacity must be 1 or more samples, got {capacity}")
        self.capacity, self.classes, self.eviction = capacity, classes, eviction
        self._samples: list[Tensor] = []
        # plain numbers: a bank is small, and every newcomer compares single ones
        self._labels: list[int] = []
        self._scores: list[float] = []
        self._ages: list[int] = []

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, sample: Tensor, label: int, score: float, generator: torch.Generator) -> bool:
        """Offer a sample (...); all that are there then grow older by 1, itself among them if it was taken.

        It is weighed against what is there with age 0 and has age 1 from then on, as in the official code of [37].

        Returns:
            Whether it was taken.
        """
        place = self.eviction(self, label, score, generator)
        if place is not None:
            self._keep(place, sample.detach().clone(), label, score)
        self._ages = [age + 1 for age in self._ages]
        return place is not None

    def _keep(self, place: int, kept: Tensor, label: int, score: float) -> None:
        if place < len(self):
            self._samples[place], self._labels[place], self._scores[place], self._ages[place] = kept, label, score, 0
        else:
            assert len(self) < self.capacity, "an eviction rule appends to a full bank"
            self._samples.append(kept)
            self._labels.append(label)
            self._scores.append(score)
            self._ages.append(0)

    def inputs(self) -> Tensor:
        """Its samples, (held, ...)."""
        return torch.stack(self._samples)

    @property
    def labels(self) -> Tensor:
        """Their classes, (held,)."""
        return torch.tensor(self._labels, dtype=torch.long)

    @property
    def scores(self) -> Tensor:
        """Their scores, (held,)."""
        return torch.tensor(self._scores, dtype=torch.float64)

    @property
    def ages(self) -> Tensor:
        """How many samples were offered since they came, themselves included, (held,)."""
        return torch.tensor(self._ages, dtype=torch.long)

    def counts(self) -> list[int]:
        """How many it holds of each class."""
        found = [0] * self.classes
        for label in self._labels:
            found[label] += 1
        return found

    def of(self, labels: set[int]) -> list[int]:
        """Places of the samples of these classes, in the order of places."""
        return [place for place, label in enumerate(self._labels) if label in labels]

    def oldest(self, places: list[int]) -> int:
        """The place among these whose sample is oldest; the first of several."""
        return max(places, key=lambda place: (self._ages[place], -place))

    def entry(self, place: int) -> tuple[int, float, int]:
        """Class, score and age of one."""
        return self._labels[place], self._scores[place], self._ages[place]

    def get_extra_state(self) -> dict[str, object]:
        """What it holds."""
        samples = self.inputs() if self._samples else None
        return {"classes": self.classes, "samples": samples, "labels": list(self._labels), "scores": list(self._scores), "ages": list(self._ages)}

    def set_extra_state(self, state: dict[str, object]) -> None:
        """Take up what `get_extra_state` gave."""
        classes = state["classes"]
        assert isinstance(classes, int)
        self.classes = classes
        samples, labels, scores, ages = state["samples"], state["labels"], state["scores"], state["ages"]
        assert samples is None or isinstance(samples, Tensor)
        assert isinstance(labels, list)
        assert isinstance(scores, list)
        assert isinstance(ages, list)
        self._samples = [] if samples is None else list(samples.unbind(0))
        self._labels, self._scores, self._ages = list(labels), list(scores), list(ages)


class FirstOut:
    """The oldest makes room."""

    def __call__(self, bank: Bank, label: int, score: float, generator: torch.Generator) -> int | None:
        return len(bank) if len(bank) < bank.capacity else bank.oldest(list(range(len(bank))))


class Timely:
    """[37] Category-balanced sampling with timeliness and uncertainty (CSTU).

    A class may hold capacity / classes samples. A newcomer of a class below that goes into a free place, or takes one of the largest classes;
    one of a class at its quota takes a place of its own class. The victim is the sample with the highest

        age weight / (1 + exp(-age / capacity)) + uncertainty weight x entropy / log classes,

    and only if that exceeds the newcomer's.

    Args:
        age: weight of the age.
        uncertainty: weight of the score, which must be the entropy of the prediction in nats.
    """

    def __init__(self, age: float = 1.0, uncertainty: float = 1.0) -> None:
        self.age, self.uncertainty = age, uncertainty

    def heuristic(self, bank: Bank, age: int, entropy: float) -> float:
        """How ready a sample is to go."""
        return self.age / (1.0 + math.exp(-age / bank.capacity)) + self.uncertainty * entropy / math.log(max(2, bank.classes))

    def __call__(self, bank: Bank, label: int, score: float, generator: torch.Generator) -> int | None:
        counts = bank.counts()
        if counts[label] < bank.capacity / bank.classes:
            if len(bank) < bank.capacity:
                return len(bank)
            largest = max(counts)
            places = bank.of({place for place, count in enumerate(counts) if count == largest})
        else:
            places = bank.of({label})
        readiness = {place: self.heuristic(bank, bank.entry(place)[2], bank.entry(place)[1]) for place in places}
        victim = max(places, key=lambda place: (readiness[place], -place))
        return victim if readiness[victim] > self.heuristic(bank, 0, score) else None


class BalancedReservoir(nn.Module):
    """[31 baseline] NOTE: prediction-balanced reservoir sampling.

    Into a full bank a newcomer of one of the largest classes is taken with the probability (held of its class) / (seen of its class), for a
    random sample of that class; any other takes the place of a random sample of the largest classes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, int] = {}

    def forward(self, bank: Bank, label: int, score: float, generator: torch.Generator) -> int | None:
        self.seen[label] = self.seen.get(label, 0) + 1
        if len(bank) < bank.capacity:
            return len(bank)
        counts = bank.counts()
        largest = {place for place, count in enumerate(counts) if count == max(counts)}
        if label in largest:
            if float(torch.rand((), generator=generator)) > counts[label] / self.seen[label]:
                return None
            largest = {label}
        places = bank.of(largest)
        return places[int(torch.randint(len(places), (), generator=generator))]

    def get_extra_state(self) -> dict[int, int]:
        """How many of each class were seen."""
        return dict(self.seen)

    def set_extra_state(self, state: dict[int, int]) -> None:
        """Take up what `get_extra_state` gave."""
        self.seen = dict(state)


class SmoothedCount(nn.Module):
    """[84] The oldest of the class with the largest smoothed count makes room; ties are broken at random.

    Args:
        momentum: a class's smoothed count is momentum x before + (1 - momentum) x its count now, updated by `refresh`.
    """

    def __init__(self, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.smoothed: list[float] = []

    def refresh(self, bank: Bank) -> None:
        """Move the smoothed counts towards those of now; called once a batch, after its samples were offered."""
        before = self.smoothed or [0.0] * bank.classes
        self.smoothed = [self.momentum * old + (1.0 - self.momentum) * now for old, now in zip(before, bank.counts(), strict=True)]

    def forward(self, bank: Bank, label: int, score: float, generator: torch.Generator) -> int | None:
        if len(bank) < bank.capacity:
            return len(bank)
        counts = bank.counts()
        smoothed = self.smoothed or [0.0] * bank.classes
        largest = max(value for value, count in zip(smoothed, counts, strict=True) if count)
        tied = [place for place, count in enumerate(counts) if count and smoothed[place] == largest]
        chosen = tied[int(torch.randint(len(tied), (), generator=generator))]
        return bank.oldest(bank.of({chosen}))

    def get_extra_state(self) -> list[float]:
        """The smoothed counts."""
        return list(self.smoothed)

    def set_extra_state(self, state: list[float]) -> None:
        """Take up what `get_extra_state` gave."""
        self.smoothed = list(state)
