"""The catalogue of the papers: number, title and family of each, as `catalog.toml` records them.

What implements a paper and what reproduces it is not recorded here: it is collected from the code.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from outthink.core.errors import UsageError

FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "sampling": "many answers to one question, and a rule that picks one of them",
        "allocation": "how much compute a question, a stage or a model gets",
        "verification": "judging answers and steps: reward models, judges, comparisons, imperfect checks",
        "search": "trees, beams and particles over partial answers",
        "refinement": "one answer thought longer, revised or decomposed",
        "systems": "compound systems: agents, retrieval, several models, work before the question",
        "test generation": "writing and choosing tests for programs and circuits",
        "adaptation": "changing weights, statistics or calibration while predicting",
        "training": "training recipes and architectures that make test-time compute pay",
        "scaling laws": "predicting loss and skill from size, data and compute",
        "evaluation": "benchmarks, metrics and studies of behaviour",
        "surveys": "taxonomies of the field",
    }
)
"""Every family that a record may name, with what it holds. A paper is filed under the one it is mainly about."""


@dataclass(frozen=True)
class Paper:
    """One paper.

    Args:
        number: how the paper is cited everywhere: 38 for `[38]`.
        title: its full title.
        family: a key of `FAMILIES`.
    """

    number: int
    title: str
    family: str


@cache
def catalog() -> Mapping[int, Paper]:
    """All papers by number, in the order of their numbers. Read once; read-only."""
    table = tomllib.loads(files("outthink.papers").joinpath("catalog.toml").read_text(encoding="utf-8"))
    papers = [Paper(record["number"], record["title"], record["family"]) for record in table["paper"]]
    return MappingProxyType({paper.number: paper for paper in sorted(papers, key=lambda paper: paper.number)})


def paper(number: int) -> Paper:
    """The paper of that number.

    Raises:
        UsageError: if there is none; the message gives the range and the nearest number.
    """
    papers = catalog()
    if number in papers:
        return papers[number]
    nearest = min(papers, key=lambda known: abs(known - number))
    raise UsageError(
        f"there is no paper [{number}]: papers are numbered {min(papers)} to {max(papers)}; the nearest is [{nearest}] {papers[nearest].title}"
    )
