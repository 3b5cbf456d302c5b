"""The root command: mounting, settings from outthink.toml, and what a user sees when something fails."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import tomllib
import traceback
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from outthink.cli.groups import HELP
from outthink.cli.plain import plain
from outthink.core.errors import OutthinkError, UsageError, nearest

# command -> module:attribute, in the order of `--help`; an attribute is a function or a Typer group
COMMANDS = {
    "demo": "outthink.cli.demo:demo",
    "solve": "outthink.cli.solve:solve",
    "run": "outthink.cli.run:run",
    "report": "outthink.cli.report:report",
    "show": "outthink.cli.report:show",
    "compare": "outthink.cli.report:compare",
    "laws": "outthink.cli.laws:app",
    "adapt": "outthink.cli.adapt:app",
    "replay": "outthink.cli.pool:replay",
    "pool": "outthink.cli.pool:app",
    "methods": "outthink.cli.methods:methods",
    "models": "outthink.cli.models:app",
    "probe": "outthink.cli.models:probe",
    "papers": "outthink.cli.papers:papers",
    "reproduce": "outthink.cli.papers:reproduce",
}
SETTINGS_FILE = "outthink.toml"
INTERRUPTED = 130
EPILOG = "Settings: flag, then the environment variable that an option names, then outthink.toml in this folder, then the default shown."


class _Lazy(TyperGroup):  # Any: the types of the option parser inside typer are not public
    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    listing = False

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self.listing = False

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if self.listing and cmd_name in HELP:
            return TyperCommand(cmd_name, help=HELP[cmd_name])
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, attribute = target.split(":")
        found = getattr(importlib.import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            wrapped = typer.Typer(add_completion=False)
            wrapped.command(name=cmd_name, epilog=EPILOG)(found)
            found = wrapped
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UsageError(f"no command {args[0]!r}.{nearest(args[0], list(COMMANDS))}")
        return super().resolve_command(ctx, args)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"outthink {version('outthink')}")
        raise typer.Exit


app = typer.Typer(
    cls=_Lazy, name="outthink", add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, epilog=EPILOG,
    help="Spend compute at test time where it pays: sample, vote, verify and search with the model you have, under one budget.",
)  # fmt: skip


@app.callback()
def root(version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version.")) -> None:
    """Global options."""


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; every expected error is one sentence on standard error."""
    command = typer.main.get_command(app)
    try:
        code = command.main(args=arguments, prog_name="outthink", standalone_mode=False, default_map=_defaults_for(arguments))
    except OutthinkError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:  # before a command had begun: inside one, typer makes it the exit code
        code = INTERRUPTED
    except BrokenPipeError:  # `outthink ... | head`: the reader has gone, which is no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _unexpected(error)
    if code == INTERRUPTED:
        _complain("interrupted; what a run, a pool or a journal has recorded is safe: the same command goes on from there")
    return code if isinstance(code, int) else 0


def _defaults_for(arguments: list[str]) -> dict[str, dict[str, object]]:
    # who asks for help gets it, whatever stands in outthink.toml
    try:
        return settings(Path(SETTINGS_FILE))
    except UsageError:
        if _asks_for_help(arguments):
            return {}
        raise


def _asks_for_help(arguments: list[str]) -> bool:
    words = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if not words or not {"--help", "--version"}.isdisjoint(words):
        return True
    root = typer.main.get_command(app)
    command = root.get_command(typer.Context(root), words[0])  # type: ignore[attr-defined]
    return len(words) == 1 and bool(getattr(command, "no_args_is_help", False))  # a group by itself


def _unexpected(error: Exception) -> int:
    show = getattr(error, "show", None)  # a usage error of the option parser knows how to print itself
    if callable(show) and hasattr(error, "exit_code"):
        if _from_settings(error):
            _complain(f"{SETTINGS_FILE}: {error.format_message()}")  # type: ignore[attr-defined]
        else:
            show()
        return int(error.exit_code)
    inner = error
    while isinstance(inner, ExceptionGroup) and len(inner.exceptions) == 1:
        inner = inner.exceptions[0]
    if isinstance(inner, OutthinkError):
        _complain(str(inner))
        return inner.exit_code
    with tempfile.NamedTemporaryFile("w", prefix="outthink-error-", suffix=".txt", delete=False) as log:
        traceback.print_exception(error, file=log)
    _complain(f"unexpected {type(inner).__name__}: {inner} (a defect of outthink; its details are in {log.name}, please report them)")
    return 70


