"""A message in, a streamed reply out."""

import uuid
from typing import Any

import pytest

from tests.support.clients import Kind
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Script, words

ACKNOWLEDGED = {"conversation_id", "message_id", "turn_id", "seq", "position"}


@pytest.mark.parametrize("kind", ["python", "npm"])
@pytest.mark.parametrize("provider", ["chat", "responses"])
def test_a_message_is_answered(stack: Stack, kind: Kind, provider: str) -> None:
    text, gate = stack.secret_text("How are you?"), Gate()
    reply = stack.secret_text("Fine, “thank you” 👋 —\n\n```\n</script>\\u0000\n```")
    tokens = words(reply)
    stack.model.answer(text, Script([*tokens[:2], Hold(gate), *tokens[2:]], usage=(3, 14)))
    client = stack.client(kind=kind)

    answer = client.send(text, provider=provider)
    conversation_id, turn_id = answer["conversation_id"], answer["turn_id"]
    assert answer.keys() >= ACKNOWLEDGED
    assert answer["position"] == 0
    client.wait_text(conversation_id, turn_id, "".join(tokens[:2]))  # a reply streams: this much is there already
    gate.open()
    finished = client.wait_finished(turn_id)

    events = client.received
    assert client.gaps == 0
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {(event["conversation_id"], event["epoch"]) for event in events} == {(conversation_id, events[0]["epoch"])}
    kinds = [event["type"] for event in events]
    assert kinds[:3] == ["message.created", "turn.queued", "turn.started"]
    assert set(kinds[3:-1]) == {"turn.delta"}
    assert kinds[-1] == "turn.finished"
    created, queued, started, *deltas = events[:-1]
    assert created["message"] == {
        "id": answer["message_id"],
        "parent_id": None,
        "role": "user",
        "text": text,
        "turn_id": turn_id,
        "created_at": created["message"]["created_at"],
        "versions": [answer["message_id"]],
    }
    assert (queued["message_id"], queued["position"]) == (answer["message_id"], 0)
    assert queued["seq"] == answer["seq"]
    model = {"chat": "small", "responses": "thinker"}[provider]
    assert (started["attempt"], started["provider"], started["model"]) == (1, provider, model)
    assert len(deltas) >= 2
    assert "".join(delta["text"] for delta in deltas) == reply
    assert {event["turn_id"] for event in events[1:]} == {turn_id}

    assert finished["status"] == "done"
    assert finished["usage"] == {"input_tokens": 3, "output_tokens": 14}
    assert "error" not in finished
    saved = finished["message"]
    assert saved["text"] == reply
    assert (saved["role"], saved["status"], saved["parent_id"]) == ("assistant", "done", answer["message_id"])
    assert (saved["turn_id"], saved["provider"], saved["model"]) == (turn_id, provider, model)
    assert saved["usage"] == finished["usage"]
    assert saved["versions"] == [saved["id"]]
    assert stack.assert_saved_as_shown(client, conversation_id) == [created["message"], saved]
    assert len(stack.model.requests(text)) == 1

    request = stack.model.request(text)
    assert (request.api, request.model) == (provider, model)
    assert request.body["stream"] is True


def test_a_chat_goes_on(stack: Stack) -> None:
    client = stack.client()
    first = client.talk(stack.secret_text())
    conversation_id = client.received[0]["conversation_id"]
    second = client.talk(stack.secret_text(), conversation_id)
    saved = stack.assert_saved_as_shown(client, conversation_id)
    assert [message["id"] for message in saved[1::2]] == [first["id"], second["id"]]
    assert [message["parent_id"] for message in saved] == [None, *(message["id"] for message in saved[:-1])]
    assert client.gaps == 0


def test_over_http(stack: Stack) -> None:
    session = stack.session()
    api = stack.api(session)
    created = api("POST", "/api/conversations", json={"title": "By HTTP"})
    assert created.status_code == 201
    conversation_id = created.json()["id"]
    watcher = stack.client(session, web=1)
    watcher.open(conversation_id)

    text, client_id = stack.secret_text(), uuid.uuid4().hex
    path = f"/api/conversations/{conversation_id}/messages"
    answer = api("POST", path, json={"text": text, "client_id": client_id})
    assert answer.status_code == 202
    assert answer.json().keys() >= ACKNOWLEDGED
    watcher.wait_finished(answer.json()["turn_id"])
    assert [message["text"] for message in stack.assert_saved_as_shown(watcher, conversation_id)] == [
        text,
        f"You said: {text}",
    ]
    again = api("POST", path, json={"text": text, "client_id": client_id})
    assert again.json() == answer.json()
    conversation = api.get(f"/api/conversations/{conversation_id}")
    assert (conversation["title"], conversation["state"], conversation["message_count"]) == ("By HTTP", "idle", 2)


def test_messages_come_in_pages(stack: Stack) -> None:
    client = stack.client()
    conversation_id = None
    for _ in range(3):
        client.talk(stack.secret_text(), conversation_id)
        conversation_id = client.received[0]["conversation_id"]
    api = stack.api(client.session)
    whole = api.messages(str(conversation_id))
    assert len(whole) == 6
    pages: list[list[dict[str, Any]]] = []
    query = "?limit=4"
    while True:
        page = api.get(f"/api/conversations/{conversation_id}/messages{query}")
        pages.insert(0, page["messages"])
        if not page["more"]:
            break
        query = f"?limit=4&before={page['messages'][0]['id']}"
    assert pages == [whole[:2], whole[2:]]


def test_a_long_reply_arrives_whole(stack: Stack) -> None:
    text = stack.secret_text("Write a book.")
    tokens = [f"word {number} 🎈 " for number in range(5_000)]
    stack.model.answer(text, Script(tokens))
    client = stack.client()
    reply = client.talk(text)
    assert reply["text"] == "".join(tokens)
    deltas = [event["text"] for event in client.received if event["type"] == "turn.delta"]
    assert "".join(deltas) == reply["text"]
    assert client.gaps == 0
    stack.assert_saved_as_shown(client, client.received[0]["conversation_id"])


def test_the_sockets_of_a_session_hear_of_its_activity(stack: Stack) -> None:
    session = stack.session()
    sender, other = stack.client(session), stack.client(session, web=1)
    stranger = stack.client()
    text = stack.secret_text()
    answer = sender.send(text)
    conversation_id = answer["conversation_id"]
    other.wait_for(
        lambda: [a for a in other.activity if a["state"] == "idle"], "the other socket hears that it is over"
    )
    assert [a["state"] for a in other.activity] == ["waiting", "running", "idle"]
    assert {a["conversation_id"] for a in other.activity} == {conversation_id}
    assert all(a.keys() == {"conversation_id", "title", "state", "updated_at"} for a in other.activity)
    assert other.received == []  # it has not opened the conversation
    stranger.talk(stack.secret_text())
    assert conversation_id not in {a["conversation_id"] for a in stranger.activity}
