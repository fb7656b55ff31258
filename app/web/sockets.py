"""The Socket.IO events of the contract."""

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import structlog
from flask import request
from flask_socketio import ConnectionRefusedError as Refused
from flask_socketio import SocketIO

from app.connections import UNREACHABLE
from app.errors import AppError, Internal, Invalid, NotFound, Unauthorized, Unavailable
from app.ledger import Tail
from app.ledger.keys import conversation_room, owner_room
from app.logs import get_logger
from app.services import WebServices
from app.web.connections import NAMESPACE, Connections
from app.web.event_stream import opened
from app.web.identity import address_of, session_of_handshake
from app.web.origins import Origins
from app.web.payloads import (
    ConfigureConversation,
    ConversationRef,
    EditMessage,
    ListConversations,
    OpenConversation,
    Payload,
    Regenerate,
    SelectBranch,
    SendMessage,
    StopTurn,
    parse,
)
from app.web.requests import new_request_id

Answer = dict[str, Any]


class Sockets:
    """One method for each event: it takes the owner and the checked payload, and returns what is acknowledged."""

    def __init__(self, socketio: SocketIO, services: WebServices, origins: Origins) -> None:
        self._server = socketio.server
        self._ledger = services.ledger
        self._chat = services.chat
        self._metrics = services.metrics
        self._traces = services.traces
        self._identities = services.identities
        self._limits = services.limits
        self._origins = origins
        self._connections = Connections(
            socketio.server, services.identities, services.limits, event_rate=services.settings.event_rate
        )
        self._manager = services.manager
        self._manager.on_session_ended = self._connections.end
        self._manager.on_first_connection = self._connections.watch
        self._log = get_logger(__name__)
        socketio.on_event("connect", self._connect)
        socketio.on_event("disconnect", self._disconnect)
        for handler in (
            self.open_conversation,
            self.close_conversation,
            self.send_message,
            self.regenerate,
            self.edit_message,
            self.select_branch,
            self.stop_turn,
            self.list_turns,
            self.configure_conversation,
            self.clear_conversation,
            self.delete_conversation,
            self.list_conversations,
        ):
            socketio.on_event(handler.__name__, self._acknowledged(handler))
        socketio.on_event("*", self._unknown)

    def leave(self) -> None:
        """The process ends."""
        self._ledger.flush()
        self._connections.leave()

    # --- Events -------------------------------------------------------------------------------------------------------

    def open_conversation(self, owner: str, asked: OpenConversation) -> Answer:
        was_in = self._is_in(asked.conversation_id)
        self._enter(owner, asked.conversation_id)
        found = self._ledger.open(owner, asked.conversation_id, asked.after, asked.epoch)
        self._manager.has_seen(conversation_room(asked.conversation_id), found.seq)
        if was_in and asked.after is not None and not (isinstance(found, Tail) and not found.events):
            self._metrics.gaps.inc()
        return opened(found)

    def close_conversation(self, _owner: str, asked: ConversationRef) -> Answer:
        self._leave(asked.conversation_id)
        return {}

    def send_message(self, owner: str, asked: SendMessage) -> Answer:
        """The sender is in the room before the message is accepted, so that it misses no event."""
        conversation_id = asked.conversation_id
        if conversation_id is not None:
            self._enter(owner, conversation_id)
            return self._chat.send(owner, conversation_id, asked.turn())
        new = self._chat.conversation_for(owner, None, asked.client_id)
        joined = self._join(new)
        try:
            return self._chat.send(owner, None, asked.turn())
        except Exception:
            if joined:
                self._leave(new)
            raise

    def regenerate(self, owner: str, asked: Regenerate) -> Answer:
        self._enter(owner, asked.conversation_id)
        return self._chat.send(owner, asked.conversation_id, asked.turn())

    def edit_message(self, owner: str, asked: EditMessage) -> Answer:
        self._enter(owner, asked.conversation_id)
        return self._chat.send(owner, asked.conversation_id, asked.turn())

    def select_branch(self, owner: str, asked: SelectBranch) -> Answer:
        self._ledger.select(owner, asked.conversation_id, asked.message_id)
        return {}

    def stop_turn(self, owner: str, asked: StopTurn) -> Answer:
        return self._chat.stop(owner, asked.conversation_id, asked.turn_id)

    def list_turns(self, owner: str, asked: ConversationRef) -> Answer:
        return {"turns": self._chat.turns(owner, asked.conversation_id)}

    def configure_conversation(self, owner: str, asked: ConfigureConversation) -> Answer:
        changes = asked.given()
        if not changes:
            raise Invalid("Give at least one of title, memory, provider, model and system_prompt.")
        return {"conversation": self._chat.configure(owner, asked.conversation_id, changes)}

    def clear_conversation(self, owner: str, asked: ConversationRef) -> Answer:
        return {"conversation": self._ledger.clear(owner, asked.conversation_id)}

    def delete_conversation(self, owner: str, asked: ConversationRef) -> Answer:
        self._ledger.clear(owner, asked.conversation_id, delete=True)
        return {}

    def list_conversations(self, owner: str, asked: ListConversations) -> Answer:
        page = self._ledger.conversations(owner, asked.cursor, asked.limit)
        answer: Answer = {"conversations": page.items}
        if page.cursor:
            answer["cursor"] = page.cursor
        return answer

    # --- Connections --------------------------------------------------------------------------------------------------

    def _connect(self, auth: Any = None) -> None:
        sid = _sid()
        try:
            session = session_of_handshake(request, auth, self._identities, self._origins)
            self._connections.admit(sid, session, address_of(request))
            self._server.enter_room(sid, owner_room(session.id), namespace=NAMESPACE)
        except Exception as exc:
            self._connections.drop(sid)
            raise _refused(self._as_error(exc, "connect")) from None

    def _disconnect(self, _reason: str = "") -> None:
        self._connections.drop(_sid())

    def _unknown(self, _event: str, *_args: Any) -> Answer:
        try:
            self._connections.pace(_sid())
            raise Invalid("There is no such event, or it was not one JSON array of a name and an object.")
        except AppError as exc:
            return _failed(exc)

    def _acknowledged(self, handler: Callable[[str, Any], Answer]) -> Callable[..., Answer]:
        """Turns arguments into a payload, and whatever happens into an acknowledgement."""
        payload: type[Payload] = inspect.get_annotations(handler.__func__)["asked"]  # type: ignore[attr-defined]

        def handle(*args: Any) -> Answer:
            with (
                structlog.contextvars.bound_contextvars(request_id=new_request_id()),
                self._traces.span(f"event {handler.__name__}", "server", {}) as span,
            ):
                try:
                    self._connections.pace(_sid())
                    asked = parse(payload, *args)
                    owner = self._owner()
                    with self._counted(owner, asked):
                        return {"ok": True, **handler(owner, asked)}
                except Exception as exc:
                    error = self._as_error(exc, handler.__name__)
                    span.fail(error.code)
                    return _failed(error)

        return handle

    def _owner(self) -> str:
        connection = self._connections.of(_sid())
        if connection is None or not self._identities.renew(connection.session):
            raise Unauthorized
        return connection.session.id

    def _counted(self, owner: str, asked: Payload) -> AbstractContextManager[None]:
        """What has a client_id asks for a turn."""
        client_id = getattr(asked, "client_id", None)
        if client_id is None:
            return nullcontext()
        conversation_id = self._chat.conversation_for(owner, getattr(asked, "conversation_id", None), client_id)
        return self._limits.turn(owner, address_of(request), conversation_id, client_id)

    def _as_error(self, exc: Exception, event: str) -> AppError:
        if isinstance(exc, AppError):
            return exc
        if isinstance(exc, UNREACHABLE):
            self._log.warning("redis unreachable", sio_event=event, error=str(exc))
            return Unavailable()
        self._log.error("event failed", sio_event=event, exc_info=exc)
        return Internal()

    # --- Rooms --------------------------------------------------------------------------------------------------------

    def _enter(self, owner: str, conversation_id: str) -> None:
        """Ownership is checked first: members see everything."""
        if not self._is_in(conversation_id):
            self._ledger.show(owner, conversation_id)
            self._join(conversation_id)

    def _join(self, conversation_id: str) -> bool:
        """Whether the client was not in it already."""
        if self._is_in(conversation_id):
            return False
        try:
            self._server.enter_room(_sid(), conversation_room(conversation_id), namespace=NAMESPACE)
        except (KeyError, ValueError):
            raise NotFound("The connection is gone.") from None
        return True

    def _leave(self, conversation_id: str) -> None:
        self._server.leave_room(_sid(), conversation_room(conversation_id), namespace=NAMESPACE)

    def _is_in(self, conversation_id: str) -> bool:
        return self._manager.is_in(_sid(), conversation_room(conversation_id))


def _sid() -> str:
    sid: str = request.sid  # type: ignore[attr-defined]
    return sid


def _refused(error: AppError) -> Refused:
    return Refused(error.message, error.as_dict())


def _failed(error: AppError) -> Answer:
    return {"ok": False, "error": error.as_dict()}
