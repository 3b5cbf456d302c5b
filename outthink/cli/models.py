"""`outthink models` and `outthink probe`: what can serve, and what a server really does."""

from __future__ import annotations

from typing import Annotated

import typer

from outthink.cli.options import DEFAULT_MODEL, Json

app = typer.Typer(add_completion=False, help="Models on this machine; `models get` brings the default one.", invoke_without_command=True)


@app.callback()
def models(context: typer.Context, as_json: Json = False) -> None:
    """List the models of this machine and those that can be brought."""
    if context.invoked_subcommand is not None:
        return
    import json

    from outthink.models import store

    rows = [
        {"name": name, "file": str(store.find(name) or ""), "size": model.size, "licence": model.licence} for name, model in store.PUBLISHED.items()
    ]
    known = {row["file"] for row in rows}
    rows += [
        {"name": path.stem, "file": str(path), "size": path.stat().st_size, "licence": ""} for path in store.local_files() if str(path) not in known
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        where = row["file"] or f"not here yet: outthink models get {row['name']}"
        typer.echo(f"{row['name']:34} {int(str(row['size'])) / 1e6:7.0f} MB  {where}")
    typer.echo("\nAny GGUF file (--model PATH.gguf) and any OpenAI-compatible server (--model http://host:port/v1) also serves.")


@app.command()
def get(name: Annotated[str, typer.Argument(help="A name from `outthink models`.")] = DEFAULT_MODEL) -> None:
    """Bring a published model, verify its SHA-256 and keep it in the cache."""
    from outthink.models import store

    store.get(name, say=typer.echo)


def probe(
    url: Annotated[str, typer.Argument(help="Address of an OpenAI-compatible server, such as http://localhost:8000/v1.")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="Which of its models; needed if it serves several.")] = None,
    as_json: Json = False,
) -> None:
    """Find out what a server really does: n-sampling, usage, logprobs, seeds, stop texts, prefix continuation. About ten short calls."""
    import dataclasses
    import json

    import anyio

    from outthink.models.probe import probe as run_probe

    found = anyio.run(run_probe, url, model)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found), indent=1))
        return
    rows = found.rows()
    width = max(len(feature) for feature, _ in rows)
    for feature, finding in rows:
        typer.echo(f"{feature:{width}}  {finding}")
