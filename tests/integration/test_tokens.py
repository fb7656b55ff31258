"""Who is let in, and from where."""

from typing import Any

import pytest
import requests
from websockets.exceptions import InvalidStatus

from tests.support.clients import Kind, Refused
from tests.support.http_client import Api
from tests.support.raw_socket import RawSocket
from tests.support.stack import Stack

FORGED = "x1-dMkVVNQzlefufupiZjiG9ml_Ou5xUmO9HYBSg5c"
COOKIE = "parley_session"
FOREIGN = "https://foreign.example.com"
FRIEND = "https://friend.example.com"  # in ALLOWED_ORIGINS


@pytest.mark.parametrize(
    "auth",
    [
        *(
            None,
            {},
            {"token": FORGED},
            {"token": ""},
            {"token": None},
            {"token": 7},
            {"token": ["x"]},
            {"token": {"a": 1}},
        ),
        *({"token": "x" * 10_000}, {"token": "é\0"}, {"token": True}, {"Token": "x"}, ["token"], "token", 7),
    ],
    ids=lambda auth: f"{auth!r:.30}",
)
def test_no_live_token_no_connection(stack: Stack, auth: Any) -> None:
    with pytest.raises(Refused) as refused:
        stack.client(connect=False).connect(auth=auth)
    assert refused.value.data["code"] == "unauthorized"
    assert refused.value.data["message"]


