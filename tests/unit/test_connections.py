"""Redis clients and Celery's broker from the URLs of the settings."""

import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from kombu.connection import Connection
from kombu.utils.url import parse_url
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry
from redis.sentinel import SentinelConnectionPool

from app.connections import CONNECT_TIMEOUT, SOCKET_TIMEOUT, UNREACHABLE, celery_broker, connect, sentinels_of
from tests.support.ports import ClosedPort
from tests.support.redis_server import RedisServer
from tests.support.replicated_redis import ReplicatedRedis


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path, aof=False) as server:
        yield server


def options(url: str) -> dict[str, Any]:
    found: dict[str, Any] = connect(url).connection_pool.connection_kwargs
    return found


def test_a_plain_url() -> None:
    found = options("redis://user:p%40ss@redis.example:6380/3")
    assert (found["host"], found["port"], found["db"]) == ("redis.example", 6380, 3)
    assert (found["username"], found["password"]) == ("user", "p@ss")
    assert (found["socket_timeout"], found["socket_connect_timeout"]) == (SOCKET_TIMEOUT, CONNECT_TIMEOUT)


def test_it_connects_on_first_use() -> None:
    connect("redis://192.0.2.1:1/0")


@pytest.mark.parametrize(
    ("url", "dyno", "required"),
    [
        ("rediss://h:6379/0", False, True),
        ("rediss://h:6379/0", True, False),
        ("rediss://h:6379/0?ssl_cert_reqs=required", True, True),
        ("rediss://h:6379/0?ssl_cert_reqs=none", False, False),
    ],
)
def test_certificates(monkeypatch: pytest.MonkeyPatch, url: str, dyno: bool, required: bool) -> None:
    """Heroku's are self-signed, so on a dyno they are not verified unless the URL says so."""
    monkeypatch.delenv("DYNO", raising=False)
    if dyno:
        monkeypatch.setenv("DYNO", "web.1")
    made = connect(url).connection_pool.make_connection()
    assert (made.cert_reqs == ssl.CERT_REQUIRED) is required  # type: ignore[attr-defined]
    assert made.check_hostname is required  # type: ignore[attr-defined]
    # Celery must see it the same way.
    broker, further = celery_broker(url)
    seen: Any = Connection(broker, ssl=further["broker_use_ssl"]).ssl  # type: ignore[no-untyped-call]
    assert (seen["ssl_cert_reqs"] == ssl.CERT_REQUIRED) is required


