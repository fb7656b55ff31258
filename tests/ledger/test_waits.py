"""How long turns are said to wait, from how long they have taken."""

from collections.abc import Callable

import pytest

from app.errors import NotFound
from app.ledger import Finish, NewTurn, Pace
from app.ledger.keys import new_conversation_id, owners_key, partitions
from app.ledger.models import Json
from app.ledger.upkeep import FADING_MS
from app.turns.backlog import Backlog
from tests.ledger.harness import TTL, Lab

SERVICE = 8


def take_time(lab: Lab, seconds: float = SERVICE, owner: str = "alice") -> None:
    """A turn that takes so long once it is claimed, and has waited before."""
    conversation_id, turn_id = send_as(lab, owner)
    lab.clock.advance(1_000)
    claim = lab.claim(conversation_id, turn_id)
    lab.clock.advance(int(seconds * 1000))
    lab.write(claim, 1, "Hi", Finish("done"))


def send_as(lab: Lab, owner: str, client_id: str | None = None, pace: Pace | None = None) -> tuple[str, str]:
    answer = accept_as(lab, owner, client_id, pace)
    return answer["conversation_id"], answer["turn_id"]


def accept_as(lab: Lab, owner: str, client_id: str | None = None, pace: Pace | None = None) -> Json:
    lab.made += 1
    turn = NewTurn("Hello", client_id or f"client-{lab.made}")
    conversation_id = new_conversation_id(owner, turn.client_id)
    return lab.ledger.accept(owner, conversation_id, turn, create=True, pace=pace).answer


def make_backlog(lab: Lab, slots: int, max_active: int = 100) -> Backlog:
    """Whose figures are never stale."""
    ticks = iter(range(0, 10**9, 10))
    clock: Callable[[], float] = lambda: next(ticks)  # noqa: E731
    return Backlog(lab.ledger, lambda: slots, limit=1000, max_active=max_active, clock=clock)


def service(lab: Lab) -> float:
    found = lab.ledger.figures().service
    assert found is not None
    return found


def test_nothing_is_known_before_the_first_turn_has_ended(lab: Lab) -> None:
    conversation_id, turn_id = send_as(lab, "alice")
    assert lab.ledger.figures().service is None
    assert make_backlog(lab, slots=1).pace() is None
    lab.ledger.stop("alice", conversation_id, turn_id)  # it never began
    assert lab.ledger.figures().service is None


def test_nor_while_no_worker_is_there(lab: Lab) -> None:
    take_time(lab)
    conversation_id, turn_id = send_as(lab, "alice")
    waiting = {"turn_id": turn_id, "status": "waiting", "position": 0}
    assert make_backlog(lab, slots=0).turns("alice", conversation_id) == [waiting]


def test_the_mean_follows_what_was_measured_lately(lab: Lab) -> None:
    for number in range(20):
        take_time(lab, 10, f"owner-{number}")
    assert service(lab) == pytest.approx(10)
    take_time(lab, 20, "another")
    assert 10 < service(lab) < 12
    lab.clock.advance(10 * FADING_MS)
    assert 10 < service(lab) < 12, "what is known is known until something else is"
    take_time(lab, 30)
    assert service(lab) == pytest.approx(30, rel=0.05)


@pytest.mark.parametrize("end", ["stop", "failed"])
def test_however_a_turn_ends_its_place_was_taken(lab: Lab, end: str) -> None:
    conversation_id, turn_id = send_as(lab, "alice")
    claim = lab.claim(conversation_id, turn_id)
    lab.clock.advance(5_000)
    if end == "stop":
        lab.ledger.stop("alice", conversation_id, turn_id)
    else:
        lab.write(claim, 0, "", Finish("failed", error={"code": "c", "message": "m"}))
    assert service(lab) == pytest.approx(5)


def test_while_places_are_free_nobody_waits(lab: Lab) -> None:
    take_time(lab)
    pace = make_backlog(lab, slots=3).pace()
    assert pace is not None
    assert pace.begin[0] == 0
    assert "wait" not in accept_as(lab, "alice", pace=pace)


def test_those_ahead_are_shared_among_the_places(lab: Lab) -> None:
    """Two places, taken; four others wait; one place becomes free every four seconds."""
    take_time(lab)
    for number in range(2):
        lab.claim(*send_as(lab, f"running-{number}"))
    for number in range(4):
        lab.clock.advance(1)
        send_as(lab, f"waiting-{number}")
    backlog = make_backlog(lab, slots=2)
    lab.clock.advance(1)
    answer = accept_as(lab, "alice", "mine", backlog.pace())
    assert answer["wait"] == 5 * SERVICE / 2
    assert accept_as(lab, "alice", "mine", backlog.pace()) == answer, "the same again gets the first answer"
    mine = {"turn_id": answer["turn_id"], "status": "waiting", "position": 0}
    assert backlog.turns("alice", answer["conversation_id"]) == [{**mine, "wait": 20}]
    # Whoever comes later does not delay it; whoever is done or gives up makes it shorter.
    send_as(lab, "later")
    assert backlog.turns("alice", answer["conversation_id"])[0]["wait"] == 20
    conversation_id = new_conversation_id("waiting-1", "client-5")
    lab.ledger.clear("waiting-1", conversation_id)
    assert backlog.turns("alice", answer["conversation_id"])[0]["wait"] == 16


