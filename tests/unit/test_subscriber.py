"""The subscriber, with a real Redis: whatever breaks its connection, it hears everything again, and knows of it."""

import threading
from collections.abc import Iterator

import pytest

from app.connections import connect
from app.delivery.subscriber import Subscriber
from tests.support.processes import PATIENCE, eventually
from tests.support.redis_server import RedisServer

KEPT = ["c:kept", "c:also-kept"]
LEFT = [f"c:left-{number}" for number in range(6)]


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("subscriber"), aof=False) as server:
        yield server


def test_a_connection_that_breaks_while_its_reader_is_busy_is_noticed(redis: RedisServer) -> None:
    """Whoever writes to it meanwhile must not have redis-py open it anew, with nothing subscribed."""
    back = threading.Event()
    subscriber = Subscriber(connect(redis.url), {"shared"}, back.set)
    busy, go_on, heard = threading.Event(), threading.Event(), threading.Event()

    def read() -> None:
        for _, data in subscriber.messages():
            if data == b"work":
                busy.set()
                go_on.wait()
            elif data == b"news":
                heard.set()
                return

    threading.Thread(target=read, daemon=True).start()
    for room in [*KEPT, *LEFT]:
        subscriber.subscribe(room)
    redis.client.publish("shared", "work")
    assert busy.wait(PATIENCE)
    redis.client.client_kill_filter(_type="pubsub")
    for room in LEFT:
        subscriber.unsubscribe(room)
    go_on.set()
    assert back.wait(PATIENCE)
    names = ["shared", *KEPT]
    eventually(lambda: redis.client.pubsub_numsub(*names) == [(name.encode(), 1) for name in names], "subscribed again")
    assert redis.client.pubsub_numsub(*LEFT) == [(name.encode(), 0) for name in LEFT]
    redis.client.publish(KEPT[0], "news")
    assert heard.wait(PATIENCE)
