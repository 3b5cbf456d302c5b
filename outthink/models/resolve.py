"""From what a user writes to a model.

smollm2-135m                    a model of the cache (`outthink models`), in process
path/to/file.gguf               any GGUF file, in process
http://host:port/v1             an OpenAI-compatible server that serves one model
NAME@http://host:port/v1        one model of a server
openai:NAME                     a model of OPENAI_BASE_URL, with OPENAI_API_KEY
replay:POOL.sqlite              a recorded pool in the model's place
"""

from __future__ import annotations

import os
from pathlib import Path

from outthink.core.errors import ModelError, UsageError, nearest
from outthink.core.pool import Pool
from outthink.core.protocols import Model
from outthink.core.spend import Price
from outthink.models import store


async def open_model(reference: str, *, price: Price | None = None, threads: int | None = None, template: str | None = None) -> Model:
    """Open the model that a reference names; see the module's text for the forms.

    Args:
        reference: what the user wrote.
        price: what its tokens cost; where None, the embedded engine counts FLOPs from the model's size and servers cost nothing.
        threads: threads of the embedded engine.
        template: chat template of a server's model, as `outthink.models.templates.named` takes it; only scoring of given tokens needs it.

    Raises:
        UsageError: the reference has none of the forms, or the template cannot be read.
        ModelError: the file is absent, or the server cannot be reached.
    """
    from outthink.models.replay import ReplayModel

    text = reference.strip()
    if text.startswith("replay:"):
        return ReplayModel(Pool.open(text.removeprefix("replay:")))
    name, at, url = text.rpartition("@")
    if url.startswith(("http://", "https://")):
        return await _server(url, name if at else None, price, template)
    if text.startswith("openai:"):
        return await _server(os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1"), text.removeprefix("openai:"), price, template)
    return _embedded(text, price, threads)


async def _server(url: str, name: str | None, price: Price | None, template: str | None) -> Model:
    from outthink.models.openai import connect
    from outthink.models.templates import named

    return await connect(url, name, price=price, template=named(template) if template else None)


def _embedded(text: str, price: Price | None, threads: int | None) -> Model:
    from outthink.models.embedded import EmbeddedModel

    path = Path(text).expanduser()
    if text.endswith(".gguf") or path.is_file():
        if not path.is_file():
            raise ModelError(f"model {text!r}: there is no such file; give the path of a GGUF file, or a name from `outthink models`")
    else:
        found = store.find(text)
        if found is None and text in store.PUBLISHED:
            raise ModelError(f"model {text!r} is not on this machine yet; bring it with: outthink models get {text}")
        if found is None:
            known = [*store.PUBLISHED, *(file.stem for file in store.local_files())]
            raise UsageError(
                f"model {text!r} is no name, file or address.{nearest(text, known)} Write a GGUF path, http://host:port/v1, or openai:NAME"
            )
        path = found
    return EmbeddedModel(path, price=price, threads=threads)
