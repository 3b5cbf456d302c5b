"""Cells of a plan."""

from __future__ import annotations

import pytest

from outthink.core.spend import Budget
from outthink.evaluate.plan import Plan, differences
from outthink.evaluate.redact import redact
from outthink.strategies.best_of_n import BestOfN
from outthink.strategies.greedy import Greedy
from outthink.strategies.majority_vote import MajorityVote
from outthink.verifiers.length import Length
from tests.evaluate.support import numbered


def test_a_number_sets_the_knob_n_and_is_nothing_to_a_strategy_without_it() -> None:
    cells = Plan((Greedy(), BestOfN(verifier=Length())), numbered(2), (1, 16), (0, 1)).cells()
    assert [(cell.spec, cell.samples, cell.seed) for cell in cells] == [
        ("greedy", None, 0),
        ("greedy", None, 1),
        ("best_of_n(n=1, verifier=length())", 1, 0),
        ("best_of_n(n=1, verifier=length())", 1, 1),
        ("best_of_n(verifier=length())", 16, 0),
        ("best_of_n(verifier=length())", 16, 1),
    ]
    assert {cell.family for cell in cells} == {"greedy", "best_of_n(verifier=length())"}


def test_a_budget_caps_and_leaves_the_knobs() -> None:
    (cell,) = Plan((MajorityVote(4),), numbered(1), (Budget(calls=2),)).cells()
    assert (cell.spec, cell.samples, cell.caps, cell.budget) == ("majority_vote(n=4)", 4, "calls=2", Budget(calls=2))


def test_cells_of_different_problems_budgets_and_seeds_have_different_names() -> None:
    cells = Plan((MajorityVote(4),), numbered(1), (None, Budget(calls=2), 2), (0, 1)).cells()
    assert len({cell.name(problem) for cell in cells for problem in ("a", "b")}) == 12


def test_differences_name_what_changed_only() -> None:
    assert differences({"a": 1, "b": [1]}, {"a": 1, "b": [2], "c": None}) == ["b: was [1], is now [2]"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("m@https://me:pw@host/v1", "m@https://[redacted]@host/v1"),
        ("http://h/v1?api_key=abcdef&x=1", "http://h/v1?api_key=[redacted]&x=1"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer [redacted]"),
        ("use sk-abcdefghijklmnopqrstuv now", "use [redacted] now"),
        ("tokens=4096,calls=16", "tokens=4096,calls=16"),
        ("--max-tokens 512 --seeds 0,1", "--max-tokens 512 --seeds 0,1"),
    ],
)
def test_redact_hides_credentials_and_nothing_else(text: str, left: str) -> None:
    assert redact(text) == left
