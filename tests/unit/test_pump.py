"""The pump, with a real ledger on a real Redis, over a network that fails on demand."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from app.connections import connect
from app.ledger import Busy, Claimed, Finish, GivenUp, Gone, Ledger, Snapshot
from app.ledger.keys import counts_key
from app.ledger.workers import MAX_ATTEMPTS
from app.metrics import Metrics
from app.providers.base import Piece
from app.turns.pump import Pump
from app.turns.reply import Reply, Timeouts
from tests.ledger.harness import LEASE, Lab, make_lab, make_ledger
from tests.ledger.test_reclaim import Copy, claim_again
from tests.support.processes import eventually
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.unit.test_reply import Stream

HEARTBEAT = 0.05
WORDS = [f"word{number} " for number in range(300)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("pump")) as server:
        yield server


@dataclass
class Bench:
    lab: Lab
    proxy: Proxy
    ledger: Ledger
    pump: Pump
    clock: "RealClock"

    def reply(self, timeouts: Timeouts | None = None) -> Reply:
        reply = self.prepare(self.lab.claim(*self.lab.conversation()), timeouts)
        self.pump.add(reply)
        return reply

    def prepare(
        self, claim: Claimed, timeouts: Timeouts | None = None, before_claim: Callable[[], object] = lambda: None
    ) -> Reply:
        """One that the pump does not have yet. `before_claim` is called whenever it is claimed again."""

        def again(had: Claimed) -> Claimed | Busy | Gone | GivenUp:
            before_claim()
            return claim_again(self.ledger, had)

        return Reply(claim, timeouts or Timeouts(), self.clock, again)

    def feed(self, reply: Reply, *texts: str) -> None:
        for text in texts:
            reply.feed(Piece(text))
            self.pump.wake(reply)

    def say(self, reply: Reply, text: str) -> None:
        """Returns when it is shown behind what is shown already."""
        whole = self.shown(reply.claim) + text
        self.feed(reply, text)
        eventually(lambda: self.shown(reply.claim) == whole, "it is written")

    def end(self, reply: Reply, finish: Finish | None = None) -> str | None:
        reply.end(finish or Finish("done"))
        self.pump.wake(reply)
        return self.over(reply)

    def over(self, reply: Reply) -> str | None:
        """The turn that may start now."""
        found: list[str | None] = []
        waiting = threading.Thread(target=lambda: found.append(reply.wait_until_over()), daemon=True)
        waiting.start()
        waiting.join(20)
        assert found, "the reply is not over"
        self.pump.discard(reply)
        return found[0]

    def finish(self, reply: Reply) -> None:
        """Ends it well, as the last of its queue."""
        assert self.end(reply) is None
        assert not reply.dropped
        assert self.lab.reply_to(reply.claim.conversation_id, reply.claim.turn_id)["status"] == "done"

    def taken_over(self, reply: Reply) -> Claimed:
        """As if the process had been stopped. (What it was just writing may renew the lease once more.)"""
        self.pump.discard(reply)

        def taken() -> Claimed | None:
            self.lab.clock.advance(2 * LEASE)
            claim = self.lab.try_claim(reply.claim.conversation_id, reply.claim.turn_id)
            return claim if isinstance(claim, Claimed) else None

        heir = eventually(taken, "its lease has lapsed")
        assert heir is not None
        return heir

    def shown(self, claim: Claimed) -> str:
        text: bytes | None = self.lab.redis.get(self.lab.key(claim.conversation_id, "text"))  # type: ignore[assignment]
        return (text or b"").decode()

    def saved(self, claim: Claimed) -> str:
        text: str = self.lab.reply_to(claim.conversation_id, claim.turn_id)["text"]
        return text


class RealClock:
    """The real one, which tests can put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def bench(server: RedisServer) -> Iterator[Bench]:
    direct = connect(server.url)
    direct.flushall()
    lab = make_lab(direct)
    with Proxy(server.port) as proxy:
        client = connect(proxy.url)
        ledger = make_ledger(client, lab.clock)
        yield Bench(lab, proxy, ledger, Pump(ledger, Metrics(), heartbeat=HEARTBEAT), RealClock())
        client.close()
    lab.tap.close()
    direct.close()


