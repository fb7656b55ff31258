"""The OpenAPI document: what each route takes and gives, from the models that parse and describe it."""

import re
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, Field

from app.access.sessions import COOKIE
from app.web import payloads, schemas
from app.web.archive import Export
from app.web.openai_api.asked import AskedCompletion, AskedResponse
from app.web.schemas import ErrorAnswer, OpenAIErrorAnswer

JSON = "application/json"
# As JSON, or as a stream where one was asked for.
EITHER = f"{JSON} text/event-stream"
Body = type[BaseModel] | str | None


class NewSession(BaseModel):
    name: str = Field(min_length=1, max_length=80)


@dataclass(frozen=True)
class Operation:
    """`answers`: for each status a model or, as text, media types. `query`: names, with what they mean."""

    summary: str
    answers: dict[int, Body]
    body: type[BaseModel] | None = None
    query: dict[str, str] = field(default_factory=dict)
    public: bool = False
    # Of errors, besides those that every operation may have.
    errors: tuple[int, ...] = ()


ONE = (404,)
TURN = (404, 409, 413, 429)
PAGE = {"limit": "1 to 100, 50 if absent", "cursor": "as the page before gave it"}
_C = "/api/conversations/{conversation_id}"
OPERATIONS: dict[str, Operation] = {
    "POST /api/sessions": Operation(
        "A new session; a browser gets its token as a cookie too", {201: schemas.NewSession}, NewSession, public=True
    ),
    "GET /api/session": Operation("The session, and what its replies have used", {200: schemas.ShownSession}),
    "POST /api/session/rotate": Operation("The same session under a new token", {200: schemas.NewSession}),
    "DELETE /api/session": Operation("Ends the session", {204: None}),
    "GET /api/models": Operation("Providers and models to choose from", {200: schemas.Models}),
    "GET /api/conversations": Operation(
        "One's own conversations, the last used first",
        {200: schemas.Conversations},
        query=PAGE | {"q": "only those whose title or messages have this; a page may be short, or empty, with `more`"},
    ),
    "POST /api/conversations": Operation(
        "A new conversation", {201: schemas.Conversation}, payloads.Settings, errors=(429,)
    ),
    "POST /api/conversations/import": Operation(
        "A conversation that was exported", {201: schemas.Conversation}, Export, errors=(413, 429)
    ),
    f"GET {_C}": Operation("One conversation", {200: schemas.Conversation}, errors=ONE),
    f"PATCH {_C}": Operation("Sets what is given", {200: schemas.Conversation}, payloads.Settings, errors=ONE),
    f"DELETE {_C}": Operation("Deletes it, and ends what runs in it", {204: None}, errors=ONE),
    f"POST {_C}/clear": Operation("Removes all messages", {200: schemas.Conversation}, errors=ONE),
    f"GET {_C}/messages": Operation(
        "The chosen branch, oldest first",
        {200: schemas.Messages},
        query={"before": "a message; those before it", "limit": "1 to 100, 50 if absent"},
        errors=ONE,
    ),
    f"POST {_C}/messages": Operation(
        "Sends a message: 202 once it is taken in, 200 with the saved reply if it is there within `wait` seconds",
        {200: schemas.Message, 202: schemas.Accepted},
        payloads.PostMessage,
        errors=TURN,
    ),
    f"POST {_C}/messages/{{reply_id}}/regenerate": Operation(
        "Another version of a reply",
        {200: schemas.Message, 202: schemas.Accepted},
        payloads.PostRegenerate,
        errors=TURN,
    ),
    f"POST {_C}/messages/{{message_id}}/edit": Operation(
        "Another version of a message", {200: schemas.Message, 202: schemas.Accepted}, payloads.PostEdit, errors=TURN
    ),
    f"POST {_C}/messages/{{message_id}}/select": Operation(
        "Chooses the branch that a message is on", {200: schemas.Conversation}, errors=ONE
    ),
    f"POST {_C}/turns/{{turn_id}}/stop": Operation("Ends a turn", {200: schemas.TurnStatus}, errors=ONE),
    f"GET {_C}/turns": Operation(
        "What is not answered yet, in its order, and how long it is likely to wait", {200: schemas.Queued}, errors=ONE
    ),
    f"GET {_C}/events": Operation(
        "The conversation's events as they come; resumed by `Last-Event-ID`, else a `snapshot` first",
        {200: "text/event-stream"},
        errors=(404, 429),
    ),
    f"GET {_C}/export": Operation(
        "The conversation as a file: all of it as JSON, or the chosen branch as Markdown",
        {200: Export},
        query={"format": "json or md"},
        errors=ONE,
    ),
    "GET /v1/models": Operation("OpenAI's: the models", {200: JSON}),
    "GET /v1/models/{name}": Operation("OpenAI's: one of them", {200: JSON}, errors=ONE),
    "POST /v1/chat/completions": Operation(
        "OpenAI's: a reply to what was said, in a conversation of its own",
        {200: EITHER},
        AskedCompletion,
        errors=(*TURN, 502),
    ),
    "POST /v1/responses": Operation(
        "OpenAI's: a reply, waited for, streamed, or made in the background", {200: EITHER}, AskedResponse, errors=TURN
    ),
    "GET /v1/responses/{response_id}": Operation(
        "OpenAI's: how far it is",
        {200: EITHER},
        query={"stream": "true: its events", "starting_after": "those after this sequence number"},
        errors=ONE,
    ),
    "POST /v1/responses/{response_id}/cancel": Operation("OpenAI's: ends it", {200: JSON}, errors=ONE),
    "GET /api/openapi.json": Operation("This document", {200: JSON}, public=True),
    "GET /api/asyncapi.json": Operation("The Socket.IO events", {200: JSON}, public=True),
    "GET /api/docs": Operation("Both, to be read", {200: "text/html"}, public=True),
    "GET /healthz": Operation("The process is up", {200: schemas.Health}, public=True),
    "GET /metrics": Operation(
        "Figures for Prometheus; from this machine, or with METRICS_TOKEN", {200: "text/plain"}, public=True
    ),
    "GET /readyz": Operation("Redis can be reached", {200: schemas.Readiness, 503: schemas.Unreadiness}, public=True),
}


