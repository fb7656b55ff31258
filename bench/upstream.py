"""A model server that costs next to nothing: every token is written from bytes made beforehand.

What to send is asked in words, the last of the request: `300 tokens of 9 bytes at 50 a second` (0: all at once). Each
token carries the time at which it was sent, so that whoever reads it on this machine knows how long it took.
"""

import argparse
import asyncio
import re
import time

# A token is `~` and the time, filled up to its size.
TOKEN = re.compile(rb"~(\d{7})")
TOKEN_BYTES = 9
_ASKED = re.compile(rb"(\d+) tokens of (\d+) bytes at ([\d.]+) a second")
_CLOCK = 10_000_000  # in tenths of a millisecond: it starts again every 1000 seconds

_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_EVENT = (
    b'data: {"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1760000000,"model":"bench",'
    b'"choices":[{"index":0,"delta":{%b},"logprobs":null,"finish_reason":%b}]}\n\n'
)


def words_for(tokens: int, rate: float, size: int = TOKEN_BYTES) -> str:
    return f"{tokens} tokens of {size} bytes at {rate:g} a second"


def now() -> int:
    return time.monotonic_ns() // 100_000 % _CLOCK


def age(stamp: int, at: int) -> int:
    """Tenths of a millisecond since a token was sent."""
    return (at - stamp) % _CLOCK


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _token_around(size: int) -> tuple[bytes, bytes]:
    """What stands before and after a token's time."""
    filling = b"x" * (size - TOKEN_BYTES) + b" "
    before, after = _chunk(_EVENT % (b'"content":"~0000000%b"' % filling, b"null")).split(b"~0000000")
    return before + b"~", after


_END = _chunk(_EVENT % (b"", b'"stop"')) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if not found or length is None or len(body) < int(length[1]):
            return
        self._received = b""
        *_, (tokens, size, rate) = _ASKED.findall(body)
        self._before, self._after = _token_around(int(size))
        self._left = int(tokens)
        self._pause = 1 / float(rate) if float(rate) else 0.0
        self._due = self._loop.time()
        self._transport.write(_RESPONSE)
        self._send()

    def _send(self) -> None:
        parts: list[bytes] = []
        while self._left and (not self._pause or not parts):
            parts.append(b"%b%07d%b" % (self._before, now(), self._after))
            self._left -= 1
        if not self._left:
            parts.append(_END)
        self._transport.write(b"".join(parts))
        self._due += self._pause
        self._timer = self._loop.call_at(self._due, self._send) if self._left else None


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=4096)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    asyncio.run(serve(parser.parse_args().port))
