"""Where a turn stands, for those who wait for it."""

import pytest

from app.errors import NotFound
from app.ledger.models import TurnState
from tests.ledger.harness import LEASE, NASTY, Lab


def state(lab: Lab, conversation_id: str, turn_id: str) -> TurnState:
    question = next(
        m for m in lab.messages(conversation_id).values() if m["turn_id"] == turn_id and m["role"] == "user"
    )
    found = lab.ledger.turn(lab.owner, conversation_id, turn_id, question["id"])
    assert (found.seq, found.epoch) == (int(lab.meta(conversation_id)["seq"]), lab.meta(conversation_id)["epoch"])
    return found


def test_from_waiting_to_done(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    waiting = state(lab, conversation_id, turn_id)
    assert (waiting.status, waiting.attempt, waiting.text, waiting.reply, waiting.over) == (
        "waiting",
        0,
        "",
        None,
        False,
    )
    to_come = waiting.reply_id
    claim = lab.claim(conversation_id, turn_id)
    text = "".join(NASTY)
    lab.write(claim, 1, text)
    running = state(lab, conversation_id, turn_id)
    assert (running.status, running.attempt, running.text, running.over) == ("running", 1, text, False)
    assert running.reply_id == to_come
    assert (running.origin["provider"], running.origin["model"]) == ("p", "p-1")
    lab.clock.advance(LEASE + 1)
    lab.claim(conversation_id, turn_id)
    assert (state(lab, conversation_id, turn_id).attempt, state(lab, conversation_id, turn_id).text) == (2, "")
    lab.clock.advance(LEASE + 1)
    reply = lab.answer(conversation_id, turn_id, text)
    done = state(lab, conversation_id, turn_id)
    assert (done.status, done.over, done.reply) == ("done", True, reply)
    assert done.reply_id == reply["id"] == to_come
    lab.ledger.clear(lab.owner, conversation_id)
    cleared = lab.ledger.turn(lab.owner, conversation_id, turn_id, reply["parent_id"])
    assert (cleared.status, cleared.reply, cleared.reply_id) == ("done", None, None)


def test_of_several_versions_its_own(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    first = lab.answer(conversation_id, turn_id, '"turn_id":"x" First.')
    again = lab.send(conversation_id, text="", again=first["id"]).answer
    second = lab.answer(conversation_id, again["turn_id"], f'"turn_id":"{turn_id}"')
    for turn, reply in ((turn_id, first), (again["turn_id"], second)):
        found = lab.ledger.turn(lab.owner, conversation_id, turn, first["parent_id"]).reply
        assert found == {**reply, "versions": [first["id"], second["id"]]}


def test_the_next_one_is_not_the_one_that_runs(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    following = lab.send(conversation_id).answer["turn_id"]
    lab.write(lab.claim(conversation_id, turn_id), 1, "Hi")
    assert (state(lab, conversation_id, following).status, state(lab, conversation_id, following).text) == (
        "waiting",
        "",
    )


def test_emptied_meanwhile(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    lab.ledger.clear(lab.owner, conversation_id)
    found = lab.ledger.turn(lab.owner, conversation_id, turn_id, "any")
    assert (found.status, found.over, found.reply) == ("stopped", True, None)
    lab.ledger.clear(lab.owner, conversation_id, delete=True)
    with pytest.raises(NotFound):
        lab.ledger.turn(lab.owner, conversation_id, turn_id, "any")


def test_not_for_others(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    for owner, conversation, turn in (
        ("bob", conversation_id, turn_id),
        (lab.owner, conversation_id, "nothing"),
        (lab.owner, "nothing", turn_id),
    ):
        with pytest.raises(NotFound):
            lab.ledger.turn(owner, conversation, turn, "any")