def document() -> dict[str, Any]:
    types: list[Any] = [ErrorAnswer, OpenAIErrorAnswer]
    for operation in OPERATIONS.values():
        types += [one for one in (operation.body, *operation.answers.values()) if isinstance(one, type)]
    made, shared = schemas.schemas(list(dict.fromkeys(types)))
    for name in ("PostRegenerate", "PostEdit"):  # these two are in the path
        schema = shared[name]
        for given in ("conversation_id", "message_id"):
            del schema["properties"][given]
            schema["required"].remove(given)
    paths: dict[str, Any] = {}
    for route, operation in OPERATIONS.items():
        method, path = route.split(" ")
        paths.setdefault(path, {})[method.lower()] = _described(path, operation, made)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Parley",
            "version": "1",
            "description": "An LLM chat backend whose replies cannot be lost.",
        },
        "paths": paths,
        "components": {
            "schemas": shared,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
        "security": [{"bearer": []}, {"cookie": []}],
    }


def _described(path: str, operation: Operation, made: dict[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"summary": operation.summary}
    if operation.public:
        found["security"] = []
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    parameters += [
        {"name": name, "in": "query", "description": about, "schema": {"type": "string"}}
        for name, about in operation.query.items()
    ]
    if operation.answers.get(200) == "text/event-stream" and path.endswith("/events"):
        parameters.append({"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}})
    if parameters:
        found["parameters"] = parameters
    if operation.body:
        found["requestBody"] = {"required": True, "content": {JSON: {"schema": made[operation.body]}}}
    responses: dict[str, Any] = {str(status): _answer(body, made) for status, body in operation.answers.items()}
    errors = {*operation.errors, 503, *(() if operation.public else (401,))}
    if operation.body or operation.query:
        errors.add(400)
    refusal = OpenAIErrorAnswer if path.startswith("/v1/") else ErrorAnswer
    for status in sorted(errors):
        responses.setdefault(str(status), _answer(refusal, made))
    found["responses"] = responses
    return found


def _answer(body: Body, made: dict[Any, Any]) -> dict[str, Any]:
    if body is None:
        return {"description": "Done"}
    if isinstance(body, str):
        return {"description": "As it says", "content": {media: {} for media in body.split()}}
    return {"description": body.__name__, "content": {JSON: {"schema": made[body]}}}
