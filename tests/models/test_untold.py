"""What llama.cpp's server leaves out of the log probabilities of a chat."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from outthink.core.completion import Completion, Finish, Usage
from outthink.core.request import Sampling
from outthink.models._errors import Rejected
from outthink.models._service import Server
from outthink.models._untold import kept

ONES = {1: "one", 2: " two", 3: "’", 4: "\ufffd", 5: ""}  # what each token is by itself; 4 ends a character of several, 5 a turn


class Detokenizer:
    """As much of a server as is asked, and how often."""

    def __init__(self, here: bool = True) -> None:
        self.here, self.asked = here, 0
        self.transport = self

    def beside(self, path: str) -> str:
        return path

    async def post(self, path: str, body: bytes) -> dict[str, object]:
        import json

        self.asked += 1
        assert path == "/detokenize"
        if not self.here:
            raise Rejected(404, "not here")
        return {"content": "".join(ONES[token] for token in json.loads(body)["tokens"])}


def left(told: list[tuple[int, str]], text: str, *, finish: Finish = "stop", stop: tuple[str, ...] = (), reported: int | None = None,
         server: Detokenizer | None = None) -> Completion:  # fmt: skip
    content = [{"id": token, "token": shown, "logprob": -1.0} for token, shown in told]
    choice: dict[str, Any] = {"logprobs": {"content": content}}
    read = Completion(text, finish, Usage(completion_tokens=len(told)), logprob=-float(len(told)), token_ids=tuple(token for token, _ in told))
    sampling = Sampling(max_tokens=9, stop=stop)
    return asyncio.run(kept(cast(Server, server or Detokenizer()), choice, read, sampling, reported))


TWO = [(1, "one"), (2, " two")]


@pytest.mark.parametrize("reported", [None, 2])
def test_what_is_told_whole_stays_as_it_is(reported: int | None) -> None:
    server = Detokenizer()
    done = left(TWO, "one two", reported=reported, server=server)
    assert (done.logprob, done.token_ids, done.usage) == (-2.0, (1, 2), Usage(completion_tokens=2))
    assert server.asked == 0, "plain letters need no question"


def test_a_stop_text_is_spent_but_not_told() -> None:
    assert (known := left(TWO, "one two", stop=("\n\n",), reported=4)).usage.completion_tokens == 4
    assert (guessed := left(TWO, "one two", stop=("x", "Question:"))).usage == Usage(completion_tokens=4, basis="estimated")
    assert known.token_ids == guessed.token_ids == (1, 2)
    by_itself = left([*TWO, (5, "")], "one two", stop=("\n\n",))
    assert by_itself.usage == Usage(completion_tokens=3), "it ended its turn, and no stop text did"


def test_a_character_of_one_token_stays_and_one_of_several_leaves_nothing() -> None:
    assert left([*TWO, (3, "’")], "one two’").token_ids == (1, 2, 3)
    lost = left([*TWO, (4, "😀")], "one two😀")
    assert (lost.logprob, lost.token_ids) == (None, None)
    assert lost.usage == Usage(completion_tokens=6, basis="estimated"), "at most as many tokens as bytes"
    assert left([(4, "😀")], "😀", reported=3).usage.completion_tokens == 3
    assert left([(3, "’")], "’", server=Detokenizer(here=False)).logprob is None, "nobody says that it is one token"


def test_what_was_held_back_leaves_nothing() -> None:
    assert left(TWO, "one and two").logprob is None
    assert left(TWO, "one two", finish="length").logprob is None, "nine were generated"
    assert left(TWO, "one two", reported=3).logprob is None
    assert left(TWO, "two").logprob == -2.0, "thinking before the answer is told with it"
