"""A reader of server-sent events."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import requests

from tests.support.http_client import Api


@dataclass(frozen=True)
class Sent:
    """`name` is `message` for one without a name."""

    name: str
    id: str | None
    data: Any


class EventReader:
    """Of one answer. `comments` counts what is no event."""

    def __init__(self, api: Api, path: str, last_event_id: str | None = None) -> None:
        headers = {"Last-Event-ID": last_event_id} if last_event_id is not None else {}
        self.answer: requests.Response = api("GET", path, headers=headers, stream=True)
        assert self.answer.status_code == 200, self.answer.text
        self._events = self._read()
        self.comments = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.answer.close()

    def __iter__(self) -> Iterator[Sent]:
        return self._events

    def next(self) -> Sent:
        return next(self._events)

    def until(self, last: Callable[[Any], bool]) -> list[Sent]:
        """Up to and with the first whose data is that."""
        found = []
        for event in self._events:
            found.append(event)
            if last(event.data):
                return found
        raise AssertionError(f"the stream ended after {found[-3:]}")

    def _read(self) -> Iterator[Sent]:
        fields: dict[str, str] = {}
        # `iter_lines` waits for more than a line.
        for line in self._lines():
            if line.startswith(":"):
                self.comments += 1
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                data = fields["data"]
                yield Sent(
                    fields.get("event", "message"), fields.get("id"), data if data == "[DONE]" else json.loads(data)
                )
                fields = {}

    def _lines(self) -> Iterator[str]:
        buffer = b""
        for piece in self.answer.raw.stream(65_536, decode_content=True):
            *lines, buffer = (buffer + piece).split(b"\n")
            yield from (line.decode() for line in lines)


def finished(event: Any) -> bool:
    return bool(event["type"] == "turn.finished")
