"""Other versions of messages and replies, and which branch is shown and sent."""

from dataclasses import replace

import pytest

from app.errors import Conflict, Invalid, NotFound
from app.ledger import Accepted, NewTurn, Page, Snapshot, Tail
from app.ledger.models import Json
from tests.ledger.harness import Lab

Talk = tuple[str, Json, Json]


@pytest.fixture
def talk(lab: Lab) -> Talk:
    """(conversation, first question, first reply) of two exchanges."""
    conversation_id, turn_id = lab.conversation(text="One?")
    reply = lab.answer(conversation_id, turn_id, "One.")
    lab.exchange(conversation_id, "Two?", "Two.")
    return conversation_id, lab.messages(conversation_id)[reply["parent_id"]], reply


def again(lab: Lab, conversation_id: str, reply: Json, **more: object) -> Accepted:
    return lab.send(conversation_id, text="", again=reply["id"], **more)


def edit(lab: Lab, conversation_id: str, message: Json, text: str) -> Accepted:
    return lab.send(conversation_id, text=text, edited=message["id"])


def shown(lab: Lab, conversation_id: str) -> list[str]:
    found = lab.ledger.open(lab.owner, conversation_id)
    assert isinstance(found, Snapshot)
    assert found.messages == lab.ledger.history(lab.owner, conversation_id, None, 50).items
    return [message["text"] for message in found.messages]


def test_another_reply(lab: Lab, talk: Talk) -> None:
    conversation_id, question, reply = talk
    lab.tap.take()
    accepted = again(lab, conversation_id, reply)
    [queued] = lab.tap.events(conversation_id)
    turn_id = accepted.answer["turn_id"]
    assert queued["type"] == "turn.queued"
    assert (queued["turn_id"], queued["message_id"], queued["position"]) == (turn_id, question["id"], 0)
    assert accepted.answer["message_id"] == question["id"]
    assert accepted.answer["seq"] == queued["seq"]
    assert shown(lab, conversation_id) == ["One?"]

    claim = lab.claim(conversation_id, turn_id)
    assert (claim.question["text"], claim.history) == ("One?", [])
    second = lab.reply_to(conversation_id, turn_id) if lab.replies(conversation_id, turn_id) else None
    assert second is None
    lab.clock.advance(10_000)
    second = lab.answer(conversation_id, turn_id, "Uno.")
    assert second["parent_id"] == question["id"]
    assert second["versions"] == [reply["id"], second["id"]] == lab.messages(conversation_id)[reply["id"]]["versions"]
    assert lab.messages(conversation_id)[reply["id"]]["text"] == "One.", "nothing is overwritten"
    assert shown(lab, conversation_id) == ["One?", "Uno."]


def test_another_reply_may_come_from_another_model(lab: Lab, talk: Talk) -> None:
    conversation_id, _, reply = talk
    accepted = again(lab, conversation_id, reply, provider="q", model="q-2", memory=False)
    claim = lab.claim(conversation_id, accepted.answer["turn_id"])
    assert (claim.provider, claim.model, claim.memory) == ("q", "q-2", False)


def test_another_message(lab: Lab, talk: Talk) -> None:
    conversation_id, question, _ = talk
    accepted = edit(lab, conversation_id, question, "Eins?")
    other = lab.messages(conversation_id)[accepted.answer["message_id"]]
    assert (other["text"], other["parent_id"]) == ("Eins?", question["parent_id"])
    assert other["versions"] == [question["id"], other["id"]]
    assert shown(lab, conversation_id) == ["Eins?"]
    lab.answer(conversation_id, accepted.answer["turn_id"], "Eins.")
    assert shown(lab, conversation_id) == ["Eins?", "Eins."]
    lab.exchange(conversation_id, "Zwei?", "Zwei.")
    assert shown(lab, conversation_id) == ["Eins?", "Eins.", "Zwei?", "Zwei."]


def test_the_history_is_that_of_the_branch(lab: Lab, talk: Talk) -> None:
    conversation_id, _, reply = talk
    accepted = again(lab, conversation_id, reply)
    lab.answer(conversation_id, accepted.answer["turn_id"], "Uno.")
    turn_id = lab.send(conversation_id, text="Dos?").answer["turn_id"]
    claim = lab.claim(conversation_id, turn_id)
    assert [message["text"] for message in claim.history] == ["One?", "Uno."]


def test_back_to_a_branch_as_it_went_on(lab: Lab, talk: Talk) -> None:
    conversation_id, question, reply = talk
    accepted = again(lab, conversation_id, reply)
    second = lab.answer(conversation_id, accepted.answer["turn_id"], "Uno.")
    lab.tap.take()
    lab.ledger.select(lab.owner, conversation_id, reply["id"])
    [event] = lab.tap.events(conversation_id)
    assert event["type"] == "conversation.updated"
    assert event["conversation"] == lab.ledger.show(lab.owner, conversation_id)
    assert event["head"] == event["conversation"]["head"]
    assert shown(lab, conversation_id) == ["One?", "One.", "Two?", "Two."]
    lab.ledger.select(lab.owner, conversation_id, second["id"])
    assert shown(lab, conversation_id) == ["One?", "Uno."]
    # A question's own choice is its newest reply.
    lab.ledger.select(lab.owner, conversation_id, reply["id"])
    lab.ledger.select(lab.owner, conversation_id, question["id"])
    assert shown(lab, conversation_id) == ["One?", "Uno."]


def test_what_is_chosen_already_is_no_event(lab: Lab, talk: Talk) -> None:
    conversation_id, _, reply = talk
    lab.tap.take()
    before = lab.dump(conversation_id)
    lab.ledger.select(lab.owner, conversation_id, reply["id"])
    assert lab.tap.take() == []
    assert lab.dump(conversation_id) == before