def test_text_arrives_in_order(bench: Bench) -> None:
    reply = bench.reply()
    bench.lab.tap.take()
    bench.feed(reply, *WORDS)
    bench.finish(reply)
    assert bench.saved(reply.claim) == "".join(WORDS)
    events = bench.lab.tap.events(reply.claim.conversation_id)
    assert "".join(event["text"] for event in events[:-1]) == "".join(WORDS)
    assert events[-1]["type"] == "turn.finished"


def test_text_is_shown_before_the_end(bench: Bench) -> None:
    reply = bench.reply()
    bench.feed(reply, "One")
    eventually(lambda: bench.shown(reply.claim) == "One", "the first token is written")
    bench.feed(reply, ", two")
    eventually(lambda: bench.shown(reply.claim) == "One, two", "so is the next")
    bench.end(reply)


def test_many_at_once(bench: Bench) -> None:
    replies = [bench.reply() for _ in range(20)]

    def answer(reply: Reply) -> None:
        bench.feed(reply, *[f"{reply.claim.turn_id} {word}" for word in WORDS[:50]])
        bench.finish(reply)

    readers = [threading.Thread(target=answer, args=(reply,)) for reply in replies]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(30)
    for reply in replies:
        assert bench.saved(reply.claim) == "".join(f"{reply.claim.turn_id} {word}" for word in WORDS[:50])


@pytest.mark.parametrize("cut", ["cut_before", "cut_after"])
@pytest.mark.parametrize("times", [1, 2, 3, 5])
def test_a_connection_that_breaks(bench: Bench, cut: str, times: int) -> None:
    """Before Redis hears of a piece, or after it has taken it: once or, with the client's own retry, several times."""
    reply = bench.reply()
    bench.feed(reply, "One, ")
    eventually(lambda: bench.shown(reply.claim) == "One, ", "it is written")
    setattr(bench.proxy, cut, times)
    bench.feed(reply, "two, ")
    eventually(lambda: getattr(bench.proxy, cut) == 0, "all were cut off")
    bench.feed(reply, "three")
    bench.finish(reply)
    assert bench.saved(reply.claim) == "One, two, three"
    assert not reply.dropped


@pytest.mark.parametrize("times", [1, 2, 4])
def test_the_answer_to_the_last_piece_is_lost(bench: Bench, times: int) -> None:
    reply = bench.reply()
    following = bench.lab.send(reply.claim.conversation_id).answer["turn_id"]
    bench.feed(reply, "One")
    eventually(lambda: bench.shown(reply.claim) == "One", "it is written")
    bench.proxy.cut_after = times
    bench.feed(reply, ", two")
    over = bench.end(reply)
    assert bench.saved(reply.claim) == "One, two"
    assert len(bench.lab.replies(reply.claim.conversation_id, reply.claim.turn_id)) == 1
    assert over == following
    assert not reply.dropped


def test_redis_cannot_be_reached_for_a_while(bench: Bench) -> None:
    replies = [bench.reply() for _ in range(3)]
    for reply in replies:
        bench.feed(reply, "Before. ")
        eventually(lambda reply=reply: bench.shown(reply.claim) == "Before. ", "it is written")  # type: ignore[misc]
    bench.proxy.go_down()
    for reply in replies:
        bench.feed(reply, "Meanwhile. ")
    eventually(lambda: bench.proxy.refused >= 4, "the pump tries again and again")
    bench.feed(replies[0], "Still. ")
    replies[1].end(Finish("done"))
    assert bench.shown(replies[0].claim) == "Before. "
    bench.proxy.come_back()
    assert bench.over(replies[1]) is None
    assert not replies[1].dropped
    assert bench.saved(replies[1].claim) == "Before. Meanwhile. "
    bench.feed(replies[0], "After.")
    bench.finish(replies[0])
    bench.finish(replies[2])
    assert bench.saved(replies[0].claim) == "Before. Meanwhile. Still. After."
    assert bench.saved(replies[2].claim) == "Before. Meanwhile. "


def test_redis_is_killed_and_started_again(bench: Bench, server: RedisServer) -> None:
    reply = bench.reply()
    bench.feed(reply, *WORDS[:100])
    eventually(lambda: bench.shown(reply.claim) == "".join(WORDS[:100]), "it is written")
    server.kill()
    bench.feed(reply, *WORDS[100:200])
    server.start()
    bench.feed(reply, *WORDS[200:])
    bench.finish(reply)
    assert bench.saved(reply.claim) == "".join(WORDS)


