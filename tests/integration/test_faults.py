"""Processes that die or freeze, and a Redis that goes away: nothing that was acknowledged is lost."""

import uuid
from itertools import groupby
from typing import Any

import pytest
import requests

from app.web import schemas
from tests.support.clients import ChatClient, Refused
from tests.support.processes import eventually
from tests.support.replies import begun
from tests.support.stack import Stack

LONG = 40  # seconds of patience where a process starts, a lease ends and a sweep follows


def assert_answered_once(stack: Stack, client: ChatClient, conversation_id: str, turn_ids: list[str]) -> None:
    """Each of them has one saved reply, in this order, and the client shows just that."""
    saved = stack.assert_saved_as_shown(client, conversation_id)
    assert [message["turn_id"] for message in saved if message["role"] == "assistant"] == turn_ids
    assert client.view(conversation_id).turns == {}


# --- Redis ------------------------------------------------------------------------------------------------------------


def events_of(conversation_id: str, turn_id: str) -> list[tuple[str, dict[str, Any]]]:
    known = {"conversation_id": conversation_id}
    return [
        ("send_message", {"text": "while Redis is away", "client_id": "away"}),
        ("send_message", {"text": "while Redis is away", "client_id": "away", **known}),
        ("open_conversation", known),
        ("stop_turn", {**known, "turn_id": turn_id}),
        ("configure_conversation", {**known, "title": "Never"}),
        ("clear_conversation", known),
        ("delete_conversation", known),
        ("list_conversations", {}),
    ]


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_redis_away_is_said_and_gets_well_by_itself(fragile: Stack, how: str) -> None:
    session = fragile.session()
    client, tab = fragile.client(session), fragile.client(session, web=1)
    answer = client.send(fragile.secret_text())
    client.wait_finished(answer["turn_id"])
    conversation_id = answer["conversation_id"]
    tab.open(conversation_id)
    if how == "killed":
        fragile.redis.kill()
    else:
        fragile.redis.stop()

    for one in (client, tab):
        posted = [one.post(name, payload) for name, payload in events_of(conversation_id, answer["turn_id"])]
        for answered in posted:
            said = answered.wait()
            assert said["ok"] is False
            assert said["error"]["code"] == "unavailable"
            assert said["error"]["retry_after"] > 0
    url = fragile.webs[0].url
    api = fragile.api(session)
    for method, path in [
        ("GET", "/api/session"),
        ("GET", "/api/conversations"),
        ("GET", f"/api/conversations/{conversation_id}/messages"),
        ("POST", "/api/conversations"),
        ("DELETE", f"/api/conversations/{conversation_id}"),
    ]:
        refused = api(method, path, json={})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable"), path
        assert int(refused.headers["Retry-After"]) > 0
    made = requests.post(f"{url}/api/sessions", json={"name": "x"}, timeout=20)
    assert (made.status_code, made.json()["error"]["code"]) == (503, "unavailable")
    unready = requests.get(f"{url}/readyz", timeout=20)
    assert (unready.status_code, unready.json()["error"]["code"]) == (503, "unavailable")
    assert int(unready.headers["Retry-After"]) > 0
    schemas.Unreadiness.model_validate(unready.json())
    assert requests.get(f"{url}/healthz", timeout=20).status_code == 200
    with pytest.raises(Refused) as no_entry:
        fragile.client(session)
    assert no_entry.value.data["code"] == "unavailable"

    fragile.redis.start()
    eventually(lambda: requests.get(f"{url}/readyz", timeout=20).status_code == 200, "the web tier sees Redis again")
    next_turn = resend(client, fragile.secret_text(), conversation_id)
    for one in (client, tab):
        one.wait_reply(conversation_id, next_turn, LONG)
        assert one.disconnects == []
        assert_answered_once(fragile, one, conversation_id, [answer["turn_id"], next_turn])
    (listed,) = client.do("list_conversations")["conversations"]
    assert listed["title"] != "Never"
    # And live again, not by asking: everything of the next reply arrives at both.
    heard = [(one, len(one.received), one.gaps) for one in (client, tab)]
    last = client.send(fragile.secret_text(), conversation_id)["turn_id"]
    for one, before, gaps in heard:
        one.wait_finished(last, LONG)
        kinds = [kind for kind, _ in groupby(event["type"] for event in one.received[before:])]
        assert kinds == ["message.created", "turn.queued", "turn.started", "turn.delta", "turn.finished"]
        assert one.gaps == gaps


def resend(client: ChatClient, text: str, conversation_id: str) -> str:
    """As a client should: the same message again until it is taken. Returns the turn."""
    payload = {"text": text, "client_id": uuid.uuid4().hex, "conversation_id": conversation_id}

    def taken() -> str | None:
        answer = client.ask("send_message", payload)
        assert answer["ok"] or answer["error"]["code"] == "unavailable", answer
        return str(answer["turn_id"]) if answer["ok"] else None

    turn_id = eventually(taken, "the message is taken")
    assert turn_id is not None
    return turn_id


