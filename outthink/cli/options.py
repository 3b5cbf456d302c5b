"""Options that several commands share, so that they mean the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT_MODEL = "smollm2-135m"  # `models.store.DEFAULT`, without importing it for every `--help`
Model = Annotated[
    str,
    typer.Option(
        "--model", "-m", envvar="OUTTHINK_MODEL", help="A name from `outthink models`, a GGUF path, http://host:port/v1, NAME@URL, openai:NAME."
    ),
]
JudgeModel = Annotated[
    str | None, typer.Option("--judge-model", envvar="OUTTHINK_JUDGE_MODEL", help="Model of verifiers that ask one; the same by default.")
]
GraderModel = Annotated[
    str | None, typer.Option("--grader-model", envvar="OUTTHINK_GRADER_MODEL", help="Model that grades free text; the same by default.")
]
Temperature = Annotated[float, typer.Option(envvar="OUTTHINK_TEMPERATURE", min=0.0, help="Sampling temperature; greedy ignores it.")]
TopP = Annotated[float, typer.Option(envvar="OUTTHINK_TOP_P", min=0.0, max=1.0, help="Nucleus mass.")]
MaxTokens = Annotated[int, typer.Option(envvar="OUTTHINK_MAX_TOKENS", min=1, help="Most tokens of one sample, thinking included.")]
Seed = Annotated[int, typer.Option(envvar="OUTTHINK_SEED", help="Seed of every draw.")]
Threads = Annotated[int | None, typer.Option(envvar="OUTTHINK_THREADS", min=1, help="Threads of the embedded engine.")]
Price = Annotated[str | None, typer.Option(envvar="OUTTHINK_PRICE", help="Dollars for a million prompt and completion tokens, such as 0.15,0.60.")]
Template = Annotated[
    str | None,
    typer.Option(
        envvar="OUTTHINK_TEMPLATE",
        help="Chat template of a server's model, for p_true and other exact scores on vLLM and SGLang: chatml, plain, or its tokenizer_config.json.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress display.")]
