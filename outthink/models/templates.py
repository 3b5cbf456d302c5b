"""Chat templates for raw completions: a conversation as one text that ends where the model's answer begins."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from outthink.core.errors import CapabilityError, UsageError, nearest, need
from outthink.core.request import Message

Template = Callable[[Sequence[Message]], str]


def plain(messages: Sequence[Message]) -> str:
    """For base models: the texts of the turns, one after the other, with a blank line between them and nothing added."""
    return "\n\n".join(message.text for message in messages)


def chatml(messages: Sequence[Message]) -> str:
    """ChatML, as Qwen and SmolLM2 use it. No system turn is added where the conversation has none."""
    turns = [f"<|im_start|>{message.role}\n{message.text}<|im_end|>\n" for message in messages]
    return "".join(turns) + "<|im_start|>assistant\n"


_NAMED: dict[str, Template] = {"chatml": chatml, "plain": plain}
_CONFIG = "tokenizer_config.json"


def named(reference: str) -> Template:
    """The template that a user names: `chatml`, `plain`, a `tokenizer_config.json`, or a file with the template in Jinja.

    The token that begins a text is left out where the tokenizer puts it before every text, as servers then do. Templates see no clock: what
    they write where they are told no date is the same on every day.

    Raises:
        UsageError: no name of a template and no readable file with one, or one that needs special tokens which are not known.
        MissingExtra: Jinja is not installed.
    """
    if reference in _NAMED:
        return _NAMED[reference]
    path = Path(reference).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise UsageError(
            f"template {reference!r} is no name and no readable file.{nearest(reference, list(_NAMED))} "
            f"Write chatml, plain, or the path of the model's {_CONFIG} or chat_template.jinja"
        ) from None
    if path.suffix == ".json":
        config = _config(path, text)
        found = config.get("chat_template")
        if isinstance(found, list):  # several by name
            found = next((each.get("template") for each in found if isinstance(each, dict) and each.get("name") == "default"), None)
        if not isinstance(found, str):
            raise UsageError(f"template {reference!r}: there is no chat_template in it; give the model's chat_template.jinja")
        return _jinja(reference, found, config)
    beside = path.with_name(_CONFIG)
    return _jinja(reference, text, _config(beside, beside.read_text(encoding="utf-8")) if beside.is_file() else {})


def _config(path: Path, text: str) -> dict[str, object]:
    try:
        config = json.loads(text)
    except ValueError as error:
        raise UsageError(f"template: {path} is not JSON ({error})") from None
    return config if isinstance(config, dict) else {}


def _jinja(reference: str, text: str, config: dict[str, object]) -> Template:
    jinja2 = need("jinja2", extra="templates")
    sandbox = need("jinja2.sandbox", extra="templates")
    special: dict[str, object] = {"bos_token": "" if config.get("add_bos_token", True) else _token(config.get("bos_token"))}
    if "eos_token" in config:
        special["eos_token"] = _token(config["eos_token"])

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    # as the transformers library renders them, which is what their writers test with
    environment = sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    environment.globals["raise_exception"] = refuse
    try:
        compiled = environment.from_string(text)
        unknown = need("jinja2.meta", extra="templates").find_undeclared_variables(environment.parse(text))
    except jinja2.TemplateError as error:
        raise UsageError(f"template {reference!r}: not a Jinja template: {error}") from None
    if "eos_token" in unknown and "eos_token" not in special:
        raise UsageError(f"template {reference!r} writes the model's eos_token, which is not known; put the model's {_CONFIG} beside it")

    def render(messages: Sequence[Message]) -> str:
        turns = [{"role": message.role, "content": message.text} for message in messages]
        try:
            return str(compiled.render(messages=turns, add_generation_prompt=True, **special))
        except (jinja2.TemplateError, TypeError) as error:
            raise CapabilityError(f"template {reference!r} does not take these messages: {error}") from error

    return render


def _token(value: object) -> str:
    # a text, or an object that describes the token
    return str(value.get("content", "")) if isinstance(value, dict) else str(value or "")
