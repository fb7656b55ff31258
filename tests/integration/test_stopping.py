"""Stopping a turn that somebody else began: from another tab, on another web process, whatever its worker is doing."""

import pytest

from tests.support.clients import ChatClient
from tests.support.processes import eventually
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Script

LONG = 40  # seconds of patience where a process starts


def two_tabs(stack: Stack) -> tuple[ChatClient, ChatClient]:
    """On different web processes."""
    session = stack.session()
    return stack.client(session), stack.client(session, web=1)


def stop(tab: ChatClient, conversation_id: str, turn_id: str) -> str:
    return str(tab.do("stop_turn", conversation_id=conversation_id, turn_id=turn_id)["status"])


def assert_stopped(stack: Stack, client: ChatClient, tab: ChatClient, turn_id: str, text: str) -> None:
    """Both show the end, once, with what was streamed till then, and the next message is answered."""
    for one in (client, tab):
        finished = one.wait_finished(turn_id)
        assert finished["status"] == finished["message"]["status"] == "stopped"
        assert finished["message"]["text"] == text
        assert "error" not in finished
    conversation_id = client.wait_finished(turn_id)["conversation_id"]
    following = client.send(stack.secret_text(), conversation_id)["turn_id"]
    for one in (client, tab):
        assert one.wait_finished(following, LONG)["status"] == "done"
        stack.assert_saved_as_shown(one, conversation_id)
        ends = [event["turn_id"] for event in one.received if event["type"] == "turn.finished"]
        assert ends.count(turn_id) == 1
        assert (one.view(conversation_id).turns, one.gaps) == ({}, 0)


def test_a_waiting_turn_is_stopped_from_another_tab(stack: Stack) -> None:
    client, tab = two_tabs(stack)
    first, unwanted, gate = stack.secret_text(), stack.secret_text(), Gate()
    stack.model.answer(first, Script(["Some ", Hold(gate), "text."]))
    running = client.send(first)
    conversation_id = running["conversation_id"]
    waiting = client.send(unwanted, conversation_id)["turn_id"]
    tab.open(conversation_id)
    assert stop(tab, conversation_id, waiting) == "stopped"
    gate.open()
    assert tab.wait_finished(running["turn_id"])["message"]["text"] == "Some text."
    assert_stopped(stack, client, tab, waiting, "")
    assert stack.model.requests(unwanted) == []


@pytest.mark.parametrize("headers", [False, True], ids=["before the answer", "before the first token"])
def test_a_turn_without_text_is_stopped_from_another_tab(stack: Stack, headers: bool) -> None:
    client, tab = two_tabs(stack)
    text, hold = stack.secret_text(), Hold(Gate())
    stack.model.answer(text, Script([hold]) if headers else Script(before_headers=[hold]))
    answer = client.send(text)
    hold.gate.wait_reached()
    tab.open(answer["conversation_id"])
    assert stop(tab, answer["conversation_id"], answer["turn_id"]) == "stopped"
    stack.model.request(text).wait_closed()
    assert_stopped(stack, client, tab, answer["turn_id"], "")


def test_a_turn_that_waits_to_be_tried_again_is_stopped_from_another_tab(stack: Stack) -> None:
    client, tab = two_tabs(stack)
    text = stack.secret_text()
    stack.model.answer(text, Script.error(429, headers={"retry-after": "20"}))
    answer = client.send(text)
    client.wait_event("turn.retrying", turn_id=answer["turn_id"], delay=20)
    tab.open(answer["conversation_id"])
    assert stop(tab, answer["conversation_id"], answer["turn_id"]) == "stopped"
    assert_stopped(stack, client, tab, answer["turn_id"], "")

    def said() -> list[str]:
        lines = (line for log in stack.logs().values() for line in log.splitlines())
        return [line for line in lines if "turn over" in line and answer["turn_id"] in line]

    [line] = eventually(said, "it is dropped")
    assert "outcome=stopped" in line
    assert len(stack.model.requests(text)) == 1


def test_a_reply_is_stopped_over_http_by_many_at_once(stack: Stack) -> None:
    client, tab = two_tabs(stack)
    text, hold = stack.secret_text(), Hold(Gate())
    stack.model.answer(text, Script(["Some ", "text ", hold, "that nobody wants."]))
    answer = client.send(text)
    conversation_id, turn_id = answer["conversation_id"], answer["turn_id"]
    client.wait_text(conversation_id, turn_id, "Some text ")
    tab.open(conversation_id)
    ids = {"conversation_id": conversation_id, "turn_id": turn_id}
    posted = [one.post("stop_turn", ids) for one in (client, tab, client, tab)]
    by_http = stack.api(client.session, web=1)("POST", f"/api/conversations/{conversation_id}/turns/{turn_id}/stop")
    assert (by_http.status_code, by_http.json()) == (200, {"status": "stopped"})
    assert [one.wait() for one in posted] == [{"ok": True, "status": "stopped"}] * 4
    stack.model.request(text).wait_closed()
    hold.gate.open()
    assert_stopped(stack, client, tab, turn_id, "Some text ")


def begun(stack: Stack, client: ChatClient, tab: ChatClient, *rest: str | Hold) -> tuple[str, str, str]:
    """(conversation, turn, question) of a reply that has said “Half ”."""
    text = stack.secret_text()
    stack.model.answer(text, Script(["Half ", *rest]))
    answer = client.send(text)
    client.wait_text(answer["conversation_id"], answer["turn_id"], "Half ")
    tab.open(answer["conversation_id"])
    return answer["conversation_id"], answer["turn_id"], text


def test_a_dead_workers_reply_is_stopped_from_another_tab(fragile: Stack) -> None:
    client, tab = two_tabs(fragile)
    conversation_id, turn_id, text = begun(fragile, client, tab, Hold(Gate()))
    fragile.workers[0].kill()
    fragile.model.request(text).wait_closed()
    assert stop(tab, conversation_id, turn_id) == "stopped"
    for one in (client, tab):
        one.wait_finished(turn_id)  # while there is no worker
    fragile.workers[0].start()
    assert_stopped(fragile, client, tab, turn_id, "Half ")
    assert len(fragile.model.requests(text)) == 1


def test_a_frozen_workers_reply_is_stopped_and_it_hears_of_that_when_it_goes_on(fragile: Stack) -> None:
    client, tab = two_tabs(fragile)
    more, never = Hold(Gate()), Hold(Gate())
    conversation_id, turn_id, text = begun(fragile, client, tab, more, "and half, ", never)
    fragile.workers[0].freeze()
    assert stop(tab, conversation_id, turn_id) == "stopped"
    for one in (client, tab):
        one.wait_finished(turn_id)
    more.gate.open()  # more text comes, of which the worker does not know yet that nobody wants it
    never.gate.wait_reached()
    fragile.workers[0].thaw()
    fragile.model.request(text).wait_closed()
    assert_stopped(fragile, client, tab, turn_id, "Half ")
    assert len(fragile.model.requests(text)) == 1
