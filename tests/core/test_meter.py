"""Admission: caps, reservations, waves, rounds, holds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outthink.core.meter import Hold, Meter, Place, Ticket, Turnstile
from outthink.core.spend import Budget, Spend


def ticket(meter: Meter, tokens: int, *, batch: str = "a", prompt: int = 0, share: int = 0, hold: Hold | None = None, judged: bool = False) -> Ticket:
    bound, shared = Spend(tokens, prompt, 1), Spend(tokens, 0, 1)
    return Ticket(meter, bound, shared, Spend(share), hold or Hold(), judged, batch)


def nothing() -> None:
    """Nobody waits."""


def test_what_does_not_fit_waits_for_the_wave_and_is_then_decided_by_what_was_really_charged() -> None:
    meter, turnstile = Meter(Budget(completion_tokens=20)), Turnstile()
    tickets = [ticket(meter, 10) for _ in range(4)]
    turnstile.submit((), tickets, nothing)
    assert [t.granted for t in tickets] == [True, True, False, False]
    turnstile.settle(tickets[1], Spend(3))
    assert not tickets[2].granted, "the wave is decided when all of it has settled"
    turnstile.settle(tickets[0], Spend(4))
    assert [t.granted for t in tickets] == [True, True, True, False]
    turnstile.settle(tickets[2], Spend(4))
    assert tickets[3].refused == "completion_tokens"
    assert (meter.charged, meter.reserved) == (Spend(11), Spend())


def test_a_wave_has_one_prompt() -> None:
    meter, turnstile = Meter(Budget(prompt_tokens=10)), Turnstile()
    tickets = [ticket(meter, 1, prompt=10) for _ in range(3)]
    turnstile.submit((), tickets, nothing)
    assert all(t.granted for t in tickets)
    assert meter.reserved.prompt_tokens == 10


def test_equal_prompts_of_different_calls_are_not_one_even_if_the_first_is_long_gone() -> None:
    meter, turnstile = Meter(Budget(prompt_tokens=100)), Turnstile()
    turnstile.submit((), [ticket(meter, 1, prompt=10, batch="slow")], nothing)
    for turn in range(50):  # batches that come and go within one wave
        short = ticket(meter, 1, prompt=1, batch=f"b{turn}")
        turnstile.submit((), [short], nothing)
        assert short.carries_prompt
        turnstile.settle(short, Spend(1, 1, 1))


def test_a_child_debits_its_parents_and_is_held_to_their_caps() -> None:
    parent = Meter(Budget(calls=3))
    child = Meter(Budget(completion_tokens=100), parent)
    turnstile = Turnstile()
    tickets = [ticket(child, 10) for _ in range(5)]
    turnstile.submit((), tickets, nothing)
    assert sum(t.granted for t in tickets) == 3
    assert parent.reserved == child.reserved == Spend(30, 0, 3)


def test_a_share_is_there_for_the_judge_and_for_nobody_else() -> None:
    meter, turnstile, hold = Meter(Budget(completion_tokens=20)), Turnstile(), Hold()
    sample = ticket(meter, 10, share=10, hold=hold)
    turnstile.submit((), [sample], nothing)
    turnstile.settle(sample, Spend(10))
    other = ticket(meter, 1)
    turnstile.submit((), [other], nothing)
    assert other.refused == "completion_tokens"
    judge = ticket(meter, 10, hold=hold, judged=True)
    turnstile.submit((), [judge], nothing)
    assert judge.granted
    turnstile.settle(judge, Spend(2))
    turnstile.release(hold, 1)
    late = ticket(meter, 8)
    turnstile.submit((), [late], nothing)
    assert late.granted, "what the judge did not need is free again"


def test_the_share_of_a_sample_that_failed_is_free_at_once() -> None:
    meter, turnstile, hold = Meter(Budget(completion_tokens=20)), Turnstile(), Hold()
    tickets = [ticket(meter, 5, share=10, hold=hold) for _ in range(2)]
    turnstile.submit((), tickets, nothing)
    assert [t.granted for t in tickets] == [True, False]
    turnstile.settle(tickets[0], Spend(), judged=False)
    assert tickets[1].granted
    assert hold.amount == Spend(10)


@given(order=st.permutations(range(4)))
def test_rounds_are_decided_in_the_order_of_place_whoever_comes_first(order: list[int]) -> None:
    meter, turnstile = Meter(Budget(calls=2)), Turnstile()
    turnstile.branch(3)
    tickets = {place: ticket(meter, 1, batch=str(place)) for place in range(4)}
    for place in order:
        turnstile.submit((place,), [tickets[place]], nothing)
    assert [tickets[place].granted for place in range(4)] == [True, True, False, False]


def test_numbers_come_before_texts_and_in_numeric_order() -> None:
    meter, turnstile = Meter(Budget(calls=2)), Turnstile()
    turnstile.branch(3)
    places: list[Place] = [("b",), (10,), (9,), ("a",)]
    tickets = [ticket(meter, 1, batch=str(place)) for place in places]
    for place, one in zip(places, tickets, strict=True):
        turnstile.submit(place, [one], nothing)
    assert [one.granted for one in tickets] == [False, True, True, False]


@given(
    cap=st.integers(0, 60),
    wishes=st.lists(st.tuples(st.integers(1, 12), st.floats(0, 1)), max_size=12),
)
def test_no_order_of_settling_overruns_a_cap_and_nothing_stays_reserved(cap: int, wishes: list[tuple[int, float]]) -> None:
    meter, turnstile = Meter(Budget(completion_tokens=cap)), Turnstile()
    tickets = [ticket(meter, bound, batch=str(i)) for i, (bound, _) in enumerate(wishes)]
    turnstile.submit((), tickets, nothing)
    while running := [i for i, t in enumerate(tickets) if t.granted and not t.settled]:
        last = running[-1]
        assert meter.charged.completion_tokens + meter.reserved.completion_tokens <= cap
        turnstile.settle(tickets[last], Spend(round(wishes[last][0] * wishes[last][1])))
    assert all(t.settled or t.refused for t in tickets)
    assert meter.charged.completion_tokens <= cap
    assert meter.reserved == Spend()
