"""Redis clients from the URLs of the settings."""

import copy
import os
import re
import ssl
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection

from app.peek import has_input

CONNECT_TIMEOUT = 2.0
SOCKET_TIMEOUT = 5.0
# For one of the connections, in a burst: to be served late is better than to be told to ask again, and ask again.
POOL_TIMEOUT = 15.0
SENTINEL_PORT = 26379
# Whoever waits for a broker that has fallen silent without a word asks whether it is still there after this.
BROKER_SILENCE = 10

# What redis-py raises when Redis cannot be reached, rather than refusing a command.
UNREACHABLE = (RedisConnectionError, RedisTimeoutError)
# How Redis tells that a script was not allowed to write; 6.2 quotes it within another error.
_REFUSAL = re.compile(r"\b(READONLY|NOREPLICAS|OOM) ")


class _Primary:
    """Of a connection: a Redis that takes no writes counts as one that cannot be reached.

    It is full, a replica by now, or has lost its own (`min-replicas-to-write`). The next connection may find
    another one.
    """

    def can_read(self, timeout: float = 0) -> bool:
        """Asked of each connection that is taken from the pool: it has to be open, with nothing left to read.

        That it is so is found out without redis-py's poll; whatever else there is, redis-py finds out itself.
        """
        sock, parser = self._sock, self._parser  # type: ignore[attr-defined]
        at_once = sock and not timeout and not isinstance(sock, ssl.SSLSocket)
        if at_once and not parser._reader.has_data() and not has_input(sock):
            return False
        return bool(super().can_read(timeout))  # type: ignore[misc]

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)  # type: ignore[misc]
        except ResponseError as exc:
            if not (isinstance(exc, ReadOnlyError | OutOfMemoryError) or _REFUSAL.search(str(exc))):
                raise
            self.disconnect()  # type: ignore[attr-defined]
            raise RedisConnectionError(f"takes no writes: {exc}") from exc


class _PlainConnection(_Primary, Connection):
    pass


class _TlsConnection(_Primary, SSLConnection):
    pass


class _SentinelConnection(_Primary, SentinelManagedConnection):
    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """When a command is sent once more, redis-py would connect to where the primary was."""
        if self._sock is None:
            self.connect()  # type: ignore[no-untyped-call]
        super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]


class _Sentinels(Sentinel):
    """The one that answered moves to the front. redis-py does so in a list that all threads share, and loses some."""

    def discover_master(self, service_name: str) -> Any:
        mine = copy.copy(self)
        mine.sentinels = list(self.sentinels)
        found = Sentinel.discover_master(mine, service_name)
        self.sentinels = mine.sentinels
        return found


class _SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """As without Sentinel: when all connections are in use, a caller waits for one."""

    def owns_connection(self, connection: Any) -> bool:
        """Those to a primary of the past stay, and connect anew; redis-py would never forget them."""
        if (connection.host, connection.port) != self.master_address:
            connection.disconnect()
        return bool(BlockingConnectionPool.owns_connection(self, connection))


def connect(url: str, *, max_connections: int = 64) -> Redis:
    """A client that connects on first use, so that it may be made before a fork.

    A command whose connection turns out to be dead is sent once more on a new one; then UNREACHABLE is raised. When all
    connections are in use, a caller waits for one.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": SOCKET_TIMEOUT,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 1),
        "protocol": 2,
        **_tls(url),
    }
    waiting = {"max_connections": max_connections, "timeout": POOL_TIMEOUT}
    scheme = urlsplit(url).scheme
    if scheme == "redis+sentinel":
        hosts, service, login = sentinels_of(url)
        sentinels: Any = _Sentinels(  # type: ignore[no-untyped-call]
            hosts, sentinel_kwargs=_asking_sentinels(), **options, **login
        )
        client: Redis = sentinels.master_for(
            service, connection_pool_class=_SentinelPool, connection_class=_SentinelConnection, **waiting
        )
        return client
    pool = BlockingConnectionPool.from_url(url, **waiting, **options)
    pool.connection_class = _TlsConnection if scheme == "rediss" else _PlainConnection
    return Redis(connection_pool=pool)


def celery_broker(url: str) -> tuple[str, dict[str, Any]]:
    """(Celery's spelling of the URL, further Celery settings)."""
    transport: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": SOCKET_TIMEOUT,
        "socket_keepalive": True,
        # Messages are hints: what a worker took with it when it died is found by the sweep. So kombu need not note
        # which of them are under way, in two transactions for each.
        "ack_emulation": False,
        "health_check_interval": BROKER_SILENCE,
    }
    scheme = urlsplit(url).scheme
    if scheme == "redis+sentinel":
        hosts, service, login = sentinels_of(url)
        name, password = (quote(login.get(part, ""), safe="") for part in ("username", "password"))
        credentials = f"{name}:{password}@" if name or password else ""
        named = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in hosts]
        nodes = ";".join(f"sentinel://{credentials}{node}/{login['db']}" for node in named)
        return nodes, {
            "broker_transport_options": {
                **transport,
                "master_name": service,
                "sentinel_kwargs": _asking_sentinels(),
            }
        }
    if scheme == "rediss":
        certificates = _tls(url).get("ssl_cert_reqs", ssl.CERT_REQUIRED)
        return url, {"broker_transport_options": transport, "broker_use_ssl": {"ssl_cert_reqs": certificates}}
    return url, {"broker_transport_options": transport}


def sentinels_of(url: str) -> tuple[list[tuple[str, int]], str, dict[str, Any]]:
    """redis+sentinel://user:password@host:port,host:port/db/service → (hosts, service, login with db)."""
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    database, _, service = parts.path.strip("/").partition("/")
    named = []
    for entry in hosts.split(","):
        host, _, port = (entry, "", "") if entry.endswith("]") or ":" not in entry else entry.rpartition(":")
        named.append((host.strip("[]"), int(port or SENTINEL_PORT)))
    options: dict[str, Any] = {"db": int(database or 0)}
    if username:
        options["username"] = unquote(username)
    if password:
        options["password"] = unquote(password)
    return named, service or "mymaster", options


def _asking_sentinels() -> dict[str, Any]:
    """One that does not answer soon is passed over: there are others."""
    return {
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": CONNECT_TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
    }


def _tls(url: str) -> dict[str, Any]:
    """Heroku's Redis has a self-signed certificate, so on a dyno it is not verified unless the URL says so."""
    parts = urlsplit(url)
    if parts.scheme == "rediss" and "ssl_cert_reqs" not in parse_qs(parts.query) and "DYNO" in os.environ:
        return {"ssl_cert_reqs": ssl.CERT_NONE, "ssl_check_hostname": False}
    return {}
