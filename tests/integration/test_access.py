"""Sessions: rotated, ended, expired; and identities that others know."""

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.clients import ChatClient, Refused
from tests.support.http_client import Api, Session
from tests.support.issuer import Issuer
from tests.support.raw_socket import RawSocket
from tests.support.stack import Mode, Stack

COOKIE = "parley_session"
AUDIENCE = "parley"
JWT_COOKIE = "id_token"


def assert_told_and_closed(client: ChatClient, reason: str, timeout: float = 20) -> None:
    client.wait_for(lambda: client.disconnects, "the socket is closed", timeout)
    assert [(name, data["reason"]) for name, data in client.other] == [("session_ended", reason)]
    assert client.other[0][1]["message"]


# --- Of our own -------------------------------------------------------------------------------------------------------


def test_a_session_under_another_token(stack: Stack) -> None:
    session = stack.session()
    old = [stack.client(session, web=web) for web in (0, 1)]
    stranger = stack.client()
    conversation_id = old[0].send(stack.secret_text())["conversation_id"]
    answer = stack.api(session, web=1)("POST", "/api/session/rotate")
    assert answer.status_code == 200
    made = answer.json()
    stack.secrets.add(made["token"])
    assert made["token"] != session.token
    assert made["session_id"] == session.id
    assert answer.cookies[COOKIE] == made["token"]
    for client in old:
        assert_told_and_closed(client, "rotated")
    assert stack.api(session)("GET", "/api/session").status_code == 401
    with pytest.raises(Refused):
        stack.client(session)
    renewed = Session(session.id, made["token"])
    assert stack.api(renewed).get("/api/session")["session_id"] == session.id
    client = stack.client(renewed)
    assert [c["id"] for c in client.do("list_conversations")["conversations"]] == [conversation_id]
    assert stranger.do("list_conversations")["ok"]
    assert stranger.disconnects == []


def test_a_token_is_changed_for_one_other_only(stack: Stack) -> None:
    session = stack.session()
    api = stack.api(session)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: api("POST", "/api/session/rotate"), range(8)))
    stack.secrets.update(answer.json()["token"] for answer in answers if answer.ok)
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7


def test_sockets_of_an_ended_session_are_told_and_closed(stack: Stack) -> None:
    session = stack.session()
    # Node, which takes its time to start, first: sessions are looked at a second after their socket has connected.
    clients = [stack.client(session, web=web, kind=kind) for web, kind in ((1, "npm"), (0, "python"))]  # type: ignore[arg-type]
    stranger = stack.client(web=1)
    assert stack.api(session)("DELETE", "/api/session").status_code == 204
    for client in clients:
        assert_told_and_closed(client, "ended")
    assert stranger.do("list_conversations")["ok"]
    assert stranger.disconnects == []


def test_a_socket_hears_of_its_end_before_it_is_closed(stack: Stack) -> None:
    session = stack.session()
    with stack.raw(session) as raw:
        assert raw.works()
        stack.api(session)("DELETE", "/api/session")
        heard = raw.receive_until_closed()
    assert heard[0].startswith('42["session_ended",{"reason":"ended"')
    assert heard[1:] == ["41", "1"]


def test_an_end_that_was_not_heard_is_found(stack: Stack) -> None:
    """Messages between processes may be lost: each looks for itself as well."""
    client = stack.client(web=1)
    (key,) = [
        key
        for key in stack.redis.client.scan_iter("parley:session:*", count=10_000)
        if stack.redis.client.hget(key, "id") == client.session.id.encode()
    ]
    stack.redis.client.delete(key)
    assert_told_and_closed(client, "expired", 40)


def test_a_connection_on_which_nobody_logs_in_is_closed(stack: Stack) -> None:
    with RawSocket(stack.webs[0].url) as silent, RawSocket(stack.webs[0].url) as refused:
        refused.send('40{"token":"none"}')
        assert refused.receive().startswith("44")
        for raw in (silent, refused):
            assert raw.receive_until_closed() == ["1"]