def test_a_redis_that_has_lost_everything(bench: Bench) -> None:
    reply = bench.reply()
    stream = Stream()
    reply.listen_to(stream)
    bench.feed(reply, "One")
    eventually(lambda: bench.shown(reply.claim) == "One", "it is written")
    bench.lab.redis.flushall()
    bench.feed(reply, "two")
    assert bench.over(reply) is None
    assert (reply.dropped, stream.aborted) == ("lost", 1)
    assert bench.lab.redis.keys("*") == [counts_key(reply.claim.conversation_id[:2]).encode()]


def test_signs_of_life_keep_a_silent_reply(bench: Bench) -> None:
    reply = bench.reply()
    claim = reply.claim
    for _ in range(3):
        bench.lab.clock.advance(LEASE - 1)
        now = bench.lab.clock.now
        eventually(lambda now=now: (bench.lab.due(claim.conversation_id) or 0) == now + LEASE, "it is renewed")  # type: ignore[misc]
    assert bench.lab.try_claim(claim.conversation_id, claim.turn_id) == Busy()
    bench.finish(reply)


def test_a_reply_that_another_worker_has_taken_over(bench: Bench) -> None:
    reply = bench.reply()
    stream = Stream()
    reply.listen_to(stream)
    bench.feed(reply, "One")
    eventually(lambda: bench.shown(reply.claim) == "One", "it is written")
    heir = bench.taken_over(reply)
    bench.lab.write(heir, 1, "Uno")
    before = bench.lab.dump(heir.conversation_id)
    bench.pump.add(reply)
    bench.feed(reply, ", two")
    assert bench.over(reply) is None
    assert (reply.dropped, stream.aborted) == ("lost", 1)
    assert bench.lab.dump(heir.conversation_id) == before


def test_a_reply_that_is_stopped_is_told_without_any_text(bench: Bench) -> None:
    reply = bench.reply()
    stream = Stream()
    reply.listen_to(stream)
    bench.feed(reply, "One")
    eventually(lambda: bench.shown(reply.claim) == "One", "it is written")
    bench.lab.ledger.stop(bench.lab.owner, reply.claim.conversation_id, reply.claim.turn_id)
    assert bench.over(reply) is None
    assert (reply.dropped, stream.aborted) == ("stopped", 1)
    assert bench.saved(reply.claim) == "One"


@pytest.mark.parametrize("spoken", [False, True])
def test_deadlines_are_noticed(bench: Bench, spoken: bool) -> None:
    reply = bench.reply(Timeouts(first_token=50, idle=20, total=1000))
    stream = Stream()
    reply.listen_to(stream)
    if spoken:
        bench.feed(reply, "One")
        eventually(lambda: bench.shown(reply.claim) == "One", "it is written")
    bench.clock.ahead = 51
    eventually(lambda: stream.aborted, "it is interrupted")
    problem = reply.stop_listening()
    assert problem is not None
    bench.end(reply, Finish("failed", error={"code": problem.code, "message": problem.message}))
    assert not reply.dropped
    saved = bench.lab.reply_to(reply.claim.conversation_id, reply.claim.turn_id)
    assert (saved["text"], saved["status"]) == ("One" if spoken else "", "failed")
    assert saved["error"]["code"] == "provider_timeout"


@pytest.mark.parametrize("fault", ["half a character", "a key of another type"])
def test_one_that_cannot_be_written_harms_no_other(bench: Bench, fault: str) -> None:
    broken, sound = bench.reply(), bench.reply()
    if fault == "half a character":
        bench.feed(broken, "\ud83d")
    else:
        bench.lab.redis.lpush(bench.lab.key(broken.claim.conversation_id, "text"), "x")
        bench.feed(broken, "x")
    bench.feed(sound, "One")
    try:
        eventually(lambda: bench.shown(sound.claim) == "One", "it is written")
        bench.feed(sound, ", two")
        bench.finish(sound)
        assert bench.saved(sound.claim) == "One, two"
    finally:
        bench.pump.discard(broken)


def test_what_is_discarded_is_written_no_more(bench: Bench) -> None:
    gone, other = bench.reply(), bench.reply()
    bench.pump.discard(gone)
    gone.feed(Piece("One"))
    bench.feed(other, "Two")
    bench.end(other)
    assert bench.shown(gone.claim) == ""


# --- Refused, and claimed again ---------------------------------------------------------------------------------------


