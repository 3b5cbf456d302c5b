"""The way to a server: one session an event loop, limits, retries, and errors without keys.

What can go wrong ends in one of three: `ModelError` (nobody will be served: unreachable, credentials, quota), `Rejected` (the server
refuses this request, and would again), `Unserved` (this request failed again and again).
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from outthink.core.errors import ModelError
from outthink.models._errors import PASSING, Broken, Rejected, Unserved, redact, words_of
from outthink.models._limits import Entry, Limits, Retry, Window, retry_after

if TYPE_CHECKING:
    import aiohttp
    import yarl

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_WORTH_TELLING_S = 2.0  # a wait that a user would wonder about
_TOLD_AGAIN_AFTER_S = 30.0
_QUOTA = ("insufficient_quota", "exceeded your current quota", "billing", "insufficient balance", "credits")


class _Lane:
    """What belongs to one event loop: session, gate, windows, and until when everybody waits."""

    def __init__(self, session: aiohttp.ClientSession, limits: Limits) -> None:
        self.session = session
        self.gate = asyncio.Semaphore(limits.concurrency)
        self.requests = Window(limits.requests_per_minute) if limits.requests_per_minute else None
        self.tokens = Window(limits.tokens_per_minute) if limits.tokens_per_minute else None
        self.resume_at = 0.0
        self.limited_since: float | None = None
        self.tell_at = 0.0

    @property
    def limited(self) -> bool:
        """Whether a request may have to wait for its turn."""
        return bool(self.resume_at or self.requests or self.tokens)

    async def turn(self, tokens: float) -> Entry | None:
        """Wait until the limits let one more request pass, and count it."""
        while True:
            wait = self.resume_at - time.monotonic() if self.resume_at else 0.0
            if self.requests:
                wait = max(wait, self.requests.wait(1))
            if self.tokens:
                wait = max(wait, self.tokens.wait(tokens))
            if wait <= 0:
                break
            await asyncio.sleep(wait)
        if self.requests:
            self.requests.use(1)
        return self.tokens.use(tokens) if self.tokens else None


class Transport:
    """Sends requests to one server.

    Args:
        base_url: as `clean_url` gives it.
        api_key: sent as a bearer token; None sends none.
        limits, retry: see there.
        timeout_s: seconds without a byte (a whole answer may be one) before a request counts as failed.
    """

    def __init__(self, base_url: str, api_key: str | None, limits: Limits, retry: Retry, timeout_s: float) -> None:
        self.base_url = base_url
        self.shown_url = redact(base_url, api_key)
        self.retry = retry
        self._key = api_key
        self._limits = limits
        self._timeout_s = timeout_s
        self._addresses: dict[str, yarl.URL] = {}
        self._lanes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Lane] = WeakKeyDictionary()
        self._headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {api_key}"} if api_key else {})}

    def redact(self, text: str) -> str:
        """A text without this server's key."""
        return redact(text, self._key)

    def _lane(self) -> _Lane:
        loop = asyncio.get_running_loop()
        lane = self._lanes.get(loop)
        if lane is None or lane.session.closed:
            import aiohttp

            timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=self._timeout_s)
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)  # the gate limits
            lane = _Lane(
                aiohttp.ClientSession(connector=connector, timeout=timeout, headers=self._headers, cookie_jar=aiohttp.DummyCookieJar()), self._limits
            )
            self._lanes[loop] = lane
        return lane

    def _address(self, path: str) -> yarl.URL:
        known = self._addresses.get(path)
        if known is None:
            import yarl

            known = self._addresses[path] = yarl.URL(path if "://" in path else self.base_url + path)
        return known

    async def post(self, path: str, body: bytes, *, tokens: float = 0, seed: int = 0) -> dict[str, object]:
        """Send a body and return the JSON object that comes back; see `call`."""
        return await self.call("POST", path, body, read_object, tokens=tokens, seed=seed)

    async def get(self, path: str) -> dict[str, object]:
        """The JSON object at a path; see `call`."""
        return await self.call("GET", path, None, read_object)

    async def call(
        self, method: str, path: str, body: bytes | None, read: Callable[[aiohttp.ClientResponse], Awaitable[T]],
        *, tokens: float = 0, seed: int = 0,
    ) -> T:  # fmt: skip
        """Send a request until it succeeds or there is no hope.

        Args:
            method: `GET` or `POST`.
            path: below the base address, such as `/chat/completions`; a whole address is taken as it is.
            body: JSON.
            read: reads a good reply; raises `Broken` where it is none.
            tokens: estimate for the tokens-a-minute limit; corrected by the reply's usage.
            seed: decides the jitter of waits.

        Raises:
            ModelError: unreachable, refused credentials, out of quota.
            Rejected: the server refuses this request.
            Unserved: it failed as often as `Retry.tries`.
        """
        import aiohttp

        url = self._address(path)
        lane, failures, unreached, limited = self._lane(), 0, 0, 0
        while True:
            try:
                async with lane.gate:
                    entry = await lane.turn(tokens) if lane.limited else None
                    async with lane.session.request(method, url, data=body) as response:
                        if response.status < 300:
                            result = await read(response)
                            lane.limited_since = None
                            if entry is not None:
                                entry.amount = _total(result, entry.amount)
                            return result
                        words = self.redact(words_of(await response.read()))
                        status, headers = response.status, {name.lower(): value for name, value in response.headers.items()}
                if self._rate_limited(status, words, headers):
                    wait = self._patient(lane, retry_after(headers), self.retry.delay(limited, seed), words)
                    limited += 1
                    await asyncio.sleep(wait)
                    continue
                self._fatal(status, words)
                if status == 501 or (status < 500 and status not in PASSING):
                    raise Rejected(status, words)
                trouble = Broken(f"http_{status}", f"answered with status {status}: {words}")
            except Broken as broken:
                trouble = broken
            except aiohttp.ClientConnectorError as error:
                unreached += 1
                if unreached >= self.retry.connect_tries:
                    reason = error.os_error.strerror or str(error.os_error)
                    raise ModelError(f"cannot reach {self.shown_url} ({reason}); start the server, or check the address") from error
                await asyncio.sleep(self.retry.delay(unreached - 1, seed))
                continue
            except TimeoutError:
                trouble = Broken("timeout", f"sent nothing for {self._timeout_s:g} s; give a longer timeout_s or a smaller max_tokens")
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
                trouble = Broken("connection", f"closed the connection before the reply was complete ({type(error).__name__})")
            except aiohttp.InvalidURL as error:
                raise ModelError(f"{self.shown_url} is not an address of a server; write http://host:port/v1") from error
            except aiohttp.ClientError as error:
                trouble = Broken("garbage", f"sent what is not HTTP ({type(error).__name__})")
            failures += 1
            if not trouble.again or failures >= self.retry.tries:
                times = f" ({failures} tries)" if failures > 1 else ""
                raise Unserved(trouble.kind, f"{self.shown_url} {self.redact(trouble.message)}{times}")
            await asyncio.sleep(self.retry.delay(failures - 1, seed))

    @staticmethod
    def _rate_limited(status: int, words: str, headers: dict[str, str]) -> bool:
        if status == 429:
            return not any(mark in words.lower() for mark in _QUOTA)
        return status == 503 and ("retry-after" in headers or "loading" in words.lower())  # a server that is loading its model says so

    def _patient(self, lane: _Lane, asked: float | None, own: float, words: str) -> float:
        # everybody waits, for as long as the server asks; nobody having been served for too long is the end of patience
        now, patience = time.monotonic(), self.retry.patience_minutes * 60
        lane.limited_since = now if lane.limited_since is None else lane.limited_since
        wait = max(own, asked) if asked is not None else own
        if now + wait - lane.limited_since > patience:
            raise ModelError(
                f"{self.shown_url} limits the rate and served nothing within the patience of {self.retry.patience_minutes:g} minutes "
                f"(next wait {wait:.0f} s): {words}; go on later with the same command, or ask for less at once"
            )
        lane.resume_at = max(lane.resume_at, now + (asked if asked is not None else own))
        if wait >= _WORTH_TELLING_S and now >= lane.tell_at:
            lane.tell_at = now + _TOLD_AGAIN_AFTER_S
            _LOG.warning("%s limits the rate: waiting %.0f s before it is asked again", self.shown_url, wait)
        return wait

    def _fatal(self, status: int, words: str) -> None:
        if status in (401, 403):
            given = "refused the key of OPENAI_API_KEY" if self._key else "wants a key; set OPENAI_API_KEY"
            raise ModelError(f"{self.shown_url} {given} (status {status}): {words}")
        if status in (402, 429):
            raise ModelError(f"{self.shown_url} is out of quota (status {status}): {words}")

    async def aclose(self) -> None:
        """Close this loop's connections; those of loops that have ended are let go."""
        loop = asyncio.get_running_loop()
        for owner, lane in list(self._lanes.items()):
            if owner is loop:
                await lane.session.close()
                del self._lanes[owner]
            elif owner.is_closed():
                lane.session.detach()
                del self._lanes[owner]


def _total(result: object, reserved: float) -> float:
    reply = getattr(result, "reply", result)  # what a reader made of it
    usage = reply.get("usage") if isinstance(reply, dict) else None
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return float(total) if isinstance(total, int) else reserved


async def read_object(response: aiohttp.ClientResponse) -> dict[str, object]:
    """The JSON object of a good reply.

    Raises:
        Broken: it is none, or an error in place of one.
    """
    raw = await response.read()
    try:
        data = json.loads(raw)
    except ValueError as error:
        raise Broken("garbage", f"sent what is not JSON: {raw[:80].decode('utf-8', 'replace')!r}") from error
    if not isinstance(data, dict):
        raise Broken("garbage", f"sent JSON that is not an object: {raw[:80].decode('utf-8', 'replace')!r}")
    if data.get("error") and "choices" not in data and "data" not in data:
        raise Broken("error", f"sent an error in place of a reply: {words_of(raw)}")
    return data
