"""What things cost: a vector of spending, caps on it, and the prices that turn tokens into FLOPs and dollars."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass

from outthink.core.completion import Usage
from outthink.core.errors import UsageError, nearest


@dataclass(frozen=True, slots=True)
class Spend:
    """Amounts of everything that costs. All raw counts; dollars in US dollars, cpu_seconds of executed code."""

    completion_tokens: int = 0
    prompt_tokens: int = 0
    calls: int = 0
    flops: float = 0.0
    dollars: float = 0.0
    cpu_seconds: float = 0.0

    def __add__(self, other: Spend) -> Spend:
        return Spend(
            self.completion_tokens + other.completion_tokens,
            self.prompt_tokens + other.prompt_tokens,
            self.calls + other.calls,
            self.flops + other.flops,
            self.dollars + other.dollars,
            self.cpu_seconds + other.cpu_seconds,
        )

    def __sub__(self, other: Spend) -> Spend:
        return Spend(
            self.completion_tokens - other.completion_tokens,
            self.prompt_tokens - other.prompt_tokens,
            self.calls - other.calls,
            self.flops - other.flops,
            self.dollars - other.dollars,
            self.cpu_seconds - other.cpu_seconds,
        )

    def plus(self, others: Iterable[Spend]) -> Spend:
        """This one and all others, added in their order."""
        completion, prompt, calls = self.completion_tokens, self.prompt_tokens, self.calls
        flops, dollars, cpu = self.flops, self.dollars, self.cpu_seconds
        for other in others:
            completion += other.completion_tokens
            prompt += other.prompt_tokens
            calls += other.calls
            flops += other.flops
            dollars += other.dollars
            cpu += other.cpu_seconds
        return Spend(completion, prompt, calls, flops, dollars, cpu)

    def __mul__(self, times: int) -> Spend:
        return Spend(*(getattr(self, name) * times for name in SPEND_FIELDS))

    def at_most(self, other: Spend) -> Spend:
        """The smaller of the two in every component."""
        return Spend(*(min(getattr(self, name), getattr(other, name)) for name in SPEND_FIELDS))


SPEND_FIELDS = tuple(field.name for field in dataclasses.fields(Spend))
_SHORT = {"tokens": "completion_tokens", "samples": "calls"}


@dataclass(frozen=True, slots=True)
class Budget:
    """Caps on spending; None leaves a component free. Nothing is dispatched that could overrun a cap.

    `seconds` is wall time, enforced by cancellation; the other caps are reserved before dispatch.

    Raises:
        UsageError: a cap that is negative or not a number. A cap of 0 is legal and buys nothing.
    """

    completion_tokens: int | None = None
    prompt_tokens: int | None = None
    calls: int | None = None
    flops: float | None = None
    dollars: float | None = None
    cpu_seconds: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            cap = getattr(self, field.name)
            if cap is not None and not (cap >= 0 and math.isfinite(cap)):
                raise UsageError(f"budget: {field.name} must be 0 or more, got {cap}; leave it out for no cap")

    @property
    def capped(self) -> bool:
        """Whether any component but wall time is capped."""
        return any(getattr(self, name) is not None for name in SPEND_FIELDS)

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read `tokens=4096,calls=16,dollars=0.05,seconds=30`. `tokens` means completion_tokens and `samples` means calls.

        Raises:
            UsageError: naming the piece that cannot be read.
        """
        caps: dict[str, float] = {}
        names = [field.name for field in dataclasses.fields(cls)]
        for piece in filter(None, (piece.strip() for piece in text.split(","))):
            name, _, number = piece.partition("=")
            name = _SHORT.get(name.strip(), name.strip())
            if name not in names:
                raise UsageError(
                    f"budget {text!r}: {piece!r} is not a cap.{nearest(name, [*names, *_SHORT])} Write for example tokens=4096,calls=16."
                )
            try:
                value = float(number)
            except ValueError:
                raise UsageError(f"budget {text!r}: {name} needs a number after '=', got {number!r}") from None
            caps[name] = int(value) if name in ("completion_tokens", "prompt_tokens", "calls") and math.isfinite(value) else value
        if not caps:
            raise UsageError("budget: nothing in it; write for example tokens=4096,calls=16")
        return cls(**caps)  # type: ignore[arg-type]  # the integral caps were made int above

    def check(self, prices: Iterable[Price]) -> None:
        """Refuse a cap that could never bind, because nothing that is counted against it has a price.

        Args:
            prices: of every model that is charged.

        Raises:
            UsageError: a cap on dollars or FLOPs, and no model has a price in them.
        """
        known = list(prices)
        if self.dollars is not None and not any(price.prompt or price.completion for price in known):
            raise UsageError(
                f"budget: dollars={self.dollars:g} caps nothing, since the model has no price; give one (--price 0.15,0.60: dollars for a million "
                "prompt and completion tokens; in Python price=Price(0.15, 0.6)), or cap tokens"
            )
        if self.flops is not None and not any(price.parameters for price in known):
            raise UsageError(f"budget: flops={self.flops:g} caps nothing, since the model's number of parameters is not known; cap tokens")

    def __str__(self) -> str:
        caps = [(field.name, getattr(self, field.name)) for field in dataclasses.fields(self)]
        return ",".join(f"{name}={cap:g}" if isinstance(cap, float) else f"{name}={cap}" for name, cap in caps if cap is not None) or "unlimited"


@dataclass(frozen=True, slots=True)
class Price:
    """What a model's tokens cost.

    Args:
        prompt: dollars for a million prompt tokens.
        completion: dollars for a million completion tokens.
        parameters: active parameters (raw count); a token costs 2 x parameters FLOPs. 0 where unknown.

    Raises:
        UsageError: an amount that is negative or not a number.
    """

    prompt: float = 0.0
    completion: float = 0.0
    parameters: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            amount = getattr(self, field.name)
            if not (amount >= 0 and math.isfinite(amount)):
                raise UsageError(f"price: {field.name} must be 0 or more, got {amount:g}")

    def of(self, usage: Usage, *, calls: int = 1) -> Spend:
        """The spending of one call with this usage."""
        prompt, generated = usage.prompt_tokens, usage.generated
        dollars = (prompt * self.prompt + generated * self.completion) / 1e6
        return Spend(generated, prompt, calls, 2.0 * self.parameters * (prompt + generated), dollars)
