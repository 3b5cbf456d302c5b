"""`outthink laws` as a user meets it: what it writes can be read back, what is wrong is one sentence, and what lies outside the data is told."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import anyio
import numpy as np
import pytest

from outthink.cli.app import run
from outthink.evaluate import pools
from tests.evaluate.support import latent, numbered


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def runs() -> str:
    """Runs of a Chinchilla law with 1% noise; sizes in billions."""
    rng = np.random.default_rng(0)
    lines = ["final loss,N,D,family"]
    for n in (0.1, 0.3, 1.0, 3.0, 10.0):
        for d in (2.0, 8.0, 30.0, 100.0):
            loss = (1.7 + 400.0 * (n * 1e9) ** -0.34 + 2000.0 * (d * 1e9) ** -0.37) * np.exp(0.002 * rng.normal())
            lines.append(f"{loss},{n},{d},{'small' if n < 1 else 'large'}")
    Path("runs.csv").write_text("\n".join(lines) + "\n")
    return "runs.csv"


COLUMNS = ["--columns", "loss=final loss,parameters=N*1e9,tokens=D*1e9"]


def called(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["laws", *arguments]) == 0
    return capsys.readouterr().out


def test_list_and_show_cover_every_law_and_procedure(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(called(capsys, "list", "--json"))
    names = {row["name"] for row in rows}
    assert {"chinchilla", "coverage", "sloth"} <= names
    for row in rows:
        assert json.loads(called(capsys, "show", row["name"], "--json")) == row
    shown = called(capsys, "show", "chinchilla")
    assert "loss = E + A parameters^-alpha + B tokens^-beta" in shown
    assert "outthink laws fit chinchilla" in shown


@pytest.mark.parametrize("command", ["list", "show", "fit", "predict", "compare", "audit", "plan"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Usage" in called(capsys, command, "--help")


def test_a_fit_is_written_read_back_and_used(runs: str, capsys: pytest.CaptureFixture[str]) -> None:
    fitted = json.loads(called(capsys, "fit", "chinchilla", runs, *COLUMNS, "-b", "40", "--out", "fit", "--json", "-q"))
    assert fitted["values"]["alpha"] == pytest.approx(0.34, abs=0.03)
    assert json.loads(Path("fit/fit.json").read_text()) == fitted
    assert Path("fit/fit.png").read_bytes().startswith(b"\x89PNG")
    low, high = fitted["intervals"]["alpha"]
    assert low < fitted["values"]["alpha"] < high
    assert fitted["held_out"]["holds"]
    answer = json.loads(called(capsys, "predict", "fit", "--at", "parameters=1e9,tokens=3e10", "--at", "parameters=1e11,tokens=3e10", "--json"))
    inside, outside = answer["predictions"]
    assert inside["low"] < inside["loss"] < inside["high"]
    assert inside["loss"] == pytest.approx(1.7 + 400.0 * 1e9**-0.34 + 2000.0 * 3e10**-0.37, rel=0.005)
    assert inside["outside"] == []
    assert "10 times beyond the largest" in outside["outside"][0]
    (plan,) = json.loads(called(capsys, "plan", "fit", "--flops", "6e21", "--json"))
    assert plan["flops"] == pytest.approx(6.0 * plan["parameters"] * plan["tokens"], rel=1e-3)
    assert plan["beyond"] == pytest.approx(1.0, rel=1e-3)  # 6 * 1e10 * 1e11 is the largest run
    (never,) = json.loads(called(capsys, "plan", "fit", "--loss", "1.2", "--json"))
    assert not never["reachable"]


def test_text_from_a_table_cannot_run_in_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "x<script>alert(1).csv"
    rows = [f"{30.0 * x**-0.1},{x}" for x in (1e6, 1e7, 1e8, 1e9)]
    Path(hostile).write_text("\n".join(["loss,x", *rows]))
    called(capsys, "fit", "power", hostile, "-b", "0", "--out", "fit", "-q")
    page = Path("fit/fit.html").read_text()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "default-src &#39;none&#39;" in page  # and nothing could be fetched


def test_columns_in_billions_are_warned_of(runs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "units" in called(capsys, "fit", "chinchilla", runs, "--columns", "loss=final loss,parameters=N,tokens=D", "-b", "0", "-q")
    assert "units" not in called(capsys, "fit", "chinchilla", runs, *COLUMNS, "-b", "0", "-q")


def test_tokens_follow_from_flops_and_rows_can_be_left_out(runs: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = Path(runs).read_text().splitlines()[1:]
    cells = [line.split(",") for line in lines]
    Path("flops.csv").write_text(
        "\n".join(["loss,parameters,flops", *(f"{c[0]},{float(c[1]) * 1e9},{6e18 * float(c[1]) * float(c[2])}" for c in cells)])
    )
    derived = json.loads(called(capsys, "fit", "chinchilla", "flops.csv", "-b", "0", "--json", "-q"))
    direct = json.loads(called(capsys, "fit", "chinchilla", runs, *COLUMNS, "-b", "0", "--json", "-q"))
    assert derived["values"]["beta"] == pytest.approx(direct["values"]["beta"], rel=1e-4)
    assert derived["notes"] == ["tokens = flops / (6 parameters)"]
    fewer = json.loads(called(capsys, "fit", "chinchilla", runs, *COLUMNS, "--where", "N>=0.3", "-b", "0", "--json", "-q"))
    assert fewer["rows"] == 16
    assert fewer["domain"]["parameters"][0] == pytest.approx(3e8)


def test_compare_and_audit(runs: str, capsys: pytest.CaptureFixture[str]) -> None:
    compared = json.loads(called(capsys, "compare", "chinchilla", "chinchilla-tied", runs, *COLUMNS, "--json", "-q"))
    assert {row["law"] for row in compared["laws"]} == {"chinchilla", "chinchilla-tied"}
    assert compared["verdict"]
    audited = json.loads(
        called(capsys, "audit", runs, *COLUMNS, "-b", "0", "--subset", "family=large", "--note", "tuning=at every size", "--json", "-q")
    )
    assert {one["name"]: one["rows"] for one in audited["variations"]}["only family=large"] == 12
    assert audited["checklist"]["tuning"] == {"text": "at every size", "from": "author"}
    assert audited["checklist"]["training_data"]["from"] == "missing"
    assert "Checklist" in called(capsys, "audit", runs, *COLUMNS, "-b", "0", "-q")


def test_a_pool_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    problems = numbered(30)
    anyio.run(partial(pools.build, problems, latent(problems), 16, Path("pool.sqlite")))
    fitted = json.loads(called(capsys, "fit", "coverage", "pool.sqlite", "-b", "30", "--out", "fit", "--json", "-q"))
    assert fitted["domain"]["k"][0] == 1.0
    assert fitted["bootstrap"]["cluster"] == "problem"
    (row,) = pools.show("pool.sqlite")
    law = fitted["values"]
    assert np.exp(-law["a"] * fitted["domain"]["k"][1] ** -law["b"]) == pytest.approx(row.coverage, abs=0.08)
    low, high = fitted["intervals"]["a"]
    assert low < law["a"] < high
    plans = json.loads(called(capsys, "plan", "pool.sqlite", "--coverage", "0.9", "--price", "1.0", "--json"))
    assert [plan["curve"] for plan in plans] == ["power law", "beta-binomial", "beta-binomial with unsolvable problems"]
    assert "rows that share problems" in called(capsys, "compare", "power", "power-floor", "pool.sqlite", "-c", "loss=coverage,x=k", "-q")
    assert run(["laws", "fit", "coverage", "pool.sqlite", "--cluster", "x"]) == 2
    assert run(["laws", "fit", "power", "pool.sqlite", "-c", "loss=majorty,x=k"]) == 2
    assert "Did you mean 'majority'" in capsys.readouterr().err


ROWS = {
    "one": ["3,1e8,1e9"],
    "negative": ["3,1e8,1e9", "-2,1e9,1e9", "2,1e9,2e9"],
    "zero": ["3,1e8,1e9", "0,1e9,1e9", "2,1e9,2e9"],
    "nan": ["3,1e8,1e9", "nan,1e9,1e9", "2,1e9,2e9"],
    "overflow": ["3,1e8,1e9", "2.5,1e9,-9223372036854775808", "2,1e9,2e9"],
    "same": [f"{3 - 0.1 * i},1e8,{1 + i}e9" for i in range(6)],
}


@pytest.mark.parametrize(
    ("rows", "code", "said"),
    [
        ("one", 2, "has 1"),
        ("negative", 3, "line 3, column 'loss' is -2"),
        ("zero", 3, "line 3, column 'loss' is 0"),
        ("nan", 3, "line 3, column 'loss' is empty or NaN"),
        ("overflow", 3, "overflowed in 64-bit integers"),
        ("same", 2, "parameters = 1e+08"),
    ],
)
def test_tables_that_cannot_be_fitted(rows: str, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.csv").write_text("\n".join(["loss,parameters,tokens", *ROWS[rows]]) + "\n")
    for arguments in (["fit", "chinchilla", "bad.csv"], ["audit", "bad.csv"], ["compare", "chinchilla", "kaplan", "bad.csv"]):
        assert run(["laws", *arguments, "-q"]) == code
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show", "chinchila"], 2, "Did you mean 'chinchilla'?"),
        (["fit", "chinchila", "x.csv"], 2, "Did you mean 'chinchilla'?"),
        (["fit", "chinchilla", "none.csv"], 3, "none.csv cannot be read"),
        (["fit", "chinchilla", "runs.csv"], 2, "--columns parameters=HEADING"),
        (["fit", "sloth", "runs.csv"], 2, "no columns"),
        (["fit", "chinchilla", "runs.csv", "-c", "loss"], 2, "is not NAME=HEADING"),
        (["fit", "chinchilla", "runs.csv", "-c", "loss=final loss*x"], 2, "'x' in"),
        (["fit", "chinchilla", "runs.csv", *COLUMNS, "--where", "N~1"], 2, "COLUMN<VALUE"),
        (["fit", "chinchilla", "runs.csv", *COLUMNS, "--where", "N<0"], 2, "keeps none"),
        (["fit", "chinchilla", "runs.csv", "--strategy", "greedy"], 2, "is a table"),
        (["fit", "chinchilla", "runs.csv", *COLUMNS, "--objective", "hubr"], 2, "no loss 'hubr'"),
        (["fit", "chinchilla", "runs.csv", *COLUMNS, "--method", "magic"], 2, "no method 'magic'"),
        (["fit", "chinchilla", "runs.csv", *COLUMNS, "--fix", "zeta=1"], 2, "no parameter 'zeta'"),
        (["predict", "none.json", "--at", "x=1"], 3, "outthink laws fit"),
        (["predict", "broken.json", "--at", "x=1"], 3, "no 'values'"),
        (["predict", "text.json", "--at", "x=1"], 3, "not JSON"),
        (["plan", "broken.json"], 2, "plan for one of"),
        (["plan", "broken.json", "--loss", "2", "--flops", "1e20"], 2, "got loss, flops"),
        (["plan", "broken.json", "--loss", "2"], 3, "no 'values'"),
        (["compare", "chinchilla", "runs.csv"], 2, "two laws or more"),
        (["compare", "chinchilla", "kaplan", "runs.csv", *COLUMNS, "--how", "random"], 2, "ordered, rolling or groups"),
        (["audit", "runs.csv", *COLUMNS, "--note", "tuning"], 2, "KEY=TEXT"),
        (["audit", "runs.csv", *COLUMNS, "-b", "0", "--note", "zork=1"], 2, "no item 'zork'"),
        (["audit", "runs.csv", *COLUMNS, "-b", "0", "--subset", "N=7"], 2, "no row has N = 7; it has 0.1, 0.3, 1, 3, 10"),
    ],
)
def test_bad_input_is_one_sentence_and_an_exit_code(
    arguments: list[str], code: int, said: str, runs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken.json").write_text('{"law": "chinchilla"}')
    Path("text.json").write_text("{")
    assert run(["laws", *arguments]) == code
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
