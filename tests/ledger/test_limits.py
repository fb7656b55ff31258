"""How many turns of one owner run at a time, and how many wait in all."""

import pytest

from app.errors import Busy as BusyError
from app.ledger import Busy, Claimed, Finish, NewTurn
from app.ledger.keys import active_key, new_conversation_id
from tests.ledger.harness import LEASE, TTL, Lab, make_ledger

MAX_ACTIVE = 4


@pytest.fixture
def lab(lab: Lab) -> Lab:
    lab.ledger = make_ledger(lab.redis, lab.clock, max_active=MAX_ACTIVE)
    return lab


@pytest.fixture
def full(lab: Lab) -> list[Claimed]:
    """As many running turns of one owner as there may be."""
    return [lab.claim(*lab.conversation()) for _ in range(MAX_ACTIVE)]


def test_no_more_than_so_many_run_at_a_time(lab: Lab, full: list[Claimed]) -> None:
    conversation_id, turn_id = lab.conversation()
    assert lab.try_claim(conversation_id, turn_id) == Busy()
    assert lab.queue(conversation_id) == [turn_id]
    lab.write(full[0], 1, "Hi", Finish("done"))
    assert (conversation_id, turn_id) in lab.ledger.sweep(), "it is due at once"
    lab.claim(conversation_id, turn_id)


@pytest.mark.parametrize("end", ["stop", "clear", "delete"])
def test_whatever_ends_a_turn_makes_room(lab: Lab, full: list[Claimed], end: str) -> None:
    conversation_id, turn_id = lab.conversation()
    assert lab.try_claim(conversation_id, turn_id) == Busy()
    over = full[0]
    if end == "stop":
        lab.ledger.stop(lab.owner, over.conversation_id, over.turn_id)
    else:
        lab.ledger.clear(lab.owner, over.conversation_id, delete=end == "delete")
    assert lab.ledger.sweep() == [(conversation_id, turn_id)]
    lab.claim(conversation_id, turn_id)


def test_room_is_made_for_one_that_is_still_held_back(lab: Lab, full: list[Claimed]) -> None:
    """Not for those that began without being told, in the places of dead workers."""
    *begun, held = [lab.conversation() for _ in range(MAX_ACTIVE + 1)]
    assert all(lab.try_claim(*place) == Busy() for place in (*begun, held))
    assert full
    lab.clock.advance(LEASE)
    running = [lab.claim(*place) for place in begun]
    assert lab.try_claim(*held) == Busy()
    assert held in lab.ledger.sweep(), "it has waited a while"
    assert held not in lab.ledger.sweep()
    lab.ledger.stop(lab.owner, running[0].conversation_id, running[0].turn_id)
    assert held in lab.ledger.sweep(), "it is due at once"


def test_others_are_not_concerned(lab: Lab, full: list[Claimed]) -> None:
    assert full
    turn = NewTurn("Hello", "x")
    conversation_id = new_conversation_id("bob", "x")
    accepted = lab.ledger.accept("bob", conversation_id, turn, create=True)
    assert isinstance(lab.try_claim(conversation_id, accepted.answer["turn_id"]), Claimed)


def test_a_dead_worker_takes_no_room(lab: Lab, full: list[Claimed]) -> None:
    assert full
    lab.clock.advance(LEASE)
    lab.claim(*lab.conversation())


def test_ones_own_turn_is_taken_over_all_the_same(lab: Lab, full: list[Claimed]) -> None:
    lab.clock.advance(LEASE)
    for claim in full:
        assert lab.claim(claim.conversation_id, claim.turn_id).attempt == 2


def test_an_expired_conversation_takes_no_room(lab: Lab, full: list[Claimed]) -> None:
    gone = full[0].conversation_id
    lab.redis.delete(lab.key(gone, "meta"), lab.key(gone, "queue"))
    lab.claim(*lab.conversation())
    assert not lab.redis.sismember(active_key(lab.owner), gone)


def test_who_has_fewer_under_way_ranks_first(lab: Lab) -> None:
    first, turn_id = lab.conversation()
    assert lab.ledger.rank(first) == 0
    assert lab.send(first).rank == 0, "one conversation is one, however much waits in it"
    second = lab.send()
    assert second.rank == lab.ledger.rank(second.answer["conversation_id"]) == 1
    lab.answer(first, turn_id)
    assert lab.ledger.rank(first) == 1
    lab.ledger.clear(lab.owner, first)
    assert lab.ledger.rank(second.answer["conversation_id"]) == 0


def test_what_waits_is_counted(lab: Lab) -> None:
    assert lab.ledger.waiting() == 0
    conversation_id, turn_id = lab.conversation()
    waiting = lab.send(conversation_id).answer["turn_id"]
    assert lab.ledger.waiting() == 2
    claim = lab.claim(conversation_id, turn_id)
    assert lab.ledger.waiting() == 1
    lab.clock.advance(LEASE)
    lab.claim(conversation_id, turn_id)
    assert lab.ledger.waiting() == 1, "one that is taken over has waited already"
    lab.ledger.stop(lab.owner, conversation_id, waiting)
    assert lab.ledger.waiting() == 0
    lab.send(conversation_id)
    lab.ledger.clear(lab.owner, claim.conversation_id)
    assert lab.ledger.waiting() == 0


def test_what_expired_waits_no_more(lab: Lab) -> None:
    conversation_id, _ = lab.conversation()
    lab.redis.delete(lab.key(conversation_id, "meta"), lab.key(conversation_id, "queue"))
    lab.clock.advance(TTL + 1)
    lab.ledger.sweep()
    assert lab.ledger.waiting() == 0


def test_a_full_system_takes_nothing_new_but_knows_what_it_has(lab: Lab) -> None:
    turn = NewTurn("Hello", "known")
    conversation_id = new_conversation_id(lab.owner, "known")
    first = lab.ledger.accept(lab.owner, conversation_id, turn, create=True)
    before = lab.dump(conversation_id)
    with pytest.raises(BusyError):
        lab.ledger.accept(lab.owner, conversation_id, NewTurn("Hello", "new"), create=False, full=True)
    again = lab.ledger.accept(lab.owner, conversation_id, turn, create=True, full=True)
    assert again.answer == first.answer
    assert lab.dump(conversation_id) == before