def test_who_has_fewer_under_way_waits_for_one_of_each(lab: Lab) -> None:
    take_time(lab)
    lab.claim(*send_as(lab, "greedy"))
    for _ in range(50):
        send_as(lab, "greedy")
    backlog = make_backlog(lab, slots=1)
    assert accept_as(lab, "modest", pace=backlog.pace())["wait"] == 2 * SERVICE
    assert accept_as(lab, "greedy", pace=backlog.pace())["wait"] > 20 * SERVICE


def test_ones_own_are_ahead_of_each_other(lab: Lab) -> None:
    """Of two at a time the fourth waits for two, however many places are free."""
    take_time(lab)
    for _ in range(2):
        lab.claim(*send_as(lab, "alice"))
    backlog = make_backlog(lab, slots=100, max_active=2)
    assert accept_as(lab, "alice", pace=backlog.pace())["wait"] == SERVICE / 2
    assert accept_as(lab, "alice", pace=backlog.pace())["wait"] == SERVICE


def test_behind_others_of_its_conversation(lab: Lab) -> None:
    take_time(lab)
    backlog = make_backlog(lab, slots=100)
    conversation_id, first = lab.conversation()
    claim = lab.claim(conversation_id, first)
    turns = []
    for position in (1, 2, 3):
        lab.made += 1
        turn = NewTurn("Next", f"client-{lab.made}")
        answer = lab.ledger.accept(lab.owner, conversation_id, turn, create=False, pace=backlog.pace()).answer
        assert (answer["position"], answer["wait"]) == (position, position * SERVICE)
        turns.append(answer["turn_id"])
    running = {"turn_id": first, "status": "running", "position": 0}
    listed = backlog.turns(lab.owner, conversation_id)
    assert listed[0] == running
    assert [(turn["turn_id"], turn["position"], turn["wait"]) for turn in listed[1:]] == [
        (turn_id, position, position * SERVICE) for position, turn_id in enumerate(turns, 1)
    ]
    # One that is taken out makes room for those behind it, and so does one that is over.
    lab.ledger.stop(lab.owner, conversation_id, turns[0])
    listed = backlog.turns(lab.owner, conversation_id)
    assert [(turn["turn_id"], turn["position"]) for turn in listed] == [(first, 0), (turns[1], 1), (turns[2], 2)]
    lab.clock.advance(SERVICE * 1000)
    lab.write(claim, 1, "Hi", Finish("done"))
    listed = backlog.turns(lab.owner, conversation_id)
    assert [(turn["position"], turn["wait"]) for turn in listed] == [(0, 0), (1, SERVICE)]
    lab.ledger.clear(lab.owner, conversation_id)
    assert backlog.turns(lab.owner, conversation_id) == []


def test_a_burst_that_the_figures_do_not_show_yet(lab: Lab) -> None:
    """Between two looks this process counts for itself."""
    take_time(lab)
    backlog = Backlog(lab.ledger, lambda: 1, limit=1000, max_active=100, clock=lambda: 1000.0)
    waits = []
    for number in range(4):
        waits.append(accept_as(lab, f"owner-{number}", pace=backlog.pace()).get("wait", 0))
        backlog.add()
    assert waits == [0, SERVICE, 2 * SERVICE, 3 * SERVICE]


def test_it_is_told_to_nobody_else(lab: Lab) -> None:
    conversation_id, _ = send_as(lab, "alice")
    backlog = make_backlog(lab, slots=1)
    with pytest.raises(NotFound):
        backlog.turns("bob", conversation_id)
    with pytest.raises(NotFound):
        backlog.turns("bob", new_conversation_id("bob"))


def owners(lab: Lab) -> list[str]:
    found: list[set[bytes]] = [lab.redis.smembers(owners_key(one)) for one in partitions()]  # type: ignore[misc]
    assert lab.ledger.figures().owners == sum(map(len, found))
    return sorted(owner.decode() for some in found for owner in some)


def test_owners_with_anything_under_way(lab: Lab) -> None:
    first, second = send_as(lab, "alice"), send_as(lab, "alice")
    other = send_as(lab, "bob")
    assert owners(lab) == ["alice", "bob"]
    lab.ledger.stop("alice", *first)
    assert owners(lab) == ["alice", "bob"]
    lab.write(lab.claim(*second), 1, "Hi", Finish("done"))
    assert owners(lab) == ["bob"]
    lab.ledger.clear("bob", other[0], delete=True)
    assert owners(lab) == []


def test_owners_whose_conversations_expired(lab: Lab) -> None:
    conversation_id, _ = send_as(lab, "alice")
    lab.redis.delete(lab.key(conversation_id, "meta"), lab.key(conversation_id, "queue"))
    lab.clock.advance(TTL + 1)
    lab.ledger.sweep()
    assert owners(lab) == []
