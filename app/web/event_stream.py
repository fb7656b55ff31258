"""A conversation's events as server-sent events."""

import re
import time
from collections.abc import Iterator

import orjson
from flask import Response

from app.connections import UNREACHABLE
from app.delivery.listeners import Heard
from app.errors import NotFound
from app.ledger import Ledger, Snapshot, Tail
from app.ledger.models import Json
from app.web.following import HEAD_BYTES, KEEP_ALIVE_SECONDS, RETRY_SECONDS, Follower

KEEP_ALIVE = b": keep-alive\n\n"
# Sent at once, as nobody sees the headers of an answer before its first piece. A browser reconnects after these ms.
BEGIN = b"retry: 1000\n\n"
_POSITION = re.compile(r"([0-9a-f]{1,64}):([0-9]{1,15})")
_HEAD = re.compile(rb'{"seq":([0-9]+),"epoch":"([^"]*)"')


def position_of(last_event_id: str | None) -> tuple[str | None, int | None]:
    """(epoch, seq) of an id that this server gave; (None, None) for anything else."""
    found = _POSITION.fullmatch(last_event_id or "")
    return (found[1], int(found[2])) if found else (None, None)


def opened(found: Tail | Snapshot) -> Json:
    """As open_conversation is acknowledged."""
    answer: Json = {"epoch": found.epoch, "seq": found.seq}
    if isinstance(found, Tail):
        return answer | {"events": found.events}
    parts = {name: getattr(found, name) for name in ("conversation", "messages", "more", "turns")}
    return answer | {"snapshot": parts}


def event_stream_response(chunks: Iterator[bytes]) -> Response:
    return Response(
        chunks, mimetype="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


class EventStream:
    """The body of an answer. The server takes the next piece when the one before it has been sent: a slow reader makes
    its follower miss events, and then gets what it lacks from the ledger.

    Whoever iterates calls `close`, even if nothing was ever taken."""

    def __init__(
        self, follower: Follower, ledger: Ledger, owner: str, conversation_id: str, epoch: str | None, seq: int | None
    ) -> None:
        """Raises NotFound; the follower is closed then."""
        self._follower = follower
        self._ledger = ledger
        self._owner = owner
        self._conversation_id = conversation_id
        self._epoch, self._seq = epoch, seq
        self._level = False
        self._over = False
        self._spoke = time.monotonic()
        try:
            self._first = BEGIN + self._catch_up()
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def close(self) -> None:
        self._follower.close()

    def __next__(self) -> bytes:
        piece, self._first = self._first, b""
        while not piece:
            if self._over:
                raise StopIteration
            piece = self._after(self._follower.take(KEEP_ALIVE_SECONDS if self._level else RETRY_SECONDS))
            if not piece and time.monotonic() >= self._spoke + KEEP_ALIVE_SECONDS:
                piece = KEEP_ALIVE
        self._spoke = time.monotonic()
        return piece

    def _after(self, heard: Heard) -> bytes:
        if heard.missed:
            self._level = False
        pieces = [self._next(event) for event in heard.events if self._level]
        if not self._level and not self._over:
            try:
                pieces.append(self._catch_up())
            except NotFound:
                self._over = True
            except UNREACHABLE:
                pass
        self._over = self._over or heard.closed
        return b"".join(pieces)

    def _next(self, event: bytes) -> bytes:
        head = _HEAD.match(event)
        assert head is not None  # noqa: S101 (the ledger's events begin so)
        seq, epoch = int(head[1]), head[2].decode()
        if epoch == self._epoch and seq <= (self._seq or 0):
            return b""
        if epoch != self._epoch or seq != (self._seq or 0) + 1:
            self._level = False
            return b""
        self._seq = seq
        self._over = b'"type":"conversation.deleted"' in event[:HEAD_BYTES]
        return _framed(epoch, seq, event)

    def _catch_up(self) -> bytes:
        found = self._ledger.open(self._owner, self._conversation_id, self._seq, self._epoch)
        self._epoch, self._seq, self._level = found.epoch, found.seq, True
        if isinstance(found, Tail):
            return b"".join(_framed(found.epoch, event["seq"], orjson.dumps(event)) for event in found.events)
        about = {"type": "snapshot", "conversation_id": self._conversation_id, **opened(found)}
        return b"event: snapshot\n" + _framed(found.epoch, found.seq, orjson.dumps(about))


def _framed(epoch: str, seq: int, data: bytes) -> bytes:
    return f"id: {epoch}:{seq}\ndata: ".encode() + data + b"\n\n"
