"""Redis's primary is gone for good: Sentinels make its replica the primary, and all of Parley finds that by itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients import ChatClient
from tests.support.lan import Lan
from tests.support.processes import eventually
from tests.support.replicated_redis import ReplicatedRedis
from tests.support.stack import Mode, Stack
from tests.support.upstream import Gate, Hold, Script

LONG = 60  # seconds of patience where somebody has to notice that nothing comes any more
WORDS = [f"word{number} " for number in range(48)]
WHOLE = f"Before. {''.join(WORDS)}After."
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[ReplicatedRedis]:
    with ReplicatedRedis(tmp_path) as redis:
        yield redis


@pytest.fixture
def apart(tmp_path: Path, lan: Lan) -> Iterator[ReplicatedRedis]:
    """On three hosts."""
    with ReplicatedRedis(tmp_path, lan.host) as redis:
        yield redis


def stack_on(redis: ReplicatedRedis, folder: Path, mode: Mode, **options: Any) -> Stack:
    return Stack(folder, webs=2, workers=2, mode=mode, environ={"REDIS_URL": redis.url}, **options)


def begun(stack: Stack, client: ChatClient) -> tuple[str, str, str, Gate]:
    """A reply that is being written, and goes on for six seconds: (conversation, turn, question, its last gate)."""
    text, gate = stack.secret_text(), Gate()
    stack.model.answer(text, Script(["Before. ", *WORDS, Hold(gate), "After."], rate=8))
    answer = client.send(text)
    client.wait_event("turn.delta", turn_id=answer["turn_id"])
    return answer["conversation_id"], answer["turn_id"], text, gate


def accepted(client: ChatClient, conversation_id: str, text: str) -> str | None:
    """The turn, unless it is told to ask again."""
    answer = client.ask("send_message", {"conversation_id": conversation_id, "text": text, "client_id": text})
    assert answer["ok"] or answer["error"]["code"] == "unavailable", answer
    return str(answer["turn_id"]) if answer["ok"] else None


def assert_all_works(stack: Stack, clients: list[ChatClient], conversation_id: str) -> None:
    """More messages are answered; what is shown is what is saved."""
    for client in clients:
        text = stack.secret_text()
        turn_id = eventually(lambda: accepted(client, conversation_id, text), "it is accepted", LONG)  # noqa: B023
        assert turn_id
        for one in clients:
            one.wait_reply(conversation_id, turn_id, LONG)
    for one in clients:
        saved = stack.assert_saved_as_shown(one, conversation_id)
        asked = [message["turn_id"] for message in saved if message["role"] == "user"]
        answered = [message["turn_id"] for message in saved if message["role"] == "assistant"]
        assert asked == answered
        assert {message["status"] for message in saved if message["role"] == "assistant"} == {"done"}
        assert one.view(conversation_id).turns == {}
        assert one.disconnects == []


def test_a_killed_primary(redis: ReplicatedRedis, mode: Mode, tmp_path: Path) -> None:
    with stack_on(redis, tmp_path, mode) as stack:
        session = stack.session()
        client, tab = stack.client(session), stack.client(session, web=1)
        conversation_id, turn_id, text, gate = begun(stack, client)
        tab.open(conversation_id)
        redis.primary.kill()
        redis.wait_until_primary(redis.replica)
        gate.wait_reached(timeout=LONG)
        gate.open()
        for one in (client, tab):
            assert one.wait_reply(conversation_id, turn_id, LONG)["text"] == WHOLE
        assert len(stack.model.requests(text)) == 1
        assert_all_works(stack, [client, tab], conversation_id)


def test_a_primary_whose_host_is_cut_off(apart: ReplicatedRedis, lan: Lan, mode: Mode, tmp_path: Path) -> None:
    """With one of the Sentinels, and nobody is told; when it is back, it is the replica."""
    with stack_on(apart, tmp_path, mode, hosts=lan.host) as stack:
        session = stack.session()
        client, tab = stack.client(session), stack.client(session, web=1)
        conversation_id, turn_id, text, gate = begun(stack, client)
        tab.open(conversation_id)
        lan.pull_out("primary")
        try:
            apart.wait_until_primary(apart.replica)
            gate.wait_reached(timeout=LONG)
            gate.open()
            for one in (client, tab):
                assert one.wait_reply(conversation_id, turn_id, LONG)["text"] == WHOLE
            assert len(stack.model.requests(text)) == 1
            assert_all_works(stack, [client, tab], conversation_id)
        finally:
            lan.plug_in("primary")
        eventually(lambda: apart.primary.role() == "slave", "the old primary follows the new one", LONG)
        assert_all_works(stack, [client, tab], conversation_id)


def test_what_the_replica_did_not_have_is_gone_for_everybody(
    apart: ReplicatedRedis, lan: Lan, mode: Mode, tmp_path: Path
) -> None:
    with stack_on(apart, tmp_path, mode, hosts=lan.host) as stack:
        session = stack.session()
        client, tab = stack.client(session), stack.client(session, web=1)
        client.talk(stack.secret_text())
        conversation_id = str(client.received[0]["conversation_id"])
        tab.open(conversation_id)
        epoch = client.view(conversation_id).epoch
        apart.wait_until_level()
        lan.pull_out("replica")
        lost = client.talk(stack.secret_text(), conversation_id)
        assert lost["status"] == "done"
        lan.pull_out("primary")  # what is on its way to the replica must not arrive, as it would if only Redis died
        lan.plug_in("replica")
        try:
            apart.wait_until_primary(apart.replica, LONG)
            for one in (client, tab):
                one.wait_for(lambda: one.view(conversation_id).epoch != epoch, "another epoch", LONG)  # noqa: B023
            assert_all_works(stack, [client, tab], conversation_id)
        finally:
            lan.plug_in("primary")
        assert lost["id"] not in {message["id"] for message in client.view(conversation_id).messages}
