"""create, configure, clear, delete and the list."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest

from app.errors import NotFound
from app.ledger import Finish, Finished, Gone, NewTurn, Prompt, Tail
from app.ledger.keys import PARTS, conversation_keys, counts_key, listing_key
from app.ledger.models import Json
from app.ledger.owners import TOMBSTONE_MS
from tests.ledger.harness import TTL, Lab


def test_create(lab: Lab) -> None:
    conversation = lab.ledger.create(
        lab.owner, title='"Title" 🐢', memory=False, provider="q", system_prompt="Be brief."
    )
    assert conversation == {
        "id": conversation["id"],
        "title": '"Title" 🐢',
        "memory": False,
        "provider": "q",
        "model": None,
        "system_prompt": "Be brief.",
        "created_at": "2026-01-31T12:00:00.000Z",
        "updated_at": "2026-01-31T12:00:00.000Z",
        "state": "idle",
        "message_count": 0,
        "head": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }
    assert lab.ledger.show(lab.owner, conversation["id"]) == conversation
    assert lab.send(conversation["id"]).answer["seq"] == 2


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"title": "New"}, {"title": "New"}),
        ({"memory": False}, {"memory": False}),
        ({"memory": True}, {"memory": True}),
        ({"provider": "q", "model": "q-2"}, {"provider": "q", "model": "q-2"}),
        (
            {"provider": None, "model": None, "system_prompt": None},
            {"provider": None, "model": None, "system_prompt": None},
        ),
        ({"system_prompt": 'Be "brief"\\\0\u2028🐢'}, {"system_prompt": 'Be "brief"\\\0\u2028🐢'}),
    ],
)
def test_configure(lab: Lab, changes: Json, shown: Json) -> None:
    conversation_id = lab.ledger.create(lab.owner, provider="p", model="p-2", system_prompt="x")["id"]
    before = lab.ledger.show(lab.owner, conversation_id)
    lab.tap.take()
    lab.clock.advance(1)
    after = lab.ledger.configure(lab.owner, conversation_id, changes)
    assert after == {**before, **shown, "updated_at": "2026-01-31T12:00:00.001Z"}
    assert lab.ledger.show(lab.owner, conversation_id) == after
    [updated] = lab.tap.events(conversation_id)
    assert (updated["type"], updated["conversation"]) == ("conversation.updated", after)


def test_configure_while_a_turn_runs(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    claim = lab.claim(conversation_id, turn_id)
    assert lab.ledger.configure(lab.owner, conversation_id, {"title": "New"})["state"] == "running"
    assert lab.write(claim, 1, "Hi", Finish("done")).written == "ok"


def test_a_log_without_turns_does_not_grow_for_ever(lab: Lab) -> None:
    conversation_id = lab.ledger.create(lab.owner)["id"]
    for number in range(1500):
        lab.ledger.configure(lab.owner, conversation_id, {"memory": number % 2 == 0})
    assert len(lab.log(conversation_id)) <= 1100


def busy(lab: Lab) -> tuple[str, Any, str]:
    """(conversation, running claim, waiting turn), with an exchange before."""
    conversation_id, turn_id = lab.conversation()
    lab.answer(conversation_id, turn_id)
    claim = lab.claim(conversation_id, lab.send(conversation_id).answer["turn_id"])
    lab.write(claim, 1, "One")
    waiting = lab.send(conversation_id).answer["turn_id"]
    lab.tap.take()
    return conversation_id, claim, waiting


def test_clear_ends_what_runs_and_waits(lab: Lab) -> None:
    conversation_id, claim, waiting = busy(lab)
    seq = int(lab.meta(conversation_id)["seq"])
    conversation = lab.ledger.clear(lab.owner, conversation_id)
    assert (conversation["message_count"], conversation["state"], conversation["title"]) == (0, "idle", "Hello")
    events = lab.tap.events(conversation_id)
    assert [
        (event["type"], event.get("turn_id"), event.get("status"), event.get("message", 0)) for event in events
    ] == [
        ("turn.finished", claim.turn_id, "stopped", None),
        ("turn.finished", waiting, "stopped", None),
        ("conversation.cleared", None, None, 0),
    ]
    assert events[-1]["conversation"] == conversation
    assert [event["seq"] for event in events] == [seq + 1, seq + 2, seq + 3]
    assert lab.queue(conversation_id) == []
    assert lab.messages(conversation_id) == {}
    assert lab.due(conversation_id) is None
    before = lab.dump(conversation_id)
    assert lab.write(claim, 2, ", two") == Finished("refused")
    assert lab.write(claim, 2, ", two", Finish("done")) == Finished("refused")
    assert lab.try_claim(conversation_id, claim.turn_id) == Gone("stopped")
    assert lab.try_claim(conversation_id, waiting) == Gone("stopped")
    assert lab.dump(conversation_id) == before
    assert lab.ledger.stop(lab.owner, conversation_id, waiting) == ("stopped", None)


def test_a_cleared_conversation_goes_on(lab: Lab) -> None:
    conversation_id, _, _ = busy(lab)
    seq = int(lab.meta(conversation_id)["seq"])
    epoch = lab.meta(conversation_id)["epoch"]
    lab.ledger.clear(lab.owner, conversation_id)
    found = lab.ledger.open(lab.owner, conversation_id, seq + 2, epoch)
    assert isinstance(found, Tail)
    assert [event["type"] for event in found.events] == ["conversation.cleared"]
    question, reply = lab.exchange(conversation_id, "Again", "Hello again")
    assert question["parent_id"] is None
    assert lab.ledger.history(lab.owner, conversation_id, None, 50).items == [question, reply]


def test_a_cleared_message_sent_again_stays_away(lab: Lab) -> None:
    conversation_id, _ = lab.conversation()
    first = lab.send(conversation_id, client_id="once")
    lab.ledger.clear(lab.owner, conversation_id)
    assert lab.send(conversation_id, client_id="once").answer == first.answer
    assert lab.queue(conversation_id) == []


def test_delete_leaves_a_tombstone_and_nothing_else(lab: Lab) -> None:
    conversation_id, claim, waiting = busy(lab)
    lab.ledger.clear(lab.owner, conversation_id, delete=True)
    events = lab.tap.events(conversation_id)
    assert [event["type"] for event in events] == ["turn.finished", "turn.finished", "conversation.deleted"]
    assert events[-1]["conversation"]["id"] == conversation_id
    keys: list[bytes] = lab.redis.keys("*")  # type: ignore[assignment]
    assert {key.decode() for key in keys} == {conversation_keys(conversation_id)[0], counts_key(conversation_id[:2])}
    assert 0 < lab.ttls(conversation_id)["meta"] <= TOMBSTONE_MS
    before = lab.dump(conversation_id)
    assert lab.write(claim, 2, ", two") == Finished("refused")
    assert lab.write(claim, 2, ", two", Finish("done")) == Finished("refused")
    assert lab.ledger.note(claim, "turn.retrying", {"reason": "x", "delay": 1}) == "refused"
    assert lab.try_claim(conversation_id, waiting) == Gone()
    assert lab.ledger.sweep() == []
    attempts: list[Callable[[], object]] = [
        lambda: lab.ledger.open(lab.owner, conversation_id),
        lambda: lab.ledger.show(lab.owner, conversation_id),
        lambda: lab.ledger.history(lab.owner, conversation_id, None, 5),
        lambda: lab.ledger.configure(lab.owner, conversation_id, {"title": "x"}),
        lambda: lab.ledger.clear(lab.owner, conversation_id),
        lambda: lab.ledger.stop(lab.owner, conversation_id, waiting),
        lambda: lab.send(conversation_id),
        # A late repeat of the first message does not bring it back.
        lambda: lab.ledger.accept(lab.owner, conversation_id, NewTurn("Hello", "client-1"), create=True),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound):
            attempt()
    assert lab.dump(conversation_id) == before
    assert lab.tap.take() == []


def test_other_owners_can_change_nothing(lab: Lab) -> None:
    conversation_id, _, _ = busy(lab)
    before = lab.dump(conversation_id)
    attempts: list[Callable[[], object]] = [
        lambda: lab.ledger.configure("bob", conversation_id, {"title": "x"}),
        lambda: lab.ledger.clear("bob", conversation_id),
        lambda: lab.ledger.clear("bob", conversation_id, delete=True),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound):
            attempt()
    assert lab.dump(conversation_id) == before
    assert lab.tap.take() == []


# --- The list ---------------------------------------------------------------------------------------------------------


def pages(lab: Lab, limit: int) -> list[list[str]]:
    found, cursor, more = [], None, True
    while more:
        page = lab.ledger.conversations(lab.owner, cursor, limit)
        found.append([item["id"] for item in page.items])
        assert (page.cursor is not None) == page.more
        cursor, more = page.cursor, page.more
    return found


def test_the_last_used_first(lab: Lab) -> None:
    made = []
    for _ in range(5):
        lab.clock.advance(1000)
        made.append(lab.conversation()[0])
    assert pages(lab, 2) == [[made[4], made[3]], [made[2], made[1]], [made[0]]]
    lab.clock.advance(1000)
    lab.send(made[0])
    assert pages(lab, 10) == [[made[0], *made[:0:-1]]]
    [newest, *_] = lab.ledger.conversations(lab.owner, None, 1).items
    assert newest == lab.ledger.show(lab.owner, made[0])


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_used_at_the_same_moment(lab: Lab, limit: int) -> None:
    made = sorted((lab.conversation()[0] for _ in range(7)), reverse=True)
    found = pages(lab, limit)
    assert list(chain(*found)) == made
    assert all(len(page) == limit for page in found[:-1])


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
def test_those_that_have_expired_are_passed_over_and_forgotten(lab: Lab, limit: int) -> None:
    made = []
    for number in range(12):
        lab.clock.advance(number % 2)
        made.append(lab.conversation()[0])
    order = pages(lab, 20)[0]
    expired = {order[0], order[2], order[3], order[4], order[8], order[11]}
    for conversation_id in expired:
        lab.redis.delete(*conversation_keys(conversation_id)[: len(PARTS)])
    left = [conversation_id for conversation_id in order if conversation_id not in expired]
    found = pages(lab, limit)
    assert list(chain(*found)) == left
    assert all(len(page) == limit for page in found[:-1])
    assert found[-1]
    assert lab.redis.zcard(listing_key(lab.owner)) == len(left)


def test_nothing_to_list(lab: Lab) -> None:
    assert pages(lab, 10) == [[]]
    conversation_id, _ = lab.conversation()
    lab.ledger.clear(lab.owner, conversation_id, delete=True)
    assert pages(lab, 10) == [[]]


def test_only_ones_own(lab: Lab) -> None:
    lab.conversation()
    lab.owner = "bob"
    mine, _ = lab.conversation()
    assert pages(lab, 10) == [[mine]]


# --- How long it lives ------------------------------------------------------------------------------------------------


def test_every_key_has_a_ttl_at_every_moment(lab: Lab) -> None:
    conversation_id, first = lab.conversation()
    seen: set[str] = set()

    def look() -> None:
        ttls = lab.ttls(conversation_id)
        assert all(0 < ttl <= TTL for ttl in ttls.values()), ttls
        seen.update(ttls)

    look()
    second = lab.send(conversation_id).answer["turn_id"]
    look()
    claim = lab.claim(conversation_id, first)
    look()
    lab.ledger.note(claim, "turn.retrying", {"reason": "x", "delay": 1})
    look()
    for number in range(1, 4):
        lab.write(claim, number, "word ")
        look()
    lab.clock.advance(20_000)
    claim = lab.claim(conversation_id, first)
    look()
    lab.write(claim, 1, "again", reasoning="Hm.", prompt=Prompt(10))
    look()
    lab.write(claim, 2, "", None)
    lab.write(claim, 2, ".", Finish("done"))
    reply_id = lab.reply_to(conversation_id, first)["id"]
    look()
    lab.ledger.stop(lab.owner, conversation_id, second)
    look()
    lab.ledger.configure(lab.owner, conversation_id, {"title": "x"})
    look()
    lab.ledger.summarize(conversation_id, reply_id, {"text": "They talked."})
    look()
    lab.ledger.clear(lab.owner, conversation_id)
    look()
    lab.send(conversation_id)
    look()
    assert seen == {*PARTS, "listing", "usage", "active"}
    created = lab.ledger.create(lab.owner)["id"]
    assert -1 not in lab.ttls(created).values()


def test_every_use_prolongs_its_life(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    claim = lab.claim(conversation_id, turn_id)
    lab.write(claim, 1, "One")
    epoch = lab.meta(conversation_id)["epoch"]
    for use in (
        lambda: lab.ledger.open(lab.owner, conversation_id),
        lambda: lab.ledger.open(lab.owner, conversation_id, 4, epoch),
        lambda: lab.ledger.show(lab.owner, conversation_id),
        lambda: lab.ledger.history(lab.owner, conversation_id, None, 5),
        lambda: lab.ledger.configure(lab.owner, conversation_id, {"title": "x"}),
        lambda: lab.send(conversation_id),
        lambda: lab.write(claim, 2, ".", Finish("done")),
    ):
        parts = lab.ttls(conversation_id)
        for name in [*conversation_keys(conversation_id)[: len(PARTS)], listing_key(lab.owner)]:
            lab.redis.pexpire(name, 60_000)
        use()
        ttls = lab.ttls(conversation_id)
        assert set(ttls) >= set(parts) - {"text"}
        assert all(ttl > TTL - 60_000 for ttl in ttls.values()), ttls


def test_a_conversation_that_expired_is_not_found(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    lab.redis.delete(*conversation_keys(conversation_id)[: len(PARTS)])
    with pytest.raises(NotFound):
        lab.ledger.show(lab.owner, conversation_id)
    lab.clock.advance(10_000)
    assert lab.ledger.sweep() == []
    assert lab.due(conversation_id) is None
    assert lab.try_claim(conversation_id, turn_id) == Gone()
    # Without its owner, a claim that comes late must not leave a key for ever either.
    assert set(lab.ttls(conversation_id)) == {"listing", "active"}
