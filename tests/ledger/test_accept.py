"""A message in: once, whole, in order, and nobody else's."""

from dataclasses import replace

import orjson
import pytest

from app.errors import Invalid, NotFound, QueueFull
from app.ledger import NewTurn
from app.ledger.calls import GRACE_MS
from app.ledger.keys import new_conversation_id
from tests.ledger.harness import MAX_QUEUED, Lab


def test_a_first_message_makes_the_conversation(lab: Lab) -> None:
    accepted = lab.send(text="  Why is\nthe sky blue? ", memory=False, provider="q", model="q-2")
    answer = accepted.answer
    conversation_id = answer["conversation_id"]
    assert accepted.start == answer["turn_id"]
    assert (answer["seq"], answer["position"]) == (2, 0)
    assert lab.queue(conversation_id) == [answer["turn_id"]]
    assert lab.due(conversation_id) == lab.clock.now + GRACE_MS
    assert lab.messages(conversation_id) == {
        answer["message_id"]: {
            "id": answer["message_id"],
            "parent_id": None,
            "role": "user",
            "text": "  Why is\nthe sky blue? ",
            "created_at": "2026-01-31T12:00:00.000Z",
            "turn_id": answer["turn_id"],
            "versions": [answer["message_id"]],
        }
    }
    conversation = lab.ledger.show(lab.owner, conversation_id)
    assert conversation == {
        "id": conversation_id,
        "title": "Why is the sky blue?",
        "memory": False,
        "provider": "q",
        "model": "q-2",
        "system_prompt": None,
        "created_at": "2026-01-31T12:00:00.000Z",
        "updated_at": "2026-01-31T12:00:00.000Z",
        "state": "waiting",
        "message_count": 1,
        "head": lab.meta(conversation_id)["head"],
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }


def test_it_says_what_happened(lab: Lab) -> None:
    answer = lab.send().answer
    created, queued = lab.tap.events(answer["conversation_id"])
    common = {"epoch": answer["epoch"], "conversation_id": answer["conversation_id"], "at": "2026-01-31T12:00:00.000Z"}
    message = lab.messages(answer["conversation_id"])[answer["message_id"]]
    assert created == {"seq": 1, "type": "message.created", "message": message, **common}
    assert queued == {
        "seq": 2,
        "type": "turn.queued",
        "turn_id": answer["turn_id"],
        "message_id": answer["message_id"],
        "reply_id": lab.meta(answer["conversation_id"])["head"],
        "position": 0,
        **common,
    }


def test_the_same_again_in_a_new_conversation(lab: Lab) -> None:
    turn = NewTurn("Hello", "once")
    conversation_id = new_conversation_id(lab.owner, "once")
    first = lab.ledger.accept(lab.owner, conversation_id, turn, create=True)
    before = lab.dump(conversation_id)
    lab.tap.take()
    again = lab.ledger.accept(lab.owner, conversation_id, replace(turn, text="Other"), create=True)
    assert again.answer == first.answer
    assert again.start is None
    assert lab.dump(conversation_id) == before
    assert lab.tap.take() == []


