"""Redis, the broker or the network are away for a while, processes are replaced: everything finds back by itself."""

import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from celery import Celery

from tasks.celery_app import QUEUE, REPLY
from tests.support.clients import ChatClient, Kind, connect_again
from tests.support.event_stream import EventReader, finished
from tests.support.http_client import Api
from tests.support.network import Network
from tests.support.processes import eventually
from tests.support.raw_socket import UPGRADE
from tests.support.redis_server import RedisServer
from tests.support.stack import Mode, Stack
from tests.support.upstream import Gate, Hold, Script

LONG = 40  # seconds of patience where a process starts, a lease ends and a sweep follows


def begun(stack: Stack, client: ChatClient) -> tuple[str, str, str, Gate]:
    """(conversation, turn, question, gate) of a reply that has said “One, ” and holds; of three pieces in all."""
    text, gate = stack.secret_text(), Gate()
    stack.model.answer(text, Script(["One, ", Hold(gate), "two, ", "three."]))
    answer = client.send(text)
    conversation_id, turn_id = answer["conversation_id"], answer["turn_id"]
    client.wait_text(conversation_id, turn_id, "One, ")
    return conversation_id, turn_id, text, gate


def assert_answered_once(client: ChatClient, conversation_id: str, turn_ids: list[str]) -> None:
    """Each of them has one saved reply, in this order, and the client shows just that."""
    shown = client.view(conversation_id)
    assert shown.messages == Api(client.url, client.session.token).messages(conversation_id)
    assert [message["turn_id"] for message in shown.messages if message["role"] == "assistant"] == turn_ids
    assert shown.turns == {}


def saved_reply(api: Api, conversation_id: str, turn_id: str) -> dict[str, Any] | None:
    found = [m for m in api.messages(conversation_id) if (m["turn_id"], m["role"]) == (turn_id, "assistant")]
    return found[0] if found else None


def text_of(reply: dict[str, Any]) -> tuple[str, str]:
    return reply["status"], reply["text"]


# --- Celery's connections ---------------------------------------------------------------------------------------------


def worker_answers(broker: RedisServer) -> bool:
    """As Flower asks it."""
    celery = Celery("asking", broker=broker.url)
    with celery.connection() as connection:
        return bool(celery.control.ping(connection=connection, timeout=2, limit=1))


def test_remote_control_outlives_its_connection(fragile: Stack) -> None:
    # Its mailbox opens by itself, a little after the worker says that it is ready.
    eventually(lambda: worker_answers(fragile.redis), "it answers")
    fragile.redis.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    eventually(lambda: worker_answers(fragile.redis), "it answers on another connection")
    fragile.redis.kill()
    fragile.redis.start()
    eventually(lambda: worker_answers(fragile.redis), "it answers after a restart of Redis")


# --- Redis ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unswept(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Where nothing but its hint gets a turn answered soon."""
    environ = {"LEASE_SECONDS": "2", "SWEEP_SECONDS": "60"}
    with Stack(tmp_path_factory.mktemp("unswept"), webs=2, mode=mode, environ=environ) as stack:
        yield stack


def test_a_redis_that_is_full_holds_up_what_runs_and_loses_nothing(unswept: Stack) -> None:
    client = unswept.client()
    text, gate = unswept.secret_text(), Gate()
    unswept.model.answer(text, Script(["Before. ", Hold(gate), "After."]))
    answer = client.send(text)
    conversation_id, turn_id = answer["conversation_id"], answer["turn_id"]
    client.wait_event("turn.delta", turn_id=turn_id)

    unswept.redis.client.config_set("maxmemory", 1)
    refused = client.error("send_message", {"text": "now?", "client_id": "now", "conversation_id": conversation_id})
    assert refused["code"] == "unavailable"
    assert refused["retry_after"] > 0
    begun = requests.post(f"{unswept.webs[0].url}/api/sessions", json={"name": "Ada"}, timeout=20)
    assert (begun.status_code, begun.json()["error"]["code"]) == (503, "unavailable")
    ready = requests.get(f"{unswept.webs[0].url}/readyz", timeout=20)
    assert ready.status_code == 200, "what was said can be read"
    assert ready.json()["redis"] == "refuses writes"
    gate.open()
    unswept.model.request(text).wait_ended()
    unswept.redis.client.config_set("maxmemory", 0)

    next_turn = client.send("now?", conversation_id, client_id="now")["turn_id"]
    client.wait_reply(conversation_id, next_turn, LONG)
    assert_answered_once(client, conversation_id, [turn_id, next_turn])
    assert text_of(unswept.api(client.session).messages(conversation_id)[1]) == ("done", "Before. After.")


