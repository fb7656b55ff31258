"""Connections under a call: they can be cut off from outside, and are read so that the kernel batches."""

import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import httpcore2

from app.peek import has_input
from app.providers.base import Aborted
from app.providers.chunks import Dechunker
from app.providers.pace import Pace

TAIL_SECONDS = 2.0  # how long the end of a stream may take once its text is complete
_NAP_SECONDS = 0.1  # how long an abort may go unnoticed by a reader that paces itself
RECEIVE_BYTES = 65_536

# The exchange for which this thread or greenlet is sending a request. A context variable, because the SDK stands
# between the two ends and passes nothing through.
_sending: ContextVar["Exchange | None"] = ContextVar("exchange_being_sent", default=None)


class Exchange:
    """One call, seen from the network: which connection it holds, how it is read, and whether it was aborted."""

    def __init__(self, pace: Pace | None) -> None:
        self.aborted = False
        self.reads = 0
        self.pace: Pace | None = None  # the first text comes as fast as it can
        self.deadline: float | None = None
        self._pace = pace
        self._lock = threading.Lock()
        self._stream: _Stream | None = None

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Connections written to inside this block belong to this exchange."""
        self.check()
        token = _sending.set(self)
        try:
            yield
        finally:
            _sending.reset(token)

    def check(self) -> None:
        if self.aborted:
            raise Aborted

    def abort(self) -> None:
        with self._lock:
            self.aborted = True
            if self._stream is not None:
                self._stream.shut_down()

    def slow_down(self) -> None:
        """From here on, reads keep the pace."""
        self.pace = self._pace

    def finish(self) -> None:
        """The text is complete: read what is left at once, and do not wait long for it."""
        self.pace = None
        if self.deadline is None:
            self.deadline = time.monotonic() + TAIL_SECONDS

    def hold(self, stream: "_Stream") -> None:
        with self._lock:
            self.check()
            self._stream = stream

    def contents(self) -> Iterator[bytes]:
        """What a chunked body contains; nothing if the body is none. How long it may take is for `abort` to say."""
        stream = self._stream
        return stream.contents(self) if stream is not None else iter(())

    def let_go(self) -> None:
        """After this an abort no longer touches the connection, which may serve another call next."""
        with self._lock:
            stream, self._stream = self._stream, None
        if stream is not None:
            stream.exchange = None


class _Stream(httpcore2.NetworkStream):
    """A connection that knows for which exchange it works."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self.exchange: Exchange | None = None
        self._inner = inner
        self._twin: socket.socket | None = None
        self._framing = Dechunker()
        self._unread = b""  # what the parser has yet to see
        self._read_at = 0.0
        self._waited = 0.0  # for what was read last

    def work_for(self, exchange: Exchange) -> None:
        exchange.hold(self)
        self.exchange = exchange
        self._framing = Dechunker()
        self._unread = b""

    def shut_down(self) -> None:
        """Wake whoever is blocked on this connection, in any concurrency model, by ending it in the kernel.

        Through a duplicate, because shutting an SSL socket down would pull its state from under the reader.
        """
        with suppress(OSError):
            mine = self._twin or self._inner.get_extra_info("socket")
            with socket.fromfd(mine.fileno(), mine.family, mine.type) as twin:
                twin.shutdown(socket.SHUT_RDWR)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        exchange = _sending.get()
        if exchange is not None and exchange is not self.exchange:
            self.work_for(exchange)
        with self._unless_aborted():
            self._inner.write(buffer, timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """For the HTTP parser."""
        exchange = self.exchange
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        if exchange is None:
            return self._inner.read(max_bytes, timeout)
        while True:
            data = self._receive(exchange, max_bytes, timeout)
            passed = self._framing.feed(data) if data else data
            if passed or not data:
                return passed

    def contents(self, exchange: Exchange) -> Iterator[bytes]:
        """What a chunked body contains, as it comes. The last chunk, an end before it, and what is malformed are left
        for the parser."""
        framing = self._framing
        while True:
            if found := framing.take():
                yield found
            if not framing.in_body or not (data := self._receive(exchange, RECEIVE_BYTES, None)):
                return
            self._unread += framing.feed(data)

    def _receive(self, exchange: Exchange, max_bytes: int, timeout: float | None) -> bytes:
        try:
            exchange.check()
            data = self._receive_in_turn(exchange, max_bytes, timeout)
            exchange.check()
        except (httpcore2.NetworkError, httpcore2.TimeoutException):
            exchange.check()
            raise
        return data

    def _receive_in_turn(self, exchange: Exchange, max_bytes: int, timeout: float | None) -> bytes:
        # A model that is slower than the pace needs no wait, which would only be one more wake-up for each token.
        if exchange.pace is not None and self._waited < exchange.pace.seconds:
            self._wait_for_turn(exchange, exchange.pace.turn_after(self._read_at))
        if exchange.deadline is not None:
            left = max(exchange.deadline - time.monotonic(), 0.0)
            timeout = left if timeout is None else min(left, timeout)
        asked_at = time.monotonic()
        data = self._inner.read(max_bytes, timeout)
        self._read_at = time.monotonic()
        self._waited = self._read_at - asked_at
        exchange.reads += 1
        if exchange.pace is not None and data and self._inner.get_extra_info("ssl_object") is not None:
            data += self._decrypt_more(max_bytes - len(data))
        return data

    def _wait_for_turn(self, exchange: Exchange, turn: float) -> None:
        while (wait := turn - time.monotonic()) > 0:
            time.sleep(min(wait, _NAP_SECONDS))
            exchange.check()

    def _decrypt_more(self, room: int) -> bytes:
        """What else is there already. A TLS socket gives one record a read, and a token is often a record: with
        one a pace, a fast model would pile up behind us."""
        parts: list[bytes] = []
        with suppress(httpcore2.ReadError, httpcore2.ReadTimeout):  # nothing now; what is final comes up again
            while room > 0 and (part := self._inner.read(room, 0.0)):
                parts.append(part)
                room -= len(part)
        return b"".join(parts)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        mine: socket.socket = self._inner.get_extra_info("socket")
        with (
            self._unless_aborted() as exchange,
            socket.fromfd(mine.fileno(), mine.family, mine.type) as self._twin,  # the handshake empties `mine`
        ):
            try:
                secure = _Stream(self._inner.start_tls(ssl_context, server_hostname, timeout))
            finally:
                if exchange is not None:
                    exchange.let_go()
        return _taken(secure, exchange)

    def close(self) -> None:
        if self.exchange is not None:
            self.exchange.let_go()
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._is_readable() if info == "is_readable" else self._inner.get_extra_info(info)

    def _is_readable(self) -> bool:
        """Asked of an idle connection before a call takes it. httpcore would poll."""
        mine: socket.socket = self._inner.get_extra_info("socket")
        if not isinstance(mine, ssl.SSLSocket):
            return has_input(mine)
        try:
            with socket.fromfd(mine.fileno(), mine.family, mine.type) as twin:
                return has_input(twin)
        except OSError:
            return True

    @contextmanager
    def _unless_aborted(self) -> Iterator[Exchange | None]:
        exchange = self.exchange
        try:
            if exchange is not None:
                exchange.check()
            yield exchange
        except (httpcore2.NetworkError, httpcore2.TimeoutException):
            if exchange is not None:
                exchange.check()
            raise


def _taken(stream: _Stream, exchange: Exchange | None) -> _Stream:
    if exchange is not None:
        try:
            stream.work_for(exchange)
        except Aborted:
            stream.close()
            raise
    return stream


class Backend(httpcore2.NetworkBackend):
    """Blocking sockets, which gevent and eventlet make cooperative. A connect cannot be cut off, only its timeout
    ends it; every later step can."""

    def __init__(self) -> None:
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        stream = self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return _taken(_Stream(stream), _sending.get())

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def being_sent() -> Exchange | None:
    """The exchange whose request this thread or greenlet is sending."""
    return _sending.get()
