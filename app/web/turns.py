"""Turns over HTTP: asked for, waited for, and followed as they stream."""

from contextlib import ExitStack
from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from app.services import WebServices
from app.web.event_stream import EventStream, event_stream_response, position_of
from app.web.following import Follower, ends_a_turn, reply_within
from app.web.identity import address_of
from app.web.payloads import (
    EditMessage,
    Message,
    PostEdit,
    PostMessage,
    PostRegenerate,
    Regenerate,
    SelectBranch,
    parse,
)
from app.web.requests import json_body

Answered = tuple[Response, int]


def add_turns(api: Blueprint, services: WebServices) -> None:
    ledger, chat, limits = services.ledger, services.chat, services.limits

    @api.post("/conversations/<conversation_id>/messages")
    def send_message(conversation_id: str) -> Answered:
        asked = parse(PostMessage, _body())
        return _answer(conversation_id, asked, asked.wait)

    @api.post("/conversations/<conversation_id>/messages/<reply_id>/regenerate")
    def regenerate(conversation_id: str, reply_id: str) -> Answered:
        asked = parse(PostRegenerate, _body(conversation_id=conversation_id, message_id=reply_id))
        return _answer(conversation_id, asked, asked.wait)

    @api.post("/conversations/<conversation_id>/messages/<message_id>/edit")
    def edit_message(conversation_id: str, message_id: str) -> Answered:
        asked = parse(PostEdit, _body(conversation_id=conversation_id, message_id=message_id))
        return _answer(conversation_id, asked, asked.wait)

    @api.post("/conversations/<conversation_id>/messages/<message_id>/select")
    def select_branch(conversation_id: str, message_id: str) -> Response:
        asked = parse(SelectBranch, {"conversation_id": conversation_id, "message_id": message_id})
        ledger.select(g.session.id, conversation_id, asked.message_id)
        return jsonify(ledger.show(g.session.id, conversation_id))

    @api.get("/conversations/<conversation_id>/turns")
    def list_turns(conversation_id: str) -> Response:
        return jsonify({"turns": chat.turns(g.session.id, conversation_id)})

    @api.get("/conversations/<conversation_id>/events")
    def stream_events(conversation_id: str) -> Response:
        follower = Follower(services, g.session, address_of(request), conversation_id)
        epoch, seq = position_of(request.headers.get("Last-Event-ID"))
        return event_stream_response(EventStream(follower, ledger, g.session.id, conversation_id, epoch, seq))

    def _answer(conversation_id: str, asked: Message | Regenerate | EditMessage, wait: float) -> Answered:
        """202 with the acknowledgement, or 200 with the saved reply if it is there in time."""
        owner, address = g.session.id, address_of(request)
        with ExitStack() as stack:
            if wait:
                # Before the message is accepted, so that a wait that cannot be is an error that has done nothing.
                follower = stack.enter_context(Follower(services, g.session, address, conversation_id, ends_a_turn))
            with limits.turn(owner, address, conversation_id, asked.client_id):
                answer = chat.send(owner, conversation_id, asked.turn())
            reply = reply_within(follower, ledger, owner, answer, wait) if wait else None
        return (jsonify(answer), 202) if reply is None else (jsonify(reply), 200)


def _body(**of_path: str) -> dict[str, Any]:
    return json_body() | of_path
