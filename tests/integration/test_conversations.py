"""Conversations: listed, configured, cleared, deleted; and turns that are stopped."""

from typing import Any

import pytest

from tests.support.clients import ChatClient
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Script

SHOWN = {"id", "title", "memory", "provider", "model", "system_prompt", "created_at", "updated_at", "state"}


def begun(stack: Stack, client: ChatClient) -> tuple[str, str, str, Gate]:
    """(conversation, turn, question, gate) of a reply that has said “Some text ” and holds."""
    text, gate = stack.secret_text(), Gate()
    stack.model.answer(text, Script(["Some ", "text ", Hold(gate), "that nobody wants."]))
    answer = client.send(text)
    client.wait_text(answer["conversation_id"], answer["turn_id"], "Some text ")
    return answer["conversation_id"], answer["turn_id"], text, gate


def test_a_list_in_pages(stack: Stack) -> None:
    client = stack.client()
    made = []
    for number in range(7):
        answer = client.send(stack.secret_text(f"Conversation {number}"))
        made.append(answer["conversation_id"])
        client.wait_finished(answer["turn_id"])
    client.talk(stack.secret_text(), made[2])  # and this one is the newest now
    expected = [made[2], *(one for one in reversed(made) if one != made[2])]
    pages: list[list[str]] = []
    payload: dict[str, Any] = {"limit": 3}
    while True:
        answer = client.do("list_conversations", **payload)
        pages.append([one["id"] for one in answer["conversations"]])
        if "cursor" not in answer:
            break
        payload["cursor"] = answer["cursor"]
    assert pages == [expected[:3], expected[3:6], expected[6:]]
    whole = client.do("list_conversations")["conversations"]
    assert [one["id"] for one in whole] == expected
    assert all(one.keys() >= SHOWN for one in whole)
    assert whole[-1]["title"].startswith("Conversation 0")
    assert {one["state"] for one in whole} == {"idle"}
    http = stack.api(client.session).get("/api/conversations?limit=3")
    assert ([one["id"] for one in http["conversations"]], http["more"]) == (pages[0], True)
    assert stack.api(client.session).get("/api/conversations") == {
        "conversations": whole,
        "more": False,
        "cursor": None,
    }


def test_an_empty_list(stack: Stack) -> None:
    client = stack.client()
    for payload in ((), ({},), ({"cursor": None},)):
        assert client.ask("list_conversations", *payload) == {"ok": True, "conversations": []}


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Ünï 👋 </title>"},
        {"title": "  kept tidy  "},
        {"memory": False},
        {"provider": "responses"},
        {"model": "large"},
        {"provider": "responses", "model": "common"},
        {"system_prompt": 'Be "quoted" \\ 👋'},
        {"title": "All", "memory": False, "provider": "chat", "model": "common", "system_prompt": "Be brief."},
    ],
    ids=str,
)
def test_configured_for_all_tabs(stack: Stack, changes: dict[str, Any]) -> None:
    session = stack.session()
    client, tab = stack.client(session), stack.client(session, web=1)
    client.talk(stack.secret_text())
    conversation_id = client.received[0]["conversation_id"]
    tab.open(conversation_id)
    conversation = client.do("configure_conversation", conversation_id=conversation_id, **changes)["conversation"]
    expected = {key: value.strip() if key == "title" else value for key, value in changes.items()}
    assert {key: conversation[key] for key in expected} == expected
    for one in (client, tab):
        assert one.wait_event("conversation.updated")["conversation"] == conversation
    assert stack.api(session).get(f"/api/conversations/{conversation_id}") == conversation
    assert client.do("open_conversation", conversation_id=conversation_id)["snapshot"]["conversation"] == conversation
    assert client.do("list_conversations")["conversations"] == [conversation]


