"""Others than sockets who hear a room's events in this process: requests that stream them, or wait for one."""

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

# What one may leave unread. More than that is in the ledger, for when it has the time.
MAX_WAITING_EVENTS = 1_000
MAX_WAITING_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Heard:
    """`missed`: there was more than these events, and only the ledger knows what. `closed`: there will be no more."""

    events: list[bytes]
    missed: bool
    closed: bool


class Listener:
    """Keeps events, as JSON, until they are taken. `credential`: what let the one who listens in."""

    def __init__(self, credential: str, wanted: Callable[[bytes], bool] = lambda _event: True) -> None:
        self.credential = credential
        self._wanted = wanted
        self._events: deque[bytes] = deque()
        self._bytes = 0
        self._missed = False
        self._closed = False
        self._changed = threading.Condition()

    def take(self, seconds: float) -> Heard:
        """All that has come, once there is anything, or after this time."""
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._missed or self._closed, max(0.0, seconds))
            heard = Heard(list(self._events), self._missed, self._closed)
            self._forget()
        return heard

    def hear(self, event: bytes) -> None:
        if not self._wanted(event):
            return
        with self._changed:
            self._events.append(event)
            self._bytes += len(event)
            if len(self._events) > MAX_WAITING_EVENTS or self._bytes > MAX_WAITING_BYTES:
                self._forget()
                self._missed = True
            self._changed.notify()

    def miss(self) -> None:
        with self._changed:
            self._missed = True
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _forget(self) -> None:
        self._events.clear()
        self._bytes = 0
        self._missed = False


class Listeners:
    """Who listens to which room."""

    def __init__(self) -> None:
        self._rooms: defaultdict[str, set[Listener]] = defaultdict(set)
        self._ended = False

    def __len__(self) -> int:
        return len(self._all())

    def add(self, room: str, listener: Listener) -> None:
        self._rooms[room].add(listener)
        if self._ended:
            listener.close()

    def remove(self, room: str, listener: Listener) -> None:
        self._rooms[room].discard(listener)
        if not self._rooms[room]:
            del self._rooms[room]

    def is_in(self, room: str) -> bool:
        return room in self._rooms

    def rooms(self) -> Iterable[str]:
        return list(self._rooms)

    def hear(self, room: str, event: bytes) -> None:
        for listener in list(self._rooms.get(room, ())):
            listener.hear(event)

    def miss(self) -> None:
        """Nobody knows what was published meanwhile."""
        for listener in self._all():
            listener.miss()

    def end_session(self, room: str, credential: str) -> None:
        for listener in list(self._rooms.get(room, ())):
            if listener.credential == credential:
                listener.close()

    def end(self) -> None:
        """The process is about to end."""
        self._ended = True
        for listener in self._all():
            listener.close()

    def _all(self) -> set[Listener]:
        return {listener for listeners in self._rooms.values() for listener in listeners}
