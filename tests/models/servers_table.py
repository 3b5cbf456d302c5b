"""The table of docs/servers.md, from the recordings: python -m tests.models.servers_table"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from pathlib import Path

from outthink.core.completion import Completion, Failure
from tests.models.recordings import FOLDER, Played, Player, answering, play

DOCS = Path(__file__).parents[2] / "docs" / "servers.md"
_WAYS = {"echo": "yes, and repeats it", "plain": "yes", "flag": "by `continue_final_message`", None: "no"}


async def replayed(file: Path) -> tuple[dict, Player, Played]:
    """A recording, the player it was played on, and what came of it; findings go to the folder of `OUTTHINK_CACHE`."""
    data = json.loads(file.read_text())  # noqa: ASYNC240  # a file of the test, before anything waits
    player = Player(list(data["exchanges"]))
    async with answering(player) as url:
        return data, player, await play(url, data.get("model"))


def _word(value: bool | None, yes: str = "yes", no: str = "no") -> str:
    return "unknown" if value is None else yes if value else no


def _cells(data: dict, played: Played) -> dict[str, str]:
    found = played.probe

    def first(scene: str) -> Completion | Failure:
        end = played.ends[scene][0]
        return end if not isinstance(end, str) else Failure("refused", "")

    wide, schema, long = first("alternatives"), first("schema"), first("too long")
    left_in = any(
        str(e["reply"]["choices"][0]["message"]["content"]).endswith("3,") for e in data["exchanges"] if e["body"] and e["body"].get("stop") == ["3,"]
    )
    return {
        "": f"{data['server']} {data['version']}",
        "recorded": data["date"],
        "choices in one request": "16 and more" if found.n_limit is None else str(found.n_limit),
        "usage of several choices": _word(found.usage_of_one, "of the first alone", "of all") if found.n_honoured else "–",
        "texts at temperature 1": _word(found.samples, "differ", "one"),
        "equal seeds": _word(found.seed, "give equal texts", "decide nothing"),
        "continues a chat's prefix": _WAYS[found.continuation],
        "stop text": _word(left_in, "ends the answer, and stays in it", "ends the answer"),
        "JSON schema": "followed" if isinstance(schema, Completion) and schema.text.startswith("{") else "ignored",
        "log probabilities": _word(found.logprobs),
        "alternatives of a token": "20 at most" if "at most 20" in getattr(wide, "message", "") else "21 and more" if found.logprobs else "–",
        "raw completions": _word(found.completions),
        "scores of a given text": {"echo": "by their echo", "stepwise": "token by token", None: "no"}[found.scoring],
        "a prompt that is too long": _word(None if found.context is None else isinstance(long, Failure), "is refused", "is taken"),
        "tells its context": _word(found.context is not None),
        "tells its chat template": _word(found.chat_template is not None),
    }


def table(recorded: list[tuple[dict, Played]]) -> str:
    """Markdown with a column for each server."""
    columns = [_cells(data, played) for data, played in recorded]
    lines = [" | ".join([feature, *(column[feature] for column in columns)]) for feature in columns[0]]
    lines.insert(1, " | ".join(["---"] * (len(columns) + 1)))
    return "\n".join(f"| {line} |" for line in lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ["OUTTHINK_CACHE"] = cache
        played = [asyncio.run(replayed(file)) for file in sorted(FOLDER.glob("*.json"))]
    print(table([(data, done) for data, _, done in played]))
