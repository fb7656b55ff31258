"""How a model is asked for a conversation's title."""

import re

from app.memory.window import Exchange
from app.providers.base import ChatMessage

MAX_CHARS = 80
# How much of a message is shown to the model.
_EXCERPT = 1500
_INSTRUCTION = (
    "Write a title for a chat that began as below: two to six words, in the language of the chat, without quotation "
    "marks and without a full stop. Write the title alone."
)
# What models put around a title although they were asked not to.
_DECORATION = re.compile(r"^(?:\W*\btitle\b\s*:)?[\s\"'“”„«»*_#`]+|[\s\"'“”«»*_`.]+$", re.IGNORECASE)


def request(exchange: Exchange) -> list[ChatMessage]:
    shown = [f"{message.role}: {message.text[:_EXCERPT]}" for message in exchange.messages]
    return [ChatMessage("system", _INSTRUCTION), ChatMessage("user", "\n\n".join(shown))]


def title_in(answer: str) -> str:
    """The title in a model's answer; empty if there is none to be seen."""
    lines = [line for line in answer.splitlines() if line.strip()]
    title = _DECORATION.sub("", " ".join(lines[0].split())) if lines else ""
    return title if len(title) <= MAX_CHARS else ""
