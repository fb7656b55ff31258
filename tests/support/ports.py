"""Ports for servers that may be killed and started again on the same one."""

import random
import socket

# Below the range from which the kernel takes ports for outgoing connections, so that none of those takes one meanwhile.
_RANGE = (10_000, 32_000)
_given: set[int] = set()


def free_port() -> int:
    """One that nobody uses; never the same one twice in this process."""
    for _ in range(1000):
        port = random.randrange(*_RANGE)
        if port in _given:
            continue
        with socket.socket() as sock:
            try:
                sock.bind(("0.0.0.0", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise RuntimeError("no free port was found")


class ClosedPort:
    """A port at which every connection is refused, and that nobody else can take meanwhile."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        self._socket.close()
