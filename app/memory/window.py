"""What a model is sent: the system prompt, a summary, as much of the chosen branch as fits, and the new message."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.ledger.models import Json
from app.providers.base import ChatMessage

# Rough, so that no tokenizer has to be downloaded: it counts about 10 to 15 % too few for English and code, a third for
# German, and far too few where a tokenizer takes digits one by one. Workers log it beside what the
# API counted. A message's frame costs a few tokens as well.
_ASCII_CHARS_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 4
SUMMARY_HEAD = "What was said earlier in this conversation, in short:\n"


@dataclass(frozen=True, slots=True)
class Window:
    """At most this many earlier messages, and this many tokens in all."""

    max_messages: int
    max_tokens: int

    @property
    def max_bytes(self) -> int:
        """More stored bytes of history than this are never needed: text escaped as JSON, and its frame."""
        return self.max_tokens * _ASCII_CHARS_PER_TOKEN * 2 + self.max_messages * 600

    def build(self, system_prompt: str, summary: str, history: Sequence[Json], question: str) -> "Sent":
        """`history`: the branch before the question, oldest first; `summary`: of what came before, maybe empty.

        The system prompt and the question are sent whatever they cost; a summary if it fits beside them; and of the
        exchanges, whole, the newest that fit. One whose reply is empty (it failed, or was stopped before it began) is
        left out.
        """
        first = [ChatMessage("system", system_prompt)] if system_prompt else []
        last = ChatMessage("user", question)
        memory = ChatMessage("system", SUMMARY_HEAD + summary)
        if summary and sum(map(cost, [*first, memory, last])) <= self.max_tokens:
            first.append(memory)
        known = exchanges(history)
        kept = self.newest(known, sum(map(cost, [*first, last])))
        messages = [*first, *(message for one in kept for message in one.messages), last]
        return Sent(messages, sum(map(cost, messages)), left_out=len(kept) < len(known))

    def newest(self, known: Sequence["Exchange"], spent: int) -> Sequence["Exchange"]:
        """As many of the newest exchanges as fit beside what costs `spent` tokens."""
        left, count = self.max_tokens - spent, 0
        for exchange in reversed(known):
            left -= exchange.cost
            if left < 0 or 2 * (count + 1) > self.max_messages:
                break
            count += 1
        return known[len(known) - count :]

    def half(self) -> "Window":
        return Window(self.max_messages // 2, self.max_tokens // 2)


@dataclass(frozen=True, slots=True)
class Sent:
    """`tokens` is estimated. `left_out`: not all of the history fitted."""

    messages: list[ChatMessage]
    tokens: int
    left_out: bool


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its reply, which has this id."""

    messages: tuple[ChatMessage, ChatMessage]
    reply_id: str

    @property
    def cost(self) -> int:
        return sum(map(cost, self.messages))


def estimate_tokens(text: str) -> int:
    """About four characters of English a token, about one of other scripts."""
    plain = len(text.encode("ascii", "ignore"))
    return -(-plain // _ASCII_CHARS_PER_TOKEN) + len(text) - plain


def cost(message: ChatMessage) -> int:
    return estimate_tokens(message.text) + _TOKENS_PER_MESSAGE


def exchanges(history: Sequence[Json]) -> list[Exchange]:
    """The whole ones of a branch. What a model thought is not part of what it said."""
    replies = {message["parent_id"]: message for message in history if message["role"] == "assistant"}
    found = []
    for message in history:
        reply = replies.get(message["id"]) if message["role"] == "user" else None
        if reply and reply["text"]:
            said = ChatMessage("user", message["text"]), ChatMessage("assistant", reply["text"])
            found.append(Exchange(said, reply["id"]))
    return found