def test_a_redis_that_has_lost_pieces(bench: Bench) -> None:
    reply = bench.reply()
    first, stream = reply.claim, Stream()
    reply.listen_to(stream)
    bench.say(reply, "One, ")
    copy = Copy(bench.lab, first.conversation_id)
    bench.say(reply, "two, ")
    copy.restore()
    eventually(lambda: reply.claim != first, "it is claimed again, without any new text")
    assert reply.claim.attempt == 2
    eventually(lambda: bench.shown(first) == "One, two, ", "all of it is written again")
    bench.feed(reply, "three")
    bench.finish(reply)
    assert bench.saved(first) == "One, two, three"
    assert stream.aborted == 0
    assert reply.stop_listening() is None


def test_a_redis_that_has_lost_the_claim(bench: Bench) -> None:
    conversation_id, turn_id = bench.lab.conversation()
    copy = Copy(bench.lab, conversation_id)
    reply = bench.prepare(bench.lab.claim(conversation_id, turn_id))
    bench.pump.add(reply)
    bench.say(reply, "One, ")
    copy.restore()
    bench.feed(reply, "two")
    eventually(lambda: bench.shown(reply.claim) == "One, two", "all of it is written again")
    bench.finish(reply)
    assert bench.saved(reply.claim) == "One, two"


def test_a_redis_that_has_lost_pieces_of_many(bench: Bench) -> None:
    replies = [bench.reply() for _ in range(10)]
    copies = []
    for number, reply in enumerate(replies):
        bench.say(reply, f"{number}: One, ")
        copies.append(Copy(bench.lab, reply.claim.conversation_id))
        bench.say(reply, "two, ")
    for copy in copies[::2]:
        copy.restore()
    for reply in replies:
        bench.feed(reply, "three")
    for number, reply in enumerate(replies):
        bench.finish(reply)
        assert reply.claim.attempt == (1 if number % 2 else 2)
        assert bench.saved(reply.claim) == f"{number}: One, two, three"


def test_another_worker_has_taken_over_and_died(bench: Bench) -> None:
    reply = bench.reply()
    bench.say(reply, "One, ")
    heir = bench.taken_over(reply)
    bench.lab.write(heir, 1, "Uno, ")
    bench.lab.clock.advance(2 * LEASE)
    bench.pump.add(reply)
    bench.feed(reply, "two")
    bench.finish(reply)
    assert reply.claim.attempt == 3
    assert bench.saved(reply.claim) == "One, two"


def test_a_lost_reply_claims_no_more(bench: Bench) -> None:
    """Its reader may take a while to notice."""
    reply, other = bench.reply(), bench.reply()
    bench.lab.redis.hset(bench.lab.key(reply.claim.conversation_id, "meta"), "lease", 0)
    heir = bench.lab.claim(reply.claim.conversation_id, reply.claim.turn_id)
    eventually(lambda: reply.dropped, "it is told")
    bench.lab.clock.advance(LEASE)
    for text in ("One", "two", "three"):  # the pump goes round
        bench.say(other, text)
    assert bench.lab.meta(heir.conversation_id)["fence"] == heir.fence
    bench.pump.discard(reply)
    bench.finish(other)


@pytest.mark.parametrize("fault", ["down", "cut_before", "cut_after"])
def test_redis_cannot_be_reached_to_claim_again(bench: Bench, fault: str) -> None:
    done: list[str] = []

    def fail() -> None:
        if done:
            return
        if fault == "down":
            bench.proxy.go_down()
        else:
            setattr(bench.proxy, fault, 3 if fault == "cut_before" else 1)
        done.append(fault)

    reply = bench.prepare(bench.lab.claim(*bench.lab.conversation()), before_claim=fail)
    stream = Stream()
    reply.listen_to(stream)
    bench.pump.add(reply)
    bench.say(reply, "One, ")
    copy = Copy(bench.lab, reply.claim.conversation_id)
    bench.say(reply, "two, ")
    copy.restore()
    eventually(lambda: done, "it is to be claimed again")
    if fault == "down":
        eventually(lambda: bench.proxy.refused >= 4, "the pump tries again and again")
        assert not reply.dropped
        bench.proxy.come_back()
    bench.feed(reply, "three")
    bench.finish(reply)
    assert reply.claim.attempt == 2
    assert bench.saved(reply.claim) == "One, two, three"
    assert stream.aborted == 0


