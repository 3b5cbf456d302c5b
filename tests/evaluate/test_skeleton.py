"""One skeleton serves every page: values are escaped, scripts are named by their checksum and stand where something is drawn."""

import html
import re
from pathlib import Path

import pytest

pytest.importorskip("jinja2", reason="jinja2 is not installed; pip install 'outthink[report]'")

import jinja2

import outthink.evaluate
from outthink.evaluate.skeleton import START, checksum, rendered

EVIL = "</script><script>alert(1)</script>"


def test_values_titles_and_data_are_escaped_and_only_our_scripts_may_run():
    text = rendered("<h1>{{ name }}</h1>{{ cards(charts) }}{{ described(pairs) }}", title=EVIL, charts=[{"a": EVIL}], name=EVIL, pairs=[(EVIL, EVIL)])
    assert "alert(1)</script>" not in text
    assert text.count("&lt;script&gt;alert(1)") == 4
    assert text.count("<script>") == 2
    library = text.split("<script>")[1].split("</script>")[0]
    assert f"script-src 'sha256-{checksum(library)}' 'sha256-{checksum(START)}';" in html.unescape(text.split("<script>")[0])


def test_a_page_without_charts_carries_no_script_and_unknown_names_are_errors():
    assert "<script" not in rendered("<p>{{ cards(charts) }}</p>", title="x", charts=[])
    with pytest.raises(jinja2.UndefinedError, match="misspelt"):
        rendered("{{ misspelt }}", title="x", charts=[])


def test_no_page_has_a_head_of_its_own():
    room = Path(outthink.evaluate.__path__[0])
    assert [file.name for file in sorted(room.glob("*.py")) if re.search(r"<!doctype|Content-Security-Policy\" content", file.read_text())] == [
        "skeleton.py"
    ]