def test_a_redis_that_is_a_replica_for_a_while_ends_no_worker(unswept: Stack) -> None:
    client = unswept.client()
    first = client.send(unswept.secret_text())
    conversation_id = first["conversation_id"]
    client.wait_reply(conversation_id, first["turn_id"])
    # Whoever blocks on a queue is told UNBLOCKED, and READONLY from then on.
    unswept.redis.client.replicaof("127.0.0.1", 1)
    refused = client.error("send_message", {"text": "now?", "client_id": "then", "conversation_id": conversation_id})
    assert refused["code"] == "unavailable"
    unswept.redis.client.replicaof("NO", "ONE")
    next_turn = client.send("now?", conversation_id, client_id="then")["turn_id"]
    client.wait_reply(conversation_id, next_turn, LONG)
    assert_answered_once(client, conversation_id, [first["turn_id"], next_turn])
    assert all(worker.running for worker in unswept.workers)


def test_a_reply_streams_on_while_redis_is_away(unswept: Stack) -> None:
    session = unswept.session()
    client, tab = unswept.client(session), unswept.client(session, web=1)
    text, gate = unswept.secret_text(), Gate()
    meanwhile = [f"word{number} " for number in range(40)]
    unswept.model.answer(text, Script(["Before. ", *meanwhile, Hold(gate), "After."], rate=8))
    answer = client.send(text)
    conversation_id, turn_id = answer["conversation_id"], answer["turn_id"]
    client.wait_event("turn.delta", turn_id=turn_id)
    tab.open(conversation_id)

    unswept.redis.kill()
    refused = client.error("send_message", {"text": "now?", "client_id": "now", "conversation_id": conversation_id})
    assert refused["code"] == "unavailable"
    assert refused["retry_after"] > 0
    posted = unswept.api(session)(
        "POST", f"/api/conversations/{conversation_id}/messages", json={"text": "now?", "client_id": "http"}
    )
    assert (posted.status_code, posted.json()["error"]["code"]) == (503, "unavailable")
    assert int(posted.headers["Retry-After"]) > 0
    ready = f"{unswept.webs[0].url}/readyz"
    assert requests.get(ready, timeout=20).status_code == 503
    gate.wait_reached(timeout=LONG)  # longer than the lease, and than what Celery likes to wait for
    unswept.redis.start()
    gate.open()

    for one in (client, tab):
        one.wait_reply(conversation_id, turn_id, LONG)
        assert one.disconnects == []
        starts = [event for event in one.received if event["type"] == "turn.started"]
        assert all(event["attempt"] == 1 for event in starts)
        assert_answered_once(one, conversation_id, [turn_id])
    reply = unswept.api(session).messages(conversation_id)[1]
    assert text_of(reply) == ("done", f"Before. {''.join(meanwhile)}After.")
    assert len(unswept.model.requests(text)) == 1

    eventually(lambda: requests.get(ready, timeout=20).status_code == 200, "the web tier sees Redis again")
    next_turns = [client.send(unswept.secret_text(), conversation_id)["turn_id"] for _ in range(2)]
    for one in (client, tab):
        one.wait_reply(conversation_id, next_turns[1])
        assert_answered_once(one, conversation_id, [turn_id, *next_turns])


def test_a_sweep_after_an_outage_takes_nothing_from_workers_that_live(fragile: Stack) -> None:
    client = fragile.client()
    text, gate = fragile.secret_text(), Gate()
    fragile.model.answer(text, Script(["Before. ", *["word "] * 30, Hold(gate), "After."], rate=8))
    answer = client.send(text)
    client.wait_event("turn.delta", turn_id=answer["turn_id"])
    fragile.redis.kill()
    gate.wait_reached(timeout=LONG)  # longer than the lease
    fragile.redis.start()
    gate.open()
    client.wait_reply(answer["conversation_id"], answer["turn_id"], LONG)
    assert_answered_once(client, answer["conversation_id"], [answer["turn_id"]])
    assert len(fragile.model.requests(text)) == 1


