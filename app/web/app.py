"""The Flask application with Socket.IO in front of it."""

from math import ceil
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, jsonify, request
from flask_socketio import SocketIO
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from app.connections import UNREACHABLE
from app.delivery.outbox import Outbox
from app.delivery.packet import Json, SafePacket
from app.delivery.websocket import WebSocket
from app.errors import AppError, Internal, Unavailable
from app.logs import get_logger
from app.services import WebServices
from app.web.api import make_api
from app.web.assets import Assets
from app.web.headers import SecurityHeaders
from app.web.metrics import make_metrics
from app.web.openai_api.errors import Failed, as_error
from app.web.openai_api.routes import make_openai_api
from app.web.origins import Origins
from app.web.pages import make_pages
from app.web.reference import make_reference
from app.web.requests import TakingTurns, WithoutHalfUpgrades, follow_requests
from app.web.sockets import Sockets

ROOT = Path(__file__).resolve().parents[2]

# Heroku's router closes a connection that is silent for 55 seconds.
PING_INTERVAL = 20
PING_TIMEOUT = 20


def create_app(services: WebServices) -> Flask:
    settings = services.settings
    app = Flask("parley", root_path=str(ROOT), static_folder=None, template_folder="templates")
    app.config["MAX_CONTENT_LENGTH"] = _largest_payload(settings.max_message_chars)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    origins = Origins(settings.allowed_origins)
    socketio = SocketIO(
        app,
        async_mode=settings.async_mode,
        client_manager=services.manager,
        transports=["websocket"],
        serializer=SafePacket,
        json=Json,
        manage_session=False,
        # One event of a socket after the other, so that they are taken in the order in which they were sent.
        async_handlers=False,
        cors_allowed_origins=origins.allow,
        ping_interval=PING_INTERVAL,
        ping_timeout=PING_TIMEOUT,
        max_http_buffer_size=_largest_payload(settings.max_message_chars),
    )
    _use_own_websocket(socketio)
    app.extensions["sockets"] = Sockets(socketio, services, origins)
    app.register_blueprint(make_api(services, origins))
    app.register_blueprint(make_openai_api(services, origins))
    assets = Assets(ROOT / "static")
    app.register_blueprint(make_reference(assets))
    app.register_blueprint(make_pages(services, assets))
    app.register_blueprint(make_metrics(services))
    follow_requests(app, services.traces)
    _answer_errors(app)

    @app.after_request
    def keep_to_oneself(response: Response) -> Response:
        if request.path.startswith(("/api/", "/v1/")):
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    app.wsgi_app = TakingTurns(SecurityHeaders(WithoutHalfUpgrades(app.wsgi_app)))  # type: ignore[method-assign]
    if hops := settings.trusted_proxies:
        # Outermost, so that Socket.IO's origin check sees the address that the browser used.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    return app


def _use_own_websocket(socketio: SocketIO) -> None:
    """Engine.IO looks its WebSocket and its queues up in its async driver. A test pins this."""
    engine: Any = socketio.server.eio
    engine._async = {**engine._async, "websocket": WebSocket, "queue": Outbox}


def _answer_errors(app: Flask) -> None:
    log = get_logger(__name__)

    @app.errorhandler(AppError)
    def app_error(exc: AppError) -> tuple[Response, int]:
        response = jsonify({"error": as_error(exc, request.path) if request.path.startswith("/v1/") else exc.as_dict()})
        if exc.retry_after is not None:
            response.headers["Retry-After"] = str(max(1, ceil(exc.retry_after)))
        if isinstance(exc, Failed) or g.get("is_under_way"):
            response.headers["X-Should-Retry"] = "false"
        return response, exc.status

    @app.errorhandler(HTTPException)
    def http_error(exc: HTTPException) -> tuple[Response, int]:
        error = AppError(exc.description or exc.name)
        error.status = exc.code or 500
        error.code = {404: "not_found", 413: "too_large"}.get(error.status, "invalid")
        return app_error(error)

    @app.errorhandler(Exception)
    def other_error(exc: Exception) -> tuple[Response, int]:
        if isinstance(exc, UNREACHABLE):
            log.warning("redis unreachable", path=request.path, error=str(exc))
            return app_error(Unavailable())
        log.error("request failed", path=request.path, exc_info=exc)
        return app_error(Internal())


def _largest_payload(max_message_chars: int) -> int:
    """In bytes: a message of the longest kind with every character escaped as `\\ud83d\\ude00`, and then some, so that
    one that is too long is told so instead of being cut off."""
    return max(1_000_000, 16 * max_message_chars)
