"""What is published: python-socketio's queue messages, the same as what is in the log; and any text, byte for byte."""

import json

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.exceptions import NoScriptError

from app.connections import connect
from app.ledger import Accepted, Finish, Finished, NewTurn, Snapshot, Write
from app.ledger.keys import new_conversation_id
from app.ledger.relay import BATCH, KEPT, MAX_WAITING, Publication, Relay
from tests.ledger.harness import CHANNEL, NASTY, Lab, make_lab
from tests.support.ports import ClosedPort
from tests.support.processes import PATIENCE, eventually
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer


def test_published_is_what_is_logged_and_what_socketio_reads(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation(text=NASTY[0])
    claim = lab.claim(conversation_id, turn_id)
    for number, piece in enumerate(NASTY, 1):
        lab.write(claim, number, piece)
    lab.ledger.note(claim, "turn.retrying", {"reason": NASTY[0], "delay": 0.5})
    lab.ledger.configure(lab.owner, conversation_id, {"title": NASTY[1]})
    # Nothing has been trimmed yet.
    logged = [event for _, event in lab.log(conversation_id)]
    published = []
    for channel, data in lab.tap.take():
        message = json.loads(data)
        assert set(message) == {"method", "namespace", "event", "room", "data"}
        assert (message["method"], message["namespace"]) == ("emit", "/")
        assert channel == CHANNEL + message["room"]
        assert len(message["data"]) == 1
        if message["event"] == "event":
            assert message["room"] == f"c:{conversation_id}"
            head = f'{{"method":"emit","namespace":"/","event":"event","room":"c:{conversation_id}","data":['.encode()
            assert data.startswith(head)
            assert data.endswith(b"]}")
            published.append(data[len(head) : -2])
        else:
            assert (message["event"], message["room"]) == ("activity", f"s:{lab.owner}")
    assert published == logged
    assert [orjson.loads(event)["seq"] for event in logged] == list(range(1, len(NASTY) + 6))


def check_text(lab: Lab, text: str) -> None:
    lab.tap.take()
    answer = lab.send(text=text).answer
    conversation_id, turn_id = answer["conversation_id"], answer["turn_id"]
    claim = lab.claim(conversation_id, turn_id)
    assert claim.question["text"] == text
    lab.write(claim, 1, text)
    stored: bytes = lab.redis.get(lab.key(conversation_id, "text"))  # type: ignore[assignment]
    assert stored == text.encode()
    found = lab.ledger.open(lab.owner, conversation_id)
    assert isinstance(found, Snapshot)
    assert found.turns[0]["text"] == text
    lab.write(claim, 2, text, Finish("failed", error={"code": "x", "message": text}))
    events = {event["type"]: event for event in lab.tap.events(conversation_id)}
    assert events["message.created"]["message"]["text"] == text
    assert events["turn.delta"]["text"] == text
    reply = events["turn.finished"]["message"]
    assert reply["text"] == text + text
    assert reply["error"]["message"] == text
    assert lab.reply_to(conversation_id, turn_id) == reply
    question, saved = lab.ledger.history(lab.owner, conversation_id, None, 5).items
    assert (question["text"], saved) == (text, reply)
    # And back to the model.
    following = lab.send(conversation_id).answer["turn_id"]
    history = lab.claim(conversation_id, following, max_bytes=10_000_000).history
    assert [message["text"] for message in history] == [text, text + text]


@pytest.mark.parametrize("text", [*NASTY, "".join(NASTY) * 1200], ids=[*map(str, range(len(NASTY))), "large"])
def test_any_text_comes_through(lab: Lab, text: str) -> None:
    check_text(lab, text)


def test_the_large_one_is_large() -> None:
    assert len(("".join(NASTY) * 1200).encode()) > 200_000


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(min_size=1, max_size=40))
def test_text_of_any_kind_comes_through(lab: Lab, text: str) -> None:
    check_text(lab, text)


def test_a_character_cut_in_two_by_pieces_of_escaped_text(lab: Lab) -> None:
    """Pieces are whole characters each; a family of emoji may well be cut between them."""
    claim = lab.claim(*lab.conversation())
    for number, piece in enumerate("👩‍👩‍👧", 1):
        lab.write(claim, number, piece)
    lab.write(claim, len("👩‍👩‍👧"), "", Finish("done"))
    assert lab.reply_to(claim.conversation_id, claim.turn_id)["text"] == "👩‍👩‍👧"


def test_text_that_is_no_unicode_harms_no_other_reply(lab: Lab) -> None:
    """Half of a surrogate pair cannot be stored. It must not keep the pump from writing everybody else's text."""
    broken, sound = (lab.claim(*lab.conversation()) for _ in range(2))
    _, written = lab.ledger.write([Write(broken, 1, "\ud83d"), Write(sound, 1, "b")])
    assert written == Finished("ok")