# --- A broker of its own ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WithBroker:
    stack: Stack
    broker: RedisServer


@pytest.fixture(scope="module")
def parts(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithBroker]:
    folder = tmp_path_factory.mktemp("broker")
    with RedisServer(folder / "broker") as broker:
        environ = {"LEASE_SECONDS": "2", "SWEEP_SECONDS": "0.5", "CELERY_BROKER_URL": broker.url}
        with Stack(folder, mode=mode, environ=environ) as stack:
            yield WithBroker(stack, broker)


@pytest.fixture
def separate(parts: WithBroker) -> Iterator[WithBroker]:
    """A broker that is not the ledger's Redis."""
    if not parts.broker.running:
        parts.broker.start()
    parts.stack.repair()
    yield parts
    parts.stack.close_clients()


def test_a_flushed_broker_loses_no_turn(separate: WithBroker) -> None:
    stack = separate.stack
    client = stack.client()
    text, gate = stack.secret_text(), Gate()
    stack.model.answer(text, Script(["Half ", Hold(gate), "and half."]))
    running = client.send(text)
    conversation_id = running["conversation_id"]
    client.wait_text(conversation_id, running["turn_id"], "Half ")
    turn_ids = [running["turn_id"]]
    turn_ids += [client.send(stack.secret_text(), conversation_id)["turn_id"] for _ in range(2)]
    separate.broker.client.flushall()
    gate.open()
    client.wait_reply(conversation_id, turn_ids[-1], LONG)
    assert_answered_once(client, conversation_id, turn_ids)
    # Hints, not only sweeps, go on after it.
    assert client.talk(stack.secret_text())["status"] == "done"
    eventually(lambda: worker_answers(separate.broker), "remote control answers")


def test_a_broker_flushed_while_no_worker_runs_loses_no_turn(separate: WithBroker) -> None:
    stack = separate.stack
    stack.workers[0].kill()
    client = stack.client()
    texts = [stack.secret_text() for _ in range(3)]
    answers = [client.send(text) for text in texts]
    # One of them may have gone to the worker that was dying.
    # By priority they are in lists of their own.
    broker: Any = separate.broker.client
    eventually(lambda: sum(map(broker.llen, broker.keys(f"{QUEUE}*"))) >= len(texts) - 1, "their hints wait")
    separate.broker.client.flushall()
    stack.workers[0].start()
    for text, answer in zip(texts, answers, strict=True):
        client.wait_reply(answer["conversation_id"], answer["turn_id"], LONG)
        assert_answered_once(client, answer["conversation_id"], [answer["turn_id"]])
        assert len(stack.model.requests(text)) == 1


def test_a_broker_that_is_away_holds_up_nothing_that_runs_and_loses_no_turn(separate: WithBroker) -> None:
    stack = separate.stack
    client = stack.client()
    text, gate = stack.secret_text(), Gate()
    meanwhile = [f"word{number} " for number in range(40)]
    stack.model.answer(text, Script(["Before. ", *meanwhile, Hold(gate), "After."], rate=8))
    running = client.send(text)
    client.wait_event("turn.delta", turn_id=running["turn_id"])

    separate.broker.kill()
    texts = [stack.secret_text() for _ in range(12)]
    answers = [client.send(one) for one in texts]
    gate.wait_reached(timeout=LONG)
    gate.open()
    finished = client.wait_finished(running["turn_id"])
    assert text_of(finished["message"]) == ("done", f"Before. {''.join(meanwhile)}After.")
    assert len(stack.model.requests(text)) == 1  # its worker showed life all the time: nobody took the turn from it

    separate.broker.start()
    for one, answer in zip(texts, answers, strict=True):
        client.wait_reply(answer["conversation_id"], answer["turn_id"], LONG)
        assert_answered_once(client, answer["conversation_id"], [answer["turn_id"]])
        assert len(stack.model.requests(one)) == 1


