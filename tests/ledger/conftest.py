"""A Redis for these tests alone."""

from collections.abc import Iterator

import pytest
from redis import Redis

from app.connections import connect
from tests.ledger.harness import Lab, make_lab
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
def other_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """Another server."""
    with RedisServer(tmp_path_factory.mktemp("other"), aof=False) as server:
        client = connect(server.url)
        yield client
        client.close()
