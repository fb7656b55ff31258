"""What is summed up of a conversation that outgrows the window, and how a model is asked for it."""

from collections.abc import Sequence

from app.memory.window import Exchange, Window, estimate_tokens
from app.providers.base import ChatMessage

# Longest summary that is asked for, in words; and the most of it that is kept, in characters.
WORDS = 200
MAX_CHARS = 4000
_INSTRUCTION = (
    "You keep the memory of a chat. Write down, in at most {words} words and in the language of the chat, what has "
    "been said so far: facts about the user, what was asked and answered, decisions, names, numbers, open questions. "
    "Keep what the earlier summary says. Write the summary alone."
)


def to_sum_up(known: Sequence[Exchange], window: Window) -> Sequence[Exchange]:
    """The older exchanges, oldest first, as many as one request takes: all but those that fill half the window, so that
    the window has room again for a while and the beginning of what is sent stays the same meanwhile."""
    old = known[: len(known) - len(window.half().newest(known, 0))]
    left, count = window.max_tokens - MAX_CHARS // 4, 0
    for exchange in old:
        left -= exchange.cost
        if left < 0 and count:
            break
        count += 1
    return old[:count]


def request(summary: str, old: Sequence[Exchange], window: Window) -> list[ChatMessage]:
    """`summary` is the one so far, maybe empty."""
    parts = [f"The earlier summary:\n{summary}"] if summary else []
    for exchange in old:
        parts += [f"{message.role}: {_cut(message.text, window.max_tokens)}" for message in exchange.messages]
    return [ChatMessage("system", _INSTRUCTION.format(words=WORDS)), ChatMessage("user", "\n\n".join(parts))]


def _cut(text: str, tokens: int) -> str:
    """A single message may be as long as the window."""
    most = max(1, tokens // 3)
    return text if estimate_tokens(text) <= most else f"{text[:most]} …"
