"""The two streaming protocols of OpenAI's API, each read into text, usage and an end."""

from typing import Any, Protocol

import orjson

from app.providers.base import Usage
from app.providers.failures import Failures
from app.providers.sse import Event

DONE = b"[DONE]"


class Reader(Protocol):
    """Reads the events of one reply."""

    usage: Usage | None
    complete: bool  # the text is whole: a break of the connection no longer matters
    ended: bool  # nothing that matters can follow
    reason: str | None  # why the text is shorter than the model wanted: "length", "content_filter" or None

    def read(self, event: Event) -> str:
        """The event's text, maybe none. Raises UpstreamError."""


class ChatReader:
    """/chat/completions"""

    def __init__(self, failures: Failures) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self.ended = False
        self.reason: str | None = None
        self._failures = failures

    def read(self, event: Event) -> str:
        if event.data == DONE:
            self.complete = self.ended = True
            return ""
        chunk = _parse(event, self._failures)
        if (error := chunk.get("error")) or event.name == "error":
            raise self._failures.reported(error or chunk)
        if usage := chunk.get("usage"):
            self.usage = _usage(usage, "prompt_tokens", "completion_tokens") or self.usage
        choices = chunk.get("choices")
        if not choices or not isinstance(choices, list) or not isinstance(choice := choices[0], dict):
            return ""
        if finish := choice.get("finish_reason"):
            self.complete = True
            self.reason = finish if finish in {"length", "content_filter"} else None
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return ""
        return _text(delta.get("content")) + _text(delta.get("refusal"))


class ResponsesReader:
    """/responses"""

    def __init__(self, failures: Failures) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self.ended = False
        self.reason: str | None = None
        self._failures = failures

    def read(self, event: Event) -> str:
        if event.data == DONE:
            self.complete = self.ended = True
            return ""
        data = _parse(event, self._failures)
        kind = data.get("type") or event.name
        if kind in {"response.output_text.delta", "response.refusal.delta"}:
            return _text(data.get("delta"))
        if kind == "error" or (not kind and data.get("error")):
            raise self._failures.reported(data)
        if kind in {"response.completed", "response.incomplete", "response.failed"}:
            response = data.get("response")
            self._end(kind, response if isinstance(response, dict) else {})
        return ""

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
        if isinstance(given, int) and isinstance(made, int):
            return Usage(given, made)
    return None
