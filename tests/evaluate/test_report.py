"""Reports: complete, repeatable, and deaf to what models write."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from functools import partial
from html import unescape
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import anyio
import pytest
from rich.console import Console

from outthink.core.errors import DataError
from outthink.evaluate.curves import matched_majority
from outthink.evaluate.oracle import Oracle
from outthink.evaluate.page import page
from outthink.evaluate.plan import Plan
from outthink.evaluate.report import SCHEMA, build, write_html, write_json, write_markdown, write_png
from outthink.evaluate.run import Run, run
from outthink.evaluate.skeleton import data_block
from outthink.evaluate.table import SampleTable
from outthink.evaluate.text import headed, markdown, show
from outthink.evaluate.work import Progress
from outthink.models.simulated import LatentAnswers
from outthink.problems.answers import answer_kind
from outthink.strategies.best_of_n import BestOfN
from outthink.strategies.greedy import Greedy
from tests.evaluate.support import latent, numbered, plan
from tests.evaluate.test_grading import judged

EVIL = (
    "</script><script>alert(1)</script>",
    "javascript:alert(2)",
    '"><img src=x onerror=alert(3)>',
    "]]><svg/onload=alert(4)>",
    "{{ 7*7 }}",
    "[x](javascript:alert(5))",
)


def done() -> Run:
    problems = numbered(12)
    work = plan(problems)
    ceiling = dataclasses.replace(work, strategies=(*work.strategies, BestOfN(verifier=Oracle(problems))))
    return anyio.run(run, ceiling, latent(problems))


def evil_run() -> Run:
    """Questions, keys, answers, the set's name and the command are all hostile."""
    kind = answer_kind("exact", extract="answer is (.*)")
    plain = numbered(len(EVIL))
    problems = tuple(
        dataclasses.replace(problem, id=f"{evil}{i}", answer=kind, messages=(dataclasses.replace(problem.messages[0], content=evil),))
        for i, (problem, evil) in enumerate(zip(plain.problems, EVIL, strict=True))
    )
    questions = dataclasses.replace(plain, name=EVIL[0], problems=problems, keys={problem.id: EVIL[0] for problem in problems})
    model = LatentAnswers({p.id: {f"{evil} {p.id}": 1.0} for p, evil in zip(problems, EVIL, strict=True)}, {})
    return anyio.run(run, dataclasses.replace(plan(questions), command=f"outthink run '{EVIL[0]}'"), model)


