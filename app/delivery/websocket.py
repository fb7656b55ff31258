"""The WebSocket that Engine.IO uses, the same under gunicorn with gevent and under eventlet.

Engine.IO's own choice for gevent, simple-websocket 1.1, writes with `send` and without a lock: a reader that stalls
gets broken frames. It also costs a greenlet more for each connection, and compresses every frame for browsers.
The protocol itself is the `websockets` library's; here is only what moves its bytes.
"""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

RECEIVE_BYTES = 65_536
PACKET_TYPES = frozenset(b"%d" % number for number in range(7))


class WebSocket:
    """What Engine.IO expects of `websocket` in its async driver: made with (handler, server), called as a WSGI
    application, then `wait`, `send` and `close` for the handler.

    `socket` is public because Engine.IO sets its timeout.
    """

    def __init__(self, handler: Callable[["WebSocket"], Any], server: Any) -> None:
        self._handler = handler
        self._protocol = ServerProtocol(max_size=server.max_http_buffer_size)
        self._sending = threading.Lock()
        self._messages: Iterator[str | bytes] = iter(())
        self.socket: socket.socket

    def __call__(self, environ: dict[str, Any], _start_response: Any) -> Iterable[bytes]:
        self.socket = _socket_of(environ)
        self._transmit(partial(self._shake_hands, _raw_request(environ)))
        if self._protocol.state is OPEN:
            if "eventlet.set_idle" in environ:
                environ["eventlet.set_idle"]()  # a graceful stop does not wait for it
            self._messages = self._receive()
            self._handler(self)
        return _already_handled(environ)

    def wait(self) -> str | bytes | None:
        """The next message, or None when the connection is over. Raises OSError if it broke or timed out."""
        return next(self._messages, None)

    def send(self, message: str | bytes) -> None:
        """Blocks until all of it is written. Raises OSError if it cannot be."""
        try:
            if isinstance(message, str):
                self._transmit(partial(self._protocol.send_text, message.encode()))
            else:
                self._transmit(partial(self._protocol.send_binary, message))
        except (ConnectionClosed, InvalidState) as exc:
            raise OSError("the connection is closing") from exc

    def close(self) -> None:
        """Ends the connection, and with it a reader blocked in `wait`."""
        try:
            if self._protocol.state is OPEN:
                self._transmit(self._protocol.send_close)
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is closed, which is all that is wanted

    def _shake_hands(self, request: bytes) -> None:
        self._protocol.receive_data(request)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(event))

    def _receive(self) -> Iterator[str | bytes]:
        parts: list[bytes] = []
        text = True
        while True:
            data = self.socket.recv(RECEIVE_BYTES)
            # Pongs and the answer to a close go out from here.
            if data:
                self._transmit(partial(self._protocol.receive_data, data))
            else:
                self._transmit(self._protocol.receive_eof)
            for event in self._protocol.events_received():
                if not isinstance(event, Frame) or event.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
                    continue
                if event.opcode is not Opcode.CONT:
                    text = event.opcode is Opcode.TEXT
                parts.append(bytes(event.data))
                if event.fin:
                    message = b"".join(parts)
                    parts.clear()
                    # What is no Engine.IO packet would make Engine.IO drop the connection.
                    if not text:
                        yield message
                    elif message[:1] in PACKET_TYPES:
                        yield message.decode(errors="replace")
            if not data or self._protocol.state is not OPEN:
                return

    def _transmit(self, step: Callable[[], None]) -> None:
        """Takes one step of the protocol and writes what it wants written, frames of different senders never mixed."""
        with self._sending:
            step()
            data = b"".join(self._protocol.data_to_send())
            if data:
                self.socket.sendall(data)


def _raw_request(environ: dict[str, Any]) -> bytes:
    """The request that the WSGI server has already parsed, for the protocol to parse and check again."""
    lines = ["GET / HTTP/1.1"]
    lines += [f"{name[5:].replace('_', '-')}: {value}" for name, value in environ.items() if name.startswith("HTTP_")]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _socket_of(environ: dict[str, Any]) -> socket.socket:
    served: socket.socket = (
        environ["gunicorn.socket"] if _on_gunicorn(environ) else environ["eventlet.input"].get_socket()
    )
    return served


def _already_handled(environ: dict[str, Any]) -> Iterable[bytes]:
    """Tells the server that the connection was taken over and is done with."""
    if _on_gunicorn(environ):
        raise StopIteration
    from eventlet.wsgi import WSGI_LOCAL  # noqa: PLC0415 (only where eventlet serves)

    WSGI_LOCAL.already_handled = True
    return []


def _on_gunicorn(environ: dict[str, Any]) -> bool:
    """Engine.IO's middleware gives gunicorn's requests an `eventlet.input` as well, so that one says nothing."""
    return "gunicorn.socket" in environ
