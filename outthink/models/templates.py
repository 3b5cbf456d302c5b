"""Chat templates for raw completions: a conversation as one text that ends where the model's answer begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from outthink.core.request import Message

Template = Callable[[Sequence[Message]], str]


def plain(messages: Sequence[Message]) -> str:
    """For base models: the texts of the turns, one after the other, with a blank line between them and nothing added."""
    return "\n\n".join(message.text for message in messages)


def chatml(messages: Sequence[Message]) -> str:
    """ChatML, as Qwen and SmolLM2 use it. No system turn is added where the conversation has none."""
    turns = [f"<|im_start|>{message.role}\n{message.text}<|im_end|>\n" for message in messages]
    return "".join(turns) + "<|im_start|>assistant\n"
