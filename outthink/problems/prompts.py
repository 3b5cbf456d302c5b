"""Prompts: named, versioned texts that turn a question into messages. A changed text gets a new version, since recorded calls name it.

The texts are short: a model of 135 million parameters loses a long instruction. For its two-digit sums two worked examples in
the form `23 + 45 = 68`, one of them with a carry, were the best of seven forms tried on 40 sums that no demo or test uses (temperature
0.6: pass@1 .37, majority of 16 .46; one example .30 and .36; four examples .35 and .45; no example .09 and .14; worked tens and ones
below .03).
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from outthink.core.errors import DataError, UsageError, nearest
from outthink.core.request import Message, Prefix

Example = tuple[str, str]
"""A question and the reply that the model is shown for it."""


@dataclass(frozen=True)
class Prompt:
    """How a question is asked.

    Args:
        name: what it is called.
        version: number or checksum; part of every call's key.
        user: the user's turn; holds `{question}`.
        system: the system's turn, none if empty.
        prefix: text that every reply starts with.
        reply: how a worked example is answered; `{answer}` and `{rationale}` are filled in. Without a rationale only its last line
            is used.
        examples: worked examples that always stand before the question.
        shots: how many further examples are drawn from the set where the caller names no number.
        stop: texts that end a reply.
    """

    name: str
    version: str = "1"
    user: str = "{question}"
    system: str = ""
    prefix: str = ""
    reply: str = "{answer}"
    examples: tuple[Example, ...] = ()
    shots: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if "{question}" not in self.user:
            raise UsageError(f"prompt {self.name}: its user text has no {{question}}, so nothing would be asked")
        if "{answer}" not in self.reply and "{rationale}" not in self.reply:
            raise UsageError(f"prompt {self.name}: its reply has neither {{answer}} nor {{rationale}}")

    def label(self, shots: int = 0) -> str:
        """`cot/1`, or `cot/1+3` with three examples from the set."""
        return f"{self.name}/{self.version}" + (f"+{shots}" if shots else "")

    def answered(self, answer: str, rationale: str = "") -> str:
        """The reply to a worked example."""
        last = self.reply.rpartition("\n")[2]
        reply = self.reply if rationale else last if "{answer}" in last else "{answer}"
        clean = re.sub(r"<<[^<>\n]*>>", "", rationale)  # GSM8K's calculator marks
        return _filled(reply, rationale=clean, answer=answer)

    def messages(self, question: str, examples: Sequence[Example] = ()) -> tuple[Message, ...]:
        """The conversation that asks the question, after the prompt's own examples and these."""
        turns = [Message("system", self.system)] if self.system else []
        for asked, reply in (*self.examples, *examples):
            turns += [Message("user", _filled(self.user, question=asked)), Message("assistant", self.prefix + reply)]
        return (*turns, Message("user", _filled(self.user, question=question)))

    @property
    def start(self) -> Prefix | None:
        """What a reply starts with, as a prefix."""
        return Prefix(self.prefix) if self.prefix else None


def _filled(template: str, **values: str) -> str:
    # one pass, so that a question that holds "{answer}" or LaTeX braces stays as it is
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match.group(1), match.group()), template)


PROMPTS: dict[str, Prompt] = {
    prompt.name: prompt
    for prompt in (
        Prompt("direct"),
        Prompt("sum", "2", examples=(("What is 23 + 45?", "23 + 45 = 68"), ("What is 38 + 57?", "38 + 57 = 95")), reply="{rationale}", stop=("\n",)),
        Prompt(
            "multiples",
            examples=(
                ("What is 11 * 3?", "11, 22, 33. 11 * 3 = 33"),
                ("What is 3 * 11?", "3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33. 3 * 11 = 33"),
                ("What is 12 * 5?", "12, 24, 36, 48, 60. 12 * 5 = 60"),
            ),
            reply="{rationale}",
            stop=("\n",),
        ),
        Prompt("cot", user="{question}\nThink step by step. End with: The answer is <answer>.", reply="{rationale}\nThe answer is {answer}."),
        Prompt("boxed", user="{question}\nReason step by step, and put the final answer in \\boxed{}.", reply="{rationale}\n$\\boxed{{answer}}$"),
        Prompt("short", user="{question}\nReply with the answer only."),
        Prompt("few_shot", user="Question: {question}\nAnswer:", shots=3, stop=("\n\n", "Question:")),
        Prompt(
            "choice",
            user="{question}\nReply with the letter of the right option. End with: The answer is (letter).",
            reply="The answer is ({answer}).",
        ),
        Prompt(
            "game24",
            user="Use the numbers {question} with + - * / and brackets to make 24. Use each number once.\nEnd with: Answer: <expression> = 24",
            examples=(("4 4 6 8", "Answer: (4 + 8) * (6 - 4) = 24"),),
            reply="Answer: {answer} = 24",
        ),
        Prompt(
            "countdown",
            user="Numbers -> target: {question}\nReach the target with + - * / and brackets. Use each number once.\nEnd with: Answer: <expression>",
            examples=(("2 3 5 -> 25", "Answer: (2 + 3) * 5"),),
            reply="Answer: {answer}",
        ),
    )
}  # fmt: skip


def prompt_of(name_or_path: str) -> Prompt:
    """A named prompt, or one from a file of the user's.

    A `.toml` file has the fields of `Prompt` (`user` at least; `examples` a list of [question, reply]); any other text file is the user's turn.
    Its version is a checksum of the file.

    Raises:
        UsageError: an unknown name (with the nearest known one), or a prompt that asks nothing.
        DataError: a file that cannot be read or is not TOML.
    """
    if name_or_path in PROMPTS:
        return PROMPTS[name_or_path]
    path = Path(name_or_path)
    if not path.is_file():
        if path.suffix or len(path.parts) > 1:
            raise DataError(f"prompt {name_or_path}: there is no such file")
        raise UsageError(f"unknown prompt {name_or_path!r}.{nearest(name_or_path, list(PROMPTS))}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"prompt {path} cannot be read as UTF-8 text: {error}") from error
    version = hashlib.sha256(text.encode()).hexdigest()[:8]
    if path.suffix != ".toml":
        return Prompt(path.stem, version, user=text.strip())
    try:
        return _from_table(path, version, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"prompt {path}: not TOML ({error})") from error


def _from_table(path: Path, version: str, table: dict[str, object]) -> Prompt:
    known = [field.name for field in dataclasses.fields(Prompt) if field.name not in ("name", "version")]
    for key in table:
        if key not in known:
            raise UsageError(f"prompt {path}: no field {key!r}.{nearest(key, known)}")

    def text(key: str, default: str) -> str:
        value = table.get(key, default)
        if not isinstance(value, str):
            raise UsageError(f"prompt {path}: {key} must be text")
        return value

    def texts(value: object, key: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise UsageError(f"prompt {path}: {key} must be a list of texts")
        return tuple(value)

    examples = table.get("examples", [])
    pairs = [texts(pair, "each of examples") for pair in examples] if isinstance(examples, list) else [()]
    if not all(len(pair) == 2 for pair in pairs):
        raise UsageError(f"prompt {path}: examples must be a list of [question, reply]")
    shots = table.get("shots", 0)
    if not isinstance(shots, int) or isinstance(shots, bool) or shots < 0:
        raise UsageError(f"prompt {path}: shots must be a whole number of 0 or more")
    return Prompt(
        path.stem, version, text("user", "{question}"), text("system", ""), text("prefix", ""), text("reply", "{answer}"),
        tuple((pair[0], pair[1]) for pair in pairs), shots, texts(table.get("stop", []), "stop"),
    )  # fmt: skip
