"""Workers that die at a step of their own work, or are cut off from Redis: each message is answered once."""

from collections.abc import Iterator

import pytest

from tasks.celery_app import QUEUE
from tests.integration.conftest import Stacks
from tests.support.clients import ChatClient
from tests.support.processes import eventually
from tests.support.proxy import Proxy
from tests.support.stack import Mode, Stack, Worker
from tests.support.upstream import Gate, Hold, Script
from tests.support.workers import CRASHING, sole_worker, thaw

LONG = 40  # seconds of patience where a process starts, a lease ends and a sweep follows


@pytest.fixture
def fragile(stacks: Stacks, mode: Mode) -> Iterator[Stack]:
    """As in conftest, and quiet."""
    stack = stacks("faults", mode)
    stack.repair()
    # A hint that is left over would kill a worker too early.
    eventually(lambda: not stack.redis.client.keys(f"{QUEUE}*"), "no message of an earlier test is left")
    yield stack
    stack.close_clients()


def wait_until_dead(worker: Worker) -> None:
    eventually(lambda: not worker.running, "the worker has killed itself", LONG)


def attempts(client: ChatClient, turn_id: str) -> list[int]:
    return [e["attempt"] for e in client.received if e["type"] == "turn.started" and e["turn_id"] == turn_id]


@pytest.mark.parametrize(
    ("step", "asked", "tries"),
    [
        ("before claim", 1, [1]),
        ("after claim", 1, [1, 2]),
        ("before append 1", 2, [1, 2]),
        ("after append 1", 2, [1, 2]),
        ("before append 2", 2, [1, 2]),
        ("before finish", 2, [1, 2]),
        ("after finish", 1, [1]),
    ],
)
def test_a_worker_that_dies_at_this_step(fragile: Stack, step: str, asked: int, tries: list[int]) -> None:
    """`asked`: how often the model is. `tries`: the attempts that clients hear of."""
    session = fragile.session()
    client, tab = fragile.client(session), fragile.client(session, web=1)
    text, following, second_piece, rest = fragile.secret_text(), fragile.secret_text(), Gate(), Gate()
    fragile.model.answer(text, Script(["One, ", Hold(second_piece), "two, ", Hold(rest), "three."]))
    with sole_worker(fragile, CRASHING, DIE=step) as worker:
        first = client.send(text)
        conversation_id, turn_id = first["conversation_id"], first["turn_id"]
        second = client.send(following, conversation_id)["turn_id"]
        tab.open(conversation_id)
        if step in {"before append 2", "before finish", "after finish"}:
            client.wait_text(conversation_id, turn_id, "One, ")
            second_piece.open()
        if step.endswith("finish"):
            rest.open()
        wait_until_dead(worker)
        second_piece.open()
        rest.open()
        thaw(fragile)
        for one in (client, tab):
            reply = one.wait_reply(conversation_id, turn_id, LONG)
            assert (reply["status"], reply["text"]) == (
                "done",
                "One, two, three." if asked == 1 else f"You said: {text}",
            )
            assert one.wait_reply(conversation_id, second, LONG)["text"] == f"You said: {following}"
    assert attempts(client, turn_id) == tries
    assert attempts(client, second) == [1]
    assert len(fragile.model.requests(text)) == asked
    assert len(fragile.model.requests(following)) == 1
    fragile.assert_answered_once(client, conversation_id, [turn_id, second])
    fragile.assert_saved_as_shown(tab, conversation_id)


def test_a_turn_that_kills_its_worker_every_time_is_given_up(fragile: Stack) -> None:
    client = fragile.client()
    text, following = fragile.secret_text(), fragile.secret_text()
    fragile.model.answer(text, *[Script([word, Hold(Gate())]) for word in ("Once ", "Twice ")])
    with sole_worker(fragile, CRASHING, DIE="after append 1") as worker:
        answer = client.send(text)
        conversation_id, turn_id = answer["conversation_id"], answer["turn_id"]
        second = client.send(following, conversation_id)["turn_id"]
        wait_until_dead(worker)
        worker.start()
        wait_until_dead(worker)
        with sole_worker(fragile, CRASHING, DIE="after claim") as last:
            wait_until_dead(last)
        finished = client.wait_finished(turn_id, LONG)
        assert client.wait_finished(second, LONG)["message"]["text"] == f"You said: {following}"
    assert (finished["status"], finished["error"]["code"]) == ("failed", "worker_lost")
    assert finished["error"]["message"]
    assert finished["message"]["text"] == ""  # of the last attempt
    assert attempts(client, turn_id) == [1, 2, 3]
    assert attempts(client, second) == [1]
    assert len(fragile.model.requests(text)) == 2
    fragile.assert_answered_once(client, conversation_id, [turn_id, second])


@pytest.mark.parametrize("how", ["silent", "broken"])
def test_a_worker_cut_off_from_redis_is_taken_over_and_its_late_words_do_not_count(fragile: Stack, how: str) -> None:
    """The connections break and none is made, or nothing arrives any more, and all of it once the network is back."""
    client = fragile.client()
    text, more, never = fragile.secret_text(), Gate(), Gate()
    fragile.model.answer(text, Script(["Half ", Hold(more), "and half, ", Hold(never), "and more."]))
    with Proxy(fragile.redis.port) as network, sole_worker(fragile, REDIS_URL=network.url) as worker:
        answer = client.send(text)
        conversation_id, turn_id = answer["conversation_id"], answer["turn_id"]
        client.wait_text(conversation_id, turn_id, "Half ")
        second = client.send(fragile.secret_text(), conversation_id)["turn_id"]
        if how == "broken":
            network.go_down()
        else:
            network.hold()
        thaw(fragile)
        assert client.wait_finished(turn_id, LONG)["message"]["text"] == f"You said: {text}"
        client.wait_finished(second, LONG)
        more.open()
        never.wait_reached()
        if how == "broken":
            network.come_back()
        else:
            network.let_go()
        fragile.model.request(text).wait_closed(LONG)  # it has heard that the turn is no longer its own
        assert worker.running
        third = client.send(fragile.secret_text(), conversation_id)["turn_id"]
        client.wait_finished(third, LONG)
    assert attempts(client, turn_id) == [1, 2]
    fragile.assert_answered_once(client, conversation_id, [turn_id, second, third])