class Elements(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.tags: dict[str, int] = {}
        self.attributes: set[str] = set()
        self.inside: dict[str, str | None] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes |= {name for name, _ in attrs}
        if tag == "script":
            self.inside = dict(attrs)
            self.scripts.append((self.inside, ""))

    def handle_data(self, data: str) -> None:
        if self.inside is not None:
            attributes, text = self.scripts.pop()
            self.scripts.append((attributes, text + data))

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self.inside = None


def test_nothing_that_a_model_or_a_file_said_can_run() -> None:
    source = evil_run()
    text = page(build(source))
    assert any(record.text for record in source.records)
    elements = Elements()
    elements.feed(text)
    running = [body for attributes, body in elements.scripts if attributes.get("type") != "application/json"]
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    allowed = re.findall(r"sha256-([A-Za-z0-9+/=]+)", policy.group(1).replace("&#39;", "'"))
    assert [base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in running] == allowed
    assert len(running) == 2
    assert "unsafe-eval" not in policy.group(1)
    assert "default-src &#39;none&#39;" in policy.group(1)
    assert not {"img", "svg", "a", "iframe", "object", "form", "link"} & set(elements.tags)
    assert not {name for name in elements.attributes if name.startswith("on")} | ({"href", "src"} & elements.attributes)
    assert "49" not in re.findall(r"<pre>(.*?)</pre>", text, re.S)
    assert "alert(1)" in text
    assert "<script>alert(1)" not in text
    for attributes, body in elements.scripts:
        if attributes.get("type") == "application/json":
            json.loads(body)


def test_a_run_of_which_nothing_is_graded_shows_no_accuracy_anywhere(tmp_path: Path) -> None:
    report = build(judged("I would rather not say"))
    out = StringIO()
    show(report, Console(file=out, width=160))
    for text in (out.getvalue(), markdown(report), page(report).partition("<main")[2]):
        assert "0.0%" not in text
        assert "6 results are not graded and count neither as right nor as wrong; the first: the judge's reply has no line" in unescape(text)
    write_json(report, tmp_path / "r.json")
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert [row["accuracy"] for row in rows] == [None, None, None]
    with pytest.raises(DataError, match="nothing to draw"):
        write_png(report, tmp_path / "r.png")


def test_json_in_a_script_cannot_end_it() -> None:
    block = data_block({"a": "</script><!-- & \u2028"})
    assert not set("<>&\u2028") & set(block)
    assert json.loads(block) == {"a": "</script><!-- & \u2028"}


def test_markdown_cannot_be_injected() -> None:
    text = markdown(build(evil_run()))
    assert "<script" not in text
    assert "](javascript" not in text
    assert "\\[" in markdown(build(done()))


def test_the_terminal_shows_a_spec_with_brackets_as_it_is() -> None:
    report = build(evil_run())
    named = dataclasses.replace(report, rows=tuple(dataclasses.replace(row, spec="x(a=[bold])", family="y") for row in report.rows))
    out = StringIO()
    show(named, Console(file=out, width=220))
    assert "x(a=[bold])" in out.getvalue()


@pytest.mark.parametrize("width", [80, 100, 160, 250])
def test_the_terminal_cuts_no_figure_and_no_heading(width: int) -> None:
    report = build(done())
    out = StringIO()
    show(report, Console(file=out, width=width))
    shown = out.getvalue()
    assert "…" not in shown
    assert all(len(line) <= width for line in shown.splitlines())
    heads, rows = headed(report)
    cells = {cell for row in rows for head, cell in zip(heads, row, strict=True) if head not in ("strategy", "n")}
    assert all(cell in shown for cell in cells)
    assert all(word in shown for head in heads if head != "n" for word in head.split())


def test_trouble_is_told_at_80_columns_too() -> None:
    report = build(done())
    first = dataclasses.replace(report.rows[0], missing={"http_500": 12})
    out = StringIO()
    show(dataclasses.replace(report, rows=(first, *report.rows[1:])), Console(file=out, width=80))
    assert "12 missing (http_500)" in " ".join(out.getvalue().split())


def test_the_json_report_has_its_schema(tmp_path: Path) -> None:
    source = done()
    write_json(source, tmp_path / "r.json")
    data = json.loads((tmp_path / "r.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert data["schema"] == SCHEMA == "outthink.report/1"
    assert set(data) == {"schema", "name", "facts", "notes", "rows", "curves", "wrong"}
    assert {"problem set", "size", "fingerprint", "model", "sampling", "seeds", "intervals", "cut", "to repeat"} <= set(data["facts"])
    assert len(data["rows"]) == 1 + 3 * 3
    numbers = {"accuracy", "low", "high", "completion_tokens", "prompt_tokens", "calls", "dollars", "seconds"}
    for row in data["rows"]:
        assert all(isinstance(row[name], (int, float)) for name in numbers)
        assert isinstance(row["spec"], str)
        assert 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1
        assert (row["gain"] is None) == (row["spec"] == "greedy")
        assert set(row["controls"]) == {"matched", "random", "ceiling"}
        assert row["correct"] + row["wrong"] + row["abstained"] + row["unparsed"] == 12
        assert row["oracle"] == ("oracle()" in row["spec"])
    assert {row["method"] for row in data["curves"]} >= {"majority", "random choice", "oracle ceiling", "best of n (sequence_likelihood)"}
    assert data["wrong"]["total"] == sum(12 - row["correct"] for row in data["rows"])
    assert set(data["wrong"]["listed"][0]) == {"problem", "spec", "seed", "verdict", "question", "expected", "answer", "text"}


def test_every_row_has_its_matched_vote_its_control_and_its_ceiling() -> None:
    source = done()
    report = build(source)
    table = SampleTable.load(source.journal)
    for row, control in zip(report.rows, report.controls, strict=True):
        assert control is not None
        assert control.matched == matched_majority(table, row.completion_tokens)
        assert control.random == pytest.approx(table.correct.mean())
        assert control.random <= control.ceiling + 1e-9
    eight = next(i for i, row in enumerate(report.rows) if row.oracle and row.samples == 8)
    # with the whole pool as its samples the oracle's own row is the ceiling
    assert report.rows[eight].accuracy == pytest.approx(report.controls[eight].ceiling)


def test_a_run_without_plain_samples_reports_without_controls(tmp_path: Path) -> None:
    problems = numbered(3)
    source = anyio.run(run, Plan((Greedy(),), problems), latent(problems))
    report = build(source)
    assert report.controls == (None,)
    assert "no controls" in report.notes[0]
    write_html(report, tmp_path / "r.html")


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    problems = numbered(4)

    def stop(step: Progress) -> None:
        if step.record is not None and step.done == 14:
            raise OSError("the lamp went out")

    with pytest.raises(OSError, match="lamp"):
        anyio.run(partial(run, plan(problems), latent(problems), tmp_path, concurrency=1, progress=stop))
    with Run.open(tmp_path) as partial_run:
        assert "not complete: 14 of 28 results" in " ".join(build(partial_run).notes)


def test_all_forms_are_written(tmp_path: Path) -> None:
    report = build(done())
    write_png(report, tmp_path / "r.png")
    write_markdown(report, tmp_path / "r.md")
    write_html(report, tmp_path / "r.html")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    assert "| best\\_of\\_n(n=8) |" in (tmp_path / "r.md").read_text()
    html = (tmp_path / "r.html").read_text()
    assert html.count('type="application/json"') == 2
    assert not re.search(r'(?:src|href)="?(?:https?:)?//', html.split("<script>")[0])
