"""A client that sends as fast as it can keeps nobody else waiting."""

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from app.delivery.manager import SHARED_CHANNEL
from tests.support.processes import PATIENCE, eventually
from tests.support.raw_socket import UPGRADE
from tests.support.stack import Stack

TEXT, FIRST, CONTINUED = 0x81, 0x01, 0x00
# What it says is masked by nothing, which is allowed.
MASKED, MASK = 0x80, bytes(4)


def frame(opcode: int, content: bytes = b"") -> bytes:
    return bytes([opcode, MASKED | len(content)]) + MASK + content


FRAMES = {
    "pongs": frame(TEXT, b"3"),
    "events past the limit": frame(TEXT, b'427["list_conversations",{}]'),
    "pieces of a message that has none": frame(CONTINUED),
}


REQUESTS = {
    "pages": b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n",
    "refusals": b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: here\r\n\r\n",
}


class Flood:
    """Of the same thing, again and again, after `opening` has been answered; what is answered then is dropped."""

    def __init__(self, url: str, opening: bytes, first: bytes, repeated: bytes) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port), timeout=PATIENCE)
        self._socket.sendall(opening)
        # (Before a WebSocket is there, the server takes no frames.)
        assert self._socket.recv(10_000).startswith(b"HTTP/1.1")
        self._first, self._repeated = first, repeated
        self.sent = 0
        self.over = threading.Event()
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self._send, self._read)]
        for thread in self.threads:
            thread.start()

    def _send(self) -> None:
        much = self._repeated * (5_000 // len(self._repeated))
        with suppress(OSError):
            self._socket.sendall(self._first)
            while not self.over.is_set():
                self._socket.sendall(much)
                self.sent += len(much)

    def _read(self) -> None:
        with suppress(OSError):
            while self._socket.recv(1_000_000):
                pass

    def end(self) -> None:
        self.over.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        self._socket.close()

    def is_on(self) -> bool:
        """Nothing but an error ends the sender, and the server has more to read than it takes."""
        return self.threads[0].is_alive()


def begin(stack: Stack, kind: str) -> Flood:
    url = stack.webs[0].url
    if kind in REQUESTS:
        return Flood(url, REQUESTS[kind], b"", REQUESTS[kind])
    login = frame(TEXT, b'40{"token":"%b"}' % stack.session().token.encode())
    first_piece = frame(FIRST, b"4") if kind.startswith("pieces") else b""
    return Flood(url, UPGRADE, login + first_piece, FRAMES[kind])


@pytest.mark.parametrize("kind", [*FRAMES, *REQUESTS])
def test_others_are_served_during_a_flood(stack: Stack, kind: str) -> None:
    client = stack.client()
    flood = begin(stack, kind)
    try:
        eventually(lambda: flood.sent > 200_000, "the flood is on")
        for _ in range(3):
            assert client.do("list_conversations")["ok"]
        assert flood.is_on()
    finally:
        flood.end()


PUBLISH = "for _ = 1, ARGV[3] do redis.call('PUBLISH', ARGV[1], ARGV[2]) end"
TO_NOBODY = '{"method":"emit","event":"x","data":["y"],"namespace":"/","room":"nobody"}'


def test_others_are_served_while_more_is_published_than_can_be_read(stack: Stack) -> None:
    client, redis = stack.client(), stack.redis.client
    before = str(redis.config_get("client-output-buffer-limit")["client-output-buffer-limit"])
    redis.config_set("client-output-buffer-limit", "pubsub 0 0 0")  # else Redis would end it soon
    over = threading.Event()

    def waiting() -> int:
        """Bytes that a web process has yet to read."""
        return max(int(one["omem"]) for one in redis.client_list(_type="pubsub"))

    def publish() -> None:
        while not over.is_set():
            if waiting() < 5_000_000:
                redis.eval(PUBLISH, 0, SHARED_CHANNEL, TO_NOBODY, 2_000)

    publisher = threading.Thread(target=publish, daemon=True)
    publisher.start()
    try:
        eventually(lambda: waiting() > 1_000_000, "more is published than is read")
        for _ in range(3):
            assert client.do("list_conversations")["ok"]
        assert waiting() > 1_000_000
    finally:
        over.set()
        publisher.join()
        eventually(lambda: waiting() == 0, "all is read", 60)
        redis.config_set("client-output-buffer-limit", before)
