"""The spec grammar: round trips, and one clear sentence for everything that is wrong."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.core.errors import UsageError
from outthink.core.registry import entries
from outthink.core.spec import build, describe
from outthink.strategies.best_of_n import BestOfN
from outthink.strategies.early_stopping_vote import EarlyStoppingVote
from outthink.strategies.greedy import Greedy
from outthink.strategies.majority_vote import MajorityVote
from outthink.strategies.weighted_vote import WeightedVote
from outthink.verifiers.length import Length
from outthink.verifiers.sequence_likelihood import SequenceLikelihood

counts = st.integers(1, 10**6)
verifiers = st.builds(SequenceLikelihood, st.booleans()) | st.builds(
    Length, st.sampled_from(["short", "long"]), st.floats(1e-6, 1e9, allow_nan=False)
)
things = (
    st.builds(MajorityVote, counts)
    | st.builds(BestOfN, counts, verifiers)
    | st.builds(WeightedVote, counts, verifiers)
    | st.builds(EarlyStoppingVote, counts, st.integers(2, 50))
    | st.just(Greedy())
)


@given(thing=things)
def test_build_undoes_describe(thing: object) -> None:
    assert build(describe(thing)) == thing


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_the_bare_name_is_the_default_and_the_default_is_the_bare_name(entry: object) -> None:
    name, kind = entry.name, entry.kind  # type: ignore[attr-defined]
    assert describe(build(name, kind)) == name
    assert build(f"{name}()", kind) == build(name, kind)


def test_only_knobs_that_differ_are_written() -> None:
    assert describe(build("best_of_n(n=16, verifier=length(scale=200, prefer='long'))")) == 'best_of_n(verifier=length(prefer="long"))'
    assert describe(build("best_of_n(verifier=sequence_likelihood(normalise=true))")) == "best_of_n"


def test_an_integer_is_a_number_where_a_number_is_wanted() -> None:
    built = build("length(scale=5)", "verifier")
    assert isinstance(built, Length)
    assert isinstance(built.scale, float)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the spec is empty"),
        ("majority_vot", "Did you mean 'majority_vote'?"),
        ("majority_vote(m=4)", "no knob 'm'"),
        ("early_stopping_vote(windw=4)", "Did you mean 'window'?"),
        ("majority_vote(4)", "knobs are given by name"),
        ("majority_vote(n=4", "not a spec"),
        ("majority_vote(n=)", "not a spec"),
        ("majority_vote(n=4, n=5)", "the knob 'n' is given twice"),
        ("majority_vote(**x)", "no knob"),
        ("majority_vote(n=2.5)", "n takes int, got 2.5"),
        ("majority_vote(n='8')", "n takes int, got '8'"),
        ("majority_vote(n=true)", "n takes int, got True"),
        ("majority_vote(n=none)", "n takes int, got None"),
        ("majority_vote(n=0)", "n must be 1 or more, got 0"),
        ("majority_vote(n=-3)", "n must be 1 or more, got -3"),
        ("majority_vote(n=1+1)", "is not a value"),
        ("majority_vote(n=[].__class__)", "is not a value"),
        ("__import__('os').system('true')", "is not name(knob=value"),
        ("sequence_likelihood", "is a verifier, and a strategy is needed here"),
        ("best_of_n(verifier=majority_vote())", "verifier takes a verifier"),
        ("best_of_n(verifier=3)", "verifier takes a verifier"),
        ("best_of_n(verifier='length')", "verifier takes a verifier"),
        ("best_of_n(verifier=lenght())", "Did you mean 'length'?"),
        ("best_of_n(verifier=length(prefer=long))", 'length: prefer takes text in quotes; write prefer="long"'),
        ("majority_vote\x00", "not a spec"),
        ("(" * 300, "not a spec"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        build(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@given(text=st.text(alphabet="majority_vote(n=1,) '\"[]{}*.\n\\", max_size=40))
def test_no_text_makes_anything_but_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        build(text)


def test_knobs_of_a_plug_in_that_does_not_postpone_annotations_are_checked_too() -> None:
    # as a module without `from __future__ import annotations` makes it: the field's type is the class, not its name
    plugged = dataclasses.make_dataclass("Plugged", [("n", int, 4)], frozen=True)
    assert build("plugged(n=2)", find=lambda name: plugged) == plugged(2)
    with pytest.raises(UsageError, match=r"n takes int, got 2\.5"):
        build("plugged(n=2.5)", find=lambda name: plugged)
