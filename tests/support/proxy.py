"""A network that fails between a client and Redis, on demand."""

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from typing import Self

from tests.support.ports import stop_listening

_BYTES = 1 << 16


class Proxy:
    """Passes everything on, until told otherwise. Script calls are what it may lose; handshakes get through."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        # So many calls to come are cut off before they reach Redis, or after it has answered them.
        self.cut_before = 0
        self.cut_after = 0
        # Called when Redis has answered what is about to be cut off, before anybody can notice.
        self.meanwhile: Callable[[], object] = lambda: None
        self.refused = 0
        self._down = threading.Event()
        self._flowing = threading.Event()
        self._flowing.set()
        self._alive = 0
        self._nobody = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.go_down()
        stop_listening(self._listener)

    def go_down(self) -> None:
        """When it returns, nothing gets through any more."""
        with self._nobody:
            self._down.set()
            self._nobody.wait_for(lambda: self._alive == 0)

    def come_back(self) -> None:
        self._down.clear()

    def hold(self) -> None:
        """Nothing arrives any more, on either side, and no connection breaks: what is sent arrives after `let_go`."""
        self._flowing.clear()

    def let_go(self) -> None:
        self._flowing.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with self._nobody:
                    if self._down.is_set():
                        self.refused += 1
                        client.close()
                        continue
                    self._alive += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            self._pass_on(client)
        finally:
            with self._nobody:
                self._alive -= 1
                self._nobody.notify_all()

    def _pass_on(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self._port)) as redis:
            cut = False
            while not self._down.is_set():
                if not self._flowing.wait(0.02):
                    continue
                for ready in select.select([client, redis], [], [], 0.02)[0]:
                    data = ready.recv(_BYTES)
                    if not data:
                        return
                    if ready is redis:
                        if cut:
                            self.meanwhile()
                            return
                        client.sendall(data)
                        continue
                    if b"EVAL" in data:
                        if self.cut_before > 0:
                            self.cut_before -= 1
                            return
                        if self.cut_after > 0:
                            self.cut_after -= 1
                            cut = True
                    redis.sendall(data)
