"""Problems and answers. A problem carries no key: what is right is known only to `evaluate`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from outthink.core.request import Message, Prefix, Request, Sampling


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer that was found in a text.

    Args:
        value: canonical form, the one that is shown and exported.
        raw: as the model wrote it.
    """

    value: str
    raw: str = ""

    def __str__(self) -> str:
        return self.value


@runtime_checkable
class AnswerKind(Protocol):
    """How answers of one kind are found in text, grouped into equivalence classes, and compared with a key."""

    def parse(self, text: str) -> Answer | None:
        """The final answer in a completion, or None where there is none."""
        ...

    async def group(self, answers: Sequence[Answer | None]) -> list[int]:
        """Class label of every answer, 0, 1, ... in order of first appearance; -1 for None."""
        ...

    async def equal(self, answer: Answer, key: str) -> bool:
        """Whether the answer means the same as the key."""
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """A check that the solver may see, such as an example from the problem's statement: run `code` after the candidate's code."""

    code: str
    name: str = ""


@dataclass(frozen=True)
class Problem:
    """One thing to solve.

    Args:
        id: unique in its set.
        messages: the conversation to answer, prompt applied.
        answer: the kind of its answer.
        public_checks: checks a strategy may run.
        context: what else belongs to the problem and is no key (tools, documents, difficulty shown to the solver).
        prompt_version: name of the prompt that wrote the messages.
        prefix: assistant text that every answer starts with.
    """

    id: str
    messages: tuple[Message, ...]
    answer: AnswerKind
    public_checks: tuple[Check, ...] = ()
    context: Mapping[str, Hashable] = field(default_factory=dict)
    prompt_version: str = ""
    prefix: Prefix | None = None

    def request(self, sampling: Sampling) -> Request:
        """The plain request for one answer."""
        return Request(self.messages, prefix=self.prefix, sampling=sampling, prompt_version=self.prompt_version)

    @property
    def question(self) -> str:
        """The last user turn as text, for judges and reports."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")
