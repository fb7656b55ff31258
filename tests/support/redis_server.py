"""A Redis of a test's own."""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from tests.support.host import HERE, Host
from tests.support.ports import free_port
from tests.support.processes import ROOT, Process, clean_environment, eventually, find_program


class RedisServer:
    """On a free port, with its data in a folder of its own; configured as in production, unless `aof` is off."""

    def __init__(self, folder: Path, *, aof: bool = True, host: Host = HERE) -> None:
        self.host = host
        self.port = free_port()
        self.url = f"redis://{host.address}:{self.port}/0"
        self._data = folder / "data"
        self._data.mkdir(parents=True)
        # A copy: a fail-over makes Redis write its new role into its configuration.
        config = shutil.copy(ROOT / "deploy" / "redis.conf", folder)
        command = [find_program("redis-server"), str(config), "--dir", str(self._data)]
        command += ["--bind", host.address, "--protected-mode", "no", "--port", str(self.port)]
        command += ["--appendonly", "yes" if aof else "no"]
        self.process = Process("redis", host.command(command), clean_environment(folder), folder)
        self._client: Redis = Redis.from_url(self.url)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def client(self) -> Redis:
        return self._client

    @property
    def running(self) -> bool:
        return self.process.running

    def role(self) -> str:
        """“master” or “slave”; “changing” when a Sentinel has just cut all connections to make it another."""
        try:
            info: Any = self._client.info("replication")
        except RedisConnectionError:
            return "changing"
        return str(info["role"])

    def start(self, *, keep_data: bool = True) -> Self:
        """Returns when it answers."""
        if not keep_data:
            shutil.rmtree(self._data)
            self._data.mkdir()
        self.process.start()
        eventually(self._answers, "Redis answers")
        return self

    def stop(self) -> None:
        self.process.stop()
        self._client.close()

    def kill(self) -> None:
        """kill -9, at a moment when what it acknowledged is in its file.

        With `everysec` a write waits up to two seconds while the disk is busy, and would be lost now and then.
        """
        with suppress(RedisError), Redis.from_url(self.url, socket_timeout=2) as client:
            _write_through(client)
        self.process.kill()
        self._client.close()

    def copy_data(self) -> Path:
        """Its data as they are now, to go back to with `roll_back`."""
        _write_through(self._client)
        copy = self._data.with_name("copy")
        shutil.rmtree(copy, ignore_errors=True)
        return shutil.copytree(self._data, copy)

    def roll_back(self, copy: Path) -> None:
        """As after a power cut, or a fail-over to a replica that lags: it comes back with less than it had."""
        self.kill()
        shutil.rmtree(self._data)
        shutil.copytree(copy, self._data)
        self.start()

    def _answers(self) -> bool:
        if not self.process.running:
            raise AssertionError(f"Redis did not start:\n{self.process.output()}")
        try:
            return bool(self._client.ping())
        except RedisError:
            return False


def _write_through(client: Redis) -> None:
    """What was acknowledged is in the file from here on, until the server starts anew."""
    client.config_set("appendfsync", "always")
