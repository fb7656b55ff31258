"""Who is asking."""

from typing import Any

from flask import Request

from app.access.sessions import Session, Sessions
from app.errors import Forbidden, Unauthorized

COOKIE = "parley_session"
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class Origins:
    """Where browsers may come from: the page's own origin, and those that the operator lists."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = allowed

    def allow(self, origin: str, environ: dict[str, Any]) -> bool:
        return "*" in self._allowed or origin in self._allowed or origin == _own_origin(environ)


def bearer_token(request: Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def session_of(request: Request, sessions: Sessions, origins: Origins) -> tuple[str, Session]:
    """(token, session) of an HTTP request. Raises Unauthorized, or Forbidden for a change that a foreign page asks for:
    browsers send cookies along with requests that other sites make."""
    token = bearer_token(request)
    if token is None:
        token = request.cookies.get(COOKIE)
        if token and request.method not in _SAFE_METHODS and not _is_same_origin(request, origins):
            raise Forbidden("A change by cookie must come from this site's own page.")
    session = sessions.find(token)
    if token is None or session is None:
        raise Unauthorized
    return token, session


def _is_same_origin(request: Request, origins: Origins) -> bool:
    origin = request.headers.get("Origin")
    if origin is not None:
        return origins.allow(origin, request.environ)
    return request.headers.get("Sec-Fetch-Site") == "same-origin"


def _own_origin(environ: dict[str, Any]) -> str:
    scheme = environ["wsgi.url_scheme"]
    host = environ.get("HTTP_HOST", "")
    default_port = ":443" if scheme == "https" else ":80"
    return f"{scheme}://{host.removesuffix(default_port)}"
