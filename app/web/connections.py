"""The Socket.IO connections of this process: whose they are, and whether they still may be."""

import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from app.access.identity import Identities, Session
from app.access.limits import LEASE_SECONDS, Bucket, Limits
from app.connections import UNREACHABLE
from app.errors import RateLimited
from app.logs import get_logger

NAMESPACE = "/"
LOOK_SECONDS = 1.0
# A session that ended is heard of at once; this is for one that expired, or whose end was not heard.
CHECK_SECONDS = min(10.0, LEASE_SECONDS / 4)
# So that Redis does not hold its breath after all have come at once.
BATCH = 500
# Who has not logged in by then has nothing to say.
LOGIN_SECONDS = 10.0

SAID = {
    "ended": "This session has ended. Get a new one.",
    "rotated": "This session goes on under another token. Connect again with that one.",
    "expired": "This session has expired. Get a new one.",
}


@dataclass(slots=True)
class Connection:
    sid: str
    session: Session
    address: str
    lease: str
    bucket: Bucket
    # Soon after the first look, which may have been just before the session's end.
    check_at: float = field(default_factory=lambda: time.monotonic() + LOOK_SECONDS)


class Connections:
    def __init__(self, server: Any, identities: Identities, limits: Limits, *, event_rate: str) -> None:
        self._server = server
        self._identities = identities
        self._limits = limits
        self._event_rate = event_rate
        self._open: dict[str, Connection] = {}
        self._released: list[tuple[str, str]] = []
        self._strangers: dict[str, float] = {}
        self._log = get_logger(__name__)

    def admit(self, sid: str, session: Session, address: str) -> None:
        """Raises RateLimited if there are too many from there."""
        lease = uuid.uuid4().hex
        self._limits.connect(address, lease)
        self._open[sid] = Connection(sid, session, address, lease, Bucket.of(self._event_rate))

    def drop(self, sid: str) -> None:
        connection = self._open.pop(sid, None)
        if connection is not None:
            self._released.append((connection.address, connection.lease))

    def leave(self) -> None:
        """The process ends: the places of its connections are free at once."""
        with suppress(*UNREACHABLE):  # then they are forgotten after a while
            for sid in list(self._open):
                self.drop(sid)
            self._release()

    def of(self, sid: str) -> Connection | None:
        return self._open.get(sid)

    def pace(self, sid: str) -> None:
        """Counts an event. Raises RateLimited."""
        connection = self._open.get(sid)
        if connection is not None and (wait := connection.bucket.take(time.monotonic())):
            raise RateLimited("Too many requests on this connection. Slow down.", retry_after=round(wait + 0.005, 2))

    def end(self, credential: str, reason: str) -> None:
        """Tells and closes all connections that were let in by it."""
        for connection in list(self._open.values()):
            if connection.session.credential == credential:
                self._end(connection, reason)

    def _end(self, connection: Connection, reason: str) -> None:
        data = {"reason": reason, "message": SAID[reason]}
        engine_sid = self._server.manager.eio_sid_from_sid(connection.sid, NAMESPACE)
        self._server.emit("session_ended", data, to=connection.sid, namespace=NAMESPACE, ignore_queue=True)
        self._server.disconnect(connection.sid, namespace=NAMESPACE, ignore_queue=True)
        if socket := self._server.eio.sockets.get(engine_sid):
            socket.close(wait=False)  # once all of that has been written

    # --- Looking after them -------------------------------------------------------------------------------------------

    def watch(self) -> None:
        self._server.start_background_task(self._watch)

    def _watch(self) -> None:
        while True:
            self._server.sleep(LOOK_SECONDS)
            try:
                self._look()
            except UNREACHABLE as exc:
                self._log.warning("redis unreachable", error=str(exc))
            except Exception:
                self._log.exception("looking after connections failed")

    def _look(self) -> None:
        now = time.monotonic()
        self._close_strangers(now)
        self._release()
        due = [connection for connection in self._open.values() if connection.check_at <= now]
        for connection in due:
            connection.check_at = now + CHECK_SECONDS
        due = [connection for connection in due if not self._is_gone(connection)]
        for batch in (due[first : first + BATCH] for first in range(0, len(due), BATCH)):
            self._check(batch, now)

    def _release(self) -> None:
        if released := list(self._released):
            self._limits.release(released)
            del self._released[: len(released)]  # more may have come

    def _check(self, connections: list[Connection], now: float) -> None:
        leases = []
        left = self._identities.remaining([connection.session for connection in connections])
        for connection, seconds in zip(connections, left, strict=True):
            if seconds > 0:
                connection.check_at = now + min(CHECK_SECONDS, seconds)
                leases.append((connection.address, connection.lease))
            else:
                self._end(connection, "expired")
        if leases:
            self._limits.renew(leases)

    def _is_gone(self, connection: Connection) -> bool:
        """One that broke while it was being let in: nobody is told of its end."""
        if self._server.manager.eio_sid_from_sid(connection.sid, NAMESPACE) in self._server.eio.sockets:
            return False
        self._server.disconnect(connection.sid, namespace=NAMESPACE, ignore_queue=True)
        self.drop(connection.sid)
        return True

    def _close_strangers(self, now: float) -> None:
        """Connections on which nobody has logged in, or no longer is."""
        engine = self._server.eio
        known = {eio_sid for _sid, eio_sid in self._server.manager.get_participants(NAMESPACE, None)}
        self._strangers = {
            eio_sid: self._strangers.get(eio_sid, now) for eio_sid in list(engine.sockets) if eio_sid not in known
        }
        for eio_sid, since in list(self._strangers.items()):
            if since <= now - LOGIN_SECONDS and (socket := engine.sockets.get(eio_sid)):
                socket.close(wait=False)