def test_a_claim_made_again_whose_answers_are_lost(bench: Bench) -> None:
    """The client's own retry fails as well, so the pump calls once more."""
    cuts = [2]

    def cut() -> None:
        if cuts:
            bench.proxy.cut_after = cuts.pop()

    reply = bench.prepare(bench.lab.claim(*bench.lab.conversation()), before_claim=cut)
    bench.pump.add(reply)
    bench.say(reply, "One, ")
    copy = Copy(bench.lab, reply.claim.conversation_id)
    bench.say(reply, "two")
    copy.restore()
    bench.finish(reply)
    assert bench.saved(reply.claim) == "One, two"


def test_one_that_cannot_be_claimed_again_harms_no_other(bench: Bench) -> None:
    broken, sound = bench.reply(), bench.reply()
    bench.say(sound, "One")
    bench.lab.redis.hset(bench.lab.key(broken.claim.conversation_id, "meta"), "fence", "")
    bench.lab.redis.hdel(bench.lab.key(broken.claim.conversation_id, "meta"), "lease")
    eventually(lambda: broken.refused, "it is refused")
    try:
        bench.feed(sound, ", two")
        eventually(lambda: bench.shown(sound.claim) == "One, two", "it is written")
    finally:
        bench.pump.discard(broken)


def test_deadlines_are_noticed_while_redis_cannot_be_reached_to_claim_again(bench: Bench) -> None:
    down: list[bool] = []

    def go_down() -> None:
        if not down:
            bench.proxy.go_down()
            down.append(True)

    reply = bench.prepare(bench.lab.claim(*bench.lab.conversation()), Timeouts(first_token=50), go_down)
    stream = Stream()
    reply.listen_to(stream)
    bench.lab.redis.hset(bench.lab.key(reply.claim.conversation_id, "meta"), "fence", "")
    bench.lab.redis.hset(bench.lab.key(reply.claim.conversation_id, "meta"), "lease", 0)
    bench.pump.add(reply)
    eventually(lambda: down, "it is to be claimed again")
    bench.clock.ahead = 51
    eventually(lambda: stream.aborted, "it is interrupted")


def test_one_process_claims_the_same_turn_twice(bench: Bench) -> None:
    """Its lease lapsed while Redis was away, and the new hint came to the same process."""
    late = bench.prepare(bench.lab.claim(*bench.lab.conversation()))
    late.feed(Piece("One"))
    bench.lab.clock.advance(LEASE)
    heir = bench.prepare(bench.lab.claim(late.claim.conversation_id, late.claim.turn_id))
    bench.pump.add(late)
    bench.pump.add(heir)
    bench.say(heir, "Uno")
    eventually(lambda: late.dropped, "it is told")
    bench.over(late)
    bench.finish(heir)
    assert bench.saved(heir.claim) == "Uno"


# --- Ended over its head ----------------------------------------------------------------------------------------------


@pytest.fixture
def calm(bench: Bench) -> Bench:
    """Signs of life come only when they are asked for."""
    bench.pump = Pump(bench.ledger, Metrics(), heartbeat=3600)
    return bench


def test_a_stop_is_noticed_when_somebody_says_so(calm: Bench) -> None:
    reply = calm.reply()
    stream = Stream()
    reply.listen_to(stream)
    calm.say(reply, "One")
    calm.lab.ledger.stop(calm.lab.owner, reply.claim.conversation_id, reply.claim.turn_id)
    assert stream.aborted == 0
    calm.pump.look_at(reply.claim.turn_id)
    assert calm.over(reply) is None
    assert (reply.dropped, stream.aborted) == ("stopped", 1)
    assert calm.saved(reply.claim) == "One"


def test_a_look_at_one_that_is_still_its_own(calm: Bench) -> None:
    reply = calm.reply()
    calm.say(reply, "One")
    calm.lab.clock.advance(LEASE - 1)
    calm.pump.look_at(reply.claim.turn_id)
    calm.pump.look_at("another's")
    now = calm.lab.clock.now
    eventually(lambda: calm.lab.due(reply.claim.conversation_id) == now + LEASE, "it has asked")
    calm.finish(reply)
    calm.pump.look_at(reply.claim.turn_id)
    assert calm.saved(reply.claim) == "One"


# --- At the process's end ---------------------------------------------------------------------------------------------


def test_replies_that_end_in_time(bench: Bench) -> None:
    reply = bench.reply()
    bench.say(reply, "One")
    assert not bench.pump.draining
    bench.pump.drain(3600)
    assert bench.pump.draining
    bench.say(reply, ", two")
    bench.finish(reply)
    assert bench.saved(reply.claim) == "One, two"


