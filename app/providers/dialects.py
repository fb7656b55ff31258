"""The two streaming protocols of OpenAI's API, each read into text, reasoning, usage and an end."""

from typing import Any, TypeGuard

import orjson

from app.providers.base import Piece, Usage
from app.providers.failures import Failures
from app.providers.sse import Event

DONE = b"[DONE]"
MOST_TOKENS = 10**12
_REASONING_EVENTS = {"response.reasoning_text.delta", "response.reasoning_summary_text.delta"}
_NOTHING = Piece()


class Reader:
    """Reads the events of one reply."""

    def __init__(self, failures: Failures) -> None:
        self.usage: Usage | None = None
        self.complete = False  # the text is whole: a break of the connection no longer matters
        self.ended = False  # nothing that matters can follow
        # Why the text is shorter than the model wanted: "length", "content_filter" or None.
        self.reason: str | None = None
        self._failures = failures

    def read(self, event: Event) -> Piece:
        """What the event carries, maybe nothing. Raises UpstreamError."""
        if event.data == DONE:
            self.complete = self.ended = True
            return _NOTHING
        return self._read(_parse(event, self._failures), event)

    def _read(self, data: dict[str, Any], event: Event) -> Piece:
        raise NotImplementedError


class ChatReader(Reader):
    """/chat/completions"""

    def _read(self, data: dict[str, Any], event: Event) -> Piece:
        if (error := data.get("error")) or event.name == "error":
            raise self._failures.reported(error or data)
        if usage := data.get("usage"):
            self.usage = _usage(usage, "prompt_tokens", "completion_tokens") or self.usage
        choices = data.get("choices")
        if not choices or not isinstance(choices, list) or not isinstance(choice := choices[0], dict):
            return _NOTHING
        if finish := choice.get("finish_reason"):
            self.complete = True
            self.reason = finish if finish in {"length", "content_filter"} else None
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return _NOTHING
        return Piece(
            _text(delta.get("content")) + _text(delta.get("refusal")),
            # Servers have two names for it; some send the same under both.
            _text(delta.get("reasoning_content")) or _text(delta.get("reasoning")),
        )


class ResponsesReader(Reader):
    """/responses"""

    def _read(self, data: dict[str, Any], event: Event) -> Piece:
        kind = data.get("type") or event.name
        if kind in {"response.output_text.delta", "response.refusal.delta"}:
            return Piece(_text(data.get("delta")))
        if kind in _REASONING_EVENTS:
            return Piece(reasoning=_text(data.get("delta")))
        if kind == "error" or (not kind and data.get("error")):
            raise self._failures.reported(data)
        if kind in {"response.completed", "response.incomplete", "response.failed"}:
            response = data.get("response")
            self._end(kind, response if isinstance(response, dict) else {})
        return _NOTHING

    def _end(self, kind: str, response: dict[str, Any]) -> None:
        if kind == "response.failed":
            raise self._failures.reported(response.get("error"))
        self.complete = self.ended = True
        self.usage = _usage(response.get("usage"), "input_tokens", "output_tokens")
        if kind == "response.incomplete":
            details = response.get("incomplete_details")
            filtered = isinstance(details, dict) and details.get("reason") == "content_filter"
            self.reason = "content_filter" if filtered else "length"


def _parse(event: Event, failures: Failures) -> dict[str, Any]:
    try:
        data = orjson.loads(event.data)
    except orjson.JSONDecodeError as error:
        raise failures.garbled(f"malformed JSON: {error}") from None
    if not isinstance(data, dict):
        raise failures.garbled(f"an event is a {type(data).__name__}")
    return data


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):  # some servers send parts, of which some are thoughts
        return "".join(
            part["text"]
            for part in value
            if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
        )
    return ""


def _usage(usage: object, of_input: str, of_output: str) -> Usage | None:
    if isinstance(usage, dict):
        given, made = usage.get(of_input), usage.get(of_output)
        if _is_count(given) and _is_count(made):
            return Usage(given, made)
    return None


def _is_count(value: object) -> TypeGuard[int]:
    """One that the ledger can add up."""
    return type(value) is int and 0 <= value < MOST_TOKENS
