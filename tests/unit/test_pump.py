"""The pump, with a real ledger on a real Redis, over a network that fails on demand."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from app.connections import connect
from app.ledger import Busy, Claimed, Finish, Finished
from app.turns.pump import Pump
from app.turns.reply import Reply, Timeouts
from tests.ledger.harness import LEASE, Lab, make_lab, make_ledger
from tests.ledger.proxy import Proxy
from tests.support.processes import eventually
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
    pump: Pump
    clock: "RealClock"

    def reply(self, timeouts: Timeouts | None = None) -> Reply:
        claim = self.lab.claim(*self.lab.conversation())
        reply = Reply(claim, timeouts or Timeouts(), self.clock)
        self.pump.add(reply)
        return reply

    def feed(self, reply: Reply, *texts: str) -> None:
        for text in texts:
            reply.feed(text)
            self.pump.wake()

    def end(self, reply: Reply, finish: Finish | None = None) -> Finished:
        reply.end(finish or Finish("done"))
        self.pump.wake()
        return self.over(reply)

    def over(self, reply: Reply) -> Finished:
        found: list[Finished] = []
        waiting = threading.Thread(target=lambda: found.append(reply.wait_until_over()), daemon=True)
        waiting.start()
        waiting.join(20)
        assert found, "the reply is not over"
        self.pump.discard(reply)
        return found[0]

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
        yield Bench(lab, proxy, Pump(make_ledger(client, lab.clock), heartbeat=HEARTBEAT), RealClock())
        client.close()
    lab.tap.close()
    direct.close()


def test_text_arrives_in_order(bench: Bench) -> None:
    reply = bench.reply()
    bench.lab.tap.take()
    bench.feed(reply, *WORDS)
    assert bench.end(reply) == Finished("ok")
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
        assert bench.end(reply) == Finished("ok")

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
    assert bench.end(reply) == Finished("ok")
    assert bench.saved(reply.claim) == "One, two, three"
    assert not reply.lost


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
    assert over == Finished("ok", following)
    assert not reply.lost


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
    assert bench.over(replies[1]) == Finished("ok")
    assert bench.saved(replies[1].claim) == "Before. Meanwhile. "
    bench.feed(replies[0], "After.")
    bench.end(replies[0])
    bench.end(replies[2])
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
    assert bench.end(reply) == Finished("ok")
    assert bench.saved(reply.claim) == "".join(WORDS)


def test_a_redis_that_has_lost_everything(bench: Bench) -> None:
    reply = bench.reply()
    stream = Stream()
    reply.listen_to(stream)
    bench.feed(reply, "One")
    eventually(lambda: bench.shown(reply.claim) == "One", "it is written")
    bench.lab.redis.flushall()
    bench.feed(reply, "two")
    assert bench.over(reply) == Finished("fenced")
    assert (reply.lost, stream.aborted) == (True, 1)
    assert bench.lab.redis.dbsize() == 0


def test_signs_of_life_keep_a_silent_reply(bench: Bench) -> None:
    reply = bench.reply()
    claim = reply.claim
    for _ in range(3):
        bench.lab.clock.advance(LEASE - 1)
        now = bench.lab.clock.now
        eventually(lambda now=now: (bench.lab.due(claim.conversation_id) or 0) == now + LEASE, "it is renewed")  # type: ignore[misc]
    assert bench.lab.try_claim(claim.conversation_id, claim.turn_id) == Busy()
    assert bench.end(reply) == Finished("ok")


def test_a_reply_that_another_worker_has_taken_over(bench: Bench) -> None:
    reply = bench.reply()
    stream = Stream()
    reply.listen_to(stream)
    bench.feed(reply, "One")
    eventually(lambda: bench.shown(reply.claim) == "One", "it is written")
    bench.pump.discard(reply)  # as if the process had been stopped
    bench.lab.clock.advance(2 * LEASE)
    heir = bench.lab.claim(reply.claim.conversation_id, reply.claim.turn_id)
    bench.lab.write(heir, 1, "Uno")
    before = bench.lab.dump(heir.conversation_id)
    bench.pump.add(reply)
    bench.feed(reply, ", two")
    assert bench.over(reply) == Finished("fenced")
    assert (reply.lost, stream.aborted) == (True, 1)
    assert bench.lab.dump(heir.conversation_id) == before


def test_a_reply_that_is_stopped_is_told_without_any_text(bench: Bench) -> None:
    reply = bench.reply()
    stream = Stream()
    reply.listen_to(stream)
    bench.feed(reply, "One")
    eventually(lambda: bench.shown(reply.claim) == "One", "it is written")
    bench.lab.ledger.stop(bench.lab.owner, reply.claim.conversation_id, reply.claim.turn_id)
    assert bench.over(reply) == Finished("fenced")
    assert stream.aborted == 1
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
    assert bench.end(reply, Finish("failed", error={"code": problem.code, "message": problem.message})) == Finished(
        "ok"
    )
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
        eventually(lambda: bench.shown(sound.claim) == "One", "it is written", seconds=10)
        bench.feed(sound, ", two")
        assert bench.end(sound) == Finished("ok")
        assert bench.saved(sound.claim) == "One, two"
    finally:
        bench.pump.discard(broken)


def test_what_is_discarded_is_written_no_more(bench: Bench) -> None:
    gone, other = bench.reply(), bench.reply()
    bench.pump.discard(gone)
    gone.feed("One")
    bench.feed(other, "Two")
    bench.end(other)
    assert bench.shown(gone.claim) == ""