# --- A message queue of its own ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WithQueue:
    stack: Stack
    queue: RedisServer


@pytest.fixture(scope="module")
def queued(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithQueue]:
    folder = tmp_path_factory.mktemp("queue")
    with RedisServer(folder / "queue") as queue:
        environ = {"LEASE_SECONDS": "2", "SWEEP_SECONDS": "0.5", "SOCKETIO_MESSAGE_QUEUE": queue.url}
        with Stack(folder, webs=2, mode=mode, environ=environ) as stack:
            yield WithQueue(stack, queue)


@pytest.fixture
def with_queue(queued: WithQueue) -> Iterator[WithQueue]:
    """A message queue that is not the ledger's Redis."""
    queued.stack.repair()
    yield queued
    queued.queue.process.thaw()
    queued.stack.close_clients()


def ended_by(event: dict[str, Any]) -> set[str]:
    """Turns that a reader knows to be over by this event, or by this snapshot."""
    if event["type"] == "snapshot":
        return {message["turn_id"] for message in event["snapshot"]["messages"] if message["role"] == "assistant"}
    return {event["turn_id"]} if finished(event) else set()


def test_a_message_queue_that_is_silent_holds_up_nothing_but_what_is_shown(with_queue: WithQueue) -> None:
    stack, queue = with_queue.stack, with_queue.queue
    client = stack.client()
    text, gate = stack.secret_text(), Gate()
    meanwhile = [f"word{number} " for number in range(40)]
    stack.model.answer(text, Script(["Before. ", *meanwhile, Hold(gate), "After."], rate=8))
    running = client.send(text)
    conversation_id = running["conversation_id"]
    client.wait_event("turn.delta", turn_id=running["turn_id"])
    api = stack.api(client.session, web=1)
    with EventReader(api, f"/api/conversations/{conversation_id}/events") as reader:
        reader.next()
        queue.process.freeze()
        stopped = client.send(stack.secret_text(), conversation_id)["turn_id"]
        answer = client.do("stop_turn", conversation_id=conversation_id, turn_id=stopped)
        assert answer["status"] == "stopped"
        gate.wait_reached(timeout=LONG)  # longer than the lease
        gate.open()
        reply = eventually(lambda: saved_reply(api, conversation_id, running["turn_id"]), "the reply is saved")
        assert reply
        assert text_of(reply) == ("done", f"Before. {''.join(meanwhile)}After.")
        assert len(stack.model.requests(text)) == 1  # nobody took the turn from its worker
        queue.process.thaw()
        client.wait_reply(conversation_id, running["turn_id"], LONG)
        reader.until(lambda event: running["turn_id"] in ended_by(event))
    assert client.talk(stack.secret_text(), conversation_id)["status"] == "done"
    stack.assert_saved_as_shown(client, conversation_id)
    assert client.disconnects == []


def test_what_the_ledger_lost_is_gone_for_those_who_only_look(with_queue: WithQueue) -> None:
    """The connections by which they hear of events were never lost."""
    stack = with_queue.stack
    session = stack.session()
    client, tab = stack.client(session), stack.client(session, web=1)
    client.talk(stack.secret_text())
    conversation_id = str(client.received[0]["conversation_id"])
    tab.open(conversation_id)
    epoch = client.view(conversation_id).epoch
    with EventReader(stack.api(session), f"/api/conversations/{conversation_id}/events") as reader:
        copy = stack.redis.copy_data()
        lost = client.talk(stack.secret_text(), conversation_id)
        tab.wait_finished(lost["turn_id"])
        stack.redis.roll_back(copy)
        for one in (client, tab):
            one.wait_for(lambda: one.view(conversation_id).epoch != epoch, "another epoch", LONG)  # noqa: B023
            saved = stack.assert_saved_as_shown(one, conversation_id)
            assert lost["id"] not in {message["id"] for message in saved}
            assert one.disconnects == []
        reader.until(lambda event: event["type"] == "snapshot" and event["epoch"] != epoch)
    after = client.talk(stack.secret_text(), conversation_id)
    tab.wait_reply(conversation_id, after["turn_id"])
    stack.assert_saved_as_shown(tab, conversation_id)


