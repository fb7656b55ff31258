"""Our WebSocket in Engine.IO's hands, over a pair of sockets."""

import socket
from contextlib import suppress
from pathlib import Path

import pytest
import socketio
from websockets.frames import Frame, Opcode

from app.connections import connect
from app.delivery.manager import RoomManager
from app.delivery.outbox import Outbox
from app.delivery.packet import Json, SafePacket
from app.delivery.websocket import WebSocket
from tests.support.redis_server import RedisServer

UPGRADE = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/socket.io/",
    "QUERY_STRING": "EIO=4&transport=websocket",
    "HTTP_HOST": "here",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}
KEY = {"HTTP_SEC_WEBSOCKET_KEY": "AAAAAAAAAAAAAAAAAAAAAA=="}


@pytest.fixture
def server(tmp_path: Path) -> socketio.Server:
    with RedisServer(tmp_path, aof=False) as redis:
        manager = RoomManager(connect(redis.url), lambda _rooms: [], lambda _room, _seq: None)
        server = socketio.Server(
            client_manager=manager,
            async_mode="threading",
            transports=["websocket"],
            serializer=SafePacket,
            json=Json,
            async_handlers=False,
        )
        server.eio._async = {**server.eio._async, "websocket": WebSocket, "queue": Outbox}
        yield server


def serve(server: socketio.Server, request: dict[str, str], sent: bytes) -> None:
    """A connection on which this is sent at once, and nothing after it."""
    here, there = socket.socketpair()
    with here, there, suppress(StopIteration):
        here.sendall(sent)
        here.shutdown(socket.SHUT_WR)
        server.handle_request({**request, "gunicorn.socket": there}, lambda *_: None)


def frames(*texts: bytes) -> bytes:
    return b"".join(Frame(Opcode.TEXT, text).serialize(mask=True) for text in texts)


@pytest.mark.parametrize("texts", [(b"40", b"1"), (b"1", b"40"), (b"40", b"1", b"40"), (b"1", b"1", b"40", b"2")])
def test_whoever_ends_the_connection_leaves_nothing(
    server: socketio.Server, texts: tuple[bytes, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever else came with it, in one go."""
    serve(server, UPGRADE | KEY, frames(*texts))
    assert server.manager.connections == 0
    assert server.environ == {}
    assert caplog.messages == []


def test_a_handshake_that_fails_leaves_nothing(server: socketio.Server) -> None:
    serve(server, UPGRADE, b"")
    assert [one for one in server.eio.sockets.values() if not one.closed] == []
