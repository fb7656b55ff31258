"""A request as the scripted server saw it."""

import threading
import time
from typing import Any, Literal, Self

from tests.support.upstream.script import PATIENCE


class Request:
    """One request as the server saw it, and what became of its answer."""

    def __init__(
        self,
        changed: threading.Condition,
        connection: int,
        peer: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: Any,
    ) -> None:
        self.connection = connection  # a number: the same for requests on one kept-alive connection
        self.peer = peer  # the address that asked
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.started_at = time.monotonic()
        self.ended_at: float | None = None
        self.tokens_sent = 0
        self.finished = False  # the answer went out whole
        self.closed_early = False  # the client closed before that
        self._changed = changed

    @property
    def api(self) -> Literal["responses", "chat"]:
        return "responses" if self.path.endswith("/responses") else "chat"

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation in chat's shape, whichever API was asked."""
        if self.api == "chat":
            return list(self.body.get("messages", []))
        system = self.body.get("instructions")
        given = self.body.get("input", [])
        if isinstance(given, str):
            given = [{"role": "user", "content": given}]
        return ([{"role": "system", "content": system}] if system else []) + list(given)

    @property
    def last_user_text(self) -> str:
        return next((str(m["content"]) for m in reversed(self.messages) if m["role"] == "user"), "")

    def wait_ended(self, timeout: float = PATIENCE) -> Self:
        """Until the answer is out or the connection is gone."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.ended_at is not None, timeout):
                raise TimeoutError(f"{self.method} {self.path} is still being answered")
        return self

    def wait_closed(self, timeout: float = PATIENCE) -> Self:
        """Until the client has closed on an unfinished answer."""
        self.wait_ended(timeout)
        if not self.closed_early:
            raise AssertionError("the answer ended before the client closed")
        return self

    def end(self, *, finished: bool = False, closed_early: bool = False) -> None:
        with self._changed:
            if self.ended_at is None:
                self.ended_at = time.monotonic()
                self.finished = finished
                self.closed_early = closed_early
                self._changed.notify_all()
