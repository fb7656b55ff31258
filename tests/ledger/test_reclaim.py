"""A worker whose write was refused claims its turn again: the ledger has lost what it wrote, or somebody took over."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.connections import connect
from app.ledger import Busy, Claimed, Finish, Finished, GivenUp, Gone, Ledger, Tail, Write
from app.ledger.keys import PARTS, conversation_keys, counts_key, due_key, listing_key
from app.ledger.models import Status
from app.ledger.workers import MAX_ATTEMPTS
from tests.ledger.harness import LEASE, PROVIDERS, Lab, make_ledger
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.view import View


def claim_again(ledger: Ledger, had: Claimed) -> Claimed | Busy | Gone | GivenUp:
    return ledger.claim(
        had.conversation_id,
        had.turn_id,
        default_provider="p",
        default_models=PROVIDERS,
        max_messages=20,
        max_bytes=100_000,
        had=had,
    )


class Copy:
    """A conversation as it is now, to go back to: as after a fail-over to a replica that lags."""

    def __init__(self, lab: Lab, conversation_id: str) -> None:
        self._redis = lab.redis
        self._sets = (due_key(conversation_id[:2]), listing_key(lab.owner))
        self._member = conversation_id
        self._keys: dict[str, Any] = {
            key: (self._redis.dump(key), self._redis.pttl(key))
            for key in conversation_keys(conversation_id)[: len(PARTS)]
        }
        self._scores: dict[str, Any] = {key: self._redis.zscore(key, conversation_id) for key in self._sets}

    def restore(self) -> None:
        """In one step."""
        pipeline = self._redis.pipeline(transaction=True)
        for key, (value, ttl) in self._keys.items():
            pipeline.delete(key)
            if value is not None:
                pipeline.restore(key, max(0, ttl), value)
        for key, score in self._scores.items():
            pipeline.zrem(key, self._member)
            if score is not None:
                pipeline.zadd(key, {self._member: score})
        pipeline.execute()


class Follower:
    """A client, and what its web process does for it: published events, and `open` where they leave a gap."""

    def __init__(self, lab: Lab, conversation_id: str) -> None:
        self.view = View()
        self._lab = lab
        self._conversation_id = conversation_id
        lab.tap.take()
        self._open()

    def hear(self) -> None:
        for event in self._lab.tap.events(self._conversation_id):
            self._take(event)

    def reconnect(self) -> None:
        """As app/delivery/manager.py does when its connection is back; what was published meanwhile is lost."""
        self._lab.tap.take()
        ledger, seen = self._lab.ledger, self.view.seq
        [last] = self._lab.logged(self._conversation_id)[-1:]
        if last["seq"] < seen:
            ledger.renew(self._conversation_id, seen)
        self._take(last)
        self.hear()

    def _take(self, event: dict[str, Any]) -> None:
        if self.view.is_next(event):
            self.view.apply(event)
        elif not self.view.is_old(event):
            self._open()

    def _open(self) -> None:
        lab, view = self._lab, self.view
        found = lab.ledger.open(lab.owner, self._conversation_id, view.seq if view.epoch else None, view.epoch)
        if isinstance(found, Tail):
            view.load({"epoch": found.epoch, "seq": found.seq, "events": found.events})
        else:
            snapshot = {
                "conversation": found.conversation,
                "messages": found.messages,
                "more": found.more,
                "turns": found.turns,
            }
            view.load({"epoch": found.epoch, "seq": found.seq, "snapshot": snapshot})


@pytest.fixture
def claim(lab: Lab) -> Claimed:
    return lab.claim(*lab.conversation())


def must_claim_again(lab: Lab, had: Claimed) -> Claimed:
    again = claim_again(lab.ledger, had)
    assert isinstance(again, Claimed)
    assert again.fence != had.fence
    return again


def shown(lab: Lab, claim: Claimed) -> str:
    found: bytes | None = lab.redis.get(lab.key(claim.conversation_id, "text"))  # type: ignore[assignment]
    return (found or b"").decode()


def test_after_the_ledger_lost_pieces(lab: Lab, claim: Claimed) -> None:
    lab.write(claim, 1, "One, ")
    copy = Copy(lab, claim.conversation_id)
    lab.write(claim, 2, "two, ")
    copy.restore()
    assert shown(lab, claim) == "One, "
    assert lab.write(claim, 3, "three") == Finished("refused")
    again = must_claim_again(lab, claim)
    assert again.attempt == 2
    assert (again.question, again.history, again.provider) == (claim.question, claim.history, claim.provider)
    assert shown(lab, claim) == ""
    assert lab.write(claim, 1, "One, ") == Finished("refused"), "the old claim is none any more"
    assert lab.write(again, 1, "One, two, three", Finish("done")) == Finished("ok")
    assert lab.reply_to(claim.conversation_id, claim.turn_id)["text"] == "One, two, three"


def test_after_the_ledger_lost_the_claim(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    copy = Copy(lab, conversation_id)
    claim = lab.claim(conversation_id, turn_id)
    lab.write(claim, 1, "One, ")
    copy.restore()
    assert lab.write(claim, 2, "two") == Finished("refused")
    assert lab.write(claim, 1, "") == Finished("refused")
    again = must_claim_again(lab, claim)
    assert again.attempt == 1, "it knows of no other"
    assert lab.write(again, 1, "One, two", Finish("done")) == Finished("ok")
    assert lab.reply_to(conversation_id, turn_id)["text"] == "One, two"


def test_after_the_ledger_lost_the_end(lab: Lab, claim: Claimed) -> None:
    """The answer to the last piece was lost, and then the last piece."""
    lab.write(claim, 1, "One, ")
    copy = Copy(lab, claim.conversation_id)
    lab.write(claim, 2, "two, ")
    assert lab.write(claim, 3, "three", Finish("done")) == Finished("ok")
    assert lab.write(claim, 3, "three", Finish("done")) == Finished("ok")
    copy.restore()
    assert lab.write(claim, 3, "three", Finish("done")) == Finished("refused")
    again = must_claim_again(lab, claim)
    assert lab.write(again, 1, "One, two, three", Finish("done")) == Finished("ok")
    assert lab.reply_to(claim.conversation_id, claim.turn_id)["text"] == "One, two, three"


def test_after_the_ledger_lost_the_conversation(lab: Lab, claim: Claimed) -> None:
    lab.redis.flushall()
    assert lab.write(claim, 1, "One") == Finished("refused")
    assert claim_again(lab.ledger, claim) == Gone()
    assert lab.redis.keys("*") == [counts_key(claim.conversation_id[:2]).encode()]


def test_after_the_ledger_lost_the_end_of_the_turn_before(lab: Lab) -> None:
    conversation_id, first = lab.conversation()
    second = lab.send(conversation_id).answer["turn_id"]
    copy = Copy(lab, conversation_id)
    lab.answer(conversation_id, first)
    claim = lab.claim(conversation_id, second)
    copy.restore()
    assert lab.write(claim, 1, "One") == Finished("refused")
    before = lab.dump(conversation_id)
    assert claim_again(lab.ledger, claim) == Busy(), "the first one has to be answered first"
    assert lab.dump(conversation_id) == before


def test_after_another_worker_took_over_and_died(lab: Lab, claim: Claimed) -> None:
    lab.write(claim, 1, "One, ")
    lab.clock.advance(LEASE)
    heir = lab.claim(claim.conversation_id, claim.turn_id)
    lab.write(heir, 1, "Uno, ")
    lab.clock.advance(LEASE)
    assert lab.write(claim, 2, "two") == Finished("refused")
    again = must_claim_again(lab, claim)
    assert again.attempt == 3
    assert lab.write(heir, 2, "due") == Finished("refused")
    assert lab.write(again, 1, "One, two", Finish("done")) == Finished("ok")
    assert lab.reply_to(claim.conversation_id, claim.turn_id)["text"] == "One, two"


def test_while_another_worker_has_it(lab: Lab, claim: Claimed) -> None:
    lab.write(claim, 1, "One, ")
    lab.clock.advance(LEASE)
    heir = lab.claim(claim.conversation_id, claim.turn_id)
    lab.write(heir, 1, "Uno, ")
    lab.clock.advance(LEASE - 1)
    before = lab.dump(claim.conversation_id)
    lab.tap.take()
    assert lab.write(claim, 2, "two") == Finished("refused")
    assert claim_again(lab.ledger, claim) == Busy()
    assert lab.dump(claim.conversation_id) == before
    assert lab.tap.take() == []
    assert lab.write(heir, 2, "due") == Finished("ok")


@pytest.mark.parametrize(
    ("how", "status"),
    [("stopped", "stopped"), ("cleared", "stopped"), ("deleted", None), ("answered by another", "done")],
)
def test_after_the_turn_is_over(lab: Lab, claim: Claimed, how: str, status: Status | None) -> None:
    conversation_id = claim.conversation_id
    lab.write(claim, 1, "One, ")
    if how == "stopped":
        lab.ledger.stop(lab.owner, conversation_id, claim.turn_id)
    elif how == "answered by another":
        lab.clock.advance(LEASE)
        lab.answer(conversation_id, claim.turn_id, "Uno")
    else:
        lab.ledger.clear(lab.owner, conversation_id, delete=how == "deleted")
    before = lab.dump(conversation_id)
    lab.tap.take()
    assert lab.write(claim, 2, "two") == Finished("refused")
    assert claim_again(lab.ledger, claim) == Gone(status)
    assert lab.dump(conversation_id) == before
    assert lab.tap.take() == []


def test_a_ledger_that_loses_pieces_again_and_again(lab: Lab, claim: Claimed) -> None:
    following = lab.send(claim.conversation_id).answer["turn_id"]
    for _ in range(1, MAX_ATTEMPTS):
        copy = Copy(lab, claim.conversation_id)
        lab.write(claim, 1, "One, ")
        copy.restore()
        assert lab.write(claim, 2, "two") == Finished("refused")
        claim = must_claim_again(lab, claim)
    lab.write(claim, 1, "One, ")
    copy = Copy(lab, claim.conversation_id)
    lab.write(claim, 2, "two, ")
    copy.restore()
    assert lab.write(claim, 3, "three") == Finished("refused")
    assert claim_again(lab.ledger, claim) == GivenUp(following)
    reply = lab.reply_to(claim.conversation_id, claim.turn_id)
    assert (reply["text"], reply["status"], reply["error"]["code"]) == ("One, ", "failed", "worker_lost")


def test_the_reply_says_who_wrote_it(lab: Lab, claim: Claimed) -> None:
    copy = Copy(lab, claim.conversation_id)
    lab.write(claim, 1, "One, ")
    copy.restore()
    lab.ledger.configure(lab.owner, claim.conversation_id, {"provider": "q"})
    assert lab.write(claim, 2, "two") == Finished("refused")
    again = must_claim_again(lab, claim)
    lab.write(again, 1, "One, two", Finish("done"))
    saved = lab.reply_to(claim.conversation_id, claim.turn_id)
    assert (saved["provider"], saved["model"]) == (claim.provider, claim.model)


MOMENTS = ("before the claim", "after the claim", "after the text", "after the end")


@pytest.mark.parametrize("reconnects", MOMENTS)
@pytest.mark.parametrize("lost", [1, 2, 3, 4, 5, 8])
def test_clients_end_with_what_is_saved(lab: Lab, claim: Claimed, lost: int, reconnects: str) -> None:
    """The web process's connection may come back before the worker's or after it."""
    follower = Follower(lab, claim.conversation_id)
    lab.write(claim, 1, "One, ")
    copy = Copy(lab, claim.conversation_id)
    for number in range(lost):
        lab.write(claim, 2 + number, f"{number}, ")
    follower.hear()
    copy.restore()
    whole = shown(lab, claim) + "".join(f"{number}, " for number in range(lost)) + "more"

    def at(moment: str) -> None:
        if moment == reconnects:
            follower.reconnect()
        elif MOMENTS.index(moment) > MOMENTS.index(reconnects):
            follower.hear()

    at("before the claim")
    assert lab.write(claim, 2 + lost, "more") == Finished("refused")
    again = must_claim_again(lab, claim)
    at("after the claim")
    lab.write(again, 1, whole)
    at("after the text")
    if reconnects != "after the end":
        assert follower.view.text_of(claim.turn_id) == whole
    lab.write(again, 2, "!", Finish("done"))
    at("after the end")
    saved = lab.reply_to(claim.conversation_id, claim.turn_id)
    assert saved["text"] == whole + "!"
    assert follower.view.messages == [lab.messages(claim.conversation_id)[claim.question["id"]], saved]
    assert follower.view.turns == {}


# --- renew -----------------------------------------------------------------------------------------------------------


def test_renewed_if_the_ledger_has_less(lab: Lab, claim: Claimed) -> None:
    conversation_id = claim.conversation_id
    before = lab.meta(conversation_id)
    seq = int(before["seq"])
    lab.tap.take()
    lab.ledger.renew(conversation_id, seq + 1)
    [event] = lab.tap.events(conversation_id)
    assert event["type"] == "conversation.updated"
    assert event["conversation"] == lab.ledger.show(lab.owner, conversation_id)
    after = lab.meta(conversation_id)
    assert (str(event["seq"]), event["epoch"]) == (after["seq"], after["epoch"])
    assert event["seq"] > seq
    assert after["epoch"] != before["epoch"]
    assert after | {"epoch": "", "seq": ""} == before | {"epoch": "", "seq": ""}
    assert lab.write(claim, 1, "still mine") == Finished("ok")


@pytest.mark.parametrize("less", [0, 1, 1000])
def test_not_renewed_if_it_has_as_much(lab: Lab, claim: Claimed, less: int) -> None:
    before = lab.dump(claim.conversation_id)
    lab.tap.take()
    lab.ledger.renew(claim.conversation_id, int(lab.meta(claim.conversation_id)["seq"]) - less)
    assert lab.dump(claim.conversation_id) == before
    assert lab.tap.take() == []


@pytest.mark.parametrize("how", ["deleted", "lost"])
def test_not_renewed_if_there_is_none(lab: Lab, claim: Claimed, how: str) -> None:
    if how == "deleted":
        lab.ledger.clear(lab.owner, claim.conversation_id, delete=True)
    else:
        lab.redis.flushall()
    before = lab.dump(claim.conversation_id)
    lab.tap.take()
    lab.ledger.renew(claim.conversation_id, 1000)
    assert lab.dump(claim.conversation_id) == before
    assert lab.tap.take() == []


def test_renewed_once_for_all_who_have_seen_more(lab: Lab, claim: Claimed) -> None:
    seen = int(lab.meta(claim.conversation_id)["seq"]) + 100
    lab.tap.take()
    for _ in range(3):
        lab.ledger.renew(claim.conversation_id, seen)
    assert len(lab.tap.events(claim.conversation_id)) == 1


def test_who_reads_from_an_epoch_before_gets_a_snapshot(lab: Lab, claim: Claimed) -> None:
    follower = Follower(lab, claim.conversation_id)
    copy = Copy(lab, claim.conversation_id)
    lab.write(claim, 1, "One")
    follower.hear()
    assert follower.view.text_of(claim.turn_id) == "One"
    copy.restore()
    follower.reconnect()
    assert follower.view.snapshots == 2
    assert follower.view.text_of(claim.turn_id) == ""


# --- On a network that fails -----------------------------------------------------------------------------------------


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[Proxy]:
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.mark.parametrize("cut", ["cut_before", "cut_after"])
def test_its_answer_is_lost(lab: Lab, claim: Claimed, proxy: Proxy, cut: str) -> None:
    client = connect(proxy.url)
    faulty = make_ledger(client, lab.clock)
    assert faulty.write([Write(claim, 1, "One, ")]) == [Finished("ok")]
    copy = Copy(lab, claim.conversation_id)
    assert faulty.write([Write(claim, 2, "two, ")]) == [Finished("ok")]
    copy.restore()
    assert faulty.write([Write(claim, 3, "three")]) == [Finished("refused")]
    lab.tap.take()
    setattr(proxy, cut, 1)
    again = claim_again(faulty, claim)
    assert getattr(proxy, cut) == 0
    assert isinstance(again, Claimed)
    assert again.attempt == 2
    [started] = lab.tap.events(claim.conversation_id)
    assert (started["type"], started["attempt"]) == ("turn.started", 2)
    assert faulty.write([Write(again, 1, "One, two, three", Finish("done"))]) == [Finished("ok")]
    assert lab.reply_to(claim.conversation_id, claim.turn_id)["text"] == "One, two, three"
    client.close()
