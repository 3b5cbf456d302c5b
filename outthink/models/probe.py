"""What a server really does, found out by asking it: about ten requests of a few tokens each.

Servers differ from what they claim. Kept in the cache by address and model, so that `outthink.models.openai.connect` can use it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from outthink.core.data import cache_folder
from outthink.core.files import write_whole
from outthink.models._payload import Continuation, Scoring


@dataclass(frozen=True)
class Probe:
    """Findings about one model of one server. None means that it could not be found out.

    Args:
        url: the server's base address.
        model: the model's name there.
        engine: `llama.cpp`, `vllm`, `ollama`, `sglang`, or `openai` where unknown.
        models: all models that the server lists.
        n_honoured: whether one request may return several choices.
        n_limit: the most choices of one request; None where 16 were returned.
        usage_of_one: whether the usage of several choices counts the first alone.
        continuation: how assistant text is continued: `echo` (and repeated), `plain`, `flag` (`continue_final_message`); None: not at all.
        logprobs: whether log probabilities come with chat completions.
        samples: whether texts differ at temperature 1; where they do not, many samples are one.
        seed: whether equal seeds give equal texts and others do not always.
        stop: whether a stop text ends the answer and is left out of it.
        completions: whether raw completions are there.
        scoring: how given texts are scored: `echo` (raw completions return the log probabilities of an echoed prompt), `stepwise` (each
            token is generated in its turn, on llama.cpp); None: not at all.
        embeddings: whether there are embeddings.
        chat_template: the model's chat template (Jinja) where the server shows it.
        context: tokens of context where the server says so.
        made: Unix time of the probe.
    """

    url: str
    model: str
    engine: str = "openai"
    models: tuple[str, ...] = ()
    n_honoured: bool | None = None
    n_limit: int | None = None
    usage_of_one: bool | None = None
    continuation: Continuation | None = None
    logprobs: bool | None = None
    samples: bool | None = None
    seed: bool | None = None
    stop: bool | None = None
    completions: bool | None = None
    scoring: Scoring | None = None
    embeddings: bool | None = None
    chat_template: str | None = None
    context: int | None = None
    made: float = 0.0

    def rows(self) -> list[tuple[str, str]]:
        """What was found, as (feature, finding) for a table."""

        def word(value: bool | None, yes: str = "yes", no: str = "no") -> str:
            return "unknown" if value is None else yes if value else no

        many = "16 choices in one request" if self.n_limit is None else f"at most {self.n_limit} in one request"
        ways = {"echo": "continues the last assistant message and repeats it", "plain": "continues the last assistant message",
                "flag": "with continue_final_message", None: "no"}  # fmt: skip
        scorings = {"echo": "yes, given the chat template (--template)", "stepwise": "yes, one request a token", None: "no"}
        return [
            ("server", f"{self.url} ({self.engine})"),
            ("model", self.model),
            ("models listed", ", ".join(self.models) or "none"),
            ("n", word(self.n_honoured, many, "one choice only")),
            ("usage for n > 1", word(self.usage_of_one, "counts the first choice alone", "counts all choices")),
            ("continues a prefix", ways[self.continuation]),
            ("log probabilities", word(self.logprobs)),
            ("temperature 1", word(self.samples, "texts differ", "one text at every seed: it does not sample")),
            ("seed", word(self.seed, "honoured", "not honoured")),
            ("stop", word(self.stop, "honoured", "not honoured")),
            ("raw completions", word(self.completions)),
            ("scores of a text", scorings[self.scoring]),
            ("embeddings", word(self.embeddings)),
            ("chat template", "shown" if self.chat_template else "not shown"),
            ("context", f"{self.context} tokens" if self.context else "not shown"),
        ]


def engine_of(entry: dict[str, object]) -> str:
    """The engine behind an entry of a list of models, by who it says owns the model; `openai` where that says nothing."""
    owner = str(entry.get("owned_by", "")).lower()
    return {"llamacpp": "llama.cpp", "llama.cpp": "llama.cpp", "vllm": "vllm", "library": "ollama", "sglang": "sglang"}.get(owner, "openai")


def _file(url: str, model: str) -> Path:
    name = hashlib.blake2b(json.dumps([url, model]).encode(), digest_size=12).hexdigest()
    return cache_folder() / "probes" / f"{name}.json"


def load(url: str, model: str) -> Probe | None:
    """The probe of this address and model that the cache holds; None where there is none, or one of another version."""
    try:
        data = json.loads(_file(url, model).read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(data, dict) or set(data) != {field.name for field in dataclasses.fields(Probe)}:
        return None
    return Probe(**{**data, "models": tuple(data["models"])})


def save(probe: Probe) -> Path:
    """Keep a probe in the cache and return its file. An address with credentials in it is kept under its hash and without them."""
    from outthink.models._errors import redact

    path = _file(probe.url, probe.model)
    write_whole(path, json.dumps(dataclasses.asdict(dataclasses.replace(probe, url=redact(probe.url, None)))))
    return path


async def probe(url: str | None = None, model: str | None = None, *, api_key: str | None = None) -> Probe:
    """Ask a server what it can do, and keep the findings in the cache.

    Args:
        url: its address; default `OPENAI_BASE_URL`, else OpenAI.
        model: which one; may be left out where the server serves one.
        api_key: default `OPENAI_API_KEY`.

    Raises:
        ModelError: unreachable, refused credentials, unknown model, or every question refused.
    """
    from outthink.models._probing import examine

    found = dataclasses.replace(await examine(url, model, api_key), made=time.time())
    save(found)
    return found
