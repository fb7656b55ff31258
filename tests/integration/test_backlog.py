"""Turns that wait: for others of the same session, for a worker, or outside."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import eventually
from tests.support.stack import Mode, Stack
from tests.support.upstream import Gate, Hold, Script
from tests.support.workers import thaw


@pytest.fixture(scope="module")
def small(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two turns of a session at a time, one place in the worker for each."""
    environ = {"MAX_ACTIVE_TURNS": "2", "MAX_WAITING_TURNS": "5"}
    with Stack(tmp_path_factory.mktemp("small"), mode=mode, environ=environ) as stack:
        yield stack


def hold(stack: Stack, about: str) -> tuple[str, Gate]:
    """A message whose reply waits for a gate."""
    text, gate = stack.secret_text(about), Gate()
    stack.model.answer(text, Script(["One", Hold(gate), ", two."]))
    return text, gate


def test_a_session_has_so_many_replies_at_a_time(small: Stack) -> None:
    client, other = small.client(), small.client()
    held = [hold(small, f"chat {number}") for number in range(3)]
    turns = [client.send(text) for text, _ in held]

    def begun() -> list[int]:
        """Which of the three; those of one session begin in any order."""
        return [n for n, (text, _) in enumerate(held) if small.model.requests(text)]

    client.wait_for(lambda: len(begun()) == 2, "two of them are asked")
    # Nobody else waits for this session's third.
    other.talk(small.secret_text())
    assert len(begun()) == 2
    [third] = {0, 1, 2} - set(begun())
    assert client.view(turns[third]["conversation_id"]).turns[turns[third]["turn_id"]]["status"] == "waiting"
    held[begun()[0]][1].open()
    client.wait_text(turns[third]["conversation_id"], turns[third]["turn_id"], "One")
    for _, gate in held:
        gate.open()
    for turn in turns:
        assert client.wait_finished(turn["turn_id"])["status"] == "done"


def test_a_full_system_says_so_and_keeps_what_it_has(small: Stack) -> None:
    [worker] = small.workers
    client = small.client()
    worker.freeze()
    try:
        answers = [client.send(small.secret_text(), client_id=f"n{number}") for number in range(5)]
        refused = client.error("send_message", {"text": "One more", "client_id": "n5"})
        assert refused["code"] == "busy"
        assert refused["retry_after"] >= 1
        over_http = small.api(client.session)(
            "POST",
            f"/api/conversations/{answers[0]['conversation_id']}/messages",
            json={"text": "One more", "client_id": "n6"},
        )
        assert over_http.status_code == 503
        assert int(over_http.headers["Retry-After"]) >= 1
        again = client.do("send_message", text="again", client_id="n0")
        assert {**again, "ok": True} == {**answers[0], "ok": True}
    finally:
        worker.thaw()
    for answer in answers:
        assert client.wait_finished(answer["turn_id"])["status"] == "done"
    assert client.talk("One more")["status"] == "done"


def test_a_full_system_begins_no_conversation_for_what_it_refuses(small: Stack) -> None:
    """At /v1 a conversation is made of what was said before; with a key, so that it may be asked for again."""
    [worker] = small.workers
    client = small.client()
    api = small.api(client.session)

    def ask(key: str) -> int:
        asked = {"input": small.secret_text(), "instructions": "Be brief.", "background": True}
        return api("POST", "/v1/responses", json=asked, headers={"Idempotency-Key": key}).status_code

    worker.freeze()
    try:
        assert [ask(f"key {number}") for number in range(6)] == [200] * 5 + [503]
        assert ask("key 0") == 200
        assert len(api.get("/api/conversations")["conversations"]) == 5
    finally:
        worker.thaw()
    eventually(lambda: ask("key 5") == 200, "there is room again", 20)


