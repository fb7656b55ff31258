"""Socket.IO's message queue: stock emitters reach our clients, and nobody gets what is not for them."""

import subprocess
import sys

import pytest

from tests.support.processes import ROOT, clean_environment, eventually
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Script

FLASK = "from flask_socketio import SocketIO; emitter = SocketIO(message_queue={url!r})"
PLAIN = "import socketio; emitter = socketio.RedisManager({url!r}, channel='flask-socketio', write_only=True)"


@pytest.mark.parametrize("emitter", [FLASK, PLAIN], ids=["flask_socketio", "python-socketio"])
def test_a_stock_emitter_in_another_process_reaches_a_room(either: Stack, emitter: str) -> None:
    session = either.session()
    client, tab = either.client(session), either.client(session, web=1)
    stranger = either.client()
    client.talk(either.secret_text())
    conversation_id = client.received[0]["conversation_id"]
    tab.open(conversation_id)
    code = f"emitter.emit('greeting', {{'hello': 'Wörld'}}, room='c:{conversation_id}')"
    subprocess.run(
        [sys.executable, "-c", f"{emitter.format(url=either.redis.url)}\n{code}"],
        env=clean_environment(either.folder),
        cwd=ROOT,
        check=True,
        timeout=60,
    )
    for one in (client, tab):
        one.wait_for(lambda: one.other, "the emit arrives")  # noqa: B023
        assert one.other == [("greeting", {"hello": "Wörld"})]
    stranger.do("list_conversations")
    assert stranger.other == []


def test_a_web_process_hears_only_of_rooms_that_it_holds(either: Stack) -> None:
    redis = either.redis.client
    session = either.session()
    client, other = either.client(session), either.client(web=1)
    channel, heard_by_all = None, []
    pubsub = redis.pubsub()
    pubsub.psubscribe("*")  # what goes over the queue at all
    text, gate = either.secret_text(), Gate()
    either.model.answer(text, Script(["a ", Hold(gate), "b"]))
    answer = client.send(text)
    client.wait_text(answer["conversation_id"], answer["turn_id"], "a ")
    (channel,) = [name for name in redis.pubsub_channels() if answer["conversation_id"].encode() in name]
    assert redis.pubsub_numsub(channel) == [(channel, 1)]
    tab = either.client(session, web=1)
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


def test_a_reader_that_stalls_gets_every_frame_whole_and_holds_up_nobody(either: Stack) -> None:
    session = either.session()
    stalled = either.raw(session)
    conversation_id = either.api(session)("POST", "/api/conversations", json={}).json()["id"]
    assert stalled.ask("open_conversation", {"conversation_id": conversation_id})["ok"]
    code = (
        "for number in range(60):\n"
        f"    emitter.emit('large', [number, chr(97 + number % 26) * 200_000], room='c:{conversation_id}')\n"
        f"    emitter.emit('small', number, room='c:{conversation_id}')\n"
    )
    subprocess.run(
        [sys.executable, "-c", f"{PLAIN.format(url=either.redis.url)}\n{code}"],
        env=clean_environment(either.folder),
        cwd=ROOT,
        check=True,
        timeout=60,
    )
    # Far more than the buffers between hold: its writer is blocked now. Others are served all the same.
    assert either.client().talk(either.secret_text())["status"] == "done"
    for number in range(60):
        large, small = stalled.receive(), stalled.receive()
        assert large == f'42["large",[{number},"{chr(97 + number % 26) * 200_000}"]]'
        assert small == f'42["small",{number}]'
    assert stalled.works()