# --- Socket.IO's message queue is another Redis -----------------------------------------------------------------------


def test_relayed_publications_arrive_there_and_only_there(redis: Redis, other_redis: Redis) -> None:
    here, there = make_lab(redis), make_lab(redis, relay=other_redis)
    here.tap.take()
    tap = make_lab(other_redis).tap
    conversation_id, turn_id = there.conversation()
    claim = there.claim(conversation_id, turn_id)
    there.write(claim, 1, "One")
    second = there.claim(*there.conversation())
    there.ledger.write([Write(claim, 2, "two", Finish("done")), Write(second, 1, "x")])
    there.ledger.stop(there.owner, second.conversation_id, second.turn_id)
    there.ledger.clear(there.owner, conversation_id)
    there.ledger.flush()
    assert here.tap.take() == []
    arrived = tap.take()
    rooms = {channel for channel, _ in arrived}
    assert rooms == {
        f"{CHANNEL}s:alice",
        f"{CHANNEL}c:{conversation_id}",
        f"{CHANNEL}c:{second.conversation_id}",
    }
    events = [json.loads(data)["data"][0] for channel, data in arrived if channel == f"{CHANNEL}c:{conversation_id}"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["type"] for event in events[-2:]] == ["turn.finished", "conversation.cleared"]
    # The ledger's own Redis has the log, and the other one no keys at all.
    assert here.logged(conversation_id) == events[-1:]
    assert other_redis.dbsize() == 0


def test_a_message_queue_that_is_away_is_no_reason_to_fail(redis: Redis) -> None:
    """What was done must not be answered with an error."""
    closed = ClosedPort()
    lab = make_lab(redis, relay=connect(f"redis://127.0.0.1:{closed.number}/0"))
    conversation_id = new_conversation_id(lab.owner, "x")
    accepted = lab.ledger.accept(lab.owner, conversation_id, NewTurn("Hello", "x"), create=True)
    assert isinstance(accepted, Accepted)
    assert accepted.start == accepted.answer["turn_id"]
    claim = lab.claim(conversation_id, accepted.answer["turn_id"])
    assert lab.write(claim, 1, "One") == Finished("ok")
    assert lab.write(claim, 2, ", two", Finish("done")) == Finished("ok")
    assert lab.reply_to(conversation_id, claim.turn_id)["text"] == "One, two"
    closed.close()


def test_nobody_waits_for_a_message_queue_that_is_silent(redis: Redis, other_redis: Redis, queue: RedisServer) -> None:
    lab, tap = make_lab(redis, relay=other_redis), make_lab(other_redis).tap
    queue.process.freeze()
    # Calls that waited until they give up would take longer than any test may.
    for _ in range(5):
        conversation_id, turn_id = lab.conversation()
        claim = lab.claim(conversation_id, turn_id)
        assert lab.write(claim, 1, "One") == Finished("ok")
        assert lab.ledger.stop(lab.owner, conversation_id, lab.send(conversation_id).answer["turn_id"])[0] == "stopped"
        assert lab.write(claim, 2, ", two", Finish("done")) == Finished("ok")
    queue.process.thaw()
    lab.ledger.flush()
    assert tap.events(conversation_id)[-1] == lab.logged(conversation_id)[-1]


def publications(number: int, rooms: int = 1) -> list[Publication]:
    return [Publication(f"c{n % rooms}", b"%sc%d" % (CHANNEL.encode(), n % rooms), b"%d" % n) for n in range(number)]


def as_taken(published: list[Publication]) -> list[tuple[str, bytes]]:
    return [(one.channel.decode(), one.message) for one in published]


def test_a_burst_is_published_whole_and_in_order(other_redis: Redis) -> None:
    tap, relay = make_lab(other_redis).tap, Relay(other_redis)
    burst = publications(3 * BATCH, rooms=7)
    relay.publish(burst[:1])
    relay.publish(burst[1 : BATCH + 5])
    for one in burst[BATCH + 5 :]:
        relay.publish([one])
    relay.flush(PATIENCE)
    assert tap.take() == as_taken(burst)


