"""A client of Parley's HTTP interface, with nothing but the standard library.

    parley = Parley.sign_in("http://localhost:8000", "Ada")
    conversation = parley.new_conversation()
    print(parley.ask(conversation, "How are you?"))          # waits for the whole reply
    for text in parley.stream(conversation, "And now?"):     # the reply as it is written
        print(text, end="", flush=True)

`ask` and `stream` may be cut off at any moment and go on where they were: a message is sent again under the same
`client_id`, which makes it the same message, and a stream is taken up after the last event that arrived.
"""

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any, Self
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

Json = dict[str, Any]
SILENCE_SECONDS = 40  # the server says something every 15
PATIENCE_SECONDS = 120


class ParleyError(Exception):
    """What the server refused; `error` is {code, message, field?, retry_after?}."""

    def __init__(self, status: int, error: Json) -> None:
        super().__init__(error["message"])
        self.status = status
        self.error = error


class Parley:
    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self.token = token

    @classmethod
    def sign_in(cls, url: str, name: str) -> Self:
        return cls(url, cls(url).call("POST", "/api/sessions", {"name": name})["token"])

    def call(self, method: str, path: str, body: Json | None = None, patience: float = PATIENCE_SECONDS) -> Any:
        """Repeats what did not get through. Every call here may be repeated."""
        deadline, pause = time.monotonic() + patience, 0.2
        while True:
            try:
                with self._open(method, path, body) as answer:
                    return json.loads(answer.read() or b"null")
            except ParleyError as exc:
                if exc.status not in {429, 503} or time.monotonic() > deadline:
                    raise
                pause = exc.error.get("retry_after", pause)
            except (URLError, OSError):
                if time.monotonic() > deadline:
                    raise
            time.sleep(pause)
            pause = min(5.0, pause * 2)

    def new_conversation(self, **settings: Any) -> str:
        return str(self.call("POST", "/api/conversations", settings)["id"])

    def ask(self, conversation_id: str, text: str) -> str:
        """The whole reply, however long it takes."""
        message = {"text": text, "client_id": uuid.uuid4().hex, "wait": 30}
        while True:
            answer = self.call("POST", f"/api/conversations/{conversation_id}/messages", message)
            if "role" in answer:  # the saved reply, not the acknowledgement
                return str(answer["text"])

    def stream(self, conversation_id: str, text: str) -> Iterator[str]:
        """The reply in pieces. RuntimeError if a part that was given is not part of the reply after all."""
        sent = self.call(
            "POST", f"/api/conversations/{conversation_id}/messages", {"text": text, "client_id": uuid.uuid4().hex}
        )
        given = said = ""
        for event in self.events(conversation_id, f"{sent['epoch']}:{sent['seq']}"):
            turn, finished = event, event["type"] == "turn.finished"
            if event["type"] == "snapshot":
                turn, finished = self._in_snapshot(event["snapshot"], sent["turn_id"])
            if turn.get("turn_id") != sent["turn_id"]:
                continue
            said = self._said(said, event["type"], turn)
            if not said.startswith(given[: len(said)]) or (finished and len(said) < len(given)):
                raise RuntimeError("The reply was begun anew, with other words.")
            if len(said) > len(given):
                yield said[len(given) :]
            given = max(given, said, key=len)
            if finished:
                return

    def events(self, conversation_id: str, after: str = "") -> Iterator[Json]:
        """A conversation's events, for ever. Without `after` (the id of an event), or where it is too long ago, the
        first one is a `snapshot`."""
        while True:
            try:
                with self._open("GET", f"/api/conversations/{conversation_id}/events", None, after) as answer:
                    for line in answer:
                        name, _, value = line.decode().rstrip("\n").partition(": ")
                        if name == "id":
                            after = value
                        elif name == "data":
                            yield json.loads(value)
            except ParleyError as exc:
                if exc.status not in {429, 503}:
                    raise
            except (URLError, OSError):
                pass
            time.sleep(0.5)

    def _open(self, method: str, path: str, body: Json | None, last_event_id: str = "") -> Any:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        data = None if body is None else json.dumps(body).encode()
        try:
            return urlopen(Request(self.url + path, data, headers, method=method), timeout=SILENCE_SECONDS)  # noqa: S310
        except HTTPError as exc:
            raise ParleyError(exc.code, json.loads(exc.read())["error"]) from None

    @staticmethod
    def _said(before: str, kind: str, turn: Json) -> str:
        """What a reply says after an event."""
        match kind:
            case "turn.started":
                return ""  # the first time, and when a worker died and another one begins anew
            case "turn.delta":
                return before + str(turn["text"])
            case "turn.finished":
                return str((turn["message"] or {"text": before})["text"])
            case "snapshot":
                return str(turn["text"])
            case _:
                return before

    @staticmethod
    def _in_snapshot(snapshot: Json, turn_id: str) -> tuple[Json, bool]:
        """(the turn as it stands there, whether it is over)"""
        for turn in snapshot["turns"]:
            if turn["turn_id"] == turn_id:
                return turn, False
        replies = [m for m in snapshot["messages"] if m["turn_id"] == turn_id and m["role"] == "assistant"]
        return (replies[0], True) if replies else ({}, False)
