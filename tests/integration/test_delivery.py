"""Socket.IO's message queue: stock emitters reach our clients, and nobody gets what is not for them."""

import subprocess
import sys
from contextlib import suppress

import pytest
import socketio
from websockets.exceptions import ConnectionClosed

from tests.support.processes import ROOT, clean_environment, eventually
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Script

FLASK = "from flask_socketio import SocketIO; emitter = SocketIO(message_queue={url!r})"
PLAIN = "import socketio; emitter = socketio.RedisManager({url!r}, channel='flask-socketio', write_only=True)"


@pytest.mark.parametrize("emitter", [FLASK, PLAIN], ids=["flask_socketio", "python-socketio"])
def test_a_stock_emitter_in_another_process_reaches_a_room(stack: Stack, emitter: str) -> None:
    session = stack.session()
    client, tab = stack.client(session), stack.client(session, web=1)
    stranger = stack.client()
    client.talk(stack.secret_text())
    conversation_id = client.received[0]["conversation_id"]
    tab.open(conversation_id)
    code = f"emitter.emit('greeting', {{'hello': 'Wörld'}}, room='c:{conversation_id}')"
    subprocess.run(
        [sys.executable, "-c", f"{emitter.format(url=stack.redis.url)}\n{code}"],
        env=clean_environment(stack.folder),
        cwd=ROOT,
        check=True,
        timeout=60,
    )
    for one in (client, tab):
        one.wait_for(lambda: one.other, "the emit arrives")  # noqa: B023
        assert one.other == [("greeting", {"hello": "Wörld"})]
    stranger.do("list_conversations")
    assert stranger.other == []


def test_a_web_process_hears_only_of_rooms_that_it_holds(stack: Stack) -> None:
    redis = stack.redis.client
    session = stack.session()
    client, other = stack.client(session), stack.client(web=1)
    channel, heard_by_all = None, []
    pubsub = redis.pubsub()
    pubsub.psubscribe("*")  # what goes over the queue at all
    text, gate = stack.secret_text(), Gate()
    stack.model.answer(text, Script(["a ", Hold(gate), "b"]))
    answer = client.send(text)
    client.wait_text(answer["conversation_id"], answer["turn_id"], "a ")
    (channel,) = [name for name in redis.pubsub_channels() if answer["conversation_id"].encode() in name]
    assert redis.pubsub_numsub(channel) == [(channel, 1)]
    tab = stack.client(session, web=1)
    tab.open(answer["conversation_id"])
    assert redis.pubsub_numsub(channel) == [(channel, 2)]
    gate.open()
    client.wait_finished(answer["turn_id"])

    def hear() -> bool:
        while (message := pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1)) is not None:
            heard_by_all.append((message["channel"], message["data"]))
        return any(b'"turn.finished"' in data for _, data in heard_by_all)

    eventually(hear, "the queue carries the end")
    pubsub.close()
    about_it = {name for name, data in heard_by_all if answer["turn_id"].encode() in data}
    assert about_it == {channel}, "a reply's events go to its own room only"
    assert other.received == []


def test_a_reader_that_stalls_is_cut_off_after_whole_frames_and_holds_up_nobody(stack: Stack) -> None:
    session = stack.session()
    stalled, tab = stack.raw(session), stack.client(session)
    conversation_id = stack.api(session)("POST", "/api/conversations", json={}).json()["id"]
    assert stalled.ask("open_conversation", {"conversation_id": conversation_id})["ok"]
    code = (
        "for number in range(100):\n"
        f"    emitter.emit('large', [number, chr(97 + number % 26) * 200_000], room='c:{conversation_id}')\n"
        f"    emitter.emit('small', number, room='c:{conversation_id}')\n"
    )
    subprocess.run(
        [sys.executable, "-c", f"{PLAIN.format(url=stack.redis.url)}\n{code}"],
        env=clean_environment(stack.folder),
        cwd=ROOT,
        check=True,
        timeout=60,
    )
    # Far more than may wait for it. Others are served all the same.
    assert tab.talk(stack.secret_text(), conversation_id=conversation_id)["status"] == "done"
    emitted = []
    for number in range(100):
        emitted += [f'42["large",[{number},"{chr(97 + number % 26) * 200_000}"]]', f'42["small",{number}]']
    received = []
    with suppress(ConnectionClosed):
        while True:
            received.append(stalled.receive())
    assert received[0] == emitted[0]
    assert received == emitted[: len(received)], "what it got before is whole and in order"
    assert len(received) < len(emitted)
    # It comes back and misses nothing.
    again = stack.raw(session).ask("open_conversation", {"conversation_id": conversation_id})
    assert again["snapshot"]["messages"] == tab.view(conversation_id).messages


def test_a_reader_that_is_slow_gets_every_frame_whole(stack: Stack) -> None:
    session = stack.session()
    slow = stack.raw(session)
    conversation_id = stack.api(session)("POST", "/api/conversations", json={}).json()["id"]
    assert slow.ask("open_conversation", {"conversation_id": conversation_id})["ok"]
    emitter = socketio.RedisManager(stack.redis.url, channel="flask-socketio", write_only=True)
    for number in range(60):
        # More at a time than most connections take at once, and less than may wait.
        emitter.emit("large", [number, chr(97 + number % 26) * 300_000], room=f"c:{conversation_id}")
        emitter.emit("small", number, room=f"c:{conversation_id}")
        if number >= 4:
            large, small = slow.receive(), slow.receive()
            first = number - 4
            assert large == f'42["large",[{first},"{chr(97 + first % 26) * 300_000}"]]'
            assert small == f'42["small",{first}]'
    assert slow.works()