def test_cleared_for_all_tabs(stack: Stack) -> None:
    session = stack.session()
    client, tab = stack.client(session), stack.client(session, web=1)
    first = stack.secret_text()
    client.talk(first)
    conversation_id = client.received[0]["conversation_id"]
    tab.open(conversation_id)
    client.do("clear_conversation", conversation_id=conversation_id)
    for one in (client, tab):
        one.wait_event("conversation.cleared")
        assert one.view(conversation_id).messages == []
    assert stack.api(session).messages(conversation_id) == []
    second = stack.secret_text()
    client.talk(second, conversation_id)
    assert [message["content"] for message in stack.model.request(second).messages[1:]] == [second]
    tab.wait_reply(conversation_id, client.view(conversation_id).messages[-1]["turn_id"])
    stack.assert_saved_as_shown(tab, conversation_id)
    assert tab.gaps == client.gaps == 0


def test_deleted_for_all_tabs_and_for_good(stack: Stack) -> None:
    session = stack.session()
    client, tab = stack.client(session), stack.client(session, web=1)
    text = stack.secret_text()
    answer = client.send(text, client_id="the-first")
    client.wait_finished(answer["turn_id"])
    conversation_id = answer["conversation_id"]
    tab.open(conversation_id)
    assert client.do("delete_conversation", conversation_id=conversation_id) == {"ok": True}
    for one in (client, tab):
        one.wait_event("conversation.deleted")
    for one in (client, tab):
        one.wait_for(lambda one=one: one.activity[-1]["state"] == "deleted", "the list hears of it")  # type: ignore[misc]
    known = {"conversation_id": conversation_id}
    for name, payload in [
        ("open_conversation", known),
        ("send_message", {**known, "text": "x", "client_id": "a"}),
        ("send_message", {**known, "text": text, "client_id": "the-first"}),
        ("send_message", {"text": text, "client_id": "the-first"}),
        ("configure_conversation", {**known, "title": "x"}),
        ("clear_conversation", known),
        ("delete_conversation", known),
        ("stop_turn", {**known, "turn_id": answer["turn_id"]}),
    ]:
        for one in (client, tab):
            assert one.error(name, payload)["code"] == "not_found", (name, payload)
    assert client.do("list_conversations")["conversations"] == []
    assert stack.api(session)("GET", f"/api/conversations/{conversation_id}/messages").status_code == 404
    assert len(stack.model.requests(text)) == 1


@pytest.mark.parametrize("way", ["clear_conversation", "delete_conversation", "DELETE", "clear"])
def test_removed_while_a_reply_runs(stack: Stack, way: str) -> None:
    session = stack.session()
    client, tab = stack.client(session), stack.client(session, web=1)
    conversation_id, turn_id, text, gate = begun(stack, client)
    waiting = client.send(stack.secret_text(), conversation_id)["turn_id"]
    tab.open(conversation_id)
    api = stack.api(session)
    match way:
        case "DELETE":
            assert api("DELETE", f"/api/conversations/{conversation_id}").status_code == 204
        case "clear":
            assert api("POST", f"/api/conversations/{conversation_id}/clear").status_code == 200
        case _:
            client.do(way, conversation_id=conversation_id)
    last = "conversation.cleared" if "clear" in way else "conversation.deleted"
    for one in (client, tab):
        one.wait_event(last)
        assert one.view(conversation_id).turns == {}
    stack.model.request(text).wait_closed(20)
    gate.open()
    for turn in (turn_id, waiting):
        assert client.wait_finished(turn)["message"] is None
    # What the worker might still have said comes before what it says next.
    client.talk(stack.secret_text(), conversation_id if "clear" in way else None)
    ours = [event["type"] for event in client.received if event["conversation_id"] == conversation_id]
    rest = ours[ours.index(last) + 1 :]
    expected = (
        ["message.created", "turn.queued", "turn.started", "turn.delta", "turn.finished"] if "clear" in way else []
    )
    assert sorted(set(rest)) == sorted(set(expected))
    assert rest.count("turn.started") == len(expected) // 5
    if "clear" in way:
        assert len(stack.assert_saved_as_shown(client, conversation_id)) == 2
    assert client.gaps == 0