def test_processes_that_end_do_not_keep_what_waits_for_the_message_queue(with_queue: WithQueue) -> None:
    stack, queue = with_queue.stack, with_queue.queue
    session = stack.session()
    client, tab = stack.client(session), stack.client(session, web=1)
    conversation_id, turn_id, _, gate = begun(stack, client)
    tab.open(conversation_id)
    web, worker = stack.webs[0], stack.workers[0]
    queue.process.freeze()
    # What they publish first is under way, for as long as it takes; the rest waits behind it.
    waiting = [client.send(stack.secret_text(), conversation_id)["turn_id"] for _ in range(2)]
    gate.open()
    api = stack.api(session, web=1)
    eventually(lambda: saved_reply(api, conversation_id, turn_id), "the reply is saved")
    for part in (web, worker):
        part.signal(signal.SIGTERM)
    for part in (web, worker):
        eventually(lambda: "waiting for the message queue" in part.output(), "it is about to end")  # noqa: B023
    queue.process.thaw()
    for part in (web, worker):
        assert part.wait(LONG) == 0
    tab.wait_reply(conversation_id, turn_id)
    tab.wait_for(
        lambda: {*waiting} <= {message["turn_id"] for message in tab.view(conversation_id).messages},
        "what was sent is shown",
    )
    stack.repair()
    tab.wait_reply(conversation_id, waiting[-1], LONG)
    assert_answered_once(tab, conversation_id, [turn_id, *waiting])


# --- Hints ------------------------------------------------------------------------------------------------------------


def test_hints_that_come_ten_times_change_nothing(fragile: Stack) -> None:
    client = fragile.client()
    text, gate = fragile.secret_text(), Gate()
    fragile.model.answer(text, Script(["Half ", Hold(gate), "and half."]))
    helper = fragile.add_worker()
    try:
        answer = client.send(text)
        conversation_id, turn_id = answer["conversation_id"], answer["turn_id"]
        repeat_hint(fragile, conversation_id, turn_id)
        client.wait_text(conversation_id, turn_id, "Half ")
        repeat_hint(fragile, conversation_id, turn_id)
        wait_until_taken(fragile)
        gate.open()
        client.wait_finished(turn_id)
        repeat_hint(fragile, conversation_id, turn_id)
        wait_until_taken(fragile)
        after = client.send(fragile.secret_text(), conversation_id)["turn_id"]
        client.wait_finished(after)
    finally:
        fragile.remove_worker(helper)
    assert_answered_once(client, conversation_id, [turn_id, after])
    assert client.view(conversation_id).messages[1]["text"] == "Half and half."
    assert [event["attempt"] for event in client.received if event["type"] == "turn.started"] == [1, 1]
    assert len(fragile.model.requests(text)) == 1
    assert client.gaps == 0


