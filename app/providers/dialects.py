"""The two streaming protocols of OpenAI's API, each read into text, reasoning, usage and an end."""

import codecs
import json
from typing import Any, TypeGuard

import orjson

from app.providers.base import Piece, Usage
from app.providers.failures import Failures
from app.providers.sse import Event

DONE = b"[DONE]"
MOST_TOKENS = 10**12
_REASONING_EVENTS = {"response.reasoning_text.delta", "response.reasoning_summary_text.delta"}
_NOTHING = Piece()
_Utf16Decoder = codecs.getincrementaldecoder("utf-16-le")


class _Halves:
    """Joins the halves of a character that come one after the other. One that stays alone becomes U+FFFD."""

    def __init__(self) -> None:
        self._decoder = _Utf16Decoder("replace")

    def join(self, text: str, *, last: bool = False) -> str:
        """A half at the end is kept for the next call, unless this is the `last`."""
        return self._decoder.decode(text.encode("utf-16-le", "surrogatepass"), last)


class Reader:
    """Reads the events of one reply."""

    def __init__(self, failures: Failures) -> None:
        self.usage: Usage | None = None
        self.complete = False  # the text is whole: a break of the connection no longer matters
        self.ended = False  # nothing that matters can follow
        # Why the text is shorter than the model wanted: "length", "content_filter" or None.
        self.reason: str | None = None
        self._failures = failures
        # Of text and of reasoning, from the first event on that may have one.
        self._halves: tuple[_Halves, _Halves] | None = None

    def read(self, event: Event) -> Piece:
        """What the event carries, maybe nothing. Raises UpstreamError."""
        if event.data == DONE:
            self.complete = self.ended = True
            return _NOTHING
        return self._joined(self._read(self._parse(event), event))

    def rest(self) -> Piece:
        """What is left when no more events come: a half whose other half never came."""
        return self._joined(_NOTHING, last=True)

    def _joined(self, piece: Piece, *, last: bool = False) -> Piece:
        if self._halves is None:
            return piece
        text, reasoning = self._halves
        return Piece(text.join(piece.text, last=last), reasoning.join(piece.reasoning, last=last))

    def _parse(self, event: Event) -> dict[str, Any]:
        try:
            data = orjson.loads(event.data)
        except orjson.JSONDecodeError as error:
            # It refuses half a character (`"\ud83d"`), which JSON allows and servers that cut text anywhere send.
            try:
                data = json.loads(event.data.decode())
            except (ValueError, RecursionError):
                raise self._failures.garbled(f"malformed JSON: {error}") from None
            self._halves = self._halves or (_Halves(), _Halves())
        if not isinstance(data, dict):
            raise self._failures.garbled(f"an event is a {type(data).__name__}")
        return data

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
            self.reason = finish if isinstance(finish, str) and finish in {"length", "content_filter"} else None
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
        kind = data.get("type")
        if not isinstance(kind, str) or not kind:
            kind = event.name
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
