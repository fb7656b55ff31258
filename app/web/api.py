"""The HTTP interface."""

from typing import Any

import orjson
from flask import Blueprint, Response, g, jsonify, request

from app.access.sessions import Session
from app.errors import Forbidden, Invalid
from app.services import WebServices
from app.web.identity import COOKIE, Origins, session_of
from app.web.payloads import MAX_PAGE, ListConversations, Message, Settings, parse


def make_api(services: WebServices, origins: Origins) -> Blueprint:  # noqa: C901 (a list of routes)
    api = Blueprint("api", __name__, url_prefix="/api")
    ledger, chat, sessions = services.ledger, services.chat, services.sessions

    @api.before_request
    def authenticate() -> None:
        if request.endpoint != "api.create_session":
            g.token, g.session = session_of(request, sessions, origins)

    @api.post("/sessions")
    def create_session() -> tuple[Response, int]:
        """A browser gets the token as a cookie as well; script never needs to see it."""
        origin = request.headers.get("Origin")
        if origin is not None and not origins.allow(origin, request.environ):
            raise Forbidden("A session for a browser must be asked for by this site's own page.")
        body = _body()
        if set(body) - {"name"}:
            raise Invalid("Only name can be given.", field=min(set(body) - {"name"}))
        token, session = sessions.create(body.get("name"))
        response = jsonify({"token": token, **_described(session)})
        response.set_cookie(
            COOKIE,
            token,
            max_age=services.settings.session_ttl_seconds,
            httponly=True,
            samesite="Lax",
            secure=request.is_secure,
        )
        return response, 201

    @api.get("/session")
    def show_session() -> Response:
        return jsonify(_described(g.session))

    @api.delete("/session")
    def end_session() -> tuple[Response, int]:
        sessions.end(g.token)
        response = Response(status=204)
        response.delete_cookie(COOKIE, httponly=True, samesite="Lax", secure=request.is_secure)
        return response, 204

    @api.get("/models")
    def list_models() -> Response:
        default = services.registry.default
        return jsonify(
            {
                "providers": services.registry.describe(),
                "default": {"provider": default.name, "model": default.models[0]},
            }
        )

    @api.get("/conversations")
    def list_conversations() -> Response:
        asked = parse(ListConversations, _query())
        page = ledger.conversations(g.session.id, asked.cursor, asked.limit)
        return jsonify({"conversations": page.items, "more": page.more, "cursor": page.cursor})

    @api.post("/conversations")
    def create_conversation() -> tuple[Response, int]:
        return jsonify(chat.create(g.session.id, parse(Settings, _body()).given())), 201

    @api.get("/conversations/<conversation_id>")
    def show_conversation(conversation_id: str) -> Response:
        return jsonify(ledger.show(g.session.id, conversation_id))

    @api.patch("/conversations/<conversation_id>")
    def configure_conversation(conversation_id: str) -> Response:
        changes = parse(Settings, _body()).given()
        if not changes:
            raise Invalid("Give at least one of title, memory, provider, model and system_prompt.")
        return jsonify(chat.configure(g.session.id, conversation_id, changes))

    @api.delete("/conversations/<conversation_id>")
    def delete_conversation(conversation_id: str) -> tuple[str, int]:
        ledger.clear(g.session.id, conversation_id, delete=True)
        return "", 204

    @api.post("/conversations/<conversation_id>/clear")
    def clear_conversation(conversation_id: str) -> Response:
        return jsonify(ledger.clear(g.session.id, conversation_id))

    @api.get("/conversations/<conversation_id>/messages")
    def list_messages(conversation_id: str) -> Response:
        page = ledger.history(g.session.id, conversation_id, request.args.get("before"), _limit())
        return jsonify({"messages": page.items, "more": page.more})

    @api.post("/conversations/<conversation_id>/messages")
    def send_message(conversation_id: str) -> tuple[Response, int]:
        return jsonify(chat.send(g.session.id, conversation_id, parse(Message, _body()).turn())), 202

    @api.post("/conversations/<conversation_id>/turns/<turn_id>/stop")
    def stop_turn(conversation_id: str, turn_id: str) -> Response:
        return jsonify(chat.stop(g.session.id, conversation_id, turn_id))

    return api


def _body() -> dict[str, Any]:
    try:
        body = orjson.loads(request.get_data())
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise Invalid("Send one JSON object.")
    return body


def _query() -> dict[str, Any]:
    query: dict[str, Any] = dict(request.args)
    return query | {"limit": _limit()}


def _limit() -> int:
    limit = request.args.get("limit", "50")
    if len(limit) > 9 or not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= MAX_PAGE:
        raise Invalid(f"limit must be a number from 1 to {MAX_PAGE}.", field="limit")
    return int(limit)


def _described(session: Session) -> dict[str, str]:
    return {
        "session_id": session.id,
        "name": session.name,
        "created_at": session.created_at,
        "expires_at": session.expires_at,
    }
