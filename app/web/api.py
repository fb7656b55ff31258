"""The HTTP interface."""

from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from app.errors import Invalid
from app.services import WebServices
from app.web.archive import add_archive
from app.web.identity import address_of, session_of
from app.web.origins import Origins, guard_origins
from app.web.payloads import MAX_PAGE, ListConversations, SearchConversations, Settings, parse
from app.web.requests import json_body
from app.web.sessions import add_sessions
from app.web.turns import add_turns


def make_api(services: WebServices, origins: Origins) -> Blueprint:  # noqa: C901 (a list of routes)
    api = Blueprint("api", __name__, url_prefix="/api")
    ledger, chat = services.ledger, services.chat
    guard_origins(api, origins)
    add_sessions(api, services, origins)
    add_turns(api, services)
    add_archive(api, services)

    @api.before_request
    def authenticate() -> None:
        if request.endpoint != "api.create_session":
            g.session = session_of(request, services.identities, origins)

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
        if "q" in request.args:
            search = parse(SearchConversations, _query())
            page = services.archive.search(g.session.id, search.q, search.cursor, search.limit)
        else:
            asked = parse(ListConversations, _query())
            page = ledger.conversations(g.session.id, asked.cursor, asked.limit)
        return jsonify({"conversations": page.items, "more": page.more, "cursor": page.cursor})

    @api.post("/conversations")
    def create_conversation() -> tuple[Response, int]:
        settings = parse(Settings, json_body()).given()
        services.limits.conversation(address_of(request))
        return jsonify(chat.create(g.session.id, settings)), 201

    @api.get("/conversations/<conversation_id>")
    def show_conversation(conversation_id: str) -> Response:
        return jsonify(ledger.show(g.session.id, conversation_id))

    @api.patch("/conversations/<conversation_id>")
    def configure_conversation(conversation_id: str) -> Response:
        changes = parse(Settings, json_body()).given()
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

    @api.post("/conversations/<conversation_id>/turns/<turn_id>/stop")
    def stop_turn(conversation_id: str, turn_id: str) -> Response:
        return jsonify(chat.stop(g.session.id, conversation_id, turn_id))

    return api


def _query() -> dict[str, Any]:
    query: dict[str, Any] = dict(request.args)
    return query | {"limit": _limit()}


def _limit() -> int:
    limit = request.args.get("limit", "50")
    if len(limit) > 9 or not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= MAX_PAGE:
        raise Invalid(f"limit must be a number from 1 to {MAX_PAGE}.", field="limit")
    return int(limit)
