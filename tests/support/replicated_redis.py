"""A primary, its replica and three Sentinels, which make the one the other when it is gone."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from tests.support.host import HERE, Host
from tests.support.ports import free_port
from tests.support.processes import Process, clean_environment, eventually, find_program
from tests.support.redis_server import RedisServer

SERVICE = "parley"
DOWN_AFTER_SECONDS = 1


class ReplicatedRedis:
    """On three hosts, of which `hosts` tells: two of them a Redis and a Sentinel, on the third a Sentinel."""

    def __init__(self, folder: Path, hosts: Callable[[str], Host] = lambda _name: HERE) -> None:
        self.primary = RedisServer(folder / "primary", host=hosts("primary"))
        self.replica = RedisServer(folder / "replica", host=hosts("replica"))
        self._sentinels = [
            _Sentinel(folder / name, hosts(name), self.primary) for name in ("primary", "replica", "third")
        ]
        nodes = ",".join(sentinel.node for sentinel in self._sentinels)
        self.url = f"redis+sentinel://{nodes}/0/{SERVICE}"

    def __enter__(self) -> Self:
        try:
            self.primary.start()
            self.replica.start()
            self._follow()
            for sentinel in self._sentinels:
                sentinel.process.start()
            eventually(self._are_level, "the Sentinels know of each other and of the replica")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for sentinel in self._sentinels:
            sentinel.process.kill()
        self.primary.kill()
        self.replica.kill()

    def wait_until_primary(self, server: RedisServer, seconds: float = 30) -> None:
        """Until a majority of the Sentinels says so."""

        def says_so(sentinel: "_Sentinel") -> bool:
            state = sentinel.state()
            return state is not None and (state["ip"], state["port"]) == (server.host.address, server.port)

        eventually(lambda: sum(map(says_so, self._sentinels)) >= 2, "the Sentinels name the other one", seconds)

    def wait_until_level(self) -> None:
        """Until the replica has all that the primary has."""
        with self.primary.client.client() as connection:  # WAIT is for what the same connection has written
            connection.set("level", 1)
            assert connection.wait(1, 10_000) == 1

    def _follow(self) -> None:
        self.replica.client.replicaof(self.primary.host.address, self.primary.port)

        def level() -> bool:
            info: Any = self.replica.client.info("replication")
            return bool(info["master_link_status"] == "up")

        eventually(level, "the replica follows")

    def _are_level(self) -> bool:
        states = [sentinel.state() for sentinel in self._sentinels]
        return all(
            state is not None and (state["num-other-sentinels"], state["num-slaves"]) == (2, 1) for state in states
        )


class _Sentinel:
    def __init__(self, folder: Path, host: Host, primary: RedisServer) -> None:
        port = free_port()
        self.node = f"{host.address}:{port}"
        folder.mkdir(exist_ok=True)
        config = folder / "sentinel.conf"
        lines = [
            f"port {port}",
            f"bind {host.address}",
            "protected-mode no",
            f"dir {folder}",
            f"sentinel monitor {SERVICE} {primary.host.address} {primary.port} 2",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_SECONDS * 1000}",
            f"sentinel failover-timeout {SERVICE} 10000",
        ]
        config.write_text("\n".join(lines) + "\n")
        command = host.command([find_program("redis-server"), str(config), "--sentinel"])
        self.process = Process("sentinel", command, clean_environment(folder), folder)
        self._client: Any = Redis(
            host=host.address, port=port, socket_connect_timeout=1, socket_timeout=1, retry=Retry(NoBackoff(), 0)
        )

    def state(self) -> dict[str, Any] | None:
        """What it knows of the service."""
        with suppress(RedisError):
            state: dict[str, Any] = self._client.sentinel_master(SERVICE)
            return state
        return None