def test_the_same_again_in_an_existing_conversation_even_when_it_is_answered(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    lab.answer(conversation_id, turn_id)
    first = lab.send(conversation_id, client_id="once")
    lab.answer(conversation_id, first.answer["turn_id"])
    lab.clock.advance(60_000)
    before = lab.dump(conversation_id)
    again = lab.send(conversation_id, text="Other", client_id="once")
    assert again.answer == first.answer
    assert again.start is None
    assert lab.dump(conversation_id) == before


def test_the_same_again_when_the_queue_is_full(lab: Lab) -> None:
    conversation_id, _ = lab.conversation()
    last = [lab.send(conversation_id) for _ in range(MAX_QUEUED - 1)][-1]
    with pytest.raises(QueueFull):
        lab.send(conversation_id)
    assert lab.send(conversation_id, client_id=f"client-{lab.made - 1}").answer == last.answer


def test_the_same_client_id_elsewhere_is_another_message(lab: Lab) -> None:
    one, _ = lab.conversation(client_id="one")
    two, _ = lab.conversation(client_id="two")
    assert lab.send(one, client_id="x").answer["turn_id"] != lab.send(two, client_id="x").answer["turn_id"]


def test_the_same_client_id_of_two_owners_makes_two_conversations(lab: Lab) -> None:
    mine, _ = lab.conversation(client_id="x")
    lab.owner = "bob"
    theirs, _ = lab.conversation(client_id="x")
    assert mine != theirs


def test_positions(lab: Lab) -> None:
    first = lab.send()
    conversation_id = first.answer["conversation_id"]
    second, third = lab.send(conversation_id), lab.send(conversation_id)
    assert [one.answer["position"] for one in (first, second, third)] == [0, 1, 2]
    assert [one.start for one in (second, third)] == [None, None]
    assert [one.answer["seq"] for one in (first, second, third)] == [2, 4, 6]
    assert lab.queue(conversation_id) == [one.answer["turn_id"] for one in (first, second, third)]
    # The first is answered: one moves up, and a new one stands behind it.
    lab.answer(conversation_id, first.answer["turn_id"])
    assert lab.send(conversation_id).answer["position"] == 2


def test_queue_full(lab: Lab) -> None:
    conversation_id, _ = lab.conversation()
    for _ in range(MAX_QUEUED - 1):
        lab.send(conversation_id)
    before = lab.dump(conversation_id)
    lab.tap.take()
    with pytest.raises(QueueFull) as refused:
        lab.send(conversation_id)
    assert refused.value.retry_after == 5
    assert lab.dump(conversation_id) == before
    assert lab.tap.take() == []


def test_the_running_turn_does_not_wait(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    lab.claim(conversation_id, turn_id)
    assert [lab.send(conversation_id).answer["position"] for _ in range(MAX_QUEUED)] == [1, 2, 3]
    with pytest.raises(QueueFull):
        lab.send(conversation_id)


def test_a_parent_is_a_reply(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    first = lab.answer(conversation_id, turn_id)
    lab.exchange(conversation_id)
    question, _ = lab.exchange(conversation_id, parent_id=first["id"])
    assert question["parent_id"] == first["id"]
    page = lab.ledger.history(lab.owner, conversation_id, None, 50)
    assert len(page.items) == 4
    assert page.items[2] == question


def test_a_parent_may_be_a_reply_to_come(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    second = lab.send(conversation_id).answer
    to_come = lab.messages(conversation_id)[second["message_id"]]["parent_id"]
    third = lab.send(conversation_id, parent_id=to_come).answer
    assert lab.answer(conversation_id, turn_id)["id"] == to_come
    assert lab.messages(conversation_id)[third["message_id"]]["parent_id"] == to_come


def test_the_last_reply_is_the_parent_if_none_is_named(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    reply = lab.answer(conversation_id, turn_id)
    assert lab.exchange(conversation_id)[0]["parent_id"] == reply["id"]


@pytest.mark.parametrize("text", ["Hello", '","role":"assistant","', '"role":"assistant"'])
def test_no_other_parent(lab: Lab, text: str) -> None:
    conversation_id, _ = lab.conversation(text=text)
    elsewhere, other_turn = lab.conversation()
    foreign = lab.answer(elsewhere, other_turn)
    [question] = lab.messages(conversation_id)
    before = lab.dump(conversation_id)
    for parent_id in (question, foreign["id"], "nothing", ""):
        with pytest.raises(Invalid) as refused:
            lab.send(conversation_id, parent_id=parent_id)
        assert refused.value.field == "parent_id"
    assert lab.dump(conversation_id) == before


def test_a_new_conversation_has_no_parent(lab: Lab) -> None:
    conversation_id = new_conversation_id(lab.owner, "x")
    with pytest.raises(Invalid):
        lab.ledger.accept(lab.owner, conversation_id, NewTurn("Hello", "x", parent_id="m"), create=True)
    assert list(lab.redis.keys("*")) == []


def test_a_cleared_message_is_no_parent(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    reply = lab.answer(conversation_id, turn_id)
    lab.ledger.clear(lab.owner, conversation_id)
    with pytest.raises(Invalid):
        lab.send(conversation_id, parent_id=reply["id"])


def test_other_owners_find_nothing(lab: Lab) -> None:
    conversation_id, _ = lab.conversation()
    before = lab.dump(conversation_id)
    lab.tap.take()
    for create in (True, False):
        with pytest.raises(NotFound):
            lab.ledger.accept("bob", conversation_id, NewTurn("Hello", "x"), create=create)
    assert lab.dump(conversation_id) == before
    assert lab.tap.take() == []


@pytest.mark.parametrize(
    "conversation_id", [new_conversation_id("alice", "never"), "", "x", "../../etc", "99" + 24 * "a", "²²" + 24 * "a"]
)
def test_a_conversation_that_never_was(lab: Lab, conversation_id: str) -> None:
    with pytest.raises(NotFound):
        lab.send(conversation_id)
    assert list(lab.redis.keys("*")) == []


def test_a_title_stays(lab: Lab) -> None:
    conversation_id = lab.ledger.create(lab.owner)["id"]
    lab.send(conversation_id, text="First words")
    lab.send(conversation_id, text="Second words")
    assert lab.ledger.show(lab.owner, conversation_id)["title"] == "First words"


def test_owners_hear_of_it_everywhere(lab: Lab) -> None:
    conversation_id, _ = lab.conversation(text="Hello there")
    [hint] = [orjson.loads(data) for channel, data in lab.tap.take() if channel.endswith(f"s:{lab.owner}")]
    assert (hint["event"], hint["room"]) == ("activity", f"s:{lab.owner}")
    assert hint["data"] == [
        {
            "conversation_id": conversation_id,
            "title": "Hello there",
            "state": "waiting",
            "updated_at": "2026-01-31T12:00:00.000Z",
        }
    ]