@pytest.fixture(scope="module")
def narrow(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One place in the only worker."""
    environ = {"WORKER_CONCURRENCY": "1", "MAX_ACTIVE_TURNS": "4", "MAX_QUEUED_TURNS": "50"}
    with Stack(tmp_path_factory.mktemp("narrow"), mode=mode, environ=environ) as stack:
        yield stack


def order_of(stack: Stack, turns: list[dict[str, Any]]) -> list[str]:
    """Their ids in the order in which they were answered."""

    def ended() -> list[str]:
        over = [line for line in stack.workers[0].output().splitlines() if "turn over" in line]
        ids = {turn["turn_id"] for turn in turns}
        return [turn_id for line in over for turn_id in ids if turn_id in line]

    eventually(lambda: len(ended()) == len(turns), "the log is written")
    return ended()


def test_a_busy_session_does_not_delay_anothers_first_turn(narrow: Stack) -> None:
    """A hundred turns of one session are before it, in eighty conversations."""
    greedy, modest = narrow.client(), narrow.client()
    first, gate = hold(narrow, "first")
    greedy.send(first)
    greedy.wait_for(lambda: bool(narrow.model.requests(first)), "the worker has begun")
    turns = [greedy.send(narrow.secret_text(f"chat {number}")) for number in range(80)]
    turns += [greedy.send(narrow.secret_text("more"), turn["conversation_id"]) for turn in turns[:20]]
    mine = modest.send(narrow.secret_text("mine"))
    gate.open()
    modest.wait_finished(mine["turn_id"])
    for turn in turns:
        greedy.wait_finished(turn["turn_id"], timeout=100)
    assert order_of(narrow, [mine, *turns]).index(mine["turn_id"]) <= 1


@pytest.fixture
def idle(mode: Mode, tmp_path: Path) -> Iterator[Stack]:
    """One place in the only worker, and nothing measured yet."""
    with Stack(tmp_path, mode=mode, environ={"WORKER_CONCURRENCY": "1"}) as stack:
        yield stack


def test_who_has_to_wait_is_told_how_long(idle: Stack) -> None:
    """By what turns have taken: the only one before takes a second and a half."""
    client, other = idle.client(), idle.client()
    text, gate = hold(idle, "first")
    first = client.send(text)
    client.wait_text(first["conversation_id"], first["turn_id"], "One")
    [running] = client.do("list_turns", conversation_id=first["conversation_id"])["turns"]
    assert running == {"turn_id": first["turn_id"], "status": "running", "position": 0}
    began = time.monotonic()
    eventually(lambda: time.monotonic() > began + 1.5, "it has taken its time")
    gate.open()
    client.wait_finished(first["turn_id"])

    text, gate = hold(idle, "second")
    second = client.send(text)
    client.wait_text(second["conversation_id"], second["turn_id"], "One")
    here = [client.send(idle.secret_text(), second["conversation_id"]) for _ in range(3)]
    waits = [answer["wait"] for answer in here]
    assert [answer["position"] for answer in here] == [1, 2, 3]
    assert 1 <= waits[0] < waits[1] < waits[2]

    def told() -> int:
        """Of one that waits for nothing but a place; the figures are a second old at most."""
        answer = other.send(idle.secret_text())
        other.wait_event("turn.queued", turn_id=answer["turn_id"])
        return int(answer.get("wait", 0))

    eventually(lambda: told() >= 1, "who has to wait for a place is told so")

    listed = idle.api(client.session).get(f"/api/conversations/{second['conversation_id']}/turns")["turns"]
    assert [(turn["turn_id"], turn["position"]) for turn in listed] == [
        (turn["turn_id"], position) for position, turn in enumerate([second, *here])
    ]
    # One that is taken out makes way for those behind it.
    client.do("stop_turn", conversation_id=second["conversation_id"], turn_id=here[0]["turn_id"])
    left = client.do("list_turns", conversation_id=second["conversation_id"])["turns"]
    assert [(turn["turn_id"], turn["position"]) for turn in left] == [
        (second["turn_id"], 0),
        (here[1]["turn_id"], 1),
        (here[2]["turn_id"], 2),
    ]
    assert left[2]["wait"] < listed[3]["wait"]
    gate.open()
    for turn in here[1:]:
        client.wait_finished(turn["turn_id"])


def test_a_providers_own_limit_is_kept_to_and_said(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of 120 requests a minute a tenth may go at once, to two workers together."""
    stack = Stack(tmp_path_factory.mktemp("budget"), workers=2, mode=mode)
    stack.model.rates = {"rpm": 120}
    with stack:
        client = stack.client()
        for worker in stack.workers:  # so that all are there when the first is asked for
            worker.freeze()
        turns = [client.send(stack.secret_text()) for _ in range(16)]
        thaw(stack)
        for turn in turns:
            assert client.wait_finished(turn["turn_id"])["status"] == "done"
        asked = sorted(request.started_at for request in stack.model.upstream.requests)
        assert len(asked) == 16
        assert asked[15] - asked[0] > 1, "the last ones waited"
        reasons = {event["reason"] for event in client.received if event["type"] == "turn.retrying"}
        assert len(reasons) == 1
        assert "takes no more for a moment" in reasons.pop()


def test_who_waits_for_a_providers_limit_for_too_long_is_told(
    mode: Mode, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stack = Stack(tmp_path_factory.mktemp("budget"), mode=mode, environ={"LLM_TOTAL_TIMEOUT": "2"})
    stack.model.rates = {"rpm": 1}
    with stack:
        client = stack.client()
        assert client.talk(stack.secret_text())["status"] == "done"
        late = client.wait_finished(client.send(stack.secret_text())["turn_id"])
        assert (late["status"], late["error"]["code"]) == ("failed", "provider_timeout")
        assert len(stack.model.upstream.requests) == 1, "nothing was asked in vain"