@pytest.mark.parametrize("kind", ["python", "npm"])
def test_both_clients_are_told_why(stack: Stack, kind: Kind) -> None:
    client = stack.client(kind=kind, connect=False)
    with pytest.raises(Refused) as refused:
        client.connect(auth={"token": FORGED})
    assert refused.value.data["code"] == "unauthorized"
    assert client.connect().do("list_conversations")["conversations"] == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Bearer {FORGED}"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer  "},
        {"Authorization": f"Basic {FORGED}"},
        {"Authorization": FORGED},
        {"Authorization": "Bearer é".encode("latin-1")},
        {"Cookie": f"{COOKIE}={FORGED}", "Sec-Fetch-Site": "same-origin"},
        {"Cookie": f"{COOKIE}="},
    ],
    ids=str,
)
def test_no_live_token_no_http(stack: Stack, headers: dict[str, str]) -> None:
    api = Api(stack.webs[0].url)
    for method, path in [
        ("GET", "/api/session"),
        ("DELETE", "/api/session"),
        ("GET", "/api/models"),
        ("GET", "/api/conversations"),
        ("POST", "/api/conversations"),
        ("GET", "/api/conversations/" + "0" * 26),
        ("POST", "/api/conversations/" + "0" * 26 + "/messages"),
    ]:
        answer = api(method, path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized"), (method, path)


def test_an_ended_session_is_over_everywhere(stack: Stack) -> None:
    session = stack.session()
    api, client = stack.api(session), stack.client(session, web=1)
    answer = client.send(stack.secret_text())
    client.wait_finished(answer["turn_id"])
    assert api.get("/api/session")["session_id"] == session.id
    assert api("DELETE", "/api/session").status_code == 204
    assert api("GET", "/api/session").status_code == 401
    client.wait_for(lambda: client.disconnects, "the socket is closed")
    with pytest.raises(Refused) as refused:
        stack.client(session)
    assert refused.value.data["code"] == "unauthorized"


@pytest.mark.parametrize("name", ["Ada", "Ünï 👋", "x" * 80, "  Ada  ", "<b>"])
def test_a_session_is_made(stack: Stack, name: str) -> None:
    answer = requests.post(f"{stack.webs[0].url}/api/sessions", json={"name": name}, timeout=20)
    assert answer.status_code == 201
    made = answer.json()
    assert made.keys() >= {"token", "session_id", "name", "expires_at"}
    assert made["name"] == name.strip()
    assert len(made["token"]) >= 43  # 256 bits
    shown = Api(stack.webs[1].url, made["token"]).get("/api/session")
    assert (shown["session_id"], shown["name"]) == (made["session_id"], made["name"])
    assert "token" not in shown
    stack.secrets.add(made["token"])


def test_tokens_are_not_stored(stack: Stack) -> None:
    session = stack.session()
    stack.client(session)
    redis = stack.redis.client
    for key in redis.scan_iter("*", count=10_000):
        assert session.token.encode() not in key
        if redis.type(key) == b"hash":
            assert session.token.encode() not in repr(redis.hvals(key)).encode()


# --- Browsers ---------------------------------------------------------------------------------------------------------


def test_a_browser_is_let_in_by_its_cookie(stack: Stack) -> None:
    url = stack.webs[0].url
    browser = requests.Session()
    answer = browser.post(f"{url}/api/sessions", json={"name": "Browser"}, headers={"Origin": url}, timeout=20)
    header = answer.headers["Set-Cookie"]
    assert {part.strip().lower() for part in header.split(";")} >= {"httponly", "samesite=lax", "path=/"}
    token = answer.json()["token"]
    stack.secrets.add(token)
    assert browser.cookies[COOKIE] == token

    own = {"Origin": url}
    assert browser.get(f"{url}/api/session", timeout=20).json()["name"] == "Browser"
    made = browser.post(f"{url}/api/conversations", json={}, headers=own, timeout=20)
    assert made.status_code == 201
    with RawSocket(url, headers={"Cookie": f"{COOKIE}={token}", **own}) as raw:
        raw.send("40")
        assert raw.receive().startswith('40{"sid":')
        assert [c["id"] for c in raw.ask("list_conversations", {})["conversations"]] == [made.json()["id"]]
    ended = browser.delete(f"{url}/api/session", headers=own, timeout=20)
    assert ended.status_code == 204
    assert COOKIE not in browser.cookies


@pytest.mark.parametrize(
    "headers",
    [{"Origin": FOREIGN}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {}],
    ids=str,
)
def test_a_foreign_page_changes_nothing_by_cookie(stack: Stack, headers: dict[str, str]) -> None:
    session = stack.session()
    api = Api(stack.webs[0].url)
    conversation_id = stack.api(session)("POST", "/api/conversations", json={}).json()["id"]
    before = stack.api(session).get("/api/conversations")
    headers = {"Cookie": f"{COOKIE}={session.token}", **headers}
    for method, path, body in [
        ("POST", "/api/conversations", {}),
        ("PATCH", f"/api/conversations/{conversation_id}", {"title": "Taken over"}),
        ("DELETE", f"/api/conversations/{conversation_id}", None),
        ("POST", f"/api/conversations/{conversation_id}/clear", None),
        ("POST", f"/api/conversations/{conversation_id}/messages", {"text": "x", "client_id": "a"}),
        ("DELETE", "/api/session", None),
    ]:
        answer = api(method, path, json=body, headers=headers)
        assert answer.status_code == 403, (method, path, answer.text)
        assert answer.json()["error"]["code"] == "unauthorized"
    assert stack.api(session).get("/api/conversations") == before


@pytest.mark.parametrize("origin", [FOREIGN, "null"])
def test_a_foreign_page_cannot_put_another_session_in_the_place_of_the_users(stack: Stack, origin: str) -> None:
    """A form on any page may post here, and the browser would keep the cookie that comes back: the user's own session,
    and with it every conversation, would be out of reach."""
    session = stack.session()
    answer = Api(stack.webs[0].url)(
        "POST",
        "/api/sessions",
        data='{"name":"x="}',
        headers={"Origin": origin, "Cookie": f"{COOKIE}={session.token}", "Content-Type": "text/plain"},
    )
    assert "Set-Cookie" not in answer.headers


def test_a_friendly_origin_may(stack: Stack) -> None:
    session = stack.session()
    headers = {"Cookie": f"{COOKIE}={session.token}", "Origin": FRIEND}
    assert Api(stack.webs[0].url)("POST", "/api/conversations", json={}, headers=headers).status_code == 201


@pytest.mark.parametrize(
    "origin",
    [FOREIGN, "null", "http://127.0.0.1", "https://friend.example.com.evil.example", "http://friend.example.com"],
)
def test_a_foreign_page_opens_no_socket(stack: Stack, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        RawSocket(stack.webs[0].url, headers={"Origin": origin})
    assert refused.value.response.status_code in {400, 403}


def test_own_and_friendly_pages_open_sockets(stack: Stack) -> None:
    session = stack.session()
    for origin in (stack.webs[0].url, FRIEND):
        with RawSocket(stack.webs[0].url, headers={"Origin": origin}).log_in(session.token) as raw:
            assert raw.works()


@pytest.mark.parametrize("host", ["foreign.example.com", "localhost"])
def test_a_page_of_another_name_for_this_server_is_foreign(stack: Stack, host: str) -> None:
    url = stack.webs[0].url
    with pytest.raises(InvalidStatus):
        RawSocket(url, headers={"Origin": f"http://{host}:{stack.webs[0].port}"})


@pytest.mark.parametrize("query", ["EIO=4&transport=polling", "EIO=3&transport=websocket", "", "transport=websocket"])
def test_other_transports_are_refused_not_served(stack: Stack, query: str) -> None:
    answer = requests.get(f"{stack.webs[0].url}/socket.io/?{query}", timeout=20)
    assert answer.status_code == 400
