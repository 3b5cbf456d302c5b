"""Waits and windows of the HTTP backends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.models._errors import clean_url, redact, words_of
from outthink.models._limits import WINDOW_S, Limits, Retry, Window, retry_after
from outthink.models._payload import Dialect, adapted
from outthink.models._reply import share


@given(st.integers(1, 20), st.lists(st.tuples(st.floats(0, 40), st.integers(1, 20)), max_size=40))
def test_no_window_of_a_minute_holds_more_than_the_limit(limit: int, asked: list[tuple[float, int]]):
    now = 0.0
    window, used = Window(limit, lambda: now), []
    for pause, amount in asked:
        now += pause
        while (wait := window.wait(amount)) > 0:
            now += wait + 1e-6
        window.use(amount)
        used.append((now, amount))
    for start, _ in used:
        inside = [amount for at, amount in used if start <= at < start + WINDOW_S]
        assert sum(inside) <= limit or len(inside) == 1  # what is above the limit by itself goes alone


def test_a_window_does_not_wait_longer_than_it_must():
    now = 0.0
    window = Window(2, lambda: now)
    window.use(1)
    now = 10.0
    window.use(1)
    assert window.wait(1) == pytest.approx(50)
    now = 60.5
    assert window.wait(1) == 0


@given(st.integers(0, 40), st.integers(0, 2**31 - 1))
def test_waits_grow_stay_bounded_and_repeat(attempt: int, seed: int):
    retry = Retry(first_s=0.5, longest_s=30)
    wait = retry.delay(attempt, seed)
    step = min(30, 0.5 * 2**attempt)
    assert step / 2 <= wait <= step
    assert wait == retry.delay(attempt, seed)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "Thu, 01 Jan 1970 00:02:00 GMT"}, 20),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None):
    assert retry_after(headers, now=100) == seconds


def test_a_limit_of_nothing_is_refused():
    with pytest.raises(ValueError, match="concurrency must be 1 or more"):
        Limits(concurrency=0)


@given(st.integers(0, 10_000), st.lists(st.integers(0, 500), min_size=1, max_size=30))
def test_a_split_sums_to_its_total_and_keeps_the_order(total: int, weights: list[int]):
    parts = share(total, weights)
    assert sum(parts) == total
    assert all(part >= 0 for part in parts)
    mass = sum(weights) or 1
    assert all(abs(part - total * weight / mass) < 1 for part, weight in zip(parts, weights, strict=True)) or not sum(weights)


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("localhost:8000/v1/", "http://localhost:8000/v1"),
        ("https://host/openai/v1/chat/completions", "https://host/openai/v1"),
    ],
)
def test_addresses(url: str, clean: str):
    assert clean_url(url) == clean


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-", min_size=8, max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_the_key_never_stays_in_a_text(key: str, before: str, after: str):
    assert key not in redact(f"{before} {key} {after}", key).replace("***", " ")


def test_what_looks_like_a_key_goes_too():
    assert "abcdef" not in redact("Incorrect API key: sk-abcdef123456, http://me:abcdef@host, Bearer abcdef", None)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"message": "no such model", "code": "model_not_found"}}', "no such model (model_not_found)"),
        (b'{"error": "busy"}', "busy"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b"<html><b>502</b></html>", "502"),
        (b"", "no reason given"),
    ],
)
def test_the_words_of_an_error(body: bytes, words: str):
    assert words_of(body) == words


@pytest.mark.parametrize(
    ("words", "n"),
    [
        ("Field 'n': Value must be between 1 <= value <= 4, but got 16", 4),
        ("n must be at most 8", 8),
        ("Invalid 'n': only 1 choice is supported", 1),
        ("the model cannot", None),
    ],
)
def test_what_a_refusal_says_about_n(words: str, n: int | None):
    assert adapted(Dialect(), words, 16).n == n
