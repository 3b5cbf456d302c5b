"""How fast a server may be asked: requests in flight, requests and tokens a minute, and how patient to be when it says no."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from outthink.core.keys import place_seed

WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on asking.

    Args:
        concurrency: HTTP requests in flight at once; change it where the server queues badly.
        requests_per_minute: requests in any 60 s; None where the server has no such limit.
        tokens_per_minute: prompt and generated tokens in any 60 s, reserved by an estimate and corrected by the usage reported.
    """

    concurrency: int = 128
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    def __post_init__(self) -> None:
        for name in ("concurrency", "requests_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be 1 or more, got {value}")


@dataclass(frozen=True, slots=True)
class Retry:
    """What to do when a request fails.

    Args:
        tries: attempts of one request that meets server errors, cut connections or unreadable replies.
        connect_tries: attempts to reach the server at all.
        first_s: the first wait in seconds; it doubles from try to try.
        longest_s: the longest wait that we choose ourselves, in seconds.
        patience_minutes: how long rate limits may keep all requests from succeeding before the server counts as out of quota.
    """

    tries: int = 4
    connect_tries: int = 3
    first_s: float = 0.5
    longest_s: float = 30.0
    patience_minutes: float = 10.0

    def delay(self, attempt: int, seed: int) -> float:
        """Seconds to wait after failure number `attempt` (from 0): between half of and the whole exponential step, decided by the seed."""
        step = min(self.longest_s, self.first_s * 2.0 ** min(attempt, 30))
        return step * (0.5 + 0.5 * place_seed(seed, ("retry", attempt)) / 2**31)


def retry_after(headers: dict[str, str], now: float | None = None) -> float | None:
    """Seconds that a reply asks us to wait, None where it does not say.

    Args:
        headers: with lower-case names. `retry-after-ms` goes before `retry-after`, which holds seconds or an HTTP date.
        now: the present as a Unix time, for dates.
    """
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        said = headers.get("retry-after")
        if said is None:
            return None
        try:
            return max(0.0, float(said))
        except ValueError:
            moment = parsedate_to_datetime(said).timestamp()
            return max(0.0, moment - (time.time() if now is None else now))
    except (ValueError, TypeError):
        return None


@dataclass(eq=False, slots=True)
class Entry:
    """An amount that was used at a time."""

    at: float
    amount: float


class Window:
    """Keeps the sum over any 60 seconds at or under a limit.

    An amount above the limit itself goes alone, when the window is empty: it could never go otherwise.

    Args:
        limit: the cap on the sum.
        clock: seconds, monotonic.
    """

    def __init__(self, limit: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._entries: deque[Entry] = deque()

    def wait(self, amount: float) -> float:
        """Seconds until this amount fits; 0 if it fits now."""
        now = self._clock()
        while self._entries and self._entries[0].at <= now - WINDOW_S:
            self._entries.popleft()
        excess = sum(entry.amount for entry in self._entries) + amount - self.limit
        if excess <= 0:
            return 0.0
        for entry in self._entries:
            excess -= entry.amount
            if excess <= 0:
                return entry.at + WINDOW_S - now
        return self._entries[-1].at + WINDOW_S - now if self._entries else 0.0

    def use(self, amount: float) -> Entry:
        """Count an amount now; its entry may be corrected later."""
        entry = Entry(self._clock(), amount)
        self._entries.append(entry)
        return entry
