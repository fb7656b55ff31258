"""Turns of ours in OpenAI's words.

The `sequence_number` of a stream's event says where in the reply it stands, not how many came before it, so that it
means the same whoever asks, however the text was cut into pieces, and when the pieces are long gone:

    0, 1                response.created, response.in_progress
    2, 3                the message and its text begin
    3 + n               a delta that ends with the reply's character n
    3 + n + 1 … 4       text, part, message and response end, the reply being n characters long

An attempt that a worker's death brought about begins the text anew: its message is another item, its numbers are higher
by ATTEMPT for each attempt before it, and the first of them ends the item that is superseded.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.errors import NotFound
from app.ledger.models import Json, TurnState

ATTEMPT = 1 << 24
STATUSES = {
    "waiting": "queued",
    "running": "in_progress",
    "done": "completed",
    "failed": "failed",
    "stopped": "cancelled",
}
LAST_EVENT = {"completed": "response.completed", "failed": "response.failed", "cancelled": "response.incomplete"}
_ID = re.compile(r"(?:resp_|chatcmpl-)([0-9a-z]{26})(t[0-9a-z]{24})(m[0-9a-z]{24})([bs])([0-9a-f]{1,12})")


@dataclass(frozen=True, slots=True)
class Handle:
    """A turn, as the id of a response names it. Nothing else is kept of it."""

    conversation_id: str
    turn_id: str
    message_id: str
    background: bool
    created_at: int

    @classmethod
    def of(cls, response_id: str) -> "Handle":
        found = _ID.fullmatch(response_id)
        if found is None:
            raise NotFound("There is no such response.")
        return cls(found[1], found[2], found[3], found[4] == "b", int(found[5], 16))

    @property
    def place(self) -> Json:
        return {"conversation_id": self.conversation_id, "turn_id": self.turn_id, "message_id": self.message_id}

    @property
    def suffix(self) -> str:
        kind = "b" if self.background else "s"
        return f"{self.conversation_id}{self.turn_id}{self.message_id}{kind}{self.created_at:x}"

    @property
    def response_id(self) -> str:
        return f"resp_{self.suffix}"


def text_of(state: TurnState) -> str:
    return str(state.reply["text"]) if state.reply else state.text


def attempt_of(state: TurnState) -> int:
    """0 while it waits."""
    return int(state.reply.get("attempt", 1)) if state.reply else state.attempt


def response(handle: Handle, state: TurnState, *, previous: str | None = None) -> Json:
    reply = state.reply or {}
    status = STATUSES[state.status]
    error = reply.get("error")
    output = [_item(handle, state, "completed" if status == "completed" else "incomplete")] if state.over else []
    return {
        "id": handle.response_id,
        "object": "response",
        "created_at": handle.created_at,
        "status": status,
        "background": handle.background,
        "error": {"code": "server_error", "message": error["message"]} if error else None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {"conversation_id": handle.conversation_id},
        "model": reply.get("model") or state.origin.get("model") or "",
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": previous,
        "store": True,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": _usage(reply.get("usage")),
    }


def events(handle: Handle, state: TurnState, seen: int) -> list[Json]:
    """Those after the number `seen` that there are by now."""
    found: list[Json] = []
    attempt = attempt_of(state)
    ongoing = response(handle, state) | {"status": "in_progress", "output": [], "usage": None, "error": None}

    def add(number: int, kind: str, **fields: Any) -> None:
        if number > seen:
            found.append({"type": kind, "sequence_number": number, **fields})

    add(0, "response.created", response=ongoing | {"status": "queued" if handle.background else "in_progress"})
    if not attempt and not state.over:
        return found
    add(1, "response.in_progress", response=ongoing)
    for number in range(1, max(1, attempt) + 1):
        first, place = (number - 1) * ATTEMPT, {"output_index": number - 1}
        if number > 1:
            superseded = {**_shell(handle, number - 1), "status": "incomplete"}
            add(first, "response.output_item.done", item=superseded, output_index=number - 2)
        part = {**place, "item_id": _item_id(handle, number), "content_index": 0}
        add(first + 2, "response.output_item.added", item=_shell(handle, number), **place)
        add(first + 3, "response.content_part.added", part=_part(""), **part)
    text, end = text_of(state), first + 3 + len(text_of(state))
    if text:
        add(end, "response.output_text.delta", delta=text[max(0, seen - first - 3) :], logprobs=[], **part)
    if state.over:
        whole = response(handle, state)
        add(end + 1, "response.output_text.done", text=text, logprobs=[], **part)
        add(end + 2, "response.content_part.done", part=_part(text), **part)
        add(end + 3, "response.output_item.done", item=whole["output"][0], **place)
        add(end + 4, LAST_EVENT[whole["status"]], response=whole)
    return found


def completion(handle: Handle, reply: Json) -> Json:
    usage = _usage(reply["usage"])
    return {
        "id": f"chatcmpl-{handle.suffix}",
        "object": "chat.completion",
        "created": handle.created_at,
        "model": reply["model"] or "",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": reply["text"], "refusal": None},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": _as_completion_usage(usage),
    }


def chunk(handle: Handle, model: str, delta: Json, finish: str | None = None, usage: Json | None = None) -> Json:
    """`usage` makes it the one that has nothing else."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]
    return {
        "id": f"chatcmpl-{handle.suffix}",
        "object": "chat.completion.chunk",
        "created": handle.created_at,
        "model": model,
        "choices": [] if usage else choices,
        **({"usage": _as_completion_usage(_usage(usage))} if usage else {}),
    }


def seconds_of(created_at: str) -> int:
    return int(datetime.fromisoformat(created_at).timestamp())


def _item(handle: Handle, state: TurnState, status: str) -> Json:
    number = max(1, attempt_of(state))
    return _shell(handle, number) | {"status": status, "content": [_part(text_of(state))]}


def _shell(handle: Handle, attempt: int) -> Json:
    return {
        "id": _item_id(handle, attempt),
        "type": "message",
        "role": "assistant",
        "status": "in_progress",
        "content": [],
    }


def _item_id(handle: Handle, attempt: int) -> str:
    return f"msg_{handle.turn_id}{attempt}"


def _part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(usage: Json | None) -> Json | None:
    if not usage:
        return None
    taken, given = usage.get("input_tokens") or 0, usage.get("output_tokens") or 0
    return {
        "input_tokens": taken,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": given,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": taken + given,
    }


def _as_completion_usage(usage: Json | None) -> Json | None:
    return usage and {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
    }