def test_redis_away_in_mid_reply_loses_nothing(fragile: Stack) -> None:
    session = fragile.session()
    client, tab = fragile.client(session), fragile.client(session, web=1)
    conversation_id, turn_id, text, gate = begun(fragile, client)
    tab.open(conversation_id)
    waiting = client.send(fragile.secret_text(), conversation_id)["turn_id"]
    fragile.redis.kill()
    gate.open()  # the rest comes while there is nowhere to put it
    fragile.model.request(text).wait_ended(20)
    fragile.redis.start()
    for one in (client, tab):
        one.wait_reply(conversation_id, turn_id, LONG)
        one.wait_reply(conversation_id, waiting, LONG)
        assert_answered_once(fragile, one, conversation_id, [turn_id, waiting])
        assert one.disconnects == []
    first = fragile.api(session).messages(conversation_id)[1]
    assert first["status"] == "done"
    assert first["text"] in {"Half and half.", f"You said: {text}"}  # kept, or asked for once more


def test_a_redis_that_lost_everything_is_begun_anew(fragile: Stack) -> None:
    client = fragile.client()
    client.talk(fragile.secret_text())
    conversation_id = client.received[0]["conversation_id"]
    fragile.redis.kill()
    fragile.redis.start(keep_data=False)
    api = fragile.api(client.session)
    eventually(lambda: api("GET", "/api/session").status_code == 401, "the session is gone")
    client.wait_for(lambda: client.disconnects, "its socket is closed")
    fresh = fragile.client()
    assert fresh.error("open_conversation", {"conversation_id": conversation_id})["code"] == "not_found"
    answer = fresh.send(fragile.secret_text())
    assert fresh.wait_finished(answer["turn_id"], LONG)["status"] == "done"
    fragile.assert_saved_as_shown(fresh, answer["conversation_id"])


def rolled_back(stack: Stack, client: ChatClient) -> tuple[str, str | None]:
    """A conversation of two exchanges, of which Redis has forgotten the second; and its epoch until then."""
    client.talk(stack.secret_text())
    conversation_id = str(client.received[0]["conversation_id"])
    epoch = client.view(conversation_id).epoch
    copy = stack.redis.copy_data()
    client.talk(stack.secret_text(), conversation_id)
    stack.redis.roll_back(copy)
    url = stack.webs[0].url
    eventually(lambda: requests.get(f"{url}/readyz", timeout=20).status_code == 200, "the web tier sees Redis again")
    return conversation_id, epoch


def test_a_redis_that_came_back_with_less_is_another_epoch(fragile: Stack) -> None:
    client = fragile.client()
    conversation_id, epoch = rolled_back(fragile, client)
    client.disconnect()
    client.connect()
    client.open(conversation_id)
    assert client.view(conversation_id).epoch != epoch
    assert len(fragile.assert_saved_as_shown(client, conversation_id)) == 2
    answer = client.send(fragile.secret_text(), conversation_id)
    assert client.wait_reply(conversation_id, answer["turn_id"])["status"] == "done"
    assert len(fragile.assert_saved_as_shown(client, conversation_id)) == 4


def test_a_client_that_stayed_sees_that_redis_came_back_with_less(fragile: Stack) -> None:
    session = fragile.session()
    client = fragile.client(session)
    conversation_id, _ = rolled_back(fragile, client)
    other = fragile.client(session, web=1)
    other.open(conversation_id)
    for _ in range(3):  # three more exchanges lead past the number of the last event that it has seen
        answer = other.send(fragile.secret_text(), conversation_id)
        other.wait_reply(conversation_id, answer["turn_id"], LONG)  # in a snapshot, if the epoch changes meanwhile
    client.wait_for(lambda: len(client.view(conversation_id).messages) == 8, "what is saved is shown")
    fragile.assert_saved_as_shown(client, conversation_id)
    assert client.disconnects == []


@pytest.mark.parametrize("kept", [0, 1])
def test_a_client_that_only_looked_sees_that_redis_came_back_with_less(fragile: Stack, kept: int) -> None:
    """It has opened the conversation, and its web process has had no event to deliver there before that or since."""
    client = fragile.client()
    api = fragile.api(client.session, web=1)
    conversation_id = api("POST", "/api/conversations", json={}).json()["id"]

    def exchange() -> None:
        asked = {"text": fragile.secret_text(), "client_id": uuid.uuid4().hex, "wait": 20}
        assert api("POST", f"/api/conversations/{conversation_id}/messages", json=asked).status_code == 200

    for _ in range(kept):
        exchange()
    copy = fragile.redis.copy_data()
    exchange()
    client.open(conversation_id)
    epoch = client.view(conversation_id).epoch
    fragile.redis.roll_back(copy)
    client.wait_for(lambda: client.view(conversation_id).epoch != epoch, "it is told of another epoch", LONG)
    assert len(fragile.assert_saved_as_shown(client, conversation_id)) == 2 * kept
    answer = client.send(fragile.secret_text(), conversation_id)
    client.wait_reply(conversation_id, answer["turn_id"], LONG)
    assert len(fragile.assert_saved_as_shown(client, conversation_id)) == 2 * kept + 2
    assert client.disconnects == []


# --- Workers ----------------------------------------------------------------------------------------------------------


