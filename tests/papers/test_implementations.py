"""What implements a paper is collected from every registry, and costs no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from outthink.core.errors import UsageError
from outthink.papers.implementations import Implementation, implementations


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (72, {"strategy knockout", "strategy league", "comparer pairwise_judge", "module outthink.stats.tournament"}),
        (113, {"strategy best_of_n", "strategy repeated_sampling", "law coverage", "module outthink.stats.coverage"}),
        (132, {"law width-depth", "law width-depth-size"}),
        (140, {"procedure crossover"}),
        (94, {"adaptation becotta"}),
        (119, {"module outthink.evaluate.oracle"}),
        (122, {"module outthink.laws.methods.trend"}),  # its docstring opens with [98] [122]
    ],
)
def test_every_registry_counts(number: int, expected: set[str]) -> None:
    assert expected <= {f"{one.kind} {one.name}" for one in implementations(number)}


def test_adaptation_methods_read_from_their_source_are_those_that_register() -> None:
    pytest.importorskip("torch")
    from outthink.adapt.method import methods

    read = {one for entry in methods().values() for one in implementations(entry.papers[0]) if one.kind == "adaptation"}
    assert read == {Implementation("adaptation", entry.name, entry.papers) for entry in methods().values()}


def test_collecting_imports_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; from outthink.papers.implementations import implementations; assert implementations(94)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_number_that_is_no_paper_is_refused() -> None:
    with pytest.raises(UsageError, match="no paper"):
        implementations(999)
