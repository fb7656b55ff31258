"""open, history, show: what a client lacks, never with a silent hole."""

import orjson
import pytest

from app.errors import Invalid, NotFound
from app.ledger import Finish, Snapshot, Tail
from app.ledger.models import Json
from app.ledger.owners import MAX_TAIL_EVENTS, SNAPSHOT_MESSAGES
from tests.ledger.harness import LEASE, Lab


def snapshot(lab: Lab, conversation_id: str, after: int | None = None, epoch: str | None = None) -> Snapshot:
    found = lab.ledger.open(lab.owner, conversation_id, after, epoch)
    assert isinstance(found, Snapshot)
    return found


def tail(lab: Lab, conversation_id: str, after: int, epoch: str) -> Tail:
    found = lab.ledger.open(lab.owner, conversation_id, after, epoch)
    assert isinstance(found, Tail)
    return found


def texts(messages: list[Json]) -> list[str]:
    return [message["text"] for message in messages]


def test_a_snapshot_is_the_state_itself(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation(text="One?")
    lab.answer(conversation_id, turn_id, "One.")
    running = lab.send(conversation_id, text="Two?").answer
    waiting = lab.send(conversation_id, text="Three?").answer
    lab.write(lab.claim(conversation_id, running["turn_id"]), 1, "Two, or")
    found = snapshot(lab, conversation_id)
    assert (found.epoch, found.seq) == (running["epoch"], int(lab.meta(conversation_id)["seq"]))
    assert found.conversation == lab.ledger.show(lab.owner, conversation_id)
    # A reply still to come has no message, and the walk up the branch goes on above it.
    assert texts(found.messages) == ["One?", "One.", "Two?", "Three?"]
    assert {message["id"]: message for message in found.messages} == lab.messages(conversation_id)
    assert not found.more
    assert found.turns == [
        {
            "turn_id": running["turn_id"],
            "message_id": running["message_id"],
            "reply_id": found.turns[0]["reply_id"],
            "status": "running",
            "attempt": 1,
            "provider": "p",
            "model": "p-1",
            "text": "Two, or",
            "reasoning": "",
        },
        {
            "turn_id": waiting["turn_id"],
            "message_id": waiting["message_id"],
            "reply_id": found.turns[1]["reply_id"],
            "status": "waiting",
            "attempt": 0,
            "text": "",
            "reasoning": "",
        },
    ]


def test_an_empty_conversation(lab: Lab) -> None:
    found = snapshot(lab, lab.ledger.create(lab.owner)["id"])
    assert (found.seq, found.messages, found.more, found.turns) == (0, [], False, [])


def test_the_tail_is_what_was_published(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    claim = lab.claim(conversation_id, turn_id)
    for number in range(1, 5):
        lab.write(claim, number, f"{number} ")
    published = lab.tap.events(conversation_id)
    epoch = published[0]["epoch"]
    assert len(published) == 7
    for after in range(8):
        found = tail(lab, conversation_id, after, epoch)
        assert (found.epoch, found.seq) == (epoch, 7)
        assert found.events == published[after:]


def test_nothing_is_lacking(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    lab.answer(conversation_id, turn_id)
    found = snapshot(lab, conversation_id)
    assert tail(lab, conversation_id, found.seq, found.epoch) == Tail(found.epoch, found.seq, [])


def test_a_snapshot_where_the_tail_is_not_whole(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    epoch = lab.meta(conversation_id)["epoch"]
    lab.answer(conversation_id, turn_id)
    last = int(lab.meta(conversation_id)["seq"])
    assert [event["seq"] for event in tail(lab, conversation_id, last - 1, epoch).events] == [last]
    for after in range(last - 1):
        assert texts(snapshot(lab, conversation_id, after, epoch).messages) == ["Hello", "Hi"]


def test_a_hole_in_the_log_is_not_passed_over(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    claim = lab.claim(conversation_id, turn_id)
    for number in range(1, 5):
        lab.write(claim, number, "word ")
    epoch = lab.meta(conversation_id)["epoch"]
    lab.redis.xdel(lab.key(conversation_id, "log"), "5-0")
    assert len(tail(lab, conversation_id, 5, epoch).events) == 2
    assert snapshot(lab, conversation_id, 4, epoch).turns[0]["text"] == "word " * 4


def test_a_snapshot_where_the_tail_is_long(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    claim = lab.claim(conversation_id, turn_id)
    for number in range(1, MAX_TAIL_EVENTS + 2):
        lab.write(claim, number, ".")
    seq, epoch = MAX_TAIL_EVENTS + 4, lab.meta(conversation_id)["epoch"]
    assert len(tail(lab, conversation_id, seq - MAX_TAIL_EVENTS, epoch).events) == MAX_TAIL_EVENTS
    assert snapshot(lab, conversation_id, seq - MAX_TAIL_EVENTS - 1, epoch).turns[0]["text"] == "." * (
        MAX_TAIL_EVENTS + 1
    )


def test_another_epoch_gets_a_snapshot(lab: Lab) -> None:
    conversation_id, _ = lab.conversation()
    for epoch in ("another", "", None):
        assert snapshot(lab, conversation_id, 2, epoch).seq == 2


def test_who_has_seen_more_starts_a_new_epoch(lab: Lab) -> None:
    """Redis came back with less than it had."""
    conversation_id, turn_id = lab.conversation()
    lost = lab.meta(conversation_id)["epoch"]
    found = snapshot(lab, conversation_id, 9, lost)
    assert found.seq == 2
    assert found.epoch != lost
    # For everybody: those of the lost epoch hear of it with the next event, or when they ask.
    assert snapshot(lab, conversation_id, 2, lost).epoch == found.epoch
    lab.tap.take()
    lab.claim(conversation_id, turn_id)
    [started] = lab.tap.events(conversation_id)
    assert (started["epoch"], started["seq"]) == (found.epoch, 3)
    assert tail(lab, conversation_id, 2, found.epoch).events == [started]


def test_a_redis_that_lost_everything(lab: Lab) -> None:
    conversation_id, _ = lab.conversation()
    epoch = lab.meta(conversation_id)["epoch"]
    lab.redis.flushall()
    with pytest.raises(NotFound):
        lab.ledger.open(lab.owner, conversation_id, 2, epoch)
    # The sender repeats a first message that it had no answer for: another history, under another epoch.
    again, _ = lab.conversation(client_id="client-1")
    assert again == conversation_id
    assert lab.meta(again)["epoch"] != epoch


def test_a_second_attempt_shows_only_its_own_text(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    lab.write(lab.claim(conversation_id, turn_id), 1, "One")
    lab.clock.advance(LEASE)
    heir = lab.claim(conversation_id, turn_id)
    assert (snapshot(lab, conversation_id).turns[0]["attempt"], snapshot(lab, conversation_id).turns[0]["text"]) == (
        2,
        "",
    )
    lab.write(heir, 1, "Uno")
    assert snapshot(lab, conversation_id).turns[0]["text"] == "Uno"


def test_more_messages_than_a_snapshot_holds(lab: Lab) -> None:
    conversation_id = lab.ledger.create(lab.owner)["id"]
    for number in range(SNAPSHOT_MESSAGES // 2):
        lab.exchange(conversation_id, f"q{number}", f"a{number}")
    assert len(snapshot(lab, conversation_id).messages) == SNAPSHOT_MESSAGES
    assert not snapshot(lab, conversation_id).more
    lab.send(conversation_id, text="one more")
    found = snapshot(lab, conversation_id)
    assert found.more
    assert texts(found.messages)[0] == "a0"
    assert texts(found.messages)[-1] == "one more"
    older = lab.ledger.history(lab.owner, conversation_id, found.messages[0]["id"], 50)
    assert (texts(older.items), older.more) == (["q0"], False)


def test_history_page_by_page(lab: Lab) -> None:
    conversation_id = lab.ledger.create(lab.owner)["id"]
    for number in range(4):
        lab.exchange(conversation_id, f"q{number}", f"a{number}")
    lab.send(conversation_id, text="q4")
    lab.send(conversation_id, text="q5")
    pages, before, more = [], None, True
    while more:
        page = lab.ledger.history(lab.owner, conversation_id, before, 3)
        pages.append(texts(page.items))
        before, more = page.items[0]["id"], page.more
    assert pages == [["a3", "q4", "q5"], ["q2", "a2", "q3"], ["a0", "q1", "a1"], ["q0"]]


def test_a_page_that_ends_where_the_branch_begins(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    reply = lab.answer(conversation_id, turn_id)
    page = lab.ledger.history(lab.owner, conversation_id, None, 2)
    assert (len(page.items), page.more) == (2, False)
    first = page.items[0]["id"]
    assert lab.ledger.history(lab.owner, conversation_id, reply["id"], 5).items == page.items[:1]
    assert lab.ledger.history(lab.owner, conversation_id, first, 5).items == []


def test_history_before_nothing(lab: Lab) -> None:
    conversation_id, _ = lab.conversation()
    elsewhere, _ = lab.conversation()
    [foreign] = lab.messages(elsewhere)
    for before in ("nothing", foreign):
        with pytest.raises(Invalid) as refused:
            lab.ledger.history(lab.owner, conversation_id, before, 5)
        assert refused.value.field == "before"


def test_a_branch_hides_the_other(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation(text="q0")
    first = lab.answer(conversation_id, turn_id, "a0")
    lab.exchange(conversation_id, "q1", "a1")
    assert texts(snapshot(lab, conversation_id).messages) == ["q0", "a0", "q1", "a1"]
    lab.send(conversation_id, text="other", parent_id=first["id"])
    assert texts(snapshot(lab, conversation_id).messages) == ["q0", "a0", "other"]
    assert len(lab.messages(conversation_id)) == 5


def test_nobody_else_finds_it(lab: Lab) -> None:
    conversation_id, _ = lab.conversation()
    before = lab.dump(conversation_id)
    for owner, where in [("bob", conversation_id), (lab.owner, "nothing")]:
        with pytest.raises(NotFound):
            lab.ledger.open(owner, where)
        with pytest.raises(NotFound):
            lab.ledger.open(owner, where, 99, lab.meta(conversation_id)["epoch"])
        with pytest.raises(NotFound):
            lab.ledger.history(owner, where, None, 5)
        with pytest.raises(NotFound):
            lab.ledger.show(owner, where)
    assert lab.dump(conversation_id) == before


def test_the_last_event_of_each(lab: Lab) -> None:
    one, turn_id = lab.conversation()
    two, _ = lab.conversation()
    empty = lab.ledger.create(lab.owner)["id"]
    lab.write(lab.claim(one, turn_id), 1, "Hi", Finish("done"))
    found = {
        conversation_id: orjson.loads(event) for conversation_id, event in lab.ledger.last_events([one, empty, two])
    }
    assert {conversation_id: event["type"] for conversation_id, event in found.items()} == {
        one: "turn.finished",
        two: "turn.queued",
    }
    assert lab.ledger.last_events([]) == []