def test_a_reply_to_come_is_newer_than_those_there_are(lab: Lab, talk: Talk) -> None:
    conversation_id, question, reply = talk
    accepted = again(lab, conversation_id, reply)
    lab.ledger.select(lab.owner, conversation_id, reply["id"])
    assert shown(lab, conversation_id) == ["One?", "One.", "Two?", "Two."]
    lab.ledger.select(lab.owner, conversation_id, question["id"])
    assert shown(lab, conversation_id) == ["One?"]
    lab.answer(conversation_id, accepted.answer["turn_id"], "Uno.")
    assert shown(lab, conversation_id) == ["One?", "Uno."]


def test_a_reply_that_ends_on_another_branch_changes_nothing_shown(lab: Lab, talk: Talk) -> None:
    conversation_id, _, reply = talk
    accepted = again(lab, conversation_id, reply)
    lab.ledger.select(lab.owner, conversation_id, reply["id"])
    lab.answer(conversation_id, accepted.answer["turn_id"], "Uno.")
    assert shown(lab, conversation_id) == ["One?", "One.", "Two?", "Two."]


def test_who_was_away_when_the_branch_changed_gets_a_snapshot(lab: Lab, talk: Talk) -> None:
    conversation_id, question, reply = talk
    accepted = again(lab, conversation_id, reply)
    lab.answer(conversation_id, accepted.answer["turn_id"], "Uno.")
    meta = lab.meta(conversation_id)
    lab.ledger.select(lab.owner, conversation_id, reply["id"])
    assert isinstance(lab.ledger.open(lab.owner, conversation_id, int(meta["seq"]) - 1, meta["epoch"]), Snapshot)
    assert isinstance(lab.ledger.open(lab.owner, conversation_id, int(meta["seq"]), meta["epoch"]), Tail)
    assert question["id"]


def test_the_same_again_is_the_same(lab: Lab, talk: Talk) -> None:
    conversation_id, question, reply = talk
    for turn in (NewTurn("", "again", again=reply["id"]), NewTurn("Eins?", "edit", edited=question["id"])):
        first = lab.ledger.accept(lab.owner, conversation_id, turn, create=False)
        before = lab.dump(conversation_id)
        second = lab.ledger.accept(lab.owner, conversation_id, replace(turn, text="x"), create=False)
        assert (second.answer, second.start) == (first.answer, None)
        assert lab.dump(conversation_id) == before


def test_what_cannot_be_asked(lab: Lab, talk: Talk) -> None:
    conversation_id, question, reply = talk
    other, turn_id = lab.conversation(text="Elsewhere?")
    elsewhere = lab.answer(other, turn_id)
    running = lab.send(conversation_id, text="Three?").answer
    lab.claim(conversation_id, running["turn_id"])
    to_come = lab.meta(conversation_id)["head"]
    before = lab.dump(conversation_id)
    for turn, error in (
        (NewTurn("", "x", again=question["id"]), Invalid),
        (NewTurn("a", "x", edited=reply["id"]), Invalid),
        (NewTurn("", "x", again=elsewhere["id"]), NotFound),
        (NewTurn("a", "x", edited=elsewhere["parent_id"]), NotFound),
        (NewTurn("", "x", again="nothing"), NotFound),
        (NewTurn("", "x", again=to_come), Conflict),
        (NewTurn("a", "x", edited=to_come), NotFound),
    ):
        with pytest.raises(error):
            lab.ledger.accept(lab.owner, conversation_id, turn, create=False)
    for message_id in (elsewhere["id"], "nothing", ""):
        with pytest.raises(NotFound):
            lab.ledger.select(lab.owner, conversation_id, message_id)
    with pytest.raises(NotFound):
        lab.ledger.select("bob", conversation_id, reply["id"])
    assert lab.dump(conversation_id) == before


def test_a_failed_turn_is_tried_again(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation(text="One?")
    lab.ledger.stop(lab.owner, conversation_id, turn_id)
    stopped = lab.reply_to(conversation_id, turn_id)
    accepted = again(lab, conversation_id, stopped)
    assert accepted.start == accepted.answer["turn_id"]
    lab.answer(conversation_id, accepted.answer["turn_id"], "One.")
    assert shown(lab, conversation_id) == ["One?", "One."]


def test_pages_of_a_branch(lab: Lab, talk: Talk) -> None:
    conversation_id, question, _ = talk
    accepted = edit(lab, conversation_id, question, "Eins?")
    lab.answer(conversation_id, accepted.answer["turn_id"], "Eins.")
    newest = lab.ledger.history(lab.owner, conversation_id, None, 1)
    assert [message["text"] for message in newest.items] == ["Eins."]
    assert newest.more
    rest = lab.ledger.history(lab.owner, conversation_id, newest.items[0]["id"], 5)
    assert isinstance(rest, Page)
    assert [message["text"] for message in rest.items] == ["Eins?"]
    assert rest.items[0]["versions"] == [question["id"], rest.items[0]["id"]]


def test_clearing_forgets_all_branches(lab: Lab, talk: Talk) -> None:
    conversation_id, question, reply = talk
    edit(lab, conversation_id, question, "Eins?")
    lab.ledger.clear(lab.owner, conversation_id)
    for attempt in (question["id"], reply["id"]):
        with pytest.raises(NotFound):
            lab.ledger.select(lab.owner, conversation_id, attempt)
    asked, said = lab.exchange(conversation_id, "Anew?", "Anew.")
    assert (asked["versions"], said["versions"]) == ([asked["id"]], [said["id"]])