def test_replies_that_do_not_are_given_back(bench: Bench) -> None:
    replies = [bench.reply() for _ in range(3)]
    streams = [Stream() for _ in replies]
    for reply, stream in zip(replies, streams, strict=True):
        reply.listen_to(stream)
        bench.say(reply, "One")
    bench.lab.tap.take()
    bench.pump.drain(0)
    for reply, stream in zip(replies, streams, strict=True):
        assert bench.over(reply) is None
        assert (reply.dropped, stream.aborted) == ("handed back", 1)
        conversation_id, turn_id = reply.claim.conversation_id, reply.claim.turn_id
        assert bench.lab.meta(conversation_id)["lease"] == "0"
        assert bench.lab.due(conversation_id) == bench.lab.clock.now
        found = bench.lab.ledger.open(bench.lab.owner, conversation_id)
        assert isinstance(found, Snapshot)
        assert [(turn["turn_id"], turn["text"]) for turn in found.turns] == [(turn_id, "One")]
    due = {(reply.claim.conversation_id, reply.claim.turn_id) for reply in replies}
    assert set(bench.lab.ledger.sweep()) == due
    taken, stopped, left = (reply.claim for reply in replies)
    heir = bench.lab.claim(taken.conversation_id, taken.turn_id)
    assert heir.attempt == taken.attempt + 1
    bench.lab.write(heir, 1, "Uno", Finish("done"))
    assert bench.saved(taken) == "Uno"
    bench.lab.ledger.stop(bench.lab.owner, stopped.conversation_id, stopped.turn_id)
    assert bench.saved(stopped) == "One"
    assert bench.shown(left) == "One"


def test_being_told_to_go_again_gives_no_further_time(bench: Bench) -> None:
    reply = bench.reply()
    bench.pump.drain(0)
    bench.pump.drain(3600)
    assert bench.over(reply) is None
    assert reply.dropped


def test_the_last_text_is_written_before_a_reply_is_given_back(bench: Bench) -> None:
    reply = bench.prepare(bench.lab.claim(*bench.lab.conversation()))
    reply.feed(Piece("One"))
    bench.pump.drain(0)
    bench.pump.add(reply)
    assert bench.over(reply) is None
    assert reply.dropped
    assert bench.shown(reply.claim) == "One"


def test_given_back_again_and_again(bench: Bench) -> None:
    conversation_id, turn_id = bench.lab.conversation()
    for attempt in range(1, MAX_ATTEMPTS + 1):
        bench.pump = Pump(bench.ledger, Metrics(), heartbeat=HEARTBEAT)
        reply = bench.prepare(bench.lab.claim(conversation_id, turn_id))
        assert reply.claim.attempt == attempt
        bench.feed(reply, f"try {attempt}")
        bench.pump.add(reply)
        bench.pump.drain(0)
        bench.over(reply)
        assert reply.dropped
        assert bench.shown(reply.claim) == f"try {attempt}"
    last = bench.lab.claim(conversation_id, turn_id)
    assert bench.lab.write(last, 1, "answered", Finish("done")).written == "ok"


def test_redis_cannot_be_reached_to_give_it_back(bench: Bench) -> None:
    reply = bench.reply()
    bench.say(reply, "One")
    bench.proxy.go_down()
    bench.pump.drain(0)
    eventually(lambda: bench.proxy.refused >= 4, "the pump tries again and again")
    assert not reply.dropped
    bench.proxy.come_back()
    bench.over(reply)
    assert reply.dropped
    assert bench.lab.meta(reply.claim.conversation_id)["lease"] == "0"


def test_a_reply_that_ends_in_the_last_moment(bench: Bench) -> None:
    reply = bench.prepare(bench.lab.claim(*bench.lab.conversation()))
    following = bench.lab.send(reply.claim.conversation_id).answer["turn_id"]
    reply.feed(Piece("One"))
    reply.end(Finish("done"))
    other = bench.prepare(bench.lab.claim(*bench.lab.conversation()))
    bench.pump.drain(0)
    bench.pump.add(reply)
    bench.pump.add(other)
    bench.over(other)
    assert other.dropped
    assert bench.saved(reply.claim) == "One"
    assert not reply.dropped
    assert bench.over(reply) == following
