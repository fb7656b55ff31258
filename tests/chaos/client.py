"""A chat client that comes back by itself, as a page does, and keeps a record of what it met."""

import contextlib
import copy
import random
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from socketio.exceptions import BadNamespaceError

from tests.chaos.history import Shown
from tests.support.clients import PythonClient, Refused
from tests.support.http_client import Session
from tests.support.view import Json, View

GIVE_UP_SECONDS = 8.0


class Unanswered(Exception):
    """Nobody knows whether the request arrived."""


class ChaosClient(PythonClient):
    """Its own thread connects it again, to one of `urls`, and opens what it follows until that is answered.

    What comes late from a connection that is gone does not count: each has a number.
    """

    def __init__(self, name: str, session: Session, urls: list[str], rng: random.Random) -> None:
        self.name = name
        self.errors: list[str] = []
        self._urls = urls
        self._rng = rng
        self._connection = 0
        self._followed: set[str] = set()
        self._to_open: set[str] = set()
        self._asked_at: dict[str, float] = {}
        self._up = False
        self._stopped = threading.Event()
        super().__init__(session, urls[0])
        self._keeper = threading.Thread(target=self._keep, name=f"keeper of {name}", daemon=True)
        self._keeper.start()

    @property
    def up(self) -> bool:
        return self._up

    def follow(self, conversation_id: str) -> None:
        with self._changed:
            if conversation_id not in self._followed:
                self._followed.add(conversation_id)
                self._to_open.add(conversation_id)

    def drop(self) -> None:
        """Loses its connection; the keeper brings it back."""
        with self._changed:
            self._up = False

    def close(self) -> None:
        self._stopped.set()
        self._keeper.join()
        with contextlib.suppress(Exception):
            super().close()

    def try_to_ask(self, name: str, payload: Json, timeout: float = 3.0) -> Json:
        """Raises Unanswered."""
        if not self._up:
            raise Unanswered("not connected")
        try:
            answer: Json = self.ask(name, payload, timeout=timeout)
        except Exception as exc:
            raise Unanswered(str(exc)) from exc
        return answer

    def shown(self, conversation_id: str) -> Shown:
        with self._changed:
            view = self.views.get(conversation_id, View())
            applied = [
                (
                    event["epoch"],
                    event["seq"],
                    event["type"],
                    event.get("turn_id"),
                    event.get("attempt"),
                    datetime.fromisoformat(event["at"]).timestamp(),
                )
                for event in view.applied
            ]
            messages, turns = copy.deepcopy(view.messages), list(view.turns)
            return Shown(self.name, conversation_id, messages, turns, applied, view.snapshots, [*self.errors])

    # --- Staying connected ------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        while not self._stopped.wait(0.05):
            try:
                if not self._up:
                    self._come_back()
                self._open_what_is_due()
            except Exception as exc:
                if not isinstance(exc, Refused):
                    with self._changed:
                        self._up = False
                self._stopped.wait(0.2)

    def _come_back(self) -> None:
        with contextlib.suppress(Exception):
            self._socket.disconnect()
        self._socket = self._make_socket()
        with self._changed:
            self._opening.clear()
            self._asked_at.clear()
        self.connect(self._rng.choice(self._urls))
        with self._changed:
            self._to_open |= self._followed
            self._up = True

    def _open_what_is_due(self) -> None:
        now = time.monotonic()
        with self._changed:
            if not self._up:
                return
            for conversation_id, asked_at in self._asked_at.items():
                if conversation_id in self._opening and now - asked_at > GIVE_UP_SECONDS:
                    self._up = False
                    return
            for conversation_id in [one for one in self._to_open if one not in self._opening]:
                self._reopen(conversation_id, lambda _answer: None)

    # --- Guards -----------------------------------------------------------------------------------------------------

    def _make_socket(self) -> Any:
        with self._changed:
            self._connection += 1
            number = self._connection
        sio = super()._make_socket()
        sio.on("*", lambda name, payload=None: self._guarded(number, lambda: self._arrived(name, payload)))
        sio.on("disconnect", lambda reason=None: self._guarded(number, lambda: self._disconnected(str(reason))))
        return sio

    def _guarded(self, number: int, handle: Callable[[], None]) -> None:
        with self._changed:
            if number != self._connection:
                return
            try:
                handle()
            except Exception as exc:
                self.errors.append(f"{type(exc).__name__}: {exc}")

    def _emit(self, name: str, args: tuple[Any, ...], arrived: Callable[..., None]) -> None:
        number = self._connection
        super()._emit(name, args, lambda *values: self._guarded(number, lambda: arrived(*values)))

    def _reopen(self, conversation_id: str, then: Callable[[Json], None]) -> None:
        self._to_open.add(conversation_id)
        self._asked_at[conversation_id] = time.monotonic()

        def answered(answer: Json) -> None:
            if answer["ok"]:
                self._to_open.discard(conversation_id)
            then(answer)

        try:
            super()._reopen(conversation_id, answered)
        except BadNamespaceError:  # the connection has just gone
            self._up = False

    def _disconnected(self, reason: str) -> None:
        self._up = False
        super()._disconnected(reason)
