"""The WebSocket that Engine.IO uses, the same under gunicorn with gevent and under eventlet.

Engine.IO's own choice for gevent, simple-websocket 1.1, writes with `send` and without a lock: a reader that stalls
gets broken frames. It also costs a greenlet more for each connection, and compresses every frame for browsers.
Engine.IO itself adds one that writes; outbox.py has what is here instead.
The protocol itself is the `websockets` library's; here is only what moves its bytes.
"""

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from engineio.exceptions import SocketIsClosedError, UnknownPacketError
from engineio.packet import Packet
from engineio.socket import Socket as EngineSocket
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from app.delivery.outbox import Outbox
from app.fairness import Stretch
from app.logs import get_logger

# Small, as what is read at a time is handled at a stretch, and may be hundreds of frames.
RECEIVE_BYTES = 4_096
PACKET_TYPES = frozenset(b"%d" % number for number in range(7))


class WebSocket:
    """In place of `websocket` in Engine.IO's async driver: made with (handler, server), called as a WSGI application.

    The handler, a method of Engine.IO's Socket, is not called but stood in for, because it starts a greenlet for what
    the socket's queue, an Outbox, does by itself.
    """

    def __init__(self, handler: Callable[..., Any], server: Any) -> None:
        self._engine: EngineSocket = handler.__self__  # type: ignore[attr-defined]
        self._outbox: Outbox = self._engine.queue
        self._silence = server.ping_interval + server.ping_timeout
        self._protocol = ServerProtocol(max_size=server.max_http_buffer_size)
        self._socket: socket.socket

    def __call__(self, environ: dict[str, Any], _start_response: Any) -> Iterable[bytes]:
        self._socket = _socket_of(environ)
        try:
            self._shake_hands(_raw_request(environ))
            if self._protocol.state is OPEN:
                if "eventlet.set_idle" in environ:
                    environ["eventlet.set_idle"]()  # a graceful stop does not wait for it
                self._serve()
        finally:
            self._engine.close(wait=False, abort=True, reason=self._engine.server.reason.TRANSPORT_CLOSE)
        return _already_handled(environ)

    def _shake_hands(self, request: bytes) -> None:
        self._protocol.receive_data(request)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(event))
        self._socket.sendall(b"".join(self._protocol.data_to_send()))

    def _serve(self) -> None:
        """Until the connection ends."""
        engine = self._engine
        self._socket.settimeout(self._silence)
        engine.connected = engine.upgraded = True
        self._outbox.open(self._socket)
        try:
            for message in self._receive():
                # What comes after its end, for which Engine.IO does not look, would log in somebody who never leaves.
                if engine.closing:
                    continue
                with suppress(UnknownPacketError):
                    engine.receive(Packet(encoded_packet=message))
        except (SocketIsClosedError, OSError):
            pass  # it is over, as when it ends well
        except Exception:
            get_logger(__name__).exception("a connection's packet could not be handled")
        finally:
            self._outbox.cut()

    def _receive(self) -> Iterator[str | bytes]:
        """The messages, whole. Raises OSError if the connection broke or was silent for too long."""
        begun = bytearray()  # rather than a list of parts, of which there may be any number without a byte in them
        text = True
        for frame in self._frames():
            if frame.opcode is not Opcode.CONT:
                text = frame.opcode is Opcode.TEXT
            begun += frame.data
            if frame.fin:
                message = bytes(begun)
                begun.clear()
                # What is no Engine.IO packet would make Engine.IO drop the connection.
                if not text:
                    yield message
                elif message[:1] in PACKET_TYPES:
                    yield message.decode(errors="replace")

    def _frames(self) -> Iterator[Frame]:
        """Those with parts of messages."""
        stretch = Stretch()
        while self._protocol.state is OPEN:
            data = self._socket.recv(RECEIVE_BYTES)
            stretch.read()  # its client may send without end
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            # Pongs and the answer to a close.
            if answer := b"".join(self._protocol.data_to_send()):
                self._outbox.write(answer)
            for event in self._protocol.events_received():
                if isinstance(event, Frame) and event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
                    yield event
            if not data:
                return
            stretch.done()


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
