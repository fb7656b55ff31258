"""Who is asking."""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from flask import Request

from app.access.identity import Given, Identities, Session
from app.errors import Forbidden, Unauthorized
from app.web.origins import Origins

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


def bearer_token(request: Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def session_of(request: Request, identities: Identities, origins: Origins) -> Session:
    """Of an HTTP request. Raises Unauthorized, or Forbidden for a change that a foreign page asks for: browsers send
    cookies along with requests that other sites make."""
    session = identities.identify(_given(request, bearer_token(request)))
    if session is None:
        raise Unauthorized
    if session.ambient and request.method not in _SAFE_METHODS and not _is_same_origin(request, origins):
        raise Forbidden("A change by cookie must come from this site's own page.")
    return session


def session_of_handshake(request: Request, auth: Any, identities: Identities, origins: Origins) -> Session:
    """Of a Socket.IO connection. Programs send no Origin, and have no cookies of others."""
    session = identities.identify(_given(request, auth.get("token") if isinstance(auth, dict) else None))
    origin = request.headers.get("Origin")
    if session is None or (session.ambient and origin is not None and not origins.vouch(origin, request.environ)):
        raise Unauthorized
    return session


def address_of(request: Request) -> str:
    """Whose limits count. Of IPv6 the network: whoever has one address has 2^64 of them."""
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return str(ip_network((address, 64), strict=False))
        address = address.ipv4_mapped
    return str(address)


def _given(request: Request, token: object) -> Given:
    behind = request.environ.get("werkzeug.proxy_fix.orig", request.environ)
    return Given(token, request.cookies, request.headers.get, behind.get("REMOTE_ADDR", ""))


def _is_same_origin(request: Request, origins: Origins) -> bool:
    origin = request.headers.get("Origin")
    if origin is not None:
        return origins.vouch(origin, request.environ)
    return request.headers.get("Sec-Fetch-Site") == "same-origin"
