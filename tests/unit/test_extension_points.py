"""What we rely on in python-socketio and python-engineio without their promise. A release that changes it fails."""

import inspect
import re

import engineio.socket
import pytest
from flask import Flask
from flask_socketio import SocketIO
from socketio import RedisManager
from socketio.server import Server

from app.delivery.outbox import Outbox
from app.delivery.websocket import WebSocket
from app.services import build_web
from app.settings import ProviderConfig, Settings
from app.web.app import create_app


class NoHints:
    def reply(self, conversation_id: str, turn_id: str, rank: int) -> None:
        raise AssertionError("nothing is sent here")

    def title(self, conversation_id: str, reply_id: str) -> None:
        raise AssertionError("nothing is sent here")

    summary = title


@pytest.fixture(params=["gevent", "eventlet"])
def app(request: pytest.FixtureRequest) -> Flask:
    provider = ProviderConfig(name="x", base_url="http://127.0.0.1:1/v1", models=("m",))
    return create_app(build_web(Settings(async_mode=request.param, providers=(provider,)), NoHints()))


def test_the_websocket_is_taken_from_the_async_driver(app: Flask) -> None:
    socketio: SocketIO = app.extensions["socketio"]
    assert socketio.server.eio._async["websocket"] is WebSocket
    upgrade = inspect.getsource(engineio.socket.Socket._upgrade_websocket)
    assert "self.server._async['websocket'](" in upgrade
    assert "self._websocket_handler, self.server)" in upgrade


def test_the_websocket_stands_in_for_its_handler(app: Flask) -> None:
    """What the handler does for a connection that begins as a WebSocket, beside moving bytes."""
    handler = inspect.getsource(engineio.socket.Socket._websocket_handler)
    assert "self.connected = True\n            self.upgraded = True" in handler
    assert "self.server.ping_interval + self.server.ping_timeout" in handler
    assert "self.receive(pkt)" in handler
    assert (
        "self.close(wait=False, abort=True,\n                   reason=self.server.reason.TRANSPORT_CLOSE)" in handler
    )


def test_queues_are_taken_from_the_async_driver(app: Flask) -> None:
    engine = app.extensions["socketio"].server.eio
    assert isinstance(engineio.socket.Socket(engine, "sid").queue, Outbox)
    # Of a queue's methods these are used, outside of what the WebSocket stands in for and of polling.
    used = set()
    for name, method in inspect.getmembers(engineio.socket.Socket, inspect.isfunction):
        if name not in {"poll", "_websocket_handler"}:
            used |= set(re.findall(r"queue\.(\w+)", inspect.getsource(method)))
    assert used == {"put", "join"}
    assert engine.transports == ["websocket"]


def test_the_manager_overrides_what_the_stock_one_has(app: Flask) -> None:
    manager = app.extensions["socketio"].server.manager
    for name in ("basic_enter_room", "basic_leave_room", "_publish", "_listen"):
        assert callable(getattr(RedisManager, name))
        assert getattr(type(manager), name) is not getattr(RedisManager, name)
    assert list(inspect.signature(Server._send_eio_packet).parameters) == ["self", "eio_sid", "eio_pkt"]
