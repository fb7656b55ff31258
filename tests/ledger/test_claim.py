"""Who works on a turn, and what it is told."""

import pytest

from app.ledger import Busy, Claimed, Finish, Finished, GivenUp, Gone, Ledger, Snapshot, Write
from app.ledger.models import Json
from app.ledger.workers import GAVE_UP, MAX_ATTEMPTS
from tests.ledger.harness import LEASE, PROVIDERS, Lab


def test_a_claim(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation(text="Hello")
    lab.tap.take()
    claim = lab.claim(conversation_id, turn_id)
    assert (claim.conversation_id, claim.turn_id, claim.attempt) == (conversation_id, turn_id, 1)
    assert (claim.provider, claim.model, claim.memory, claim.system_prompt) == ("p", "p-1", True, "")
    assert claim.question["text"] == "Hello"
    assert claim.history == []
    assert lab.due(conversation_id) == lab.clock.now + LEASE
    [started] = lab.tap.events(conversation_id)
    assert (started["type"], started["turn_id"], started["attempt"]) == ("turn.started", turn_id, 1)
    assert (started["provider"], started["model"]) == ("p", "p-1")
    assert lab.ledger.show(lab.owner, conversation_id)["state"] == "running"


def test_busy_while_another_has_it(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    claim = lab.claim(conversation_id, turn_id)
    lab.clock.advance(LEASE - 1)
    before = lab.dump(conversation_id)
    lab.tap.take()
    assert lab.try_claim(conversation_id, turn_id) == Busy()
    assert lab.dump(conversation_id) == before
    assert lab.tap.take() == []
    assert lab.write(claim, 1, "still mine").written == "ok"


def test_busy_while_it_is_not_its_turn(lab: Lab) -> None:
    conversation_id, first = lab.conversation()
    second = lab.send(conversation_id).answer["turn_id"]
    assert lab.try_claim(conversation_id, second) == Busy()
    lab.claim(conversation_id, first)
    assert lab.try_claim(conversation_id, second) == Busy()
    # Nor does it jump the queue when the first one's worker is lost.
    lab.clock.advance(LEASE + 1)
    assert lab.try_claim(conversation_id, second) == Busy()


def test_gone(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    lab.answer(conversation_id, turn_id)
    before = lab.dump(conversation_id)
    assert lab.try_claim(conversation_id, turn_id) == Gone("done")
    assert lab.try_claim(conversation_id, "nothing") == Gone()
    assert lab.dump(conversation_id) == before
    lab.ledger.clear(lab.owner, conversation_id, delete=True)
    before = lab.dump(conversation_id)
    assert lab.try_claim(conversation_id, turn_id) == Gone()
    assert lab.dump(conversation_id) == before


def test_a_lease_ends(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    dead = lab.claim(conversation_id, turn_id)
    lab.write(dead, 1, "Once upon")
    lab.clock.advance(LEASE)
    lab.tap.take()
    heir = lab.claim(conversation_id, turn_id)
    assert heir.attempt == 2
    [started] = lab.tap.events(conversation_id)
    assert (started["type"], started["attempt"]) == ("turn.started", 2)
    assert lab.redis.exists(lab.key(conversation_id, "text")) == 0
    assert lab.write(dead, 2, " a time").written == "refused"
    assert lab.write(heir, 1, "Hello", Finish("done")).written == "ok"
    assert lab.reply_to(conversation_id, turn_id)["text"] == "Hello"


def test_given_up_keeps_what_has_been_shown(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    following = lab.send(conversation_id).answer["turn_id"]
    for attempt in range(1, MAX_ATTEMPTS + 1):
        claim = lab.claim(conversation_id, turn_id)
        assert claim.attempt == attempt
        lab.write(claim, 1, f"try {attempt}")
        lab.clock.advance(LEASE)
    lab.tap.take()
    assert lab.try_claim(conversation_id, turn_id) == GivenUp(following)
    [finished] = lab.tap.events(conversation_id)
    assert (finished["type"], finished["status"], finished["error"]) == ("turn.finished", "failed", GAVE_UP)
    reply = lab.reply_to(conversation_id, turn_id)
    assert finished["message"] == reply
    assert (reply["text"], reply["status"], reply["error"]) == (f"try {MAX_ATTEMPTS}", "failed", GAVE_UP)
    assert lab.write(claim, 2, "late").written == "refused"
    assert lab.try_claim(conversation_id, turn_id) == Gone("failed")
    assert lab.claim(conversation_id, following).attempt == 1


def test_an_answer_that_is_lost_is_no_attempt_more(lab: Lab, faulty: Ledger) -> None:
    conversation_id = _talked(lab, 2)
    turn_id = lab.send(conversation_id).answer["turn_id"]
    lab.tap.take()
    claim = faulty.claim(
        conversation_id, turn_id, default_provider="p", default_models=PROVIDERS, max_messages=20, max_bytes=100_000
    )
    assert isinstance(claim, Claimed)
    assert claim.attempt == 1
    assert [message["text"] for message in claim.history] == ["q0", "a0", "q1", "a1"]
    assert (claim.provider, claim.model, claim.memory, claim.question["text"]) == ("p", "p-1", True, "Hello")
    [started] = lab.tap.events(conversation_id)
    assert (started["type"], started["attempt"]) == ("turn.started", 1)
    assert lab.try_claim(conversation_id, turn_id) == Busy()
    assert faulty.write([Write(claim, 1, "Hi", Finish("done"))]) == [Finished("ok")]
    assert lab.reply_to(conversation_id, turn_id)["text"] == "Hi"


def test_the_last_attempt_whose_answer_is_lost(lab: Lab, faulty: Ledger) -> None:
    conversation_id, turn_id = lab.conversation()
    for _ in range(1, MAX_ATTEMPTS):
        lab.claim(conversation_id, turn_id)
        lab.clock.advance(LEASE)
    claim = faulty.claim(
        conversation_id, turn_id, default_provider="p", default_models=PROVIDERS, max_messages=20, max_bytes=100_000
    )
    assert isinstance(claim, Claimed)
    assert claim.attempt == MAX_ATTEMPTS
    assert lab.write(claim, 1, "Hi", Finish("done")).written == "ok"


def test_a_turn_that_is_given_back(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    claim = lab.claim(conversation_id, turn_id)
    lab.write(claim, 1, "One")
    lab.tap.take()
    assert lab.ledger.sweep() == []
    assert lab.ledger.release(claim) == "ok"
    assert lab.tap.take() == [], "nobody need know"
    assert (lab.meta(conversation_id)["lease"], lab.due(conversation_id)) == ("0", lab.clock.now)
    found = lab.ledger.open(lab.owner, conversation_id)
    assert isinstance(found, Snapshot)
    assert [(turn["turn_id"], turn["text"]) for turn in found.turns] == [(turn_id, "One")]
    for late in (Write(claim, 2, "two"), Write(claim, 1, ""), Write(claim, 2, "two", Finish("done"))):
        assert lab.ledger.write([late]) == [Finished("refused")]
    assert lab.ledger.sweep() == [(conversation_id, turn_id)]
    heir = lab.claim(conversation_id, turn_id)
    assert heir.attempt == 2
    assert lab.write(heir, 1, "Uno", Finish("done")).written == "ok"
    assert lab.reply_to(conversation_id, turn_id)["text"] == "Uno"


def test_a_turn_that_is_stopped_after_it_was_given_back(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    claim = lab.claim(conversation_id, turn_id)
    lab.write(claim, 1, "One")
    lab.ledger.release(claim)
    assert lab.ledger.stop(lab.owner, conversation_id, turn_id) == ("stopped", None)
    assert lab.reply_to(conversation_id, turn_id)["text"] == "One"
    assert lab.try_claim(conversation_id, turn_id) == Gone("stopped")
    assert lab.due(conversation_id) is None


@pytest.mark.parametrize("how", ["given back before", "taken over", "answered"])
def test_what_is_not_ones_own_cannot_be_given_back(lab: Lab, how: str) -> None:
    conversation_id, turn_id = lab.conversation()
    claim = lab.claim(conversation_id, turn_id)
    if how == "given back before":
        lab.ledger.release(claim)
    elif how == "taken over":
        lab.clock.advance(LEASE)
        lab.claim(conversation_id, turn_id)
    else:
        lab.write(claim, 1, "One", Finish("done"))
    before = lab.dump(conversation_id)
    assert lab.ledger.release(claim) == "refused"
    assert lab.dump(conversation_id) == before


def test_deploys_do_not_count_against_a_turn(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    for attempt in range(1, 2 * MAX_ATTEMPTS):
        claim = lab.claim(conversation_id, turn_id)
        assert claim.attempt == attempt
        lab.ledger.release(claim)
    for _ in range(MAX_ATTEMPTS):
        lab.write(lab.claim(conversation_id, turn_id), 1, "the last try")
        lab.clock.advance(LEASE)
    assert lab.try_claim(conversation_id, turn_id) == GivenUp(None)
    reply = lab.reply_to(conversation_id, turn_id)
    assert (reply["text"], reply["status"], reply["error"]) == ("the last try", "failed", GAVE_UP)


def _told(lab: Lab, conversation_id: str, **window: int) -> list[str]:
    turn_id = lab.send(conversation_id, text="question").answer["turn_id"]
    return [message["text"] for message in lab.claim(conversation_id, turn_id, **window).history]


def _talked(lab: Lab, exchanges: int = 4) -> str:
    conversation_id: str = lab.ledger.create(lab.owner)["id"]
    for number in range(exchanges):
        lab.exchange(conversation_id, f"q{number}", f"a{number}")
    return conversation_id


@pytest.mark.parametrize(("limit", "told"), [(0, []), (1, ["a3"]), (3, ["a2", "q3", "a3"]), (100, None)])
def test_the_history_has_so_many_messages(lab: Lab, limit: int, told: list[str] | None) -> None:
    everything = ["q0", "a0", "q1", "a1", "q2", "a2", "q3", "a3"]
    conversation_id = _talked(lab)
    assert _told(lab, conversation_id, max_messages=limit) == (everything if told is None else told)


def test_the_history_has_so_many_bytes(lab: Lab) -> None:
    conversation_id = _talked(lab)
    stored: list[bytes] = lab.redis.hvals(lab.key(conversation_id, "messages"))  # type: ignore[assignment]
    assert len(stored) == 8
    last_two = sum(len(message) for message in stored if b'"a3"' in message or b'"q3"' in message)
    turn_id = lab.send(conversation_id).answer["turn_id"]
    told = [message["text"] for message in lab.claim(conversation_id, turn_id, max_bytes=last_two).history]
    assert told == ["q3", "a3"]
    lab.clock.advance(LEASE)
    told = [message["text"] for message in lab.claim(conversation_id, turn_id, max_bytes=last_two - 1).history]
    assert told == ["a3"]


def test_the_history_follows_the_branch(lab: Lab) -> None:
    conversation_id = lab.ledger.create(lab.owner)["id"]
    _, first = lab.exchange(conversation_id, "q0", "a0")
    lab.exchange(conversation_id, "q1", "a1")
    lab.exchange(conversation_id, "other", "branch", parent_id=first["id"])
    assert _told(lab, conversation_id) == ["q0", "a0", "other", "branch"]


@pytest.mark.parametrize(("conversation", "message", "told"), [(False, None, 0), (True, False, 0), (False, True, 2)])
def test_memory_off(lab: Lab, conversation: bool, message: bool | None, told: int) -> None:
    conversation_id = _talked(lab, 1)
    lab.ledger.configure(lab.owner, conversation_id, {"memory": conversation})
    turn_id = lab.send(conversation_id, memory=message).answer["turn_id"]
    claim = lab.claim(conversation_id, turn_id)
    assert len(claim.history) == told
    assert claim.memory is bool(told)
    lab.write(claim, 1, "Hi", Finish("done"))
    assert lab.reply_to(conversation_id, turn_id)["memory"] is bool(told)


@pytest.mark.parametrize(
    ("changes", "asked", "used"),
    [
        ({}, {}, ("p", "p-1")),
        ({"provider": "q"}, {}, ("q", "q-1")),
        ({"provider": "q", "model": "q-2"}, {}, ("q", "q-2")),
        ({"provider": "q", "model": "q-2"}, {"provider": "p"}, ("p", "p-1")),
        ({"provider": "q", "model": "q-2"}, {"provider": "p", "model": "p-2"}, ("p", "p-2")),
        ({"provider": "q", "model": "q-2"}, {"provider": "q"}, ("q", "q-2")),
        ({"provider": "gone"}, {}, ("gone", "")),
        ({"provider": "q", "model": "q-2", "system_prompt": "Be brief."}, {}, ("q", "q-2")),
    ],
)
def test_what_is_asked_for_else_what_is_set_else_the_default(
    lab: Lab, changes: Json, asked: Json, used: tuple[str, str]
) -> None:
    conversation_id = lab.ledger.create(lab.owner)["id"]
    lab.ledger.configure(lab.owner, conversation_id, changes)
    turn_id = lab.send(conversation_id, **asked).answer["turn_id"]
    claim = lab.claim(conversation_id, turn_id)
    assert (claim.provider, claim.model) == used
    assert claim.system_prompt == changes.get("system_prompt", "")
    lab.write(claim, 1, "Hi", Finish("done"))
    reply = lab.reply_to(conversation_id, turn_id)
    assert (reply["provider"], reply["model"]) == used
    # What one message asks for is not what the conversation is set to.
    shown = lab.ledger.show(lab.owner, conversation_id)
    assert (shown["provider"], shown["model"]) == (changes.get("provider"), changes.get("model"))


def test_settings_take_effect_with_the_next_turn_that_starts(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    lab.ledger.configure(lab.owner, conversation_id, {"provider": "q", "system_prompt": "Be brief."})
    claim = lab.claim(conversation_id, turn_id)
    assert (claim.provider, claim.system_prompt) == ("q", "Be brief.")
    lab.ledger.configure(lab.owner, conversation_id, {"provider": "p"})
    lab.write(claim, 1, "Hi", Finish("done"))
    assert lab.reply_to(conversation_id, turn_id)["provider"] == "q"
