"""A session over HTTP: made, shown, put under another token, ended."""

from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from app.access.identity import Session
from app.access.sessions import COOKIE, Sessions
from app.connections import UNREACHABLE
from app.errors import Invalid, Unauthorized
from app.ledger.keys import owner_room
from app.logs import get_logger
from app.services import WebServices
from app.web.identity import address_of
from app.web.origins import Origins
from app.web.requests import json_body

# The longest that browsers keep one: how long it counts, which is longer with each use, is decided here.
COOKIE_MAX_AGE = 400 * 86_400

log = get_logger(__name__)


def add_sessions(api: Blueprint, services: WebServices, origins: Origins) -> None:  # noqa: C901 (a list of routes)
    @api.post("/sessions")
    def create_session() -> tuple[Response, int]:
        """A browser gets the token as a cookie as well; script never needs to see it."""
        if services.sessions is None:
            raise Unauthorized("Sign in with your identity provider: this server makes no sessions.")
        body = json_body()
        if set(body) - {"name"}:
            raise Invalid("Only name can be given.", field=min(set(body) - {"name"}))
        services.limits.session(address_of(request))
        return _with_cookie(*services.sessions.create(body.get("name"))), 201

    @api.get("/session")
    def show_session() -> Response:
        return jsonify(_described(g.session) | {"usage": services.ledger.usage(g.session.id)})

    @api.post("/session/rotate")
    def rotate_session() -> Response:
        token, session = _kept_here().rotate(g.session)
        _close_sockets(g.session, "rotated")
        return _with_cookie(token, session)

    @api.delete("/session")
    def end_session() -> tuple[Response, int]:
        _kept_here().end(g.session)
        _close_sockets(g.session, "ended")
        response = Response(status=204)
        response.delete_cookie(COOKIE, httponly=True, samesite="Lax", secure=request.is_secure)
        return response, 204

    def _kept_here() -> Sessions:
        if services.sessions is None:
            raise Invalid("This session is your identity provider's: end or renew it there.")
        return services.sessions

    def _close_sockets(session: Session, reason: str) -> None:
        try:
            services.manager.end_session(owner_room(session.id), session.credential, reason)
        except UNREACHABLE as exc:
            # Each process looks for itself whether its connections' sessions are alive, a little later.
            log.warning("message queue unreachable", error=str(exc))

    def _with_cookie(token: str, session: Session) -> Response:
        response = jsonify({"token": token, **_described(session)})
        origin = request.headers.get("Origin")
        # A page elsewhere gets its token, but does not put another session in the place of the user's own.
        if origin is None or origins.vouch(origin, request.environ):
            response.set_cookie(
                COOKIE,
                token,
                max_age=COOKIE_MAX_AGE,
                httponly=True,
                samesite="Lax",
                secure=request.is_secure,
            )
        return response


def _described(session: Session) -> dict[str, Any]:
    return {
        "session_id": session.id,
        "name": session.name,
        "created_at": session.created_at,
        "expires_at": session.expires_at,
    }
