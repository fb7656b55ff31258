"""Requests that follow a conversation: through its room's channel, so that waiting costs nothing but the connection,
and through the ledger wherever the channel may have missed something."""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Self

import orjson

from app.access.identity import Session
from app.access.limits import LEASE_SECONDS
from app.connections import UNREACHABLE
from app.delivery.listeners import Heard, Listener
from app.errors import NotFound
from app.ledger import Ledger, TurnState
from app.ledger.keys import conversation_room, is_conversation_id, owner_room
from app.ledger.models import Json
from app.services import WebServices

# A session that ended is heard of at once; this is for one that expired.
CHECK_SECONDS = min(10.0, LEASE_SECONDS / 4)
KEEP_ALIVE_SECONDS = 15.0
# While Redis is away, the ledger is asked this often.
RETRY_SECONDS = 1.0
# An event's type stands in its head; what follows may be long.
HEAD_BYTES = 250


class Follower:
    """One request. It counts as a connection from its address, as a socket does, until `close`."""

    def __init__(
        self,
        services: WebServices,
        session: Session,
        address: str,
        conversation_id: str,
        wanted: Callable[[bytes], bool] = lambda _event: True,
    ) -> None:
        """What happens from now on will be heard. Raises NotFound, RateLimited, Unavailable or redis-py's errors."""
        if not is_conversation_id(conversation_id):
            raise NotFound
        self._services = services
        self._session = session
        self._lease = (address, uuid.uuid4().hex)
        self._rooms = (owner_room(session.id), conversation_room(conversation_id))
        self._listener = Listener(session.credential, wanted)
        self._check_at = time.monotonic() + CHECK_SECONDS
        services.limits.connect(*self._lease)
        try:
            for room in self._rooms:
                services.manager.listen(self._listener, room)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for room in self._rooms:
            self._services.manager.unlisten(self._listener, room)
        with contextlib.suppress(*UNREACHABLE):  # then it is forgotten after a while
            self._services.limits.release([self._lease])

    def take(self, seconds: float) -> Heard:
        """What has come, once there is anything, or after this time; closed when the session or the process ends."""
        heard = self._listener.take(min(seconds, CHECK_SECONDS))
        if time.monotonic() >= self._check_at:
            self._check_at = time.monotonic() + CHECK_SECONDS
            with contextlib.suppress(*UNREACHABLE):
                self._services.limits.renew([self._lease])
                if not self._services.identities.remaining([self._session])[0]:
                    self._listener.close()
        return heard


def ends_a_turn(event: bytes) -> bool:
    return b'"type":"turn.finished"' in event[:HEAD_BYTES]


def reply_within(follower: Follower, ledger: Ledger, owner: str, answer: Json, seconds: float) -> Json | None:
    """The saved reply to what was acknowledged with `answer`, if it is there within this time. The follower, which need
    hear nothing but ends of turns, is older than the answer, so that no end comes between the two.

    Raises NotFound if the conversation was emptied meanwhile."""
    deadline = time.monotonic() + seconds
    unsure = True
    while True:
        if unsure:
            state = _look(ledger, owner, answer)
            if state and state.over:
                return _saved(state.reply)
            unsure = state is None
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        heard = follower.take(min(left, RETRY_SECONDS) if unsure else left)
        for event in map(orjson.loads, heard.events):
            if event["turn_id"] == answer["turn_id"]:
                return _saved(event["message"])
        if heard.closed:
            return None
        # Looked at once more when time is up: the end may have been published to nobody.
        unsure = unsure or heard.missed or time.monotonic() >= deadline


def _look(ledger: Ledger, owner: str, answer: Json) -> TurnState | None:
    """None while Redis is away: the message has been accepted, and that stands."""
    try:
        return ledger.turn(owner, answer["conversation_id"], answer["turn_id"], answer["message_id"])
    except UNREACHABLE:
        return None


def _saved(reply: Json | None) -> Json:
    if reply is None:
        raise NotFound("The conversation was cleared or deleted before the reply was there.")
    return reply


def states(follower: Follower, ledger: Ledger, owner: str, place: Json) -> Iterator[TurnState | None]:
    """Where a turn stands, and again whenever it has gone on, until it is over or the follower is closed; None is a
    sign of life. `place`: conversation_id, turn_id and message_id. Raises NotFound at once, not later."""
    state = ledger.turn(owner, **place)
    yield state
    level = True
    while not state.over:
        heard = follower.take(KEEP_ALIVE_SECONDS if level else RETRY_SECONDS)
        if heard.closed:
            return
        level = level and not heard.missed
        before = state
        for event in map(orjson.loads, heard.events):
            if event["epoch"] != state.epoch or event["seq"] > state.seq + 1:
                level = False
            elif level and event["seq"] == state.seq + 1:
                state = _after(state, event, place["turn_id"])
        if not level:
            try:
                state, level = ledger.turn(owner, **place), True
            except NotFound:
                return
            except UNREACHABLE:
                pass
        yield state if state is not before else None


def _after(state: TurnState, event: Json, turn_id: str) -> TurnState:
    state = replace(state, seq=event["seq"])
    if event.get("turn_id") != turn_id:
        return state
    match event["type"]:
        case "turn.started":
            origin = {"provider": event["provider"], "model": event["model"]}
            return replace(state, status="running", attempt=event["attempt"], text="", reasoning="", origin=origin)
        case "turn.delta":
            return replace(state, text=state.text + event["text"])
        case "turn.reasoning":
            return replace(state, reasoning=state.reasoning + event["text"])
        case "turn.finished":
            return replace(state, status=event["status"], reply=event["message"])
        case _:
            return state
