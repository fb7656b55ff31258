"""Turns over HTTP: waited for, followed by server-sent events, made again on other branches."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.event_stream import EventReader, finished
from tests.support.http_client import Api, Session
from tests.support.processes import eventually
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Script, words
from tests.support.view import View


def new_conversation(api: Api) -> str:
    answer = api("POST", "/api/conversations", json={})
    assert answer.status_code == 201
    return str(answer.json()["id"])


def post(api: Api, conversation_id: str, text: str, **more: Any) -> Any:
    body = {"text": text, "client_id": uuid.uuid4().hex, **more}
    return api("POST", f"/api/conversations/{conversation_id}/messages", json=body)


def stream(api: Api, conversation_id: str, last_event_id: str | None = None) -> EventReader:
    return EventReader(api, f"/api/conversations/{conversation_id}/events", last_event_id)


@pytest.fixture
def session(stack: Stack) -> Session:
    return stack.session()


# --- Waiting ----------------------------------------------------------------------------------------------------------


def test_the_reply_itself_if_it_is_there_in_time(stack: Stack, session: Session) -> None:
    api = stack.api(session)
    conversation_id = new_conversation(api)
    text = stack.secret_text()
    answer = post(api, conversation_id, text, wait=20)
    assert answer.status_code == 200
    assert answer.json() == api.messages(conversation_id)[-1]
    assert (answer.json()["text"], answer.json()["status"]) == (f"You said: {text}", "done")


def test_the_acknowledgement_if_it_is_not(stack: Stack, session: Session) -> None:
    api, gate, text = stack.api(session), Gate(), stack.secret_text()
    conversation_id = new_conversation(api)
    stack.model.answer(text, Script(["Half ", Hold(gate), "and half."]))
    client_id = uuid.uuid4().hex
    answer = post(api, conversation_id, text, client_id=client_id, wait=0.2)
    assert answer.status_code == 202
    assert answer.json().keys() >= {"conversation_id", "message_id", "turn_id", "seq", "position"}
    # The same again waits for the same reply, which comes only now, by way of another web process.
    with ThreadPoolExecutor() as pool:
        other = stack.api(session, web=1)
        again = pool.submit(post, other, conversation_id, text, client_id=client_id, wait=20)
        gate.wait_reached()
        gate.open()
        assert again.result().status_code == 200
    assert again.result().json()["text"] == "Half and half."
    # And once it is over there is nothing to wait for.
    assert post(api, conversation_id, text, client_id=client_id, wait=60).json() == again.result().json()
    assert post(api, conversation_id, text, client_id=client_id).json() == answer.json()
    assert len(stack.model.requests(text)) == 1


@pytest.mark.parametrize("wait", [-1, 60.5, "5", True, None, [], 1e300])
def test_a_wait_that_cannot_be_does_nothing(stack: Stack, wait: Any) -> None:
    api = stack.api(stack.session())
    conversation_id = new_conversation(api)
    answer = post(api, conversation_id, stack.secret_text(), wait=wait)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid")
    assert answer.json()["error"]["field"] == "wait"
    assert api.messages(conversation_id) == []


def test_many_wait_at_once(stack: Stack, session: Session) -> None:
    api, gate = stack.api(session), Gate()
    texts = [stack.secret_text() for _ in range(40)]
    conversations = [new_conversation(api) for _ in texts]
    for text in texts:
        stack.model.answer(text, Script(["Yes, ", Hold(gate), text]))
    with ThreadPoolExecutor(len(texts)) as pool:
        waiting = [pool.submit(post, api, one, text, wait=60) for one, text in zip(conversations, texts, strict=True)]
        gate.wait_reached(len(texts), 30)
        assert api.get("/api/session")["session_id"] == session.id  # others are served meanwhile
        gate.open()
        answers = [one.result() for one in waiting]
    assert [answer.status_code for answer in answers] == [200] * len(texts)
    assert [answer.json()["text"] for answer in answers] == [f"Yes, {text}" for text in texts]


def test_stopped_and_deleted_while_somebody_waits(stack: Stack) -> None:
    session = stack.session()
    api = stack.api(session)
    for ending, status in (("stop", 200), ("delete", 404)):
        gate, text = Gate(), stack.secret_text()
        stack.model.answer(text, Script(["So ", "far ", Hold(gate), "no further"]))
        conversation_id = new_conversation(api)
        client = stack.client(session)
        client.open(conversation_id)
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(post, api, conversation_id, text, wait=60)
            gate.wait_reached()
            turn_id = client.wait_event("turn.queued", conversation_id=conversation_id)["turn_id"]
            client.wait_text(conversation_id, turn_id, "So far ")
            if ending == "stop":
                client.do("stop_turn", conversation_id=conversation_id, turn_id=turn_id)
            else:
                client.do("delete_conversation", conversation_id=conversation_id)
            answer = waiting.result()
        assert answer.status_code == status
        if ending == "stop":
            assert (answer.json()["text"], answer.json()["status"]) == ("So far ", "stopped")
        else:
            assert answer.json()["error"]["code"] == "not_found"
        gate.open()


# --- Server-sent events -----------------------------------------------------------------------------------------------


def test_a_stream_has_the_events_of_the_socket(stack: Stack, session: Session) -> None:
    api, gate, text = stack.api(session), Gate(), stack.secret_text()
    reply = stack.secret_text("Lines\n\nand “quotes” 👋\r\n")
    stack.model.answer(text, Script([*words(reply)[:2], Hold(gate), *words(reply)[2:]]))
    conversation_id = new_conversation(api)
    client = stack.client(session, web=1)
    client.open(conversation_id)
    with stream(api, conversation_id) as reader:
        headers = reader.answer.headers
        assert headers["Content-Type"].startswith("text/event-stream")
        assert (headers["X-Accel-Buffering"], headers["Cache-Control"]) == ("no", "no-store")
        first = reader.next()
        assert (first.name, first.data["type"]) == ("snapshot", "snapshot")
        assert first.id == f"{first.data['epoch']}:{first.data['seq']}"
        post(api, conversation_id, text)
        early = reader.until(lambda event: event["type"] == "turn.delta")  # it streams
        gate.open()
        sent = early + reader.until(finished)
    client.wait_event("turn.finished")
    assert {event.name for event in sent} == {"message"}
    assert [event.data for event in sent] == client.received
    assert [event.id for event in sent] == [f"{event['epoch']}:{event['seq']}" for event in client.received]
    view = View()
    view.load(first.data)
    for event in sent:
        assert view.is_next(event.data)
        view.apply(event.data)
    assert view.messages == api.messages(conversation_id)
    assert view.messages[-1]["text"] == reply


def test_a_stream_goes_on_where_it_broke_off(stack: Stack, session: Session) -> None:
    api, gate, text = stack.api(session), Gate(), stack.secret_text()
    stack.model.answer(text, Script(["One ", "two ", Hold(gate), "three ", "four"]))
    conversation_id = new_conversation(api)
    with stream(api, conversation_id) as reader:
        post(api, conversation_id, text)
        before = reader.until(lambda event: event["type"] == "turn.delta")
    gate.wait_reached()
    with stream(stack.api(session, web=1), conversation_id, before[-1].id) as reader:
        gate.open()
        after = reader.until(finished)
    sent = [event.data for event in before + after if event.name == "message"]
    assert [event["seq"] for event in sent] == list(range(1, len(sent) + 1))
    assert "".join(event["text"] for event in sent if event["type"] == "turn.delta") == "One two three four"
    # By now the deltas are gone: from the middle there is no way on, from the end there is.
    with stream(api, conversation_id, before[-1].id) as reader:
        snapshot = reader.next()
        assert (snapshot.name, snapshot.data["seq"]) == ("snapshot", sent[-1]["seq"])
        assert snapshot.data["snapshot"]["messages"] == api.messages(conversation_id)
    with stream(api, conversation_id, after[-1].id) as reader:
        post(api, conversation_id, stack.secret_text())
        assert reader.next().data["seq"] == sent[-1]["seq"] + 1


@pytest.mark.parametrize("last", ["", "nonsense", "ffff:1", "ffff:", ":1", "1:99999999999999999999", "ffff:-1"])
def test_from_nowhere_there_is_a_snapshot(stack: Stack, last: str) -> None:
    api = stack.api(stack.session())
    conversation_id = new_conversation(api)
    with stream(api, conversation_id, last) as reader:
        assert reader.next().name == "snapshot"


def test_a_stream_ends_with_its_conversation_or_session(stack: Stack, session: Session) -> None:
    api = stack.api(session)
    deleted, kept = new_conversation(api), new_conversation(api)
    with stream(api, deleted) as reader:
        reader.next()
        assert stack.api(session, web=1)("DELETE", f"/api/conversations/{deleted}").status_code == 204
        assert [event.data["type"] for event in reader] == ["conversation.deleted"]
    assert api("GET", f"/api/conversations/{deleted}/events").status_code == 404
    other = stack.session()
    assert stack.api(other)("GET", f"/api/conversations/{kept}/events").status_code == 404
    with stream(api, kept) as reader:
        reader.next()
        assert stack.api(session, web=1)("DELETE", "/api/session").status_code == 204
        assert list(reader) == []
    assert api("GET", f"/api/conversations/{kept}/events").status_code == 401


def test_a_reader_that_stalls_gets_all_it_missed(stack: Stack, session: Session) -> None:
    api, text = stack.api(session), stack.secret_text()
    # More than the server keeps for it and the network holds.
    stack.model.answer(text, Script(["x" * 100_000] * 50))
    conversation_id = new_conversation(api)
    with stream(api, conversation_id) as reader:
        snapshot = reader.next()
        assert post(api, conversation_id, text, wait=60).status_code == 200
        last = stack.secret_text()
        post(api, conversation_id, last, wait=20)
        view = View()
        view.load(snapshot.data)
        while not (view.messages and view.messages[-1]["text"].endswith(last) and not view.turns):
            event = reader.next()
            if event.name == "snapshot":
                view.load(event.data)
            else:
                assert view.is_next(event.data)
                view.apply(event.data)
    assert view.messages == api.messages(conversation_id)
    assert view.snapshots >= 2


def test_sigterm_ends_streams_and_waits(fragile: Stack) -> None:
    session = fragile.session()
    api, gate, text = fragile.api(session), Gate(), fragile.secret_text()
    fragile.model.answer(text, Script(["Slow", Hold(gate)]))
    conversation_id = new_conversation(api)
    with stream(api, conversation_id) as reader, ThreadPoolExecutor() as pool:
        reader.next()
        waiting = pool.submit(post, api, conversation_id, text, wait=60)
        gate.wait_reached()
        web = fragile.webs[0]
        thread = threading.Thread(target=web.stop, args=(30,))
        thread.start()
        assert finished not in [event.data["type"] for event in reader]
        assert waiting.result().status_code == 202
        thread.join()
    gate.open()
    fragile.repair()
    eventually(lambda: api.messages(conversation_id)[1:], "the reply is saved")


def test_a_stream_goes_on_when_redis_is_back(fragile: Stack) -> None:
    api = fragile.api(fragile.session())
    conversation_id = new_conversation(api)
    with stream(api, conversation_id) as reader:
        view = View()
        view.load(reader.next().data)
        fragile.redis.kill()
        fragile.redis.start()
        text = fragile.secret_text()
        eventually(lambda: post(api, conversation_id, text, client_id="same").status_code == 202, "it is taken")
        while not view.messages[1:]:
            event = reader.next()
            if event.name == "snapshot":
                view.load(event.data)
            elif not view.is_old(event.data):
                assert view.is_next(event.data)
                view.apply(event.data)
    assert view.messages == api.messages(conversation_id)


# --- Branches ---------------------------------------------------------------------------------------------------------


def test_branches(stack: Stack) -> None:
    api = stack.api(stack.session())
    conversation_id = new_conversation(api)
    base = f"/api/conversations/{conversation_id}/messages"
    text = stack.secret_text("Sort of")
    first = post(api, conversation_id, text, wait=20).json()
    question = api.messages(conversation_id)[0]

    again = api("POST", f"{base}/{first['id']}/regenerate", json={"client_id": "again", "wait": 20, "model": "large"})
    assert again.status_code == 200
    second = again.json()
    assert (second["parent_id"], second["versions"], second["model"]) == (
        question["id"],
        [first["id"], second["id"]],
        "large",
    )
    edited_text = stack.secret_text("Other")
    edited = api("POST", f"{base}/{question['id']}/edit", json={"client_id": "edit", "text": edited_text})
    assert edited.status_code == 202
    reply = api("POST", f"{base}/{question['id']}/edit", json={"client_id": "edit", "text": edited_text, "wait": 20})
    assert [message["text"] for message in api.messages(conversation_id)] == [edited_text, reply.json()["text"]]

    selected = api("POST", f"{base}/{first['id']}/select")
    assert selected.status_code == 200
    assert selected.json() == api.get(f"/api/conversations/{conversation_id}")
    assert [message["id"] for message in api.messages(conversation_id)] == [question["id"], first["id"]]


def test_branches_that_cannot_be(stack: Stack) -> None:
    api = stack.api(stack.session())
    conversation_id = new_conversation(api)
    reply = post(api, conversation_id, stack.secret_text(), wait=20).json()
    before = api.messages(conversation_id)
    base = f"/api/conversations/{conversation_id}/messages"
    for path, body, status, code in (
        (f"{reply['parent_id']}/regenerate", {"client_id": "a"}, 400, "invalid"),
        (f"{reply['id']}/regenerate", {}, 400, "invalid"),
        (f"{reply['id']}/regenerate", {"client_id": "a", "wait": 61}, 400, "invalid"),
        ("nothing/regenerate", {"client_id": "a"}, 404, "not_found"),
        (f"{reply['id']}/edit", {"client_id": "a", "text": "x"}, 400, "invalid"),
        (f"{reply['parent_id']}/edit", {"client_id": "a", "text": " "}, 400, "invalid"),
        (f"{reply['parent_id']}/edit", {"client_id": "a"}, 400, "invalid"),
        ("nothing/select", {}, 404, "not_found"),
    ):
        answer = api("POST", f"{base}/{path}", json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), path
    assert api.messages(conversation_id) == before
