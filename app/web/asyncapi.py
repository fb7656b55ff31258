"""The AsyncAPI document: what goes to and fro over Socket.IO, from the same models."""

from typing import Any

from app.web import payloads, schemas

# Event → (what it is sent with, what it is acknowledged with, besides a refusal).
REQUESTS: dict[str, tuple[Any, Any]] = {
    "open_conversation": (payloads.OpenConversation, schemas.Opened),
    "close_conversation": (payloads.ConversationRef, schemas.Done),
    "send_message": (payloads.SendMessage, schemas.Taken),
    "regenerate": (payloads.Regenerate, schemas.Taken),
    "edit_message": (payloads.EditMessage, schemas.Taken),
    "select_branch": (payloads.SelectBranch, schemas.Done),
    "list_turns": (payloads.ConversationRef, schemas.Waiting),
    "stop_turn": (payloads.StopTurn, schemas.Stopped),
    "configure_conversation": (payloads.ConfigureConversation, schemas.OneConversation),
    "clear_conversation": (payloads.ConversationRef, schemas.OneConversation),
    "delete_conversation": (payloads.ConversationRef, schemas.Done),
    "list_conversations": (payloads.ListConversations, schemas.ManyConversations),
}
SENT: dict[str, Any] = {
    "event": schemas.Event,
    "activity": schemas.Activity,
    "session_ended": schemas.SessionEnded,
}


def document() -> dict[str, Any]:
    types = [one for pair in REQUESTS.values() for one in pair] + [*SENT.values(), schemas.Refusal]
    made, shared = schemas.schemas(list(dict.fromkeys(types)))
    messages: dict[str, Any] = {"refused": {"name": "acknowledgement", "payload": made[schemas.Refusal]}}
    operations: dict[str, Any] = {}
    for name, (taken, given) in REQUESTS.items():
        messages[name] = {"name": name, "payload": made[taken]}
        messages[f"{name}.done"] = {"name": "acknowledgement", "payload": made[given]}
        operations[name] = {
            "action": "receive",
            "channel": {"$ref": "#/channels/socket"},
            "messages": [_message(name)],
            "reply": {
                "channel": {"$ref": "#/channels/socket"},
                "messages": [_message(f"{name}.done"), _message("refused")],
            },
        }
    for name, one in SENT.items():
        messages[name] = {"name": name, "payload": made[one]}
        operations[name] = {
            "action": "send",
            "channel": {"$ref": "#/channels/socket"},
            "messages": [_message(name)],
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Parley over Socket.IO",
            "version": "1",
            "description": "Namespace `/`, path `/socket.io`, WebSocket only. Each request is acknowledged. "
            "Connect with `auth: {token}` or with the page's cookie.",
        },
        "channels": {
            "socket": {
                "address": "/socket.io",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": operations,
        "components": {"messages": messages, "schemas": shared},
    }


def _message(name: str) -> dict[str, str]:
    return {"$ref": f"#/channels/socket/messages/{name}"}
