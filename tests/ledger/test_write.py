"""append, note and finish: a worker's writes, and when they count."""

import pytest

from app.ledger import Claimed, Finish, Finished, Write
from app.ledger.calls import GRACE_MS
from app.ledger.models import Json
from tests.ledger.harness import LEASE, Lab


@pytest.fixture
def claim(lab: Lab) -> Claimed:
    claim = lab.claim(*lab.conversation())
    lab.tap.take()
    return claim


def text(lab: Lab, claim: Claimed) -> bytes:
    found: bytes | None = lab.redis.get(lab.key(claim.conversation_id, "text"))  # type: ignore[assignment]
    return found or b""


def test_pieces_add_up(lab: Lab, claim: Claimed) -> None:
    for number, piece in enumerate(["One, ", "two, ", "three"], 1):
        assert lab.write(claim, number, piece) == Finished("ok")
    events = lab.tap.events(claim.conversation_id)
    assert [(event["type"], event["turn_id"], event["text"]) for event in events] == [
        ("turn.delta", claim.turn_id, piece) for piece in ("One, ", "two, ", "three")
    ]
    assert text(lab, claim) == b"One, two, three"


def test_a_piece_that_is_there_already(lab: Lab, claim: Claimed) -> None:
    lab.write(claim, 1, "One")
    before = lab.dump(claim.conversation_id)
    lab.tap.take()
    assert lab.write(claim, 1, "One") == Finished("ok")
    assert lab.dump(claim.conversation_id) == before
    assert lab.tap.take() == []


def test_a_ledger_that_has_less_than_was_written(lab: Lab, claim: Claimed) -> None:
    lab.write(claim, 1, "One")
    before = lab.dump(claim.conversation_id)
    lab.tap.take()
    assert lab.write(claim, 3, "Three") == Finished("refused")
    assert lab.write(claim, 2, "") == Finished("refused")
    assert lab.write(claim, 3, "Three", Finish("done")) == Finished("refused")
    assert lab.write(claim, 2, "", Finish("done")) == Finished("refused")
    assert lab.dump(claim.conversation_id) == before
    assert lab.tap.take() == []


