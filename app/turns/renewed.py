"""Messages of a conversation that was had before, as the ledger keeps its own."""

from collections.abc import Sequence
from typing import Any

from app.ledger.keys import new_id
from app.ledger.models import Json

# What a reply has besides; system prompt and reasoning stand last (see common.lua).
OF_REPLIES = ("provider", "model", "memory", "usage", "error", "finish_reason", "system_prompt", "reasoning")
ALWAYS = ("provider", "model", "memory", "usage")


def renewed(messages: Sequence[Json], head: str | None) -> tuple[list[Json], str]:
    """(the same tree under new ids, the new id of `head` or, without one, an empty text)."""
    ids = {message["id"]: new_id("m") for message in messages}
    # A question's turn is that of its first reply; each other reply was a turn of its own.
    unanswered: dict[str, str] = {}
    planted = []
    for message in messages:
        parent = message["parent_id"]
        turn_id = new_id("t")
        kept: dict[str, Any] = {"id": ids[message["id"]], "parent_id": ids[parent] if parent else None}
        kept |= {"role": message["role"], "text": message["text"]}
        if message["role"] == "user":
            unanswered[message["id"]] = turn_id
            kept |= {"created_at": message["created_at"], "turn_id": turn_id}
        else:
            turn_id = unanswered.pop(parent, turn_id)
            kept |= {"status": message["status"], "created_at": message["created_at"], "turn_id": turn_id}
            kept |= {name: message.get(name) for name in OF_REPLIES if name in ALWAYS or message.get(name)}
        planted.append(kept)
    return planted, ids[head] if head else ""
