"""Ports for servers that may be killed and started again on the same one."""

import contextlib
import fcntl
import itertools
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

# Below the range from which the kernel takes ports for outgoing connections, so that none of those takes one meanwhile.
_RANGE = range(10_000, 32_000)
_BLOCK = 200


def _blocks() -> Iterator[range]:
    """Ports that are of no other process of the tests: who has a block holds the lock of its file till it ends.

    (A file and not a socket, as this may be asked in a network namespace of a test's own.)"""
    folder = Path(tempfile.gettempdir()) / f"parley-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    starts = list(_RANGE[::_BLOCK])
    random.shuffle(starts)
    for start in starts:
        claim = (folder / str(start)).open("w")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        yield range(start, start + _BLOCK)
    raise RuntimeError("no free port was found")


_claims: list[IO[str]] = []
_ports = itertools.chain.from_iterable(_blocks())


def free_port() -> int:
    """One that nobody uses; never the same one twice in this process."""
    for port in _ports:
        with socket.socket() as sock:
            try:
                sock.bind(("0.0.0.0", port))
            except OSError:
                continue
        return port
    raise AssertionError


class ClosedPort:
    """A port at which every connection is refused, and that nobody else can take meanwhile."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        self._socket.close()


def stop_listening(listener: socket.socket) -> None:
    """Also for a thread that waits for connections: a closed socket alone would keep it, until its number is reused."""
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()
