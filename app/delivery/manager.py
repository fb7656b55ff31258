"""Socket.IO's Redis message queue, with one channel for each room."""

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from engineio.packet import MESSAGE
from engineio.packet import Packet as EnginePacket
from redis import Redis
from socketio import RedisManager

from app.delivery.listeners import Listener, Listeners
from app.delivery.packet import Json
from app.delivery.subscriber import Subscriber
from app.fairness import Stretch
from app.logs import get_logger

# The default of Flask-SocketIO, so that its users' write-only `SocketIO(message_queue=…)` reaches our clients.
SHARED_CHANNEL = "flask-socketio"
ROOM_CHANNELS = "flask-socketio/"
# Of the ledger's Redis; nothing is ever published there.
SILENT_CHANNEL = "parley:silence"
# An empty room's channel stays subscribed this long: a reload comes back to it.
LINGER_SECONDS = 10.0

# Told to all processes that have sockets of a session: it is over for those that a credential let in.
ENDED = b'{"method":"session_ended",'

LastEvents = Callable[[Iterable[str]], Iterable[tuple[str, bytes]]]


class RoomManager(RedisManager):
    """A web process receives only what is meant for rooms that its clients are in.

    The stock manager sends every emit to every process. Here a room's emits go to a channel of its own, which a process
    subscribes to while it has a member there; everything else (disconnects, emits without a room, emits of stock
    managers elsewhere) stays on the shared channel. The messages are python-socketio's own.

    After the connection to Redis was lost, the last event of each room is delivered once more (`last_events` gives
    (room, event as JSON) for rooms): clients that have it drop it, those that missed some see the gap and ask. If it is
    older than what members have seen, or gone, Redis came back with less than it had: `rewound` is told (room, seq).
    Where the ledger is in another Redis, a connection to that one is kept as well, so that its loss is noticed.
    """

    name = "rooms"

    def __init__(
        self,
        redis: Redis,
        last_events: LastEvents,
        rewound: Callable[[str, int], None],
        ledger: Redis | None = None,
    ) -> None:
        super().__init__(channel=SHARED_CHANNEL, json=Json)
        self.redis = redis
        self._last_events = last_events
        self._rewound = rewound
        self.on_first_connection: Callable[[], None] = lambda: None
        self.on_session_ended: Callable[[str, str], None] = lambda _credential, _reason: None
        self._rooms_of: dict[str, set[str | None]] = {}  # what a client is in, by its sid
        self._seen: dict[str, int] = {}  # by members of a room, of its events
        self._empty_since: dict[str, float] = {}
        self._subscriber = Subscriber(redis, {SHARED_CHANNEL}, partial(self._reconnected, "message queue"))
        self._watched = ledger and Subscriber(ledger, {SILENT_CHANNEL}, partial(self._reconnected, "ledger"))
        self._catching_up = threading.Lock()
        self.listeners = Listeners()
        self._log = get_logger(__name__)

    def initialize(self) -> None:
        """At the first connection: this process may have been forked since the manager was made."""
        super().initialize()
        self.on_first_connection()
        if self._watched is not None:
            self.server.start_background_task(self._watch, self._watched)

    def end_session(self, room: str, credential: str, reason: str) -> None:
        """Ends the connections in the session's room that `credential` let in, wherever they are: each process calls
        its `on_session_ended`. Raises redis-py's errors."""
        message = {"method": "session_ended", "credential": credential, "reason": reason}
        self.redis.publish(ROOM_CHANNELS + room, Json.dumps(message))

    # --- Rooms --------------------------------------------------------------------------------------------------------

    def basic_enter_room(self, sid: str, namespace: str, room: str | None, eio_sid: str | None = None) -> None:
        """Returns when everything published to the room from now on will arrive. Raises Unavailable if Redis is away;
        the client is not in the room then."""
        if room is None or not _has_channel(room):
            self._enter(sid, namespace, room, eio_sid)
            return
        self._empty_since.pop(room, None)  # or its channel could be closed while this waits for it
        try:
            self._subscriber.subscribe(ROOM_CHANNELS + room)
            self._enter(sid, namespace, room, eio_sid)
        finally:
            self._note_if_empty(room)

    def basic_leave_room(self, sid: str, namespace: str, room: str | None) -> None:
        super().basic_leave_room(sid, namespace, room)
        self._rooms_of.get(sid, set()).discard(room)
        if room is not None and _has_channel(room):
            self._note_if_empty(room)

    def basic_disconnect(self, sid: str, namespace: str, **_options: Any) -> None:
        """In place of the stock manager's, which looks for the client in every room there is."""
        for room in list(self._rooms_of.get(sid, ())):
            self.basic_leave_room(sid, namespace, room)
        self._rooms_of.pop(sid, None)
        self.callbacks.pop(sid, None)
        for pending in (self.pending_connect, self.pending_disconnect):
            if sid in pending.get(namespace, ()):
                pending[namespace].remove(sid)

    def get_rooms(self, sid: str, _namespace: str) -> list[str]:
        """Likewise."""
        return [room for room in self._rooms_of.get(sid, ()) if room is not None]

    def is_in(self, sid: str, room: str) -> bool:
        return room in self._rooms_of.get(sid, ())

    def has_seen(self, room: str, seq: int) -> None:
        """A member is told what came of all events up to this one. Too high a number does no harm: the next time that
        the connection was lost, it costs the members a snapshot."""
        if self._has_members(room):  # or it would be kept of one whose channel has just been closed
            self._seen[room] = max(seq, self._seen.get(room, 0))

    def listen(self, listener: Listener, room: str) -> None:
        """Returns when everything published to the room from now on will be heard. Raises Unavailable; the listener
        must be removed then as well."""
        if not self.server.manager_initialized:  # as the server does at its first connection
            self.server.manager_initialized = True
            self.initialize()
        self.listeners.add(room, listener)
        self._subscriber.subscribe(ROOM_CHANNELS + room)

    def unlisten(self, listener: Listener, room: str) -> None:
        self.listeners.remove(room, listener)
        self._note_if_empty(room)

    @property
    def connections(self) -> int:
        """Clients of this process that have logged in, and requests that follow a conversation."""
        return len(self.rooms.get("/", {}).get(None, ())) + len(self.listeners)

    def _enter(self, sid: str, namespace: str, room: str | None, eio_sid: str | None) -> None:
        if eio_sid is None and sid not in self._rooms_of:
            # Of a client that went meanwhile the stock manager would keep an empty room, for good.
            raise ValueError("the client is gone")
        super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        self._rooms_of.setdefault(sid, set()).add(room)

    def _has_members(self, room: str) -> bool:
        return self.listeners.is_in(room) or any(room in rooms for rooms in self.rooms.values())

    def _note_if_empty(self, room: str) -> None:
        if self._has_members(room):
            self._empty_since.pop(room, None)
        else:
            self._empty_since[room] = time.monotonic()

    def _close_empty_rooms(self) -> None:
        limit = time.monotonic() - LINGER_SECONDS
        for room, since in list(self._empty_since.items()):
            # It may have been entered again while another one's channel was being closed.
            if since <= limit and self._empty_since.get(room) == since:
                del self._empty_since[room]
                self._seen.pop(room, None)
                if not self._has_members(room):
                    self._subscriber.unsubscribe(ROOM_CHANNELS + room)

    # --- The queue ----------------------------------------------------------------------------------------------------

    def _publish(self, data: dict[str, Any]) -> None:
        """Raises redis-py's errors: an emit that went nowhere must be heard."""
        room = data.get("room")
        channel = SHARED_CHANNEL
        if data["method"] == "emit" and isinstance(room, str) and _has_channel(room):
            channel = ROOM_CHANNELS + room
        self.redis.publish(channel, Json.dumps(data))

    def _listen(self) -> Iterable[bytes]:
        """What arrives on the shared channel; what arrives for a room is delivered on the way."""
        next_look, stretch = 0.0, Stretch()
        for channel, data in self._subscriber.messages():
            stretch.read()  # there may be more of them than can be delivered
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + LINGER_SECONDS / 2
                self._close_empty_rooms()
            if data.startswith(ENDED):
                self._session_ended(channel.removeprefix(ROOM_CHANNELS), data)
            elif not (channel.startswith(ROOM_CHANNELS) and self._deliver_event(channel[len(ROOM_CHANNELS) :], data)):
                yield data
            stretch.done()

    def _session_ended(self, room: str, message: bytes) -> None:
        told = Json.loads(message)
        self.listeners.end_session(room, told["credential"])
        self.server.start_background_task(self.on_session_ended, told["credential"], told["reason"])

    def _deliver_event(self, room: str, message: bytes) -> bool:
        """Fast path for what the ledger publishes: the event inside is JSON already and is passed on as it is."""
        for event in ("event", "activity"):
            head = f'{{"method":"emit","namespace":"/","event":"{event}","room":"{room}","data":['.encode()
            if message.startswith(head):
                payload = message[len(head) : -2]
                if event == "event":
                    self.has_seen(room, _seq_of(payload))
                    self.listeners.hear(room, payload)
                self._deliver(room, event, payload)
                return True
        return False

    def _deliver(self, room: str, event: str, payload: bytes) -> None:
        packet = EnginePacket(MESSAGE, f'2["{event}",{payload.decode()}]')
        for eio_sid in list(self.rooms.get("/", {}).get(room, {}).values()):
            self.server._send_eio_packet(eio_sid, packet)  # as the stock manager does

    def _watch(self, ledger: Subscriber) -> None:
        while True:
            try:
                for _ in ledger.messages():
                    pass
            except Exception:  # as the stock manager does with what `_listen` stumbles over
                self._log.exception("watching the ledger's connection failed, beginning again")
                time.sleep(1)

    def _reconnected(self, to: str) -> None:
        with self._catching_up:
            rooms = {*self.rooms.get("/", {}), *self.listeners.rooms()}
            self._log.info("connected again", to=to, rooms=len(rooms))
            # More may arrive meanwhile.
            seen = {room: self._seen[room] for room in rooms & self._seen.keys()}
            last = dict(self._last_events(room for room in rooms if isinstance(room, str)))
            for room, event in last.items():
                self._deliver(room, "event", event)
            for room, seq in seen.items():
                if room not in last or _seq_of(last[room]) < seq:
                    self._rewound(room, seq)
            self.listeners.miss()


def _has_channel(room: str) -> bool:
    """Our rooms are named `c:…` and `s:…`; the others are clients' own, named by their sid."""
    return ":" in room


def _seq_of(event: bytes) -> int:
    """The ledger's events begin with it: `{"seq":12,…`."""
    return int(event[len(b'{"seq":') : event.index(b",")])
