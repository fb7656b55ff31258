"""SIGTERM to a worker in mid-reply, as platforms send it on every deploy."""

import signal

from tests.support.clients import ChatClient
from tests.support.processes import eventually
from tests.support.replies import begun
from tests.support.stack import Stack, Worker
from tests.support.workers import sole_worker, thaw

LONG = 40  # seconds of patience where a process starts or ends


def terminate(worker: Worker, time: int) -> None:
    """Returns when it has heard."""
    worker.signal(signal.SIGTERM)
    eventually(lambda: worker.output().count("Warm shutdown") == time, "the worker hears that it is to end")


def starts(client: ChatClient, conversation_id: str) -> list[tuple[str, int]]:
    events = [event for event in client.received if event["conversation_id"] == conversation_id]
    return [(event["turn_id"], event["attempt"]) for event in events if event["type"] == "turn.started"]


def test_replies_that_end_soon_are_finished_and_the_others_handed_over(fragile: Stack) -> None:
    session = fragile.session()
    client, tab = fragile.client(session), fragile.client(session, web=1)
    # With such a lease nobody else takes a turn unless it is given back.
    with sole_worker(fragile, DRAIN_SECONDS="6", LEASE_SECONDS="600") as worker:
        soon, soon_turn, soon_text, gate = begun(fragile, client)
        late, late_turn, late_text, _ = begun(fragile, client)
        for conversation_id in (soon, late):
            tab.open(conversation_id)
        terminate(worker, 1)
        gate.open()
        for one in (client, tab):
            assert one.wait_finished(soon_turn)["message"]["text"] == "Half and half."
        terminate(worker, 2)  # an impatient operator changes nothing
        thaw(fragile)
        after = {
            conversation_id: client.send(fragile.secret_text(), conversation_id) for conversation_id in (soon, late)
        }
        fragile.model.request(late_text).wait_closed(LONG)
        for one in (client, tab):
            assert one.wait_finished(late_turn, LONG)["message"]["text"] == f"You said: {late_text}"
            for waiting in after.values():
                assert one.wait_finished(waiting["turn_id"], LONG)["status"] == "done"
        assert worker.wait(LONG) == 0
    waiting_soon, waiting_late = after[soon]["turn_id"], after[late]["turn_id"]
    assert starts(client, soon) == [(soon_turn, 1), (waiting_soon, 1)]
    assert starts(client, late) == [(late_turn, 1), (late_turn, 2), (waiting_late, 1)]
    assert (len(fragile.model.requests(soon_text)), len(fragile.model.requests(late_text))) == (1, 2)
    for one in (client, tab):
        fragile.assert_answered_once(one, soon, [soon_turn, waiting_soon])
        fragile.assert_answered_once(one, late, [late_turn, waiting_late])
