"""sweep: turns that nobody works on, each to one sweeper at a time."""

import threading
from itertools import chain

from app.ledger import Finish
from app.ledger.calls import GRACE_MS
from app.ledger.keys import PARTITIONS
from app.ledger.upkeep import LONGEST_PAUSE_MS
from tests.ledger.harness import LEASE, Lab


def test_a_turn_whose_hint_was_lost(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    lab.clock.advance(GRACE_MS - 1)
    assert lab.ledger.sweep() == []
    lab.clock.advance(1)
    assert lab.ledger.sweep() == [(conversation_id, turn_id)]
    assert lab.ledger.sweep() == []


def test_the_pause_grows_but_not_for_ever(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    pauses = []
    for _ in range(40):
        due = lab.due(conversation_id)
        assert due is not None
        pauses.append(due - lab.clock.now)
        lab.clock.now = due - 1
        assert lab.ledger.sweep() == []
        lab.clock.advance(1)
        assert lab.ledger.sweep() == [(conversation_id, turn_id)]
    assert pauses[0] == GRACE_MS
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_MS


def test_a_claim_ends_the_growing(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    for _ in range(10):
        lab.clock.now = lab.due(conversation_id) or 0
        lab.ledger.sweep()
    lab.claim(conversation_id, turn_id)
    assert lab.due(conversation_id) == lab.clock.now + LEASE
    lab.clock.advance(LEASE)
    assert lab.ledger.sweep() == [(conversation_id, turn_id)]
    assert (lab.due(conversation_id) or 0) - lab.clock.now < LEASE


def test_a_dead_workers_turn_when_its_lease_ends(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    claim = lab.claim(conversation_id, turn_id)
    lab.clock.advance(LEASE // 2)
    lab.write(claim, 1, "One")
    lab.clock.advance(LEASE - 1)
    assert lab.ledger.sweep() == []
    lab.clock.advance(1)
    assert lab.ledger.sweep() == [(conversation_id, turn_id)]


def test_nothing_for_those_that_are_idle(lab: Lab) -> None:
    for ending in range(4):
        conversation_id, turn_id = lab.conversation()
        match ending:
            case 0:
                lab.answer(conversation_id, turn_id)
            case 1:
                lab.write(lab.claim(conversation_id, turn_id), 0, "", Finish("failed"))
            case 2:
                lab.ledger.stop(lab.owner, conversation_id, turn_id)
            case 3:
                lab.ledger.clear(lab.owner, conversation_id)
    lab.ledger.create(lab.owner)
    lab.clock.advance(LONGEST_PAUSE_MS)
    assert lab.ledger.sweep() == []


def test_the_next_turn_is_found_too(lab: Lab) -> None:
    conversation_id, first = lab.conversation()
    second = lab.send(conversation_id).answer["turn_id"]
    lab.answer(conversation_id, first)
    lab.clock.advance(GRACE_MS)
    assert lab.ledger.sweep() == [(conversation_id, second)]


def test_a_busy_conversation_is_due_once_however_much_waits(lab: Lab) -> None:
    conversation_id, first = lab.conversation()
    lab.clock.advance(1000)
    lab.send(conversation_id)
    assert lab.due(conversation_id) == lab.clock.now + GRACE_MS - 1000
    lab.clock.advance(GRACE_MS)
    assert lab.ledger.sweep() == [(conversation_id, first)]


def test_all_partitions(lab: Lab) -> None:
    made = set()
    for number in range(8 * PARTITIONS):
        lab.owner = f"owner-{number}"
        made.add(lab.conversation())
    assert len({conversation_id[:2] for conversation_id, _ in made}) == PARTITIONS
    lab.clock.advance(GRACE_MS)
    assert set(lab.ledger.sweep()) == made


def test_so_many_at_a_time_the_longest_overdue_first(lab: Lab) -> None:
    made = []
    for _ in range(5):
        made.append(lab.conversation())
        lab.clock.advance(10)
    lab.clock.advance(GRACE_MS)
    assert lab.ledger.sweep(limit=3) == made[:3]
    assert lab.ledger.sweep(limit=3) == made[3:]
    assert lab.ledger.sweep(limit=3) == []


def test_each_to_one_sweeper(lab: Lab) -> None:
    made = {lab.conversation() for _ in range(60)}
    lab.clock.advance(GRACE_MS)
    found: list[list[tuple[str, str]]] = []
    begin = threading.Barrier(6)

    def sweep() -> None:
        begin.wait()
        mine = []
        while batch := lab.ledger.sweep(limit=4):
            mine += batch
        found.append(mine)

    sweepers = [threading.Thread(target=sweep) for _ in range(6)]
    for sweeper in sweepers:
        sweeper.start()
    for sweeper in sweepers:
        sweeper.join()
    assert len(found) == 6
    assert sorted(chain(*found)) == sorted(made)


# --- The clock is set back --------------------------------------------------------------------------------------------

HOUR = 3_600_000


def test_a_worker_that_lives_on_is_missed_as_soon_as_ever_once_it_dies(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    claim = lab.claim(conversation_id, turn_id)
    lab.clock.advance(-HOUR)
    assert lab.write(claim, 1, "One").written == "ok"
    lab.clock.advance(LEASE)
    assert lab.ledger.sweep() == [(conversation_id, turn_id)]
    assert lab.claim(conversation_id, turn_id).attempt == 2


def test_a_worker_that_died_before_is_missed_at_once(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    lab.claim(conversation_id, turn_id)
    lab.clock.advance(-HOUR)
    assert lab.ledger.sweep() == [(conversation_id, turn_id)]
    assert lab.ledger.sweep() == []
    assert lab.claim(conversation_id, turn_id).attempt == 2


def test_a_turn_that_has_been_looked_at_before(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    lab.clock.advance(GRACE_MS)
    assert lab.ledger.sweep() == [(conversation_id, turn_id)]
    lab.clock.advance(-HOUR)
    assert lab.ledger.sweep() == [(conversation_id, turn_id)]
    assert lab.claim(conversation_id, turn_id).waited == 0