def test_a_worker_killed_in_mid_reply_is_taken_over(fragile: Stack) -> None:
    session = fragile.session()
    client, tab = fragile.client(session), fragile.client(session, web=1)
    conversation_id, turn_id, text, _ = begun(fragile, client)
    tab.open(conversation_id)
    waiting = client.send(fragile.secret_text(), conversation_id)["turn_id"]
    fragile.workers[0].kill()
    fragile.workers[0].start()
    for one in (client, tab):
        finished = one.wait_finished(turn_id, LONG)
        assert (finished["status"], finished["message"]["text"]) == ("done", f"You said: {text}")
        one.wait_finished(waiting, LONG)
        starts = [event["attempt"] for event in one.received if event["type"] == "turn.started"]
        assert starts[-2:] == [2, 1]
        assert one.gaps == 0
        assert_answered_once(fragile, one, conversation_id, [turn_id, waiting])
    assert len(fragile.model.requests(text)) == 2


def test_a_frozen_worker_is_taken_over_and_its_late_words_do_not_count(fragile: Stack) -> None:
    client = fragile.client()
    conversation_id, turn_id, text, gate = begun(fragile, client)
    frozen = fragile.workers[0]
    frozen.freeze()
    helper = fragile.add_worker()
    try:
        finished = client.wait_finished(turn_id, LONG)
        assert finished["message"]["text"] == f"You said: {text}"
        gate.open()
        fragile.model.request(text).wait_ended(20)
        frozen.thaw()
    finally:
        frozen.thaw()
        fragile.remove_worker(helper)
    # The worker that froze is the only one now: what it says next comes after whatever it had to say before.
    after = client.send(fragile.secret_text(), conversation_id)["turn_id"]
    client.wait_finished(after, LONG)
    assert_answered_once(fragile, client, conversation_id, [turn_id, after])
    assert [event["turn_id"] for event in client.received if event["type"] == "turn.finished"] == [turn_id, after]
    assert client.gaps == 0


def test_messages_wait_for_a_worker(fragile: Stack) -> None:
    fragile.workers[0].kill()
    client = fragile.client()
    first = client.send(fragile.secret_text())
    second = client.send(fragile.secret_text(), first["conversation_id"])
    unwanted = client.send(fragile.secret_text(), first["conversation_id"])
    assert [one["position"] for one in (first, second, unwanted)] == [0, 1, 2]
    ids = {"conversation_id": first["conversation_id"], "turn_id": unwanted["turn_id"]}
    assert client.do("stop_turn", **ids)["status"] == "stopped"
    fragile.workers[0].start()
    for one in (first, second):
        assert client.wait_finished(one["turn_id"], LONG)["status"] == "done"
    saved = fragile.assert_saved_as_shown(client, first["conversation_id"])
    assert [message["status"] for message in saved if message["role"] == "assistant"] == ["done", "done", "stopped"]
    assert client.gaps == 0


def test_a_dead_workers_reply_can_be_stopped(fragile: Stack) -> None:
    client = fragile.client()
    conversation_id, turn_id, text, _ = begun(fragile, client)
    fragile.workers[0].kill()
    assert client.do("stop_turn", conversation_id=conversation_id, turn_id=turn_id)["status"] == "stopped"
    assert client.wait_finished(turn_id)["message"]["text"] == "Half "
    fragile.workers[0].start()
    after = client.send(fragile.secret_text(), conversation_id)["turn_id"]
    assert client.wait_finished(after, LONG)["status"] == "done"
    assert_answered_once(fragile, client, conversation_id, [turn_id, after])
    assert len(fragile.model.requests(text)) == 1


# --- Web processes ----------------------------------------------------------------------------------------------------


def test_a_web_process_killed_in_mid_reply_is_resumed_on_another(fragile: Stack) -> None:
    client = fragile.client()
    conversation_id, turn_id, text, gate = begun(fragile, client)
    fragile.webs[0].kill()
    client.wait_for(lambda: client.disconnects, "the client notices")
    gate.open()
    fragile.model.request(text).wait_ended(20)
    client.connect(fragile.webs[1].url)
    client.open(conversation_id)
    client.wait_reply(conversation_id, turn_id)
    (_, reply) = shown = client.view(conversation_id).messages
    assert reply["text"] == "Half and half."
    assert shown == fragile.api(client.session, web=1).messages(conversation_id)
    assert len(fragile.model.requests(text)) == 1


def test_a_send_whose_answer_was_lost_with_its_web_process_is_safe_to_repeat(fragile: Stack) -> None:
    client = fragile.client()
    text, client_id = fragile.secret_text(), uuid.uuid4().hex
    client.post("send_message", {"text": text, "client_id": client_id})
    fragile.webs[0].kill()
    client.wait_for(lambda: client.disconnects, "the client notices")
    client.connect(fragile.webs[1].url)
    answer = client.send(text, client_id=client_id)
    client.open(answer["conversation_id"])
    client.wait_reply(answer["conversation_id"], answer["turn_id"], LONG)
    assert len(client.do("list_conversations")["conversations"]) == 1
    assert len(fragile.model.requests(text)) == 1
