"""deploy/nginx.conf in front of two web processes: a client meets another one with every connection."""

import re
from collections.abc import Iterator
from contextlib import suppress

import pytest
from socketio.exceptions import BadNamespaceError

from tests.support.clients import make_client
from tests.support.http_client import Api
from tests.support.nginx import Nginx, address_of
from tests.support.processes import eventually
from tests.support.stack import Mode, Stack
from tests.support.upstream import Gate, Hold, Script


@pytest.fixture(scope="module")
def stack(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("nginx"), webs=2, mode=mode, environ={"TRUSTED_PROXIES": "1"}) as stack:
        yield stack


@pytest.fixture(scope="module")
def nginx(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    nginx = Nginx(stack.webs, tmp_path_factory.mktemp("proxy"))
    nginx.start()
    eventually(nginx.answers, "nginx passes requests on")
    yield nginx
    nginx.kill()


def test_nobody_sticks_to_a_process(stack: Stack, nginx: Nginx) -> None:
    session = stack.session()
    question, gate = stack.secret_text("Go on"), Gate()
    stack.model.answer(question, Script(["One", Hold(gate), " two"]))
    clients = [make_client("python", session, nginx.url).connect() for _ in range(4)]
    try:
        answer = clients[0].send(question)
        conversation_id, turn_id = answer["conversation_id"], answer["turn_id"]
        for client in clients[1:]:
            client.open(conversation_id)
        for client in clients:
            client.wait_text(conversation_id, turn_id, "One")
        clients[0].disconnect()
        clients[0].connect()  # to another process than before
        clients[0].open(conversation_id)
        gate.open()
        for client in clients:
            client.wait_finished(turn_id)
            stack.assert_saved_as_shown(client, conversation_id)
            assert client.gaps == 0
    finally:
        for client in clients:
            client.close()
    eventually(lambda: len(nginx.served_by("/socket.io")) == 5, "nginx has seen all of them off")
    assert {address_of(web) for web in stack.webs} == set(nginx.served_by("/socket.io"))


def test_what_nginx_says_of_clients_is_believed(stack: Stack, nginx: Nginx) -> None:
    """Their own address counts, and it is the browser's address that a page's origin is held against."""
    api = Api(nginx.url)
    made = api("POST", "/api/sessions", json={"name": "Page"}, headers={"Origin": nginx.url})
    assert made.status_code == 201
    foreign = api("POST", "/api/sessions", json={"name": "Page"}, headers={"Origin": stack.webs[0].url})
    assert foreign.status_code == 403
    assert re.fullmatch(r"[0-9a-f]{32}", made.headers["X-Request-ID"]), (
        "nginx's, so that its log and ours can be joined"
    )
    assert api("GET", "/metrics").status_code == 403


def test_what_was_exported_can_be_imported(stack: Stack, nginx: Nginx) -> None:
    at = "2026-01-31T12:00:00.000Z"
    said = [
        {"id": f"m{number}", "parent_id": f"m{number - 1}" if number else None, "role": "user", "text": "x" * 30_000}
        for number in range(100)
    ]
    export = {
        "format": "parley.conversation",
        "version": 1,
        "conversation": {"created_at": at},
        "messages": [{**message, "created_at": at} for message in said],
        "head": "m99",
    }
    api = Api(nginx.url, stack.session().token)
    imported = api("POST", "/api/conversations/import", json=export)
    assert imported.status_code == 201
    again = api("GET", f"/api/conversations/{imported.json()['id']}/export")
    assert len(again.content) > 3_000_000
    assert api("POST", "/api/conversations/import", data=again.content).status_code == 201
    # What is for people to write stays small.
    assert api("POST", "/api/conversations", data=again.content).status_code == 413


def test_a_process_that_is_gone_is_not_missed(stack: Stack, nginx: Nginx) -> None:
    client = make_client("python", stack.session(), nginx.url).connect()
    try:
        stack.webs[0].kill()
        for _ in range(4):
            assert Api(nginx.url)("GET", "/readyz").status_code == 200

        def answers() -> bool:
            with suppress(AssertionError, BadNamespaceError):
                return bool(client.ask("list_conversations", {}, timeout=5)["ok"])
            client.connect()
            return False

        eventually(answers, "it is connected, now if not still")
        client.talk(stack.secret_text())
    finally:
        client.close()
        stack.repair()
