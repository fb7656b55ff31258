"""Turns of ours in OpenAI's words.

The `sequence_number` of a stream's event says where in the reply it stands, not how many came before it, so that it
means the same whoever asks, however the text was cut into pieces, and when the pieces are long gone:

    0, 1                response.created, response.in_progress
    2, 3                the message and its text begin
    3 + n               a delta that ends with the reply's character n
    3 + n + 1 … 4       text, part, message and response end, the reply being n characters long

Of a model that thinks aloud first, the same for that from THOUGHT on, ending right before MESSAGE, where its message
begins. What it thinks later, between its words, is in the finished response only.

An attempt that a worker's death brought about begins anew: its items are others, its numbers are higher by ATTEMPT for
each attempt before it, and the first of them ends the message that is superseded. Nobody knows any more what that was;
that it began as this one did is assumed.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from app.errors import NotFound
from app.ledger.models import Json, TurnState

ATTEMPT = 1 << 24
THOUGHT = 1 << 22
MESSAGE = 1 << 23
STATUSES = {
    "waiting": "queued",
    "running": "in_progress",
    "done": "completed",
    "failed": "failed",
    "stopped": "cancelled",
}
LAST_EVENT = {
    "completed": "response.completed",
    "failed": "response.failed",
    "cancelled": "response.incomplete",
    "incomplete": "response.incomplete",
}
INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
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


def reasoning_of(state: TurnState) -> str:
    return str(state.reply.get("reasoning") or "") if state.reply else state.reasoning


def attempt_of(state: TurnState) -> int:
    """0 while it waits."""
    return int(state.reply.get("attempt", 1)) if state.reply else state.attempt


def response(handle: Handle, state: TurnState, *, previous: str | None = None) -> Json:
    reply = state.reply or {}
    why = INCOMPLETE.get(reply.get("finish_reason") or "")
    status = "incomplete" if why else STATUSES[state.status]
    error = reply.get("error")
    output = _output(handle, state, "completed" if status == "completed" else "incomplete") if state.over else []
    return {
        "id": handle.response_id,
        "object": "response",
        "created_at": handle.created_at,
        "status": status,
        "background": handle.background,
        "error": {"code": "server_error", "message": error["message"]} if error else None,
        "incomplete_details": {"reason": why} if why else None,
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
    text, thought, current = text_of(state), reasoning_of(state), max(1, attempt_of(state))
    ongoing = response(handle, state) | {"status": "in_progress", "output": [], "usage": None, "error": None}
    told = _Told(handle, seen)
    told.add(0, "response.created", response=ongoing | {"status": "queued" if handle.background else "in_progress"})
    if state.status == "waiting":
        return told.events
    told.add(1, "response.in_progress", response=ongoing)
    if not (text or thought or state.over):
        return told.events
    thinks = _was_told_of_thoughts(seen, bool(thought))
    for number in range(1, current):
        if thinks:
            told.thoughts(number, "", "incomplete")
        place = told.begin(number, thinks)
        superseded = _shell(handle, number) | {"status": "incomplete"}
        told.add(number * ATTEMPT, "response.output_item.done", item=superseded, output_index=place["output_index"])
    if thinks:
        told.thoughts(current, thought, "completed" if text or state.over else None)
    if text or state.over:
        place = told.begin(current, thinks)
        end = _start(current, thinks) + 1 + len(text)
        if text:
            delta = text[max(0, seen - end + len(text)) :]
            told.add(end, "response.output_text.delta", delta=delta, logprobs=[], **place)
        if state.over:
            whole = response(handle, state)
            told.add(end + 1, "response.output_text.done", text=text, logprobs=[], **place)
            told.add(end + 2, "response.content_part.done", part=_part(text), **place)
            item, index = whole["output"][-1], place["output_index"]
            told.add(end + 3, "response.output_item.done", item=item, output_index=index)
            told.add(end + 4, LAST_EVENT[whole["status"]], response=whole)
    return told.events


@dataclass(slots=True)
class _Told:
    """Events with a number after `seen`."""

    handle: Handle
    seen: int
    events: list[Json] = field(default_factory=list)

    def add(self, number: int, kind: str, **fields: Any) -> None:
        if number > self.seen:
            self.events.append({"type": kind, "sequence_number": number, **fields})

    def thoughts(self, number: int, text: str, ended: str | None) -> None:
        """Of the attempt `number`; `ended`: how, if they have."""
        first, last = (number - 1) * ATTEMPT + THOUGHT, (number - 1) * ATTEMPT + MESSAGE - 1
        index, item_id = 2 * (number - 1), _item_id(self.handle, number, "rs")
        place: Json = {"output_index": index, "item_id": item_id, "content_index": 0}
        begun = _thought(self.handle, number, "in_progress", None)
        self.add(first, "response.output_item.added", item=begun, output_index=index)
        self.add(first + 1, "response.content_part.added", part=_thought_part(""), **place)
        if text:
            delta = text[max(0, self.seen - first - 1) :]
            self.add(first + 1 + len(text), "response.reasoning_text.delta", delta=delta, **place)
        if ended:
            item = _thought(self.handle, number, ended, text)
            self.add(last - 2, "response.reasoning_text.done", text=text, **place)
            self.add(last - 1, "response.content_part.done", part=_thought_part(text), **place)
            self.add(last, "response.output_item.done", item=item, output_index=index)

    def begin(self, number: int, thinks: bool) -> Json:
        """The message of the attempt `number`. Returns the place of its text."""
        index = 2 * number - 1 if thinks else number - 1
        start = _start(number, thinks)
        place: Json = {"output_index": index, "item_id": _item_id(self.handle, number), "content_index": 0}
        self.add(start, "response.output_item.added", item=_shell(self.handle, number), output_index=index)
        self.add(start + 1, "response.content_part.added", part=_part(""), **place)
        return place


def _start(number: int, thinks: bool) -> int:
    return (number - 1) * ATTEMPT + (MESSAGE if thinks else 2)


def _was_told_of_thoughts(seen: int, there_are: bool) -> bool:
    """Whoever has seen how the reply began holds on to that."""
    place = seen % ATTEMPT if seen > 1 else 0
    return place >= THOUGHT if place > 1 else there_are


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
                "message": {
                    "role": "assistant",
                    "content": reply["text"],
                    "refusal": None,
                    **({"reasoning_content": reply["reasoning"]} if reply.get("reasoning") else {}),
                },
                "finish_reason": finish_reason_of(reply),
                "logprobs": None,
            }
        ],
        "usage": _as_completion_usage(usage),
    }


def finish_reason_of(reply: Json) -> str:
    return str(reply.get("finish_reason") or "stop")


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


def _output(handle: Handle, state: TurnState, status: str) -> list[Json]:
    number, thought = max(1, attempt_of(state)), reasoning_of(state)
    message = _shell(handle, number) | {"status": status, "content": [_part(text_of(state))]}
    return [_thought(handle, number, "completed", thought), message] if thought else [message]


def _thought(handle: Handle, attempt: int, status: str, text: str | None) -> Json:
    return {
        "id": _item_id(handle, attempt, "rs"),
        "type": "reasoning",
        "summary": [],
        "content": [] if text is None else [_thought_part(text)],
        "status": status,
    }


def _shell(handle: Handle, attempt: int) -> Json:
    return {
        "id": _item_id(handle, attempt),
        "type": "message",
        "role": "assistant",
        "status": "in_progress",
        "content": [],
    }


def _item_id(handle: Handle, attempt: int, kind: str = "msg") -> str:
    return f"{kind}_{handle.turn_id}{attempt}"


def _part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _thought_part(text: str) -> Json:
    return {"type": "reasoning_text", "text": text}


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
