"""A Redis for these tests alone."""

from collections.abc import Iterator

import pytest
from redis import Redis

from app.connections import connect
from app.ledger import Ledger
from tests.ledger.harness import Lab, make_lab, make_ledger
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("ledger"), aof=False) as server:
        yield server


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Redis]:
    """Empty."""
    client = connect(server.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def lab(redis: Redis) -> Iterator[Lab]:
    lab = make_lab(redis)
    yield lab
    lab.tap.close()


@pytest.fixture
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Another server."""
    with RedisServer(tmp_path_factory.mktemp("queue"), aof=False) as server:
        yield server


@pytest.fixture
def other_redis(queue: RedisServer) -> Iterator[Redis]:
    client = connect(queue.url)
    yield client
    client.close()


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[Proxy]:
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture(params=["cut_before", "cut_after"])
def faulty(lab: Lab, proxy: Proxy, request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """Its next call is cut off once."""
    client = connect(proxy.url)
    ledger = make_ledger(client, lab.clock)
    assert ledger.sweep() == []  # connected
    setattr(proxy, request.param, 1)
    yield ledger
    assert (proxy.cut_before, proxy.cut_after) == (0, 0), "nothing was cut off"
    client.close()