# --- Stopping ---------------------------------------------------------------------------------------------------------


def test_stopped_in_mid_stream(stack: Stack) -> None:
    session = stack.session()
    client, tab = stack.client(session), stack.client(session, web=1)
    conversation_id, turn_id, text, gate = begun(stack, client)
    tab.open(conversation_id)
    assert tab.do("stop_turn", conversation_id=conversation_id, turn_id=turn_id)["status"] == "stopped"
    for one in (client, tab):
        finished = one.wait_finished(turn_id)
        assert finished["status"] == finished["message"]["status"] == "stopped"
        assert finished["message"]["text"] == "Some text "
    stack.model.request(text).wait_closed(20)
    gate.open()
    assert client.do("stop_turn", conversation_id=conversation_id, turn_id=turn_id)["status"] == "stopped"
    assert client.talk(stack.secret_text(), conversation_id)["status"] == "done"
    stack.assert_saved_as_shown(client, conversation_id)
    assert client.gaps == 0
    assert [event["type"] for event in client.received].count("turn.finished") == 2


@pytest.mark.parametrize("early", ["before_headers", "steps"])
def test_stopped_before_the_first_token(stack: Stack, early: str) -> None:
    text, gate = stack.secret_text(), Gate()
    holding = Script(before_headers=[Hold(gate)]) if early == "before_headers" else Script([Hold(gate)])
    stack.model.answer(text, holding)
    client = stack.client()
    answer = client.send(text)
    request = stack.model.request(text)
    ids = {"conversation_id": answer["conversation_id"], "turn_id": answer["turn_id"]}
    assert client.do("stop_turn", **ids)["status"] == "stopped"
    finished = client.wait_finished(answer["turn_id"])
    assert (finished["status"], finished["message"]["text"]) == ("stopped", "")
    request.wait_closed(20)
    assert client.talk(stack.secret_text(), answer["conversation_id"])["status"] == "done"
    stack.assert_saved_as_shown(client, answer["conversation_id"])


def test_stopped_while_it_waits(stack: Stack) -> None:
    client = stack.client()
    conversation_id, running, _, gate = begun(stack, client)
    unwanted, wanted = stack.secret_text(), stack.secret_text()
    waiting = client.send(unwanted, conversation_id)
    last = client.send(wanted, conversation_id)
    ids = {"conversation_id": conversation_id, "turn_id": waiting["turn_id"]}
    assert client.do("stop_turn", **ids)["status"] == "stopped"
    finished = client.wait_finished(waiting["turn_id"])
    assert (finished["status"], finished["message"]["text"]) == ("stopped", "")
    assert client.view(conversation_id).text_of(running) == "Some text "  # the running one runs on
    gate.open()
    assert client.wait_finished(running)["message"]["text"] == "Some text that nobody wants."
    assert client.wait_finished(last["turn_id"])["message"]["text"] == f"You said: {wanted}"
    assert stack.model.requests(unwanted) == []
    assert len(stack.assert_saved_as_shown(client, conversation_id)) == 6
    assert client.gaps == 0


def test_stopping_what_is_done_changes_nothing(stack: Stack) -> None:
    client = stack.client()
    reply = client.talk(stack.secret_text())
    conversation_id = client.received[0]["conversation_id"]
    seq = client.view(conversation_id).seq
    status = client.do("stop_turn", conversation_id=conversation_id, turn_id=reply["turn_id"])["status"]
    assert status == "done"
    answer = stack.api(client.session)("POST", f"/api/conversations/{conversation_id}/turns/{reply['turn_id']}/stop")
    assert (answer.status_code, answer.json()["status"]) == (200, "done")
    assert client.do("open_conversation", conversation_id=conversation_id)["seq"] == seq