def _from_settings(error: Exception) -> bool:
    # whether the value of an option that cannot be used is that of outthink.toml
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    source = context.get_parameter_source(parameter.name) if context and parameter else None
    return getattr(source, "name", "") == "DEFAULT_MAP"


def _complain(text: str) -> None:
    # one line, whatever a server wrote
    sys.stdout.flush()
    print(f"outthink: {plain(' '.join(text.split()))}", file=sys.stderr)


def settings(path: Path) -> dict[str, dict[str, object]]:
    """Defaults from outthink.toml, for each command: keys at the top count for every command, those of `[command]` for one.

    A key is an option as its flag writes it, without the dashes in front; `[pool.build]` is a command of a group.

    An option that may be given several times takes a list or one value; a list of any other stands for its text with commas.

    Raises:
        UsageError: it cannot be read, is no TOML, or names an unknown command or option.
    """
    if not path.exists():
        return {}
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; settings are read from this file where there is one") from error
    context = typer.Context(typer.main.get_command(app))
    options = {name: _options(context, name) for name in COMMANDS}
    known = {key for command in options.values() for _, key in _leaves(command)}
    for key, value in data.items():
        if isinstance(value, dict):
            if key not in COMMANDS:
                raise UsageError(f"{path}: [{key}] is no command.{nearest(key, list(COMMANDS))}")
        elif key.replace("_", "-") not in known:
            raise UsageError(f"{path}: no command has an option {key!r}.{nearest(key, sorted(known))}")
    common = {key: value for key, value in data.items() if not isinstance(value, dict)}
    return {name: _defaults(path, name, options[name], common, data.get(name, {})) for name in COMMANDS}


_Options = dict[str, Any]
"""For a command: option as its flag calls it -> its parameter; for a group: command -> the same."""


def _options(context: typer.Context, name: str) -> _Options:
    command = context.command.get_command(context, name)  # type: ignore[attr-defined]
    if hasattr(command, "commands"):
        below = typer.Context(command, parent=context)
        return {sub: _options(below, sub) for sub in command.commands}
    found = {}
    for parameter in command.params:
        flags = [flag.lstrip("-") for flag in parameter.opts if flag.startswith("--")]
        found.update(dict.fromkeys([*flags, str(parameter.name).replace("_", "-")], parameter))
    return found


def _leaves(options: _Options) -> list[tuple[Any, str]]:
    # (parameter, option) of a command, or of all commands of a group
    leaves: list[tuple[Any, str]] = []
    for key, value in options.items():
        leaves += _leaves(value) if isinstance(value, dict) else [(value, key)]
    return leaves


def _defaults(path: Path, name: str, options: _Options, common: dict[str, object], section: dict[str, Any]) -> dict[str, object]:
    # what a command takes from the keys at the top and from its own section; for a group, what each of its commands does
    if any(isinstance(value, dict) for value in options.values()):
        own = {key: value for key, value in section.items() if not isinstance(value, dict)}
        inside = {key for _, key in _leaves(options)}
        for key in section:
            if key not in options and (isinstance(section[key], dict) or key.replace("_", "-") not in inside):
                raise UsageError(f"{path}: [{name}] has no command or option {key!r}.{nearest(key, sorted({*options, *inside}))}")
        return {sub: _defaults(path, f"{name}.{sub}", options[sub], {**common, **own}, section.get(sub, {})) for sub in options}
    for key in section:
        if key.replace("_", "-") not in options:
            raise UsageError(f"{path}: [{name}] has no option {key!r}.{nearest(key, sorted(options))}")
    given = {key.replace("_", "-"): value for key, value in {**common, **section}.items()}
    return {str(options[key].name): _as_given(options[key], value) for key, value in given.items() if key in options}


def _as_given(parameter: Any, value: object) -> object:
    # TOML's lists and single values as the flag takes them: `strategy = "greedy"`, `budgets = [1, 4, 16]`
    several = getattr(parameter, "multiple", False) or parameter.nargs != 1
    if isinstance(value, list) and not several:
        return ",".join(map(str, value))
    return [value] if several and not isinstance(value, list) else value