def test_sessions_that_are_not_used_expire(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> None:
    with Stack(tmp_path_factory.mktemp("short"), workers=0, mode=mode, environ={"SESSION_TTL_SECONDS": "6"}) as stack:
        idle, busy = stack.client(), stack.client()
        began = time.monotonic()
        while not idle.disconnects or time.monotonic() < began + 8:
            assert busy.do("list_conversations")["ok"]
            assert time.monotonic() < began + 40, "it does not expire"
        assert_told_and_closed(idle, "expired")
        assert busy.disconnects == []
        assert Api(stack.webs[0].url, idle.session.token)("GET", "/api/session").status_code == 401


# --- Of an identity provider ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def jwt_stack(mode: Mode, tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Stack]:
    environ = {
        "AUTH": "jwt",
        "JWT_ISSUER": issuer.name,
        "JWT_AUDIENCE": f"{AUDIENCE}, other",
        "JWT_JWKS_URL": issuer.url,
        "JWT_COOKIE": JWT_COOKIE,
    }
    with Stack(tmp_path_factory.mktemp("jwt"), webs=2, mode=mode, environ=environ) as stack:
        yield stack


@pytest.fixture
def person(jwt_stack: Stack) -> Iterator[str]:
    yield f"person {uuid.uuid4().hex}"
    jwt_stack.close_clients()


def device(stack: Stack, issuer: Issuer, person: str, **claims: Any) -> Session:
    token = issuer.token(sub=person, aud=AUDIENCE, **claims)
    stack.secrets.add(token)
    return Session(person, token)


def test_the_devices_of_a_person_share_conversations(jwt_stack: Stack, issuer: Issuer, person: str) -> None:
    phone, laptop = (device(jwt_stack, issuer, person, name="Ada", jti=jti) for jti in ("phone", "laptop"))
    there, here = jwt_stack.client(phone, web=0), jwt_stack.client(laptop, web=1)
    conversation_id = there.send(jwt_stack.secret_text())["conversation_id"]
    assert [c["id"] for c in here.do("list_conversations")["conversations"]] == [conversation_id]
    shown = jwt_stack.api(laptop).get("/api/session")
    assert shown["name"] == "Ada"
    assert shown["expires_at"]
    assert shown["session_id"] == jwt_stack.api(phone).get("/api/session")["session_id"]
    stranger = device(jwt_stack, issuer, f"{person}, another")
    assert jwt_stack.api(stranger).get("/api/conversations")["conversations"] == []
    assert jwt_stack.api(stranger)("GET", f"/api/conversations/{conversation_id}").status_code == 404


def test_a_socket_ends_with_its_token(jwt_stack: Stack, issuer: Issuer, person: str) -> None:
    long, short = device(jwt_stack, issuer, person), device(jwt_stack, issuer, person, exp=time.time() - 2)
    client, other = jwt_stack.client(short), jwt_stack.client(long)
    assert client.do("list_conversations")["ok"]
    assert_told_and_closed(client, "expired")
    assert other.do("list_conversations")["ok"]
    assert jwt_stack.api(short)("GET", "/api/session").status_code == 401


def test_a_token_in_a_cookie(jwt_stack: Stack, issuer: Issuer, person: str) -> None:
    url = jwt_stack.webs[0].url
    token = device(jwt_stack, issuer, person).token
    headers = {"Cookie": f"{JWT_COOKIE}={token}"}
    api = Api(url)
    assert api("GET", "/api/session", headers=headers).status_code == 200
    assert api("POST", "/api/conversations", json={}, headers=headers).status_code == 403
    assert api("POST", "/api/conversations", json={}, headers={**headers, "Origin": url}).status_code == 201
    with RawSocket(url, headers={**headers, "Origin": url}) as raw:
        raw.send("40")
        assert raw.receive().startswith('40{"sid":')
        assert raw.works()


def test_sessions_of_others_are_not_made_or_ended_here(jwt_stack: Stack, issuer: Issuer, person: str) -> None:
    api = jwt_stack.api(device(jwt_stack, issuer, person))
    assert api("POST", "/api/sessions", json={"name": "x"}).status_code == 401
    for method, path in (("DELETE", "/api/session"), ("POST", "/api/session/rotate")):
        answer = api(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid")
    assert api("GET", "/api/session").status_code == 200


def test_tokens_that_do_not_count(jwt_stack: Stack, issuer: Issuer, person: str) -> None:
    right = {"sub": person, "aud": AUDIENCE}
    stolen = issuer.token(**right).split(".")
    forged = {
        "another issuer": issuer.token(**right, iss="https://evil.example"),
        "another audience": issuer.token(sub=person, aud="somebody else"),
        "no audience": issuer.token(sub=person),
        "expired": issuer.token(**right, exp=time.time() - 3600),
        "not yet": issuer.token(**right, nbf=time.time() + 3600),
        "no end": issuer.token(**right, exp=None),
        "nobody": issuer.token(aud=AUDIENCE),
        "an empty name": issuer.token(sub="", aud=AUDIENCE),
        "not signed": jwt.encode({**right, "iss": issuer.name, "exp": time.time() + 60}, "", "none"),
        "signed with what is public": jwt.encode(
            {**right, "iss": issuer.name, "exp": time.time() + 60}, b"x" * 64, "HS256", {"kid": issuer.kid}
        ),
        "another key": issuer.token(**right, key=ec.generate_private_key(ec.SECP256R1())),
        "a key nobody knows": issuer.token(**right, kid="unknown"),
        "no key named": issuer.token(**right, kid=None),
        "cut": ".".join(stolen[:2]),
        "changed": ".".join([stolen[0], stolen[1][:-2], stolen[2]]),
        "empty": "",
        "too long": "x" * 100_000,
        "no text": "e30.e30.e30",
    }
    for why, token in forged.items():
        if why != "too long":  # gunicorn refuses it before us
            answer = Api(jwt_stack.webs[0].url, token)("GET", "/api/session")
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized"), why
        with pytest.raises(Refused) as refused:
            jwt_stack.client(Session(person, token))
        assert refused.value.data["code"] == "unauthorized", why
    client = jwt_stack.client(device(jwt_stack, issuer, person))
    assert client.do("list_conversations")["conversations"] == []
