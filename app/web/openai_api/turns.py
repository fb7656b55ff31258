"""Turns that are asked for at /v1."""

import time
import uuid
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any

import orjson
from flask import Response, g, jsonify, request

from app.clock import iso, system_clock
from app.errors import AppError, Invalid, NotFound
from app.ledger import NewTurn
from app.ledger.models import Json, TurnState
from app.ledger.owners import title_of
from app.services import WebServices
from app.web.event_stream import event_stream_response
from app.web.following import Follower, states
from app.web.identity import address_of
from app.web.openai_api import said
from app.web.openai_api.asked import Asked, AskedResponse, Talk, as_messages
from app.web.openai_api.said import Handle
from app.web.payloads import parse
from app.web.requests import json_body

# A turn ends long before: this is for one that waits behind others.
LONGEST_WAIT = 3_600.0
CLEARED = "The conversation was cleared, and this response with it."


class Turns:
    """Of the session and the request at hand."""

    def __init__(self, services: WebServices) -> None:
        self._services = services
        self._ledger = services.ledger
        self._chat = services.chat

    def new_place(self) -> tuple[str, str]:
        """(conversation, client_id)"""
        own = client_id()
        return self._chat.conversation_for(g.session.id, None, own), own

    def follow(self, wanted: Callable[[bytes], bool] | None, conversation_id: str, *_: str) -> Follower:
        more = (wanted,) if wanted else ()
        return Follower(self._services, g.session, address_of(request), conversation_id, *more)

    def start(self, talk: Talk, asked: Asked, conversation_id: str, own: str, previous: Handle | None = None) -> Handle:
        """Accepts a turn: in a new conversation made of what was said before, or where a response left off."""
        owner = g.session.id
        provider, model = self._chosen(asked.model)
        parent = None
        if previous:
            if talk.before:
                raise Invalid("With previous_response_id, send the user's new message only.", field="input")
            parent = self._ledger.turn(owner, **previous.place).reply_id
            if parent is None:
                raise NotFound(CLEARED)
        # Those of one that goes on are for this answer only, as OpenAI's are.
        instructions = (talk.system_prompt or None) if previous else None
        turn = NewTurn(talk.question, own, parent_id=parent, provider=provider, model=model, system_prompt=instructions)
        with self._services.limits.turn(owner, address_of(request), conversation_id, own):
            answer = self._take_in(talk, turn, conversation_id, fresh=previous is None)
        # From here on the turn is paid for: whatever fails now, an SDK must not ask once more unless that is the same.
        g.is_under_way = "Idempotency-Key" not in request.headers
        background = isinstance(asked, AskedResponse) and bool(asked.background)
        return Handle(conversation_id, answer["turn_id"], answer["message_id"], background, int(time.time()))

    def _take_in(self, talk: Talk, turn: NewTurn, conversation_id: str, *, fresh: bool) -> Json:
        """Into a conversation that may have to be made first (`fresh`). Returns the acknowledgement."""
        owner = g.session.id
        self._chat.check(turn)
        restored = fresh and bool(talk.before or talk.system_prompt)
        if restored:
            self._chat.check_room(owner, conversation_id)
            at = iso(system_clock())
            settings = {
                "title": title_of(talk.before[0][1] if talk.before else talk.question),
                "provider": turn.provider,
                "model": turn.model,
                "system_prompt": talk.system_prompt or None,
                "created_at": at,
            }
            before = as_messages(talk.before, at)
            self._chat.restore(owner, settings, before, before[-1]["id"] if before else None, turn.client_id)
        try:
            return self._chat.send(owner, None if fresh and not restored else conversation_id, turn)
        except AppError:
            if restored and "Idempotency-Key" not in request.headers:
                self._ledger.clear(owner, conversation_id, delete=True)
            raise

    def _chosen(self, model: str | None) -> tuple[str | None, str | None]:
        """`provider/model` where that provider has it, else a model of any of them: their names have slashes too."""
        name, _, rest = (model or "").partition("/")
        provider = self._services.registry.get(name)
        if provider and rest in provider.models:
            return name, rest
        return None, model

    def show(self, handle: Handle, previous: str | None = None) -> Response:
        state = self._ledger.turn(g.session.id, **handle.place)
        if state.reply_id is None:
            raise NotFound(CLEARED)
        return jsonify(said.response(handle, state, previous=previous))

    def streamed(
        self, follower: Follower, handle: Handle, render: Callable[[Iterator[TurnState | None]], Iterator[bytes]]
    ) -> Response:
        return event_stream_response(Body(follower, render(states(follower, self._ledger, g.session.id, handle.place))))


class Body:
    """Closes its follower, whether it was read or not. Raises at once what the first piece raises."""

    def __init__(self, follower: Follower, pieces: Iterator[bytes]) -> None:
        self._follower = follower
        self._pieces = pieces
        try:
            self._first: bytes | None = next(pieces)
        except BaseException:
            follower.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece, self._first = self._first, None
        return next(self._pieces) if piece is None else piece

    def close(self) -> None:
        self._follower.close()


def client_id() -> str:
    """The same one for the same Idempotency-Key."""
    key = request.headers.get("Idempotency-Key")
    return blake2b(key.encode(), digest_size=20).hexdigest() if key else uuid.uuid4().hex


def framed(data: Json, name: str | None = None) -> bytes:
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + orjson.dumps(data) + b"\n\n"


def parse_asked(model: type[Any]) -> Any:
    asked = parse(model, json_body())
    asked.check()
    return asked
