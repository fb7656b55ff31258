"""What a web process keeps of its rooms."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import socketio

from app.connections import connect
from app.delivery.manager import SHARED_CHANNEL, RoomManager
from tests.support.processes import eventually
from tests.support.redis_server import RedisServer


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path, aof=False) as server:
        yield server


class Process:
    """A web process that listens, with one client."""

    def __init__(self, redis: RedisServer, ledger: RedisServer | None = None) -> None:
        self.caught_up: set[str] = set()
        self.rewound: list[tuple[str, int]] = []
        self.manager = RoomManager(
            connect(redis.url),
            self._last_events,
            lambda room, seq: self.rewound.append((room, seq)),
            connect(ledger.url) if ledger else None,
        )
        socketio.Server(client_manager=self.manager, async_mode="threading")
        self.sid = self.manager.connect("connection-1", "/")
        self.manager.initialize()

    def _last_events(self, rooms: Iterable[str]) -> list[tuple[str, bytes]]:
        self.caught_up |= set(rooms)
        return []


def test_nothing_is_kept_of_a_client_that_goes_while_it_enters_a_room(redis: RedisServer) -> None:
    manager = Process(redis).manager
    sid = manager.connect("connection-2", "/")
    manager.basic_enter_room(sid, "/", "c:1")
    manager.basic_disconnect(sid, "/")
    with pytest.raises(ValueError, match="gone"):
        manager.basic_enter_room(sid, "/", "c:2")
    assert not {"c:1", "c:2"} & manager.rooms["/"].keys()
    assert manager.get_rooms(sid, "/") == []


def test_all_rooms_are_heard_again_after_the_connection_was_lost(redis: RedisServer) -> None:
    process = Process(redis)
    rooms = {f"c:{number}" for number in range(300)}
    for room in rooms:
        process.manager.basic_enter_room(process.sid, "/", room)
    redis.client.client_kill_filter(_type="pubsub")
    eventually(lambda: rooms <= process.caught_up, "each room's last event is asked for")
    channels = [f"flask-socketio/{room}" for room in rooms]
    assert {number for _, number in redis.client.pubsub_numsub(*channels)} == {1}


def test_less_in_the_ledger_is_noticed_though_events_went_on_coming(redis: RedisServer, tmp_path: Path) -> None:
    """By way of a queue of their own, those that were written in the place of what was lost may be here first."""
    with RedisServer(tmp_path / "ledger", aof=False) as ledger:
        process = Process(redis, ledger)
        process.manager.basic_enter_room(process.sid, "/", "c:1")
        eventually(lambda: ledger.client.client_list(_type="pubsub"), "the ledger's connection is watched")
        for seq in (12, 11):
            event = f'{{"seq":{seq},"epoch":"x"}}'
            message = f'{{"method":"emit","namespace":"/","event":"event","room":"c:1","data":[{event}]}}'
            redis.client.publish("flask-socketio/c:1", message)
        process.manager.basic_enter_room(process.sid, "/", "c:2")  # so both have been read
        ledger.client.client_kill_filter(_type="pubsub")
        eventually(lambda: process.rewound == [("c:1", 12)], "it is told how far clients have seen")


def test_a_message_that_cannot_be_read_costs_no_event(redis: RedisServer) -> None:
    """Whatever the listener stumbles over: what was published until it listens again is made up for."""
    process = Process(redis)
    process.manager.basic_enter_room(process.sid, "/", "c:1")
    redis.client.publish(SHARED_CHANNEL, '{"method":"session_ended",')
    eventually(lambda: "c:1" in process.caught_up, "its last event is asked for")


def test_a_room_that_is_entered_while_another_one_is_closed(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.delivery.manager.LINGER_SECONDS", 0.1)
    process = Process(redis)
    manager = process.manager
    for room in ("c:1", "c:2"):
        manager.basic_enter_room(process.sid, "/", room)
        manager.basic_leave_room(process.sid, "/", room)
    [before] = redis.client.client_list(_type="pubsub")
    left = set(manager._empty_since)

    def first_is_closed() -> bool:
        redis.client.publish(SHARED_CHANNEL, "x")  # whatever arrives makes it look
        return manager._empty_since.keys() != left

    assert left == {"c:1", "c:2"}
    with manager._subscriber._sending:  # to say that the first one's channel is not wanted has to wait
        eventually(first_is_closed, "the first room is being closed")
        late = '{"method":"emit","namespace":"/","event":"event","room":"c:1","data":[{"seq":7,"epoch":"x"}]}'
        redis.client.publish("flask-socketio/c:1", late)
        manager.basic_enter_room(process.sid, "/", "c:2")
    eventually(lambda: redis.client.pubsub_numsub("flask-socketio/c:1") == [(b"flask-socketio/c:1", 0)], "it is closed")
    assert redis.client.pubsub_numsub("flask-socketio/c:2") == [(b"flask-socketio/c:2", 1)]
    [after] = redis.client.client_list(_type="pubsub")
    assert after["id"] == before["id"], "the listener has gone on"
    assert not manager._seen, "nothing is kept of what was still on its way"