def repeat_hint(stack: Stack, conversation_id: str, turn_id: str, times: int = 10) -> None:
    """At once, each over a connection of its own."""
    together = threading.Barrier(times)

    def send() -> None:
        with Celery("repeating", broker=stack.redis.url).connection() as connection:
            connection.connect()
            together.wait(20)
            celery.send_task(REPLY, args=(conversation_id, turn_id), queue=QUEUE, connection=connection)

    celery = Celery("repeating", broker=stack.redis.url)
    senders = [threading.Thread(target=send) for _ in range(times)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()


def wait_until_taken(stack: Stack) -> None:
    eventually(lambda: stack.redis.client.llen(QUEUE) == 0, "the workers have taken all hints")


def test_a_lost_queue_loses_no_turn(fragile: Stack) -> None:
    fragile.workers[0].kill()
    client = fragile.client()
    text = fragile.secret_text()
    answer = client.send(text)
    conversation_id = answer["conversation_id"]
    turn_ids = [answer["turn_id"], client.send(fragile.secret_text(), conversation_id)["turn_id"]]
    other = client.send(fragile.secret_text())
    eventually(lambda: fragile.redis.client.delete(QUEUE), "the queue is lost")
    fragile.workers[0].start()
    client.wait_reply(conversation_id, turn_ids[1], LONG)
    client.wait_reply(other["conversation_id"], other["turn_id"], LONG)
    assert_answered_once(client, conversation_id, turn_ids)
    assert_answered_once(client, other["conversation_id"], [other["turn_id"]])
    assert len(fragile.model.requests(text)) == 1


# --- The network ------------------------------------------------------------------------------------------------------


@pytest.fixture
def network(fragile: Stack) -> Iterator[Network]:
    """Between clients and the first web process."""
    network = Network(fragile.webs[0].port)
    yield network
    network.close()


@pytest.mark.parametrize("kind", ["python", "npm"])
def test_a_network_that_was_gone_is_caught_up_with(fragile: Stack, network: Network, kind: Kind) -> None:
    session = fragile.session()
    watcher = fragile.client(session, web=1)
    client = fragile.client(session, kind=kind, connect=False).connect(network.url)
    conversation_id, turn_id, text, gate = begun(fragile, client)
    watcher.open(conversation_id)

    network.fall_silent()
    seen = len(client.received)
    gate.open()
    watcher.wait_finished(turn_id)
    watcher.talk(fragile.secret_text(), conversation_id)
    assert len(client.received) == seen
    network.recover_without_its_connections()
    connect_again(client)
    client.open(conversation_id)
    assert len(fragile.assert_saved_as_shown(client, conversation_id)) == 4
    assert client.view(conversation_id).turns == {}
    assert len(fragile.model.requests(text)) == 1
    # And live again.
    gaps = client.gaps
    client.talk(fragile.secret_text(), conversation_id)
    fragile.assert_saved_as_shown(client, conversation_id)
    assert client.gaps == gaps


@pytest.mark.parametrize("kind", ["python", "npm"])
def test_what_a_silent_network_held_back_arrives_whole(fragile: Stack, network: Network, kind: Kind) -> None:
    session = fragile.session()
    watcher = fragile.client(session, web=1)
    client = fragile.client(session, kind=kind, connect=False).connect(network.url)
    conversation_id, turn_id, _, gate = begun(fragile, client)
    watcher.open(conversation_id)

    network.fall_silent()
    on_its_way = client.post("send_message", {"text": "too?", "client_id": "late", "conversation_id": conversation_id})
    gate.open()
    watcher.wait_finished(turn_id)
    network.recover()
    late = on_its_way.wait()["turn_id"]
    client.wait_finished(late)
    assert_answered_once(client, conversation_id, [turn_id, late])
    assert client.gaps == 0
    assert client.disconnects == []


# --- Deploys ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["python", "npm"])
def test_a_web_process_that_is_replaced_hands_its_clients_over(fragile: Stack, kind: Kind) -> None:
    client = fragile.client(kind=kind)
    conversation_id, turn_id, text, gate = begun(fragile, client)

    sent = {"text": fragile.secret_text(), "client_id": uuid.uuid4().hex, "conversation_id": conversation_id}
    client.post("send_message", sent)  # it may be acknowledged or not
    fragile.webs[0].signal(signal.SIGTERM)  # to all of its processes, as platforms do it
    connect_again(client, fragile.webs[1].url)
    eventually(lambda: not fragile.webs[0].running, "it is gone, well before it would be killed", 10)
    client.open(conversation_id)
    repeated = client.do("send_message", **sent)
    gate.open()
    client.wait_reply(conversation_id, repeated["turn_id"], LONG)
    assert_answered_once(client, conversation_id, [turn_id, repeated["turn_id"]])
    assert client.view(conversation_id).messages[1]["text"] == "One, two, three."
    for asked in (text, sent["text"]):
        assert len(fragile.model.requests(asked)) == 1


def test_a_web_process_ends_though_its_clients_come_back_to_it(fragile: Stack) -> None:
    """gunicorn goes on listening for a moment."""
    web = fragile.webs[0]
    host, port = urlsplit(web.url).hostname, urlsplit(web.url).port
    with ExitStack() as came_back:
        web.signal(signal.SIGTERM)

        def is_gone() -> bool:
            with suppress(OSError):
                one = came_back.enter_context(socket.create_connection((host, port), 5))
                one.sendall(UPGRADE)
            return not web.running

        eventually(is_gone, "it is gone, well before it would be killed", 15)
