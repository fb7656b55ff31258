"""Who may do what: every event and every route, for whoever may ask.

The application itself says which events and routes there are: one that is not below fails.
"""

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from flask import Flask

from app.ledger.keys import new_conversation_id
from app.services import build_web
from app.settings import ProviderConfig, Settings
from app.web.app import create_app
from app.web.openai_api.said import Handle
from tests.support.clients import ChatClient, Refused
from tests.support.http_client import Api, Session
from tests.support.stack import Stack
from tests.unit.test_extension_points import NoHints


def make_app() -> Flask:
    provider = ProviderConfig(name="x", base_url="http://127.0.0.1:1/v1", models=("m",))
    return create_app(build_web(Settings(async_mode="gevent", providers=(provider,)), NoHints()))


@dataclass(frozen=True)
class Ids:
    """Of one conversation with an answered message."""

    conversation: str
    turn: str
    message: str
    reply: str


NEVER = Ids(new_conversation_id("nobody"), "t" + "0" * 24, "m" + "0" * 24, "m" + "1" * 24)


def client_id() -> str:
    return uuid.uuid4().hex


# Event → what is sent about a conversation.
ABOUT_ONE: dict[str, Callable[[Ids], dict[str, Any]]] = {
    "open_conversation": lambda ids: {"conversation_id": ids.conversation},
    "send_message": lambda ids: {"conversation_id": ids.conversation, "text": "x", "client_id": client_id()},
    "regenerate": lambda ids: {
        "conversation_id": ids.conversation,
        "message_id": ids.reply,
        "client_id": client_id(),
    },
    "edit_message": lambda ids: {
        "conversation_id": ids.conversation,
        "message_id": ids.message,
        "text": "x",
        "client_id": client_id(),
    },
    "select_branch": lambda ids: {"conversation_id": ids.conversation, "message_id": ids.reply},
    "list_turns": lambda ids: {"conversation_id": ids.conversation},
    "stop_turn": lambda ids: {"conversation_id": ids.conversation, "turn_id": ids.turn},
    "configure_conversation": lambda ids: {"conversation_id": ids.conversation, "title": "x"},
    "clear_conversation": lambda ids: {"conversation_id": ids.conversation},
    "delete_conversation": lambda ids: {"conversation_id": ids.conversation},
}
# Events that show and change nothing of a conversation of others.
ABOUT_ONESELF: dict[str, Callable[[Ids], dict[str, Any]]] = {
    "close_conversation": lambda ids: {"conversation_id": ids.conversation},
    "list_conversations": lambda _ids: {},
}
NOT_ASKED = {"connect", "disconnect", "*"}

# Besides the page's files.
OPEN_ROUTES = {
    "GET /",
    "GET /c/<_conversation_id>",
    "GET /healthz",
    "GET /metrics",  # of nobody in particular; see test_metrics.py
    "GET /readyz",
    "GET /api/openapi.json",
    "GET /api/asyncapi.json",
    "GET /api/docs",
    "POST /api/sessions",
}
# Route → (body, status for whose it is).
ROUTES_ABOUT_ONE: dict[str, tuple[Callable[[], Any], int]] = {
    "GET /api/conversations/<conversation_id>": (lambda: None, 200),
    "GET /api/conversations/<conversation_id>/turns": (lambda: None, 200),
    "GET /api/conversations/<conversation_id>/messages": (lambda: None, 200),
    "PATCH /api/conversations/<conversation_id>": (lambda: {"title": "x"}, 200),
    "GET /api/conversations/<conversation_id>/events": (lambda: None, 200),
    "GET /api/conversations/<conversation_id>/export": (lambda: None, 200),
    "POST /api/conversations/<conversation_id>/messages": (lambda: {"text": "x", "client_id": client_id()}, 202),
    "POST /api/conversations/<conversation_id>/messages/<reply_id>/regenerate": (
        lambda: {"client_id": client_id()},
        202,
    ),
    "POST /api/conversations/<conversation_id>/messages/<message_id>/edit": (
        lambda: {"text": "x", "client_id": client_id()},
        202,
    ),
    "POST /api/conversations/<conversation_id>/messages/<message_id>/select": (lambda: None, 200),
    "POST /api/conversations/<conversation_id>/turns/<turn_id>/stop": (lambda: None, 200),
    "POST /api/conversations/<conversation_id>/clear": (lambda: None, 200),
    "GET /v1/responses/<response_id>": (lambda: None, 200),
    "POST /v1/responses/<response_id>/cancel": (lambda: None, 200),
    "DELETE /api/conversations/<conversation_id>": (lambda: None, 204),
}
ROUTES_ABOUT_ONESELF: dict[str, tuple[Callable[[], Any], int]] = {
    "GET /api/session": (lambda: None, 200),
    "GET /api/models": (lambda: None, 200),
    "GET /v1/models": (lambda: None, 200),
    "GET /v1/models/<path:name>": (lambda: None, 200),
    "POST /v1/chat/completions": (lambda: {"model": "small", "messages": [{"role": "user", "content": "x"}]}, 200),
    "POST /v1/responses": (lambda: {"input": "x"}, 200),
    "GET /api/conversations": (lambda: None, 200),
    "POST /api/conversations": (dict, 201),
    "POST /api/conversations/import": (
        lambda: {
            "format": "parley.conversation",
            "version": 1,
            "conversation": {"created_at": "2026-01-31"},
            "messages": [],
            "head": None,
        },
        201,
    ),
    "POST /api/session/rotate": (lambda: None, 200),
    "DELETE /api/session": (lambda: None, 204),
}


