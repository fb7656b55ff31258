"""SIGTERM to a worker in mid-reply, as platforms send it on every deploy."""

import contextlib
import signal
import subprocess

from tests.support.clients import ChatClient
from tests.support.processes import eventually
from tests.support.stack import Stack, Worker
from tests.support.upstream import Gate, Hold, Script
from tests.support.workers import sole_worker, thaw

LONG = 40  # seconds of patience where a process starts or ends


def begun(stack: Stack, client: ChatClient) -> tuple[str, str, str, Gate]:
    """(conversation, turn, question, gate) of a reply that has said “Half ” and holds."""
    text, gate = stack.secret_text(), Gate()
    stack.model.answer(text, Script(["Half ", Hold(gate), "and half."]))
    answer = client.send(text)
    client.wait_text(answer["conversation_id"], answer["turn_id"], "Half ")
    return answer["conversation_id"], answer["turn_id"], text, gate


def terminate(worker: Worker) -> None:
    """Returns when it has heard."""
    worker.signal(signal.SIGTERM)
    eventually(lambda: "Warm shutdown" in worker.output(), "the worker hears that it is to end")


def exit_code(worker: Worker) -> int:
    """Told once more every half second, as an impatient operator does."""
    for _ in range(2 * LONG):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return worker.wait(0.5)
        worker.signal(signal.SIGTERM)
    raise AssertionError("the worker does not end")


def starts(client: ChatClient) -> list[tuple[str, int]]:
    return [(event["turn_id"], event["attempt"]) for event in client.received if event["type"] == "turn.started"]


def assert_answered_once(stack: Stack, client: ChatClient, conversation_id: str, turn_ids: list[str]) -> None:
    """Each of them ended once and has one saved reply, in this order, and the client shows just that."""
    saved = stack.assert_saved_as_shown(client, conversation_id)
    assert [message["turn_id"] for message in saved if message["role"] == "assistant"] == turn_ids
    assert [event["turn_id"] for event in client.received if event["type"] == "turn.finished"] == turn_ids
    assert client.view(conversation_id).turns == {}
    assert (client.gaps, client.disconnects) == (0, [])


def test_a_reply_that_ends_in_time_is_finished_by_the_worker_that_goes(fragile: Stack) -> None:
    session = fragile.session()
    client, tab = fragile.client(session), fragile.client(session, web=1)
    conversation_id, turn_id, text, gate = begun(fragile, client)
    tab.open(conversation_id)
    waiting = client.send(fragile.secret_text(), conversation_id)["turn_id"]
    worker = fragile.workers[0]
    terminate(worker)
    elsewhere = client.send(fragile.secret_text())  # too late for this worker
    gate.open()
    for one in (client, tab):
        assert one.wait_finished(turn_id)["message"]["text"] == "Half and half."
    assert exit_code(worker) == 0
    assert starts(client) == [(turn_id, 1)]

    fragile.repair()
    for turn in (waiting, elsewhere["turn_id"]):
        assert client.wait_finished(turn, LONG)["status"] == "done"
    tab.wait_finished(waiting, LONG)
    assert sorted(starts(client)) == sorted([(turn_id, 1), (waiting, 1), (elsewhere["turn_id"], 1)])
    assert len(fragile.model.requests(text)) == 1
    assert [event["turn_id"] for event in tab.received if event["type"] == "turn.finished"] == [turn_id, waiting]
    for one in (client, tab):
        fragile.assert_saved_as_shown(one, conversation_id)
        assert (one.gaps, one.disconnects) == (0, [])


def test_a_reply_that_takes_longer_is_handed_to_another_worker(fragile: Stack) -> None:
    session = fragile.session()
    client, tab = fragile.client(session), fragile.client(session, web=1)
    # With such a lease nobody takes the turn unless it is given back.
    with sole_worker(fragile, DRAIN_SECONDS="1.5", LEASE_SECONDS="600") as worker:
        conversation_id, turn_id, text, _ = begun(fragile, client)
        tab.open(conversation_id)
        waiting = client.send(fragile.secret_text(), conversation_id)["turn_id"]
        thaw(fragile)
        terminate(worker)
        assert exit_code(worker) == 0
        fragile.model.request(text).wait_closed()
        for one in (client, tab):
            assert one.wait_finished(turn_id, LONG)["message"]["text"] == f"You said: {text}"
            one.wait_finished(waiting, LONG)
    assert starts(client) == [(turn_id, 1), (turn_id, 2), (waiting, 1)]
    assert starts(tab) == [(turn_id, 2), (waiting, 1)]  # the first was in its snapshot
    assert len(fragile.model.requests(text)) == 2
    for one in (client, tab):
        assert_answered_once(fragile, one, conversation_id, [turn_id, waiting])
