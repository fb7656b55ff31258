"""Second tabs, reconnections, other web processes: everybody ends up with the same."""

import pytest

from tests.support.clients import Kind
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Script
from tests.support.view import View


@pytest.mark.parametrize("kind", ["python", "npm"])
def test_a_second_tab_opened_in_mid_reply_shows_all_of_it(stack: Stack, kind: Kind) -> None:
    text, gate = stack.secret_text(), Gate()
    stack.model.answer(text, Script(["Once ", "upon ", Hold(gate), "a ", "time."]))
    session = stack.session()
    first = stack.client(session)
    answer = first.send(text)
    conversation_id, turn_id = answer["conversation_id"], answer["turn_id"]
    first.wait_text(conversation_id, turn_id, "Once upon ")

    second = stack.client(session, web=1, kind=kind)
    opened = second.open(conversation_id)
    snapshot = opened["snapshot"]
    assert snapshot["more"] is False
    assert [message["text"] for message in snapshot["messages"]] == [text]
    (turn,) = snapshot["turns"]
    assert {k: turn[k] for k in ("turn_id", "message_id", "status", "attempt", "text")} == {
        "turn_id": turn_id,
        "message_id": answer["message_id"],
        "status": "running",
        "attempt": 1,
        "text": "Once upon ",
    }
    assert (opened["epoch"], opened["seq"]) == (first.view(conversation_id).epoch, first.view(conversation_id).seq)
    gate.open()
    for client in (first, second):
        assert client.wait_finished(turn_id)["message"]["text"] == "Once upon a time."
        stack.assert_saved_as_shown(client, conversation_id)
        assert client.gaps == 0
    later = [event["text"] for event in second.received if event["type"] == "turn.delta"]
    assert "".join(later) == "a time."


@pytest.mark.parametrize("kind", ["python", "npm"])
def test_a_reconnection_in_mid_reply_brings_exactly_what_was_missed(stack: Stack, kind: Kind) -> None:
    text, first_gate, second_gate = stack.secret_text(), Gate(), Gate()
    stack.model.answer(text, Script(["One ", Hold(first_gate), "two ", Hold(second_gate), "three."]))
    session = stack.session()
    client, watcher = stack.client(session, kind=kind), stack.client(session, web=1)
    answer = client.send(text)
    conversation_id, turn_id = answer["conversation_id"], answer["turn_id"]
    watcher.open(conversation_id)
    client.wait_text(conversation_id, turn_id, "One ")
    before = client.view(conversation_id).seq
    client.disconnect()

    first_gate.open()
    watcher.wait_text(conversation_id, turn_id, "One two ")
    client.connect(stack.webs[1].url)
    opened = client.open(conversation_id)
    assert "snapshot" not in opened
    assert [event["seq"] for event in opened["events"]] == list(range(before + 1, opened["seq"] + 1))
    assert [event["text"] for event in opened["events"]] == ["two "]
    second_gate.open()
    assert client.wait_finished(turn_id)["message"]["text"] == "One two three."
    stack.assert_saved_as_shown(client, conversation_id)
    assert client.gaps == 0
    assert client.view(conversation_id).snapshots == 0


def test_a_reconnection_after_the_reply_brings_the_same_state(stack: Stack) -> None:
    text, gate = stack.secret_text(), Gate()
    stack.model.answer(text, Script(["Half ", Hold(gate), "and half."]))
    session = stack.session()
    client, watcher = stack.client(session), stack.client(session, web=1)
    answer = client.send(text)
    conversation_id, turn_id = answer["conversation_id"], answer["turn_id"]
    watcher.open(conversation_id)
    client.wait_text(conversation_id, turn_id, "Half ")
    client.disconnect()
    gate.open()
    watcher.wait_finished(turn_id)
    watcher.talk(stack.secret_text(), conversation_id)
    client.connect(stack.webs[1].url)
    client.open(conversation_id)
    assert len(stack.assert_saved_as_shown(client, conversation_id)) == 4
    assert client.view(conversation_id).turns == {}
    # And with nothing missed there is nothing to bring.
    assert client.open(conversation_id)["events"] == []


def test_every_position_leads_to_the_same_state(stack: Stack) -> None:
    session = stack.session()
    client = stack.client(session)
    for number in range(2):
        client.talk(stack.secret_text(f"Question {number}"), client.received[0]["conversation_id"] if number else None)
    conversation_id = client.received[0]["conversation_id"]
    stack_events = client.view(conversation_id).applied
    saved = stack.assert_saved_as_shown(client, conversation_id)
    probe = stack.client(session, web=1)
    for known in range(len(stack_events) + 1):
        view = View(stack_events[0]["epoch"])
        for event in stack_events[:known]:
            view.apply(event)
        view.load(probe.do("open_conversation", conversation_id=conversation_id, after=known, epoch=view.epoch))
        assert (view.messages, view.turns, view.seq) == (saved, {}, len(stack_events)), f"after {known}"


@pytest.mark.parametrize(
    "position",
    [{"after": 3, "epoch": "of-another-life"}, {"after": 3}, {"epoch": "e"}, {}, {"after": None, "epoch": None}],
    ids=str,
)
def test_a_position_of_another_life_brings_a_snapshot(stack: Stack, position: dict[str, object]) -> None:
    client = stack.client()
    client.talk(stack.secret_text())
    conversation_id = client.received[0]["conversation_id"]
    answer = client.do("open_conversation", conversation_id=conversation_id, **position)
    assert answer["epoch"] == client.view(conversation_id).epoch
    assert answer["seq"] == client.view(conversation_id).seq
    assert answer["snapshot"]["messages"] == client.view(conversation_id).messages


def test_a_position_that_was_never_reached_begins_another_epoch(stack: Stack) -> None:
    client = stack.client()
    client.talk(stack.secret_text())
    conversation_id = client.received[0]["conversation_id"]
    view = client.view(conversation_id)
    answer = client.do("open_conversation", conversation_id=conversation_id, after=view.seq + 5, epoch=view.epoch)
    assert answer["epoch"] != view.epoch
    assert answer["snapshot"]["messages"] == view.messages
    sent = client.send(stack.secret_text(), conversation_id)
    client.wait_reply(conversation_id, sent["turn_id"])  # by its events, or in a snapshot of the new epoch
    stack.assert_saved_as_shown(client, conversation_id)


def test_a_snapshot_holds_the_last_fifty_messages(stack: Stack) -> None:
    client = stack.client()
    conversation_id = None
    for _ in range(26):
        answer = client.send(stack.secret_text(), conversation_id)
        conversation_id = answer["conversation_id"]
        client.wait_finished(answer["turn_id"])
    opened = client.do("open_conversation", conversation_id=conversation_id)
    assert opened["snapshot"]["more"] is True
    assert opened["snapshot"]["messages"] == client.view(answer["conversation_id"]).messages[-50:]
    assert opened["snapshot"]["conversation"]["message_count"] == 52


def test_a_closed_conversation_is_silent_until_it_is_opened_again(stack: Stack) -> None:
    session = stack.session()
    client, other = stack.client(session), stack.client(session)
    client.talk(stack.secret_text())
    conversation_id = client.received[0]["conversation_id"]
    client.do("close_conversation", conversation_id=conversation_id)
    heard = len(client.received)
    other.open(conversation_id)
    other.talk(stack.secret_text(), conversation_id)
    # Both sockets hang on one web process, which delivers in order: what it had for this one is there by now.
    client.do("list_conversations")
    assert len(client.received) == heard
    client.open(conversation_id)
    assert client.gaps == 0
    stack.assert_saved_as_shown(client, conversation_id)
