"""stop: ends a turn here and now, whoever is working on it."""

import pytest

from app.errors import NotFound
from app.ledger import Busy, Finish, Finished, Gone
from app.ledger.calls import GRACE_MS
from tests.ledger.harness import LEASE, Lab


def test_a_waiting_turn(lab: Lab) -> None:
    conversation_id, first = lab.conversation()
    second, third = (lab.send(conversation_id).answer["turn_id"] for _ in range(2))
    claim = lab.claim(conversation_id, first)
    lab.write(claim, 1, "One")
    lab.tap.take()
    assert lab.ledger.stop(lab.owner, conversation_id, second) == ("stopped", None)
    [finished] = lab.tap.events(conversation_id)
    assert (finished["type"], finished["turn_id"], finished["status"]) == ("turn.finished", second, "stopped")
    reply = lab.reply_to(conversation_id, second)
    assert finished["message"] == reply
    assert (reply["text"], reply["status"], reply["provider"], reply["usage"]) == ("", "stopped", None, None)
    assert lab.queue(conversation_id) == [first, third]
    # The running one goes on, and its deltas are still there for those who come back.
    assert lab.write(claim, 2, ", two", Finish("done")) == Finished("ok", third)
    assert lab.reply_to(conversation_id, first)["text"] == "One, two"
    assert lab.try_claim(conversation_id, second) == Gone("stopped")


def test_a_waiting_turn_that_nobody_has_begun(lab: Lab) -> None:
    conversation_id, first = lab.conversation()
    second = lab.send(conversation_id).answer["turn_id"]
    assert lab.ledger.stop(lab.owner, conversation_id, first) == ("stopped", second)
    assert lab.due(conversation_id) == lab.clock.now + GRACE_MS
    assert lab.ledger.stop(lab.owner, conversation_id, second) == ("stopped", None)
    assert lab.due(conversation_id) is None
    assert lab.ledger.show(lab.owner, conversation_id)["state"] == "idle"


def test_a_turn_behind_one_that_nobody_has_begun(lab: Lab) -> None:
    """It says nothing about that one, which has been ready all the time."""
    conversation_id, first = lab.conversation()
    second = lab.send(conversation_id).answer["turn_id"]
    lab.clock.advance(500)
    assert lab.ledger.stop(lab.owner, conversation_id, second) == ("stopped", None)
    assert lab.due(conversation_id) == lab.clock.now - 500 + GRACE_MS
    assert lab.claim(conversation_id, first).waited == 500


def test_a_running_turn_keeps_exactly_its_text(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    following = lab.send(conversation_id).answer["turn_id"]
    claim = lab.claim(conversation_id, turn_id)
    lab.write(claim, 1, "Once upon ")
    lab.write(claim, 2, "a time 🐢")
    lab.tap.take()
    assert lab.ledger.stop(lab.owner, conversation_id, turn_id) == ("stopped", following)
    reply = lab.reply_to(conversation_id, turn_id)
    assert (reply["text"], reply["status"]) == ("Once upon a time 🐢", "stopped")
    assert (reply["provider"], reply["model"], reply["memory"]) == ("p", "p-1", True)
    [finished] = lab.tap.events(conversation_id)
    assert finished["message"] == reply
    before = lab.dump(conversation_id)
    assert lab.write(claim, 3, " there") == Finished("refused")
    assert lab.write(claim, 3, " there", Finish("done")) == Finished("refused")
    assert lab.write(claim, 2, "") == Finished("refused")
    assert lab.dump(conversation_id) == before
    assert lab.claim(conversation_id, following).attempt == 1


def test_before_the_first_token(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    claim = lab.claim(conversation_id, turn_id)
    assert lab.ledger.stop(lab.owner, conversation_id, turn_id) == ("stopped", None)
    reply = lab.reply_to(conversation_id, turn_id)
    assert (reply["text"], reply["status"]) == ("", "stopped")
    assert lab.write(claim, 1, "late") == Finished("refused")


def test_with_a_dead_worker(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    lab.write(lab.claim(conversation_id, turn_id), 1, "Once")
    lab.clock.advance(2 * LEASE)
    assert lab.ledger.stop(lab.owner, conversation_id, turn_id) == ("stopped", None)
    assert lab.reply_to(conversation_id, turn_id)["text"] == "Once"
    assert lab.ledger.sweep() == []


def test_under_a_second_attempt_only_what_that_has_shown_is_kept(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    lab.write(lab.claim(conversation_id, turn_id), 1, "Once")
    lab.clock.advance(LEASE)
    lab.write(lab.claim(conversation_id, turn_id), 1, "Second")
    lab.ledger.stop(lab.owner, conversation_id, turn_id)
    assert lab.reply_to(conversation_id, turn_id)["text"] == "Second"


@pytest.mark.parametrize("status", ["done", "failed", "stopped"])
def test_a_turn_that_is_over_stays_what_it_was(lab: Lab, status: str) -> None:
    conversation_id, turn_id = lab.conversation()
    claim = lab.claim(conversation_id, turn_id)
    if status == "stopped":
        lab.ledger.stop(lab.owner, conversation_id, turn_id)
    else:
        lab.write(claim, 1, "One", Finish("done" if status == "done" else "failed"))
    before = lab.dump(conversation_id)
    lab.tap.take()
    assert lab.ledger.stop(lab.owner, conversation_id, turn_id) == (status, None)
    assert lab.dump(conversation_id) == before
    assert lab.tap.take() == []


def test_not_found(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    elsewhere, _ = lab.conversation()
    before = lab.dump(conversation_id)
    for owner, where, what in [
        (lab.owner, conversation_id, "nothing"),
        (lab.owner, conversation_id, ""),
        (lab.owner, elsewhere, turn_id),
        (lab.owner, "nothing", turn_id),
        ("bob", conversation_id, turn_id),
    ]:
        with pytest.raises(NotFound):
            lab.ledger.stop(owner, where, what)
    assert lab.dump(conversation_id) == before


def test_the_order_is_kept_when_one_in_the_middle_is_stopped(lab: Lab) -> None:
    conversation_id, first = lab.conversation()
    second, third = (lab.send(conversation_id).answer["turn_id"] for _ in range(2))
    lab.ledger.stop(lab.owner, conversation_id, second)
    assert lab.try_claim(conversation_id, third) == Busy()
    lab.answer(conversation_id, first)
    lab.answer(conversation_id, third)
    assert lab.queue(conversation_id) == []
