"""The command line as a user meets it: exit codes, one-sentence errors, settings and their precedence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from outthink.cli.app import COMMANDS, run, settings
from outthink.cli.groups import HELP
from outthink.core.errors import UsageError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nosuch"], 2, "no command 'nosuch'"),
        (["solv"], 2, "Did you mean 'solve'?"),
        (["methods", "best_of"], 2, "Did you mean 'best_of_n'?"),
        (["solve", "x", "-s", "best_of_n(m=3)"], 2, "no knob 'm'"),
        (["solve", "x", "-s", "best_of_n(n=)"], 2, "not a spec"),
        (["solve", "x", "-m", "/nowhere/x.gguf"], 4, "there is no such file"),
        (["solve", "x", "--budget", "tokens=-1"], 2, "must be 0 or more"),
        (["solve", "x", "--top-p", "0"], 2, "top_p must be in (0, 1], got 0.0"),
        (["solve", "x", "--temperature", "inf"], 2, "temperature must be 0 or more, got inf"),
        (["solve", "x", "--price=-1,2"], 2, "price: prompt must be 0 or more, got -1"),
        (["solve", "x", "--price", "1,nan"], 2, "price: completion must be 0 or more, got nan"),
        (["solve", " "], 2, "question is empty"),
        (["run", "nosuchset"], 3, "unknown problem set 'nosuchset'"),
        (["run", "arithmetic(n=2)", "--budgets", "1,x"], 2, "budgets '1,x'"),
        (["report", "nowhere"], 6, "no journal"),
        (["reproduce"], 2, "name papers"),
        (["reproduce", "999"], 2, "999"),
        (["reproduce", "1"], 2, "no reproduction of [1]"),
        (["pool", "show", "."], 6, "is a folder; give the file in it"),
        (["papers", "0"], 2, "0"),
    ],
)
def test_bad_input_is_one_sentence_and_an_exit_code(arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == code
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_settings_file_fills_defaults_and_a_flag_wins(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("outthink.toml").write_text('model = "/in/the/file.gguf"\n[solve]\nstrategy = "greedy"\n')
    assert run(["solve", "x"]) == 4
    assert "/in/the/file.gguf" in capsys.readouterr().err
    monkeypatch.setenv("OUTTHINK_MODEL", "/in/the/environment.gguf")
    assert run(["solve", "x"]) == 4
    assert "/in/the/environment.gguf" in capsys.readouterr().err
    assert run(["solve", "x", "-m", "/in/the/flag.gguf"]) == 4
    assert "/in/the/flag.gguf" in capsys.readouterr().err


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "outthink", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("outthink ")


def test_the_settings_file_takes_options_as_flags_write_them_and_groups_too(tmp_path: Path) -> None:
    path = tmp_path / "outthink.toml"
    path.write_text('model = "m"\nmax-tokens = 5\n[run]\nstrategy = ["greedy"]\ntop_p = 0.5\n[pool]\nlimit = 7\n[pool.build]\nsamples = 3\n')
    found = settings(path)
    assert found["run"] == {"model": "m", "max_tokens": 5, "strategies": ["greedy"], "top_p": 0.5}
    assert found["pool"]["build"] == {"model": "m", "max_tokens": 5, "limit": 7, "n": 3}
    assert found["pool"]["show"] == {}


def test_a_commands_group_reads_the_settings_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("outthink.toml").write_text('[pool.build]\nmodel = "/in/the/file.gguf"\n')
    assert run(["pool", "build", "arithmetic(n=2)", "x.sqlite"]) == 4
    assert "/in/the/file.gguf" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[pool.bild]\n", "Did you mean 'build'?"),
        ("[pool.build]\nnosuch = 1", "[pool.build] has no option 'nosuch'"),
        ("modell = 1", "Did you mean 'model'?"),
        ("[runn]\n", "Did you mean 'run'?"),
        ("[run]\nnosuch = 1", "no option 'nosuch'"),
        ("a = = b", "not valid TOML"),
    ],
)
def test_a_wrong_settings_file_is_named(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "outthink.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"outthink\.toml") as error:
        settings(path)
    assert said in str(error.value)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], ["run", "--help"], ["pool", "build", "--help"], ["pool"]])
@pytest.mark.parametrize("content", ["a = = b", "[runn]", None])
def test_help_works_whatever_the_settings_file_holds(content: str | None, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    _settings(content)
    assert run(arguments) in (0, 2)  # without a command, some versions of typer end the help with 2
    captured = capsys.readouterr()
    assert "Usage" in captured.out or captured.out.startswith("outthink ")
    assert "outthink.toml:" not in captured.err


@pytest.mark.parametrize(("content", "said"), [("a = = b", "not valid TOML"), ("[runn]", "Did you mean 'run'?"), (None, "cannot be read")])
@pytest.mark.parametrize("arguments", [["solve", "x"], ["solve", "--", "--help"], ["pool", "show", "x"], ["models"], ["report", "x"]])
def test_a_command_says_in_one_sentence_what_is_wrong_with_the_settings_file(
    content: str | None, said: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    _settings(content)
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("outthink: outthink.toml: ")
    assert said in captured.err
    assert captured.err.count("\n") == 1


def _settings(content: str | None) -> None:
    # None: a folder of that name
    if content is None:
        Path("outthink.toml").mkdir()
    else:
        Path("outthink.toml").write_text(content)


def test_a_value_in_the_settings_file_that_its_option_cannot_take_names_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("outthink.toml").write_text('max-tokens = "many"')
    assert run(["solve", "x"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("outthink: outthink.toml: ")
    assert "--max-tokens" in error
    assert run(["solve", "x", "--max-tokens", "few"]) == 2
    assert "outthink.toml" not in capsys.readouterr().err


def test_a_list_or_one_value_stands_for_what_the_flag_takes(tmp_path: Path) -> None:
    path = tmp_path / "outthink.toml"
    path.write_text('budgets = [1, 4]\nseeds = 3\n[run]\nstrategy = "greedy"\n')
    assert settings(path)["run"] == {"budgets": "1,4", "seeds": 3, "strategies": ["greedy"]}


def test_methods_and_papers_are_read_from_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["methods", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["best_of_n"]["knobs"] == ["n=16", "verifier=sequence_likelihood()"]
    assert run(["papers", "--json"]) == 0
    papers = {row["paper"]: row for row in json.loads(capsys.readouterr().out)}
    assert len(papers) == 141
    assert "strategy majority_vote" in papers[5]["implemented_by"]
    assert "adaptation becotta" in papers[94]["implemented_by"]
    assert papers[113]["reproductions"]


def test_a_claim_has_a_line_of_its_own_on_a_narrow_screen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    run(["reproduce", "72", "--fast", "--quiet"])
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert any(line.startswith("holds  [72] p_gen 0.3, p_comp 0.7, failure 0.05") for line in lines)


def test_the_list_of_commands_imports_no_group_of_them() -> None:
    code = "import sys; from outthink.cli.app import run; run(['--help']); print([m for m in sys.modules if m.startswith('outthink.cli.laws.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    for group in ("laws", "adapt"):
        shown = subprocess.run([sys.executable, "-m", "outthink", group, "--help"], capture_output=True, text=True, check=True)
        assert HELP[group][:30] in shown.stdout
        assert HELP[group][:30] in done.stdout


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, outthink; print([m for m in ('numpy', 'typer', 'aiohttp', 'rich', 'torch', 'sqlite3') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_default_model_is_the_one_that_is_published() -> None:
    from outthink.cli.options import DEFAULT_MODEL
    from outthink.models.store import DEFAULT

    assert DEFAULT_MODEL == DEFAULT


def test_an_interrupted_command_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("outthink.cli.methods.methods", interrupted)
    assert run(["methods"]) == 130
    assert "interrupted" in capsys.readouterr().err