@pytest.mark.parametrize("url", ["redis://h:6379/0", "rediss://h:6379/0"])
def test_dynos_change_nothing_else(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DYNO", "web.1")
    assert ("ssl_cert_reqs" in options(url)) is url.startswith("rediss")


@pytest.mark.parametrize(
    ("url", "hosts", "service", "login"),
    [
        ("redis+sentinel://h", [("h", 26379)], "mymaster", {"db": 0}),
        ("redis+sentinel://h:1", [("h", 1)], "mymaster", {"db": 0}),
        ("redis+sentinel://h:1/2", [("h", 1)], "mymaster", {"db": 2}),
        ("redis+sentinel://a:1,b,c:3/2/main", [("a", 1), ("b", 26379), ("c", 3)], "main", {"db": 2}),
        ("redis+sentinel://:p%40ss@a:1,b:2/0/main", [("a", 1), ("b", 2)], "main", {"db": 0, "password": "p@ss"}),
        (
            "redis+sentinel://us%3Aer:p%2Fss@a:1/0/main",
            [("a", 1)],
            "main",
            {"db": 0, "username": "us:er", "password": "p/ss"},
        ),
        ("redis+sentinel://[::1]:1,[::2]:2/0/main", [("::1", 1), ("::2", 2)], "main", {"db": 0}),
        ("redis+sentinel://[::1]/0/main", [("::1", 26379)], "main", {"db": 0}),
    ],
)
def test_sentinels(url: str, hosts: list[tuple[str, int]], service: str, login: dict[str, Any]) -> None:
    assert sentinels_of(url) == (hosts, service, login)


def test_a_client_through_sentinels() -> None:
    pool = connect("redis+sentinel://:secret@a:1,b:2/3/main").connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "main"
    sentinels = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
    assert [(one["host"], one["port"]) for one in sentinels] == [("a", 1), ("b", 2)]
    assert (pool.connection_kwargs["db"], pool.connection_kwargs["password"]) == (3, "secret")
    assert pool.connection_kwargs["socket_timeout"] == SOCKET_TIMEOUT


def test_celerys_plain_broker() -> None:
    broker, further = celery_broker("redis://:p%40ss@h:6379/1")
    assert broker == "redis://:p%40ss@h:6379/1"
    transport = further["broker_transport_options"]
    assert transport["socket_timeout"] == SOCKET_TIMEOUT
    assert transport["socket_connect_timeout"] == CONNECT_TIMEOUT
    assert "broker_use_ssl" not in further


@pytest.mark.parametrize("password", ["secret", "p@ss", "a/b", "a;b", "a:b", "%41", "ü"])
@pytest.mark.parametrize("username", ["", "user"])
def test_celerys_broker_through_sentinels(password: str, username: str) -> None:
    login = f"{username}:{quote(password, safe='')}"
    broker, further = celery_broker(f"redis+sentinel://{login}@a:1,b:2/3/main")
    assert further["broker_transport_options"]["master_name"] == "main"
    parsed = [parse_url(node) for node in broker.split(";")]
    assert [(node["transport"], node["hostname"], node["port"]) for node in parsed] == [
        ("sentinel", "a", 1),
        ("sentinel", "b", 2),
    ]
    assert [node["password"] for node in parsed] == [password] * 2
    assert [node["userid"] or "" for node in parsed] == [username] * 2
    assert [node["virtual_host"] for node in parsed] == ["3"] * 2


def test_celerys_sentinels_by_ipv6() -> None:
    broker, _ = celery_broker("redis+sentinel://[::1]:1/0/main")
    assert (parse_url(broker)["hostname"], parse_url(broker)["port"]) == ("::1", 1)


def test_celerys_sentinels_without_a_login() -> None:
    broker, _ = celery_broker("redis+sentinel://a,b/0")
    assert broker == "sentinel://a:26379/0;sentinel://b:26379/0"


# --- A Redis that takes no writes -------------------------------------------------------------------------------------


def make_replica(redis: RedisServer) -> None:
    redis.client.replicaof("127.0.0.1", 1)


def demand_replicas(redis: RedisServer) -> None:
    redis.client.config_set("min-replicas-to-write", 1)


def fill(redis: RedisServer) -> None:
    redis.client.config_set("maxmemory", 1)


@pytest.mark.parametrize("happens", [make_replica, demand_replicas, fill])
def test_a_redis_that_takes_no_writes_counts_as_unreachable(
    redis: RedisServer, happens: Callable[[RedisServer], None]
) -> None:
    client = connect(redis.url)
    client.set("key", "before")
    happens(redis)
    write = "return redis.call('SET', KEYS[1], 'after')"
    with pytest.raises(UNREACHABLE):
        client.eval(write, 1, "key")
    pipeline = client.pipeline(transaction=False).eval(write, 1, "key")
    with pytest.raises(UNREACHABLE):
        pipeline.execute(raise_on_error=False)
    with pytest.raises(UNREACHABLE):
        client.set("key", "after")
    assert client.get("key") == b"before"
    redis.client.replicaof("NO", "ONE")
    redis.client.config_set("min-replicas-to-write", 0)
    redis.client.config_set("maxmemory", 0)
    assert client.eval(write, 1, "key") == b"OK"


def test_other_refusals_stay_what_they_are(redis: RedisServer) -> None:
    client = connect(redis.url)
    with pytest.raises(ResponseError):
        client.eval("return redis.call('INCR', KEYS[1], 1)", 1, "key")
    client.set("key", "READONLY is a word")
    assert client.get("key") == b"READONLY is a word"


# --- Sentinels --------------------------------------------------------------------------------------------------------


def test_a_connection_with_something_left_to_read_is_not_used_again(redis: RedisServer) -> None:
    """Or one caller's answer would be taken for another's."""
    client = connect(redis.url, max_connections=1)
    client.mset({"a": "1", "b": "2", "c": "3"})
    connection = client.connection_pool.get_connection()
    connection.send_command("GET", "a")
    connection.send_command("GET", "b")
    assert connection.read_response() == b"1"
    assert connection.can_read(timeout=20), "the other answer never came"
    client.connection_pool.release(connection)
    assert client.get("c") == b"3"

    connection = client.connection_pool.get_connection()
    connection.send_packed_command(connection.pack_commands([("GET", "a"), ("GET", "b")]))
    assert connection.can_read(timeout=20)
    assert connection.read_response() == b"1"  # the other answer has come with it, and is in the parser's buffer
    assert connection.can_read(timeout=20), "the other answer never came"
    client.connection_pool.release(connection)
    assert client.get("c") == b"3"


def test_a_connection_that_was_closed_is_not_used_again(redis: RedisServer) -> None:
    client = connect(redis.url, max_connections=1)
    number = client.client_id()
    connect(redis.url).client_kill_filter(_id=str(number))
    connection = client.connection_pool.get_connection()
    connection.retry = Retry(NoBackoff(), 0)
    connection.send_command("CLIENT", "ID")
    assert connection.read_response() != number


def test_a_burst_through_sentinels_waits_for_connections(tmp_path: Path) -> None:
    """And many who look for the primary at once lose none of the Sentinels, of which the first is dead."""
    dead, failures = ClosedPort(), []
    with ReplicatedRedis(tmp_path) as redis:
        client = connect(redis.url.replace("//", f"//127.0.0.1:{dead.number},"), max_connections=4)
        together = threading.Barrier(40)

        def ask() -> None:
            together.wait(20)
            try:
                client.ping()
            except Exception as exc:
                failures.append(exc)

        askers = [threading.Thread(target=ask) for _ in range(40)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        assert failures == []
        pool: Any = client.connection_pool
        ports = [one.connection_pool.connection_kwargs["port"] for one in pool.sentinel_manager.sentinels]
        assert len(set(ports)) == 4
        assert ports[0] != dead.number
    dead.close()


def test_a_command_to_a_primary_that_fell_silent_is_sent_to_the_next(tmp_path: Path) -> None:
    with ReplicatedRedis(tmp_path) as redis:
        client = connect(redis.url)
        client.set("key", "before")
        redis.primary.process.freeze()
        redis.wait_until_primary(redis.replica)
        assert client.set("key", "after")
        assert redis.replica.client.get("key") == b"after"
