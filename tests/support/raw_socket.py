"""A WebSocket at the server's Socket.IO address, for what no well-behaved client would send."""

import contextlib
import itertools
import json
from contextlib import ExitStack
from typing import Any, Self
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.processes import PATIENCE

UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class RawSocket:
    def __init__(self, url: str, *, headers: dict[str, str] | None = None) -> None:
        address = f"ws://{urlsplit(url).netloc}/socket.io/?EIO=4&transport=websocket"
        self._stack = ExitStack()
        self._socket = self._stack.enter_context(
            connect(address, additional_headers=headers or {}, max_size=None, open_timeout=PATIENCE, close_timeout=1)
        )
        self._numbers = itertools.count(1000)
        assert self.receive().startswith("0{")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def log_in(self, token: str) -> Self:
        self.send("40" + json.dumps({"token": token}))
        answer = self.receive()
        assert answer.startswith('40{"sid":'), answer
        return self

    def send(self, frame: str | bytes) -> None:
        self._socket.send(frame)

    def receive(self) -> str:
        """The next frame that is no ping."""
        while True:
            frame = self._socket.recv(PATIENCE)
            assert isinstance(frame, str), frame
            if frame != "2":
                return frame
            self._socket.send("3")

    def receive_until_closed(self) -> list[str]:
        heard = []
        with contextlib.suppress(ConnectionClosed):
            while True:
                heard.append(self.receive())
        return heard

    def answer_to(self, number: int) -> Any:
        """What is acknowledged to the packet of this number."""
        head = f"43{number}["
        while True:
            frame = self.receive()
            if frame.startswith(head):
                (answer,) = json.loads(frame[len(head) - 1 :])
                return answer

    def ask(self, name: str, *args: Any) -> Any:
        number = next(self._numbers)
        self.send(f"42{number}{json.dumps([name, *args])}")
        return self.answer_to(number)

    def works(self) -> bool:
        """Whether the connection is up, and an ordinary event on it is answered."""
        try:
            return bool(self.ask("list_conversations", {})["ok"])
        except (ConnectionClosed, TimeoutError):
            return False
