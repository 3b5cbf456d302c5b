"""What tests of several commands need."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from outthink.models.scripted import Line, ScriptedModel


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch):
    """Has every model reference stand for a model that says this."""
    monkeypatch.setenv("COLUMNS", "200")

    def script(replies: Sequence[Line]) -> None:
        async def opened(reference: str, *, price: object = None, threads: int | None = None, template: str | None = None) -> ScriptedModel:
            return ScriptedModel(replies, **({"price": price} if price else {}))

        monkeypatch.setattr("outthink.models.resolve.open_model", opened)

    return script
