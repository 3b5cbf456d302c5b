"""Chat templates that a user names: built-in ones, and those of a model's own files as the transformers library renders them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outthink.core.errors import CapabilityError, UsageError
from outthink.core.request import Message
from outthink.models.templates import chatml, named

ASK = [Message("user", "Why?"), Message("assistant", "So."), Message("user", "Oh?")]
TEMPLATE = """{{ bos_token }}{% for message in messages %}
    {%- if message.role == 'system' %}{{ raise_exception('no system turns') }}{% endif %}
[{{ message['role'] }}] {{ message['content'] | trim }}
    {%- if message.role == 'assistant' %}{{ eos_token }}{% endif %}

{% endfor %}
{% if add_generation_prompt %}[assistant]{% endif %}"""
WRITTEN = "[user] Why?\n[assistant] So.</s>\n[user] Oh?\n[assistant]"


def written(folder: Path, **config: object) -> str:
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return str(folder / "tokenizer_config.json")


def test_built_in_ones_have_names() -> None:
    assert named("chatml") is chatml
    assert named("plain")(ASK) == "Why?\n\nSo.\n\nOh?"


@pytest.mark.parametrize("token", ["</s>", {"content": "</s>", "lstrip": False}])
@pytest.mark.parametrize("listed", [False, True])
def test_a_tokenizers_own_template_is_rendered_with_its_tokens(tmp_path: Path, token: object, listed: bool) -> None:
    template = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": TEMPLATE}] if listed else TEMPLATE
    assert named(written(tmp_path, chat_template=template, bos_token="<s>", eos_token=token))(ASK) == WRITTEN


def test_the_beginning_of_a_text_is_written_only_where_no_tokenizer_puts_it_there(tmp_path: Path) -> None:
    path = written(tmp_path, chat_template=TEMPLATE, bos_token="<s>", eos_token="</s>", add_bos_token=False)
    assert named(path)(ASK) == "<s>" + WRITTEN


def test_a_file_of_jinja_takes_its_tokens_from_the_file_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "chat_template.jinja"
    path.write_text(TEMPLATE)
    with pytest.raises(UsageError, match=r"eos_token.*tokenizer_config.json"):
        named(str(path))
    written(tmp_path, eos_token="</s>")
    assert named(str(path))(ASK) == WRITTEN


def test_messages_that_it_does_not_take_are_refused_in_its_words(tmp_path: Path) -> None:
    template = named(written(tmp_path, chat_template=TEMPLATE, eos_token="</s>"))
    with pytest.raises(CapabilityError, match="no system turns"):
        template([Message("system", "x")])


@pytest.mark.parametrize(
    ("content", "words"), [("{}", "no chat_template"), ("{", "not JSON"), ('{"chat_template": "{% if %}"}', "not a Jinja template")]
)
def test_files_without_a_template_say_so(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(UsageError, match=words):
        named(str(tmp_path / "t.json"))


def test_an_unknown_name_is_told_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"'chatml'.*tokenizer_config.json"):
        named("chatlm")