def test_every_event_and_every_route_is_here() -> None:
    app = make_app()
    events = set(app.extensions["socketio"].server.handlers["/"])
    assert events - NOT_ASKED == ABOUT_ONE.keys() | ABOUT_ONESELF.keys()
    assert set(app.extensions["socketio"].server.handlers) == {"/"}
    routes = {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith("/static/")
    }
    assert routes == OPEN_ROUTES | ROUTES_ABOUT_ONE.keys() | ROUTES_ABOUT_ONESELF.keys()


def answered(client: ChatClient) -> Ids:
    """A new conversation with one exchange."""
    answer = client.do("send_message", text=client_id(), client_id=client_id())
    reply = client.wait_finished(answer["turn_id"])["message"]
    return Ids(answer["conversation_id"], answer["turn_id"], answer["message_id"], reply["id"])


# --- Nobody -----------------------------------------------------------------------------------------------------------


def path_of(route: str, ids: Ids) -> tuple[str, str]:
    method, path = route.split(" ")
    response = Handle(ids.conversation, ids.turn, ids.message, background=True, created_at=0).response_id
    named = {
        "response": response,
        "conversation": ids.conversation,
        "turn": ids.turn,
        "message": ids.message,
        "reply": ids.reply,
    }
    path = path.replace("<path:name>", "small")
    for name, value in named.items():
        path = path.replace(f"<{name}_id>", value)
    return method, path


def ended(stack: Stack, owner: ChatClient) -> Session:
    """The session of `owner`, over, with its conversations still there."""
    assert stack.api(owner.session)("DELETE", "/api/session").status_code == 204
    return owner.session


@pytest.mark.parametrize("route", [*ROUTES_ABOUT_ONE, *ROUTES_ABOUT_ONESELF])
def test_a_route_is_closed_to_nobody(stack: Stack, route: str) -> None:
    client = stack.client()
    method, path = path_of(route, answered(client))
    body, _ = {**ROUTES_ABOUT_ONE, **ROUTES_ABOUT_ONESELF}[route]
    url = stack.webs[0].url
    over = ended(stack, client)
    answers: dict[str, requests.Response] = {}
    for who, token in {"none": None, "forged": secrets.token_urlsafe(32), "expired": over.token}.items():
        answers[who] = Api(url, token)(method, path, json=body())
        if token:
            cookie = {"Cookie": f"parley_session={token}", "Origin": url}
            answers[f"{who}, by cookie"] = Api(url)(method, path, json=body(), headers=cookie)
    assert {who: answer.status_code for who, answer in answers.items()} == dict.fromkeys(answers, 401)
    assert len({answer.text for answer in answers.values()}) == 1
    assert answers["none"].json()["error"]["code"] == "unauthorized"