def test_of_what_a_message_queue_missed_the_last_of_each_conversation_arrives(
    other_redis: Redis, queue: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those who listen may not have noticed anything: nothing else would tell them that there was more."""
    said = ""

    def has_said(what: str) -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return what in said

    tap = make_lab(other_redis).tap
    with Proxy(queue.port) as proxy:
        relay = Relay(connect(proxy.url))
        proxy.go_down()
        missed = publications(30, rooms=3)
        relay.publish(missed)
        eventually(lambda: has_said("message queue unreachable"), "the outage is noticed")
        tried = proxy.refused
        eventually(lambda: proxy.refused > tried, "it is tried again")
        proxy.come_back()
        relay.flush(PATIENCE)
        assert tap.take() == as_taken(missed[-3:])
        after = publications(30, rooms=3)
        relay.publish(after)
        relay.flush(PATIENCE)
        assert tap.take() == as_taken(after)
    assert has_said("message queue reached again")
    assert said.count("message queue unreachable") == 1


def test_a_session_hears_how_each_of_its_conversations_ended_up(
    redis: Redis, other_redis: Redis, queue: RedisServer
) -> None:
    with Proxy(queue.port) as proxy:
        lab, tap = make_lab(redis, relay=connect(proxy.url)), make_lab(other_redis).tap
        proxy.go_down()
        claims = [lab.claim(*lab.conversation()) for _ in range(3)]
        assert lab.ledger.write([Write(claim, 1, "Hi", Finish("done")) for claim in claims]) == [Finished("ok")] * 3
        tried = proxy.refused
        eventually(lambda: proxy.refused > tried, "it is tried again")
        proxy.come_back()
        arrived = []

        def heard() -> bool:
            arrived.extend(tap.take())
            return len({channel for channel, _ in arrived}) == 4

        eventually(heard, "something arrived in each room")
        lab.ledger.flush()
        arrived += tap.take()
    hints = [json.loads(data)["data"][0] for channel, data in arrived if channel == f"{CHANNEL}s:{lab.owner}"]
    states = {hint["conversation_id"]: hint["state"] for hint in hints}
    assert states == {claim.conversation_id: "idle" for claim in claims}
    for claim in claims:
        room = f"{CHANNEL}c:{claim.conversation_id}"
        events = [json.loads(data)["data"][0] for channel, data in arrived if channel == room]
        assert events[-1] == lab.logged(claim.conversation_id)[-1]
        assert events[-1]["type"] == "turn.finished"


def test_what_waits_for_a_silent_message_queue_is_bounded(other_redis: Redis, queue: RedisServer) -> None:
    tap, relay = make_lab(other_redis).tap, Relay(other_redis)
    queue.process.freeze()
    many = publications(10 * MAX_WAITING, rooms=10)
    for first in range(0, len(many), BATCH):
        relay.publish(many[first : first + BATCH])
    relay.flush(0.1)
    queue.process.thaw()
    relay.flush(PATIENCE)
    taken = tap.take()
    assert taken[-10:] == as_taken(many[-10:])
    assert len(taken) <= MAX_WAITING + BATCH


def test_of_very_many_conversations_the_latest_are_remembered(other_redis: Redis) -> None:
    tap, relay = make_lab(other_redis).tap, Relay(other_redis)
    many = publications(MAX_WAITING + 1, rooms=MAX_WAITING + 1)
    relay.publish(many)
    relay.flush(PATIENCE)
    assert tap.take() == as_taken(many[-KEPT:])


# --- Scripts ----------------------------------------------------------------------------------------------------------


def test_scripts_that_redis_forgot_are_loaded_again(lab: Lab) -> None:
    lab.redis.script_flush()
    conversation_id, turn_id = lab.conversation()
    lab.redis.script_flush()
    claim = lab.claim(conversation_id, turn_id)
    lab.redis.script_flush()
    assert lab.ledger.sweep() == []
    lab.redis.script_flush()
    assert lab.ledger.conversations(lab.owner, None, 5).items[0]["id"] == conversation_id
    lab.redis.script_flush()
    assert lab.write(claim, 1, "One") == Finished("ok")


def test_scripts_are_loaded_again_within_a_pipeline(lab: Lab) -> None:
    claims = [lab.claim(*lab.conversation()) for _ in range(4)]
    lab.tap.take()
    lab.redis.script_flush()
    finish = Finish("done")
    writes = [Write(claim, 1, "One", finish if number % 2 else None) for number, claim in enumerate(claims)]
    assert lab.ledger.write(writes) == [Finished("ok")] * 4
    for claim, write in zip(claims, writes, strict=True):
        text: bytes | None = lab.redis.get(lab.key(claim.conversation_id, "text"))  # type: ignore[assignment]
        assert text == (None if write.finish else b"One"), "written once"


def test_only_some_of_a_pipelines_scripts_are_unknown(lab: Lab) -> None:
    one, two = (lab.claim(*lab.conversation()) for _ in range(2))
    lab.redis.script_flush()
    lab.write(one, 1, "One")
    lab.tap.take()
    assert lab.ledger.write([Write(one, 2, ", two"), Write(two, 1, "Uno", Finish("done"))]) == [Finished("ok")] * 2
    assert [event["text"] for event in lab.tap.events(one.conversation_id)] == [", two"]
    with pytest.raises(NoScriptError):
        lab.redis.evalsha("0" * 40, 0)