def test_a_heartbeat_renews_the_lease_and_says_nothing(lab: Lab, claim: Claimed) -> None:
    conversation_id = claim.conversation_id
    lab.write(claim, 1, "One")
    for _ in range(5):
        lab.clock.advance(LEASE // 2)
        lab.tap.take()
        assert lab.write(claim, 1, "") == Finished("ok")
        assert lab.tap.take() == []
        assert lab.due(conversation_id) == lab.clock.now + LEASE
        assert lab.meta(conversation_id)["lease"] == str(lab.clock.now + LEASE)
    assert lab.ledger.sweep() == []
    assert text(lab, claim) == b"One"


def test_a_heartbeat_before_the_first_piece(lab: Lab, claim: Claimed) -> None:
    lab.clock.advance(LEASE // 2)
    assert lab.write(claim, 0, "") == Finished("ok")
    assert lab.due(claim.conversation_id) == lab.clock.now + LEASE
    assert lab.write(claim, 1, "One") == Finished("ok")


def test_pieces_renew_the_lease(lab: Lab, claim: Claimed) -> None:
    for number in range(1, 20):
        lab.clock.advance(LEASE // 3)
        assert lab.write(claim, number, ".") == Finished("ok")
        assert (lab.due(claim.conversation_id) or 0) >= lab.clock.now + LEASE * 2 / 3


def test_a_lease_that_ended_unnoticed_is_taken_up_again(lab: Lab, claim: Claimed) -> None:
    """A pause is no harm as long as nobody has taken over."""
    lab.clock.advance(3 * LEASE)
    assert lab.write(claim, 1, "back") == Finished("ok")
    assert lab.due(claim.conversation_id) == lab.clock.now + LEASE


def test_a_fenced_writer_changes_nothing(lab: Lab, claim: Claimed) -> None:
    conversation_id = claim.conversation_id
    lab.write(claim, 1, "One")
    lab.clock.advance(LEASE)
    heir = lab.claim(conversation_id, claim.turn_id)
    lab.write(heir, 1, "Uno")
    before = lab.dump(conversation_id)
    lab.tap.take()
    for late in (
        Write(claim, 2, "two"),
        Write(claim, 1, "One"),
        Write(claim, 1, ""),
        Write(claim, 2, "two", Finish("done")),
        Write(claim, 1, "", Finish("failed", error={"code": "x", "message": "x"})),
    ):
        assert lab.ledger.write([late]) == [Finished("refused")]
    assert lab.ledger.note(claim, "turn.retrying", {"reason": "x", "delay": 1}) == "refused"
    assert lab.dump(conversation_id) == before
    assert lab.tap.take() == []


def test_a_note(lab: Lab, claim: Claimed) -> None:
    lab.clock.advance(LEASE // 2)
    reason = 'The provider said "later\\"\u2028🐢'
    assert lab.ledger.note(claim, "turn.retrying", {"reason": reason, "delay": 1.5}) == "ok"
    [noted] = lab.tap.events(claim.conversation_id)
    assert (noted["type"], noted["turn_id"], noted["reason"], noted["delay"]) == (
        "turn.retrying",
        claim.turn_id,
        reason,
        1.5,
    )
    assert lab.due(claim.conversation_id) == lab.clock.now + LEASE


@pytest.mark.parametrize(
    ("finish", "extra"),
    [
        (Finish("done", usage={"input_tokens": 3, "output_tokens": 5}), {}),
        (Finish("done"), {}),
        (
            Finish("failed", error={"code": "x", "message": 'It "broke"\n'}),
            {"error": {"code": "x", "message": 'It "broke"\n'}},
        ),
    ],
)
def test_the_reply_is_saved(lab: Lab, claim: Claimed, finish: Finish, extra: Json) -> None:
    conversation_id = claim.conversation_id
    lab.write(claim, 1, "One, ")
    lab.clock.advance(5)
    lab.tap.take()
    assert lab.write(claim, 2, "two.", finish) == Finished("ok")
    delta, finished = lab.tap.events(conversation_id)
    assert (delta["type"], delta["text"]) == ("turn.delta", "two.")
    reply = lab.reply_to(conversation_id, claim.turn_id)
    assert reply == {
        "id": reply["id"],
        "parent_id": claim.question["id"],
        "role": "assistant",
        "text": "One, two.",
        "status": finish.status,
        "created_at": "2026-01-31T12:00:00.005Z",
        "turn_id": claim.turn_id,
        "provider": "p",
        "model": "p-1",
        "memory": True,
        "usage": finish.usage,
        "versions": [reply["id"]],
        **extra,
    }
    assert (finished["type"], finished["turn_id"], finished["status"]) == (
        "turn.finished",
        claim.turn_id,
        finish.status,
    )
    assert finished["message"] == reply
    assert finished["usage"] == finish.usage
    assert finished.get("error") == finish.error
    assert lab.queue(conversation_id) == []
    assert lab.due(conversation_id) is None
    assert lab.redis.exists(lab.key(conversation_id, "text")) == 0
    state = "failed" if finish.status == "failed" else "idle"
    assert lab.ledger.show(lab.owner, conversation_id)["state"] == state


def test_an_empty_reply(lab: Lab, claim: Claimed) -> None:
    assert lab.write(claim, 0, "", Finish("done")) == Finished("ok")
    [finished] = lab.tap.events(claim.conversation_id)
    assert finished["message"]["text"] == ""


def test_the_last_piece_may_be_there_already(lab: Lab, claim: Claimed) -> None:
    lab.write(claim, 1, "One")
    assert lab.write(claim, 1, "", Finish("done")) == Finished("ok")
    assert lab.reply_to(claim.conversation_id, claim.turn_id)["text"] == "One"


def test_saved_once(lab: Lab, claim: Claimed) -> None:
    conversation_id = claim.conversation_id
    lab.write(claim, 1, "One", Finish("done"))
    before = lab.dump(conversation_id)
    lab.tap.take()
    lab.write(claim, 1, "One", Finish("done"))
    assert lab.write(claim, 2, "two") == Finished("refused")
    assert lab.write(claim, 1, "") == Finished("refused")
    assert lab.dump(conversation_id) == before
    assert lab.tap.take() == []
    assert len(lab.replies(conversation_id, claim.turn_id)) == 1


def test_the_next_turn_may_start(lab: Lab, claim: Claimed) -> None:
    conversation_id = claim.conversation_id
    second, third = (lab.send(conversation_id).answer["turn_id"] for _ in range(2))
    assert lab.write(claim, 1, "One", Finish("done")) == Finished("ok", second)
    assert lab.queue(conversation_id) == [second, third]
    assert lab.due(conversation_id) == lab.clock.now + GRACE_MS
    assert lab.ledger.show(lab.owner, conversation_id)["state"] == "waiting"
    assert lab.write(lab.claim(conversation_id, second), 1, "Two", Finish("done")) == Finished("ok", third)
    assert lab.write(lab.claim(conversation_id, third), 1, "Three", Finish("done")) == Finished("ok", None)
    saved = [message["text"] for message in lab.ledger.history(lab.owner, conversation_id, None, 50).items]
    assert saved == ["Hello", "One", "Hello", "Two", "Hello", "Three"]


def test_deltas_are_trimmed_when_the_reply_is_saved(lab: Lab, claim: Claimed) -> None:
    for number in range(1, 200):
        lab.write(claim, number, "word ")
    assert len(lab.log(claim.conversation_id)) == 202
    lab.write(claim, 200, ".", Finish("done"))
    assert [event["type"] for event in lab.logged(claim.conversation_id)] == ["turn.finished"]


def test_many_replies_in_one_round_trip(lab: Lab) -> None:
    claims = [lab.claim(*lab.conversation()) for _ in range(3)]
    lab.ledger.stop(lab.owner, claims[1].conversation_id, claims[1].turn_id)
    results = lab.ledger.write(
        [Write(claims[0], 1, "a"), Write(claims[1], 1, "b"), Write(claims[2], 1, "c", Finish("done"))]
    )
    assert results == [Finished("ok"), Finished("refused"), Finished("ok", None)]
    assert lab.ledger.write([]) == []


def test_one_that_fails_leaves_the_others_alone(lab: Lab) -> None:
    broken, sound = (lab.claim(*lab.conversation()) for _ in range(2))
    lab.redis.lpush(lab.key(broken.conversation_id, "text"), "not a string")
    refused, written = lab.ledger.write([Write(broken, 1, "a"), Write(sound, 1, "b")])
    assert isinstance(refused, Exception)
    assert written == Finished("ok")


def restored(lab: Lab, conversation_id: str, copy: dict[str, bytes]) -> None:
    """As after a power cut, or a fail-over to a replica that lags."""
    for name in ("meta", "queue", "turns", "messages", "text", "log"):
        lab.redis.delete(lab.key(conversation_id, name))
        if name in copy:
            lab.redis.restore(lab.key(conversation_id, name), 60_000, copy[name])


def copied(lab: Lab, conversation_id: str) -> dict[str, bytes]:
    names = ("meta", "queue", "turns", "messages", "text", "log")
    dumped = {name: lab.redis.dump(lab.key(conversation_id, name)) for name in names}
    return {name: found for name, found in dumped.items() if isinstance(found, bytes)}


def test_a_claim_that_redis_forgot_does_not_count_as_a_later_one(lab: Lab) -> None:
    """Redis came back as it was before the claim; somebody else claims. There must not be two writers."""
    conversation_id, turn_id = lab.conversation()
    copy = copied(lab, conversation_id)
    forgotten = lab.claim(conversation_id, turn_id)
    lab.write(forgotten, 1, "One, ")
    restored(lab, conversation_id, copy)
    heir = lab.claim(conversation_id, turn_id)
    assert lab.write(heir, 1, "Uno, ") == Finished("ok")
    assert lab.write(forgotten, 2, "two") == Finished("refused")
    assert lab.write(heir, 2, "due", Finish("done")) == Finished("ok")
    assert lab.reply_to(conversation_id, turn_id)["text"] == "Uno, due"


def test_a_claim_that_redis_forgot_ends_no_turn_that_waits(lab: Lab) -> None:
    conversation_id, first = lab.conversation()
    claim = lab.claim(conversation_id, first)
    second = lab.send(conversation_id).answer["turn_id"]
    copy = copied(lab, conversation_id)
    lab.write(claim, 1, "One", Finish("done"))
    forgotten = lab.claim(conversation_id, second)
    restored(lab, conversation_id, copy)
    lab.ledger.stop(lab.owner, conversation_id, first)
    lab.send(conversation_id)
    lab.clock.advance(LEASE)
    assert lab.claim(conversation_id, second).attempt == 1
    assert lab.write(forgotten, 1, "Two", Finish("done")) == Finished("refused")