CHANGES = [route for route in [*ROUTES_ABOUT_ONE, *ROUTES_ABOUT_ONESELF] if not route.startswith("GET ")]
ELSEWHERE = [
    {},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "https://foreign.example.com"},
    {"Origin": "https://foreign.example.com", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "https://friend.example.com.foreign.example.com"},
    *({"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "none", "")),
]


@pytest.mark.parametrize("route", CHANGES)
def test_no_change_by_cookie_from_elsewhere(stack: Stack, route: str) -> None:
    """With the owner's own cookie, as a browser sends it along with what other sites ask for."""
    owner = stack.client()
    ids = answered(owner)
    api = stack.api(owner.session)
    before = api.get(f"/api/conversations/{ids.conversation}")
    body, status = {**ROUTES_ABOUT_ONE, **ROUTES_ABOUT_ONESELF}[route]
    method, path = path_of(route, ids)
    url = stack.webs[0].url
    cookie = {"Cookie": f"parley_session={owner.session.token}"}
    for headers in [*ELSEWHERE, {"Origin": url, "Host": "foreign.example.com"}]:
        answer = Api(url)(method, path, json=body(), headers={**cookie, **headers})
        assert (headers, answer.status_code) == (headers, 403)
    assert api.get(f"/api/conversations/{ids.conversation}") == before
    assert [one["id"] for one in api.get("/api/conversations")["conversations"]] == [ids.conversation]
    answer = Api(url)(method, path, json=body(), headers={**cookie, "Origin": url})
    assert answer.status_code == status
    if '"token":' in answer.text:
        stack.secrets.add(answer.json()["token"])


def test_no_event_without_a_session(stack: Stack) -> None:
    """Whoever has none gets no connection, and on one that is not let in no event is answered."""
    over = ended(stack, stack.client())
    said = []
    for auth in (None, {"token": secrets.token_urlsafe(32)}, {"token": over.token}):
        with pytest.raises(Refused) as refused:
            stack.client(connect=False).connect(auth=auth)
        said.append(refused.value.data)
    assert said[0]["code"] == "unauthorized"
    assert said[1:] == said[:-1]


@pytest.mark.parametrize("route", sorted(OPEN_ROUTES))
def test_what_is_open_to_all(stack: Stack, route: str) -> None:
    method, path = route.replace("<_conversation_id>", "x").split(" ")
    answer = Api(stack.webs[0].url)(method, path, json={"name": "x"} if method == "POST" else None)
    assert answer.status_code in {200, 201}
    if path == "/api/sessions":
        stack.secrets.add(answer.json()["token"])


# --- Somebody else ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ABOUT_ONE)
def test_an_event_about_anothers_conversation(stack: Stack, event: str) -> None:
    owner, other = stack.client(), stack.client(web=1)
    ids = answered(owner)
    before = stack.api(owner.session).get(f"/api/conversations/{ids.conversation}")
    mine = answered(other)
    anothers = other.ask(event, ABOUT_ONE[event](ids))
    never = other.ask(event, ABOUT_ONE[event](NEVER))
    assert anothers == never
    assert anothers["error"]["code"] == "not_found"
    # Nor do ids of another's conversation mean anything within one's own.
    if event == "stop_turn":
        mixed = {"conversation_id": mine.conversation, "turn_id": ids.turn}
        assert other.error(event, mixed) == other.error(event, {**mixed, "turn_id": NEVER.turn})
    assert stack.api(owner.session).get(f"/api/conversations/{ids.conversation}") == before
    assert other.received == [event for event in other.received if event["conversation_id"] == mine.conversation]
    assert owner.ask(event, ABOUT_ONE[event](ids))["ok"]


@pytest.mark.parametrize("event", ABOUT_ONESELF)
def test_an_event_about_oneself_shows_nothing_of_others(stack: Stack, event: str) -> None:
    owner, other = stack.client(), stack.client(web=1)
    ids = answered(owner)
    assert other.ask(event, ABOUT_ONESELF[event](ids)) == other.ask(event, ABOUT_ONESELF[event](NEVER))
    assert ids.conversation not in str(other.ask(event, ABOUT_ONESELF[event](ids)))
    assert owner.talk("still open", ids.conversation)["status"] == "done"


@pytest.mark.parametrize("route", ROUTES_ABOUT_ONE)
def test_a_route_about_anothers_conversation(stack: Stack, route: str) -> None:
    owner, other = stack.client(), stack.api(stack.session(), web=1)
    ids = answered(owner)
    before = stack.api(owner.session).get(f"/api/conversations/{ids.conversation}")
    body, status = ROUTES_ABOUT_ONE[route]
    anothers = other(*path_of(route, ids), json=body())
    never = other(*path_of(route, NEVER), json=body())
    assert (anothers.status_code, anothers.text) == (never.status_code, never.text)
    assert (anothers.status_code, anothers.json()["error"]["code"]) == (404, "not_found")
    assert set(anothers.headers) == set(never.headers)
    assert stack.api(owner.session).get(f"/api/conversations/{ids.conversation}") == before
    method, path = path_of(route, ids)
    with stack.api(owner.session)(method, path, json=body(), stream=True) as answer:
        assert answer.status_code == status


@pytest.mark.parametrize("route", ROUTES_ABOUT_ONESELF)
def test_a_route_about_oneself(stack: Stack, route: str) -> None:
    owner, other = stack.client(), stack.session()
    ids = answered(owner)
    body, status = ROUTES_ABOUT_ONESELF[route]
    method, path = path_of(route, ids)
    answer = stack.api(other)(method, path, json=body())
    assert answer.status_code == status
    assert ids.conversation not in answer.text
    if '"token":' in answer.text:
        stack.secrets.add(answer.json()["token"])
    assert owner.do("list_conversations")["conversations"]
