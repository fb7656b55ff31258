"""What is the same for all requests: their bodies, an id on every line that is logged about one, and taking turns."""

import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import structlog
from flask import Flask, Response, g, request

from app.errors import TooLarge
from app.fairness import Stretch
from app.logs import get_logger
from app.traces import Traces
from app.web.payloads import json_object

HEADER = "X-Request-ID"
# What programs ask for; not probes, pages and files.
TRACED = ("/api/", "/v1/")
_WELL_FORMED = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


class TakingTurns:
    """WSGI middleware: a connection on which one request follows the other without end lets others in."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self._of_connection = threading.local()  # which has a thread (greenlet) of its own

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        stretch: Stretch | None = getattr(self._of_connection, "stretch", None)
        if stretch is None:
            stretch = self._of_connection.stretch = Stretch()
        stretch.read()
        try:
            return self._app(environ, start_response)
        finally:
            stretch.done()


class WithoutHalfUpgrades:
    """WSGI middleware: an `Upgrade` without `Connection: upgrade` is none (RFC 9110, 7.8), as where a proxy passes on
    one of the two only. Engine.IO looks at the one alone, and would stumble over the other."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        options = environ.get("HTTP_CONNECTION", "").lower().split(",")
        if "upgrade" not in map(str.strip, options):
            environ.pop("HTTP_UPGRADE", None)
        return self._app(environ, start_response)


def new_request_id() -> str:
    return secrets.token_hex(8)


def json_body() -> dict[str, Any]:
    """The request's, one JSON object. Raises Invalid, or TooLarge."""
    body = request.get_data()
    # Of a body that comes in chunks Werkzeug reads as much as is allowed, and leaves it at that.
    allowed = request.max_content_length
    if request.content_length is None and allowed is not None and len(body) >= allowed:
        raise TooLarge("The request's body is too large.")
    return json_object(body)


def follow_requests(app: Flask, traces: Traces) -> None:
    """Takes the id that a client or proxy gives, else makes one, and says it in the answer; the same for its trace."""
    log = get_logger(__name__)

    @app.before_request
    def begin() -> None:
        given = request.headers.get(HEADER, "")
        g.request_id = given if _WELL_FORMED.fullmatch(given) else new_request_id()
        g.began = time.monotonic()
        structlog.contextvars.clear_contextvars()  # of the connection's last request
        structlog.contextvars.bind_contextvars(request_id=g.request_id)
        g.closing = ExitStack()
        if request.url_rule and request.path.startswith(TRACED):
            carried = {"traceparent": request.headers.get("traceparent", "")}
            name = f"{request.method} {request.url_rule.rule}"
            g.span = g.closing.enter_context(traces.span(name, "server", carried))
            g.span.note({"http.request.method": request.method, "http.route": request.url_rule.rule})

    @app.after_request
    def end(response: Response) -> Response:
        if "request_id" in g:
            response.headers[HEADER] = g.request_id
            if "span" in g:
                g.span.note({"http.response.status_code": response.status_code})
                if response.status_code >= 500:
                    g.span.fail(str(response.status_code))
            log.debug(
                "request",
                method=request.method,
                route=request.url_rule.rule if request.url_rule else None,
                status=response.status_code,
                seconds=round(time.monotonic() - g.began, 4),
            )
        return response

    @app.teardown_request
    def close(_exc: BaseException | None) -> None:
        if "closing" in g:
            g.closing.close()
