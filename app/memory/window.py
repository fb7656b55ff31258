"""What a model is sent: the system prompt, as much of the chosen branch as fits, and the new message."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.ledger.models import Json
from app.providers.base import ChatMessage

# Rough costs, on the safe side; no tokenizer has to be downloaded. A message's frame costs a few tokens as well.
_ASCII_CHARS_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 4


@dataclass(frozen=True, slots=True)
class Window:
    """At most this many earlier messages, and this many tokens in all."""

    max_messages: int
    max_tokens: int

    @property
    def max_bytes(self) -> int:
        """More stored bytes of history than this are never needed: text escaped as JSON, and its frame."""
        return self.max_tokens * _ASCII_CHARS_PER_TOKEN * 2 + self.max_messages * 600

    def build(self, system_prompt: str, history: Sequence[Json], question: str) -> list[ChatMessage]:
        """`history`: the branch before the question, oldest first. Only whole exchanges are sent, the newest that fit;
        one whose reply is empty (it failed, or was stopped before it began) is left out."""
        first = [ChatMessage("system", system_prompt)] if system_prompt else []
        last = ChatMessage("user", question)
        left = self.max_tokens - sum(map(cost, [*first, last]))
        kept: list[ChatMessage] = []
        for asked, answered in reversed(_exchanges(history)):
            left -= cost(asked) + cost(answered)
            if left < 0 or len(kept) + 2 > self.max_messages:
                break
            kept = [asked, answered, *kept]
        return [*first, *kept, last]


def estimate_tokens(text: str) -> int:
    """About four characters of English a token, about one of other scripts."""
    plain = len(text.encode("ascii", "ignore"))
    return -(-plain // _ASCII_CHARS_PER_TOKEN) + len(text) - plain


def cost(message: ChatMessage) -> int:
    return estimate_tokens(message.text) + _TOKENS_PER_MESSAGE


def _exchanges(history: Sequence[Json]) -> list[tuple[ChatMessage, ChatMessage]]:
    replies = {message["parent_id"]: message["text"] for message in history if message["role"] == "assistant"}
    return [
        (ChatMessage("user", message["text"]), ChatMessage("assistant", replies[message["id"]]))
        for message in history
        if message["role"] == "user" and replies.get(message["id"])
    ]
