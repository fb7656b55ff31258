"""Turns that wait: for others of the same session, for a worker, or outside."""

from collections.abc import Iterator

import pytest

from tests.support.processes import eventually
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Script


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two turns of a session at a time, one place in the worker for each."""
    environ = {"MAX_ACTIVE_TURNS": "2", "MAX_WAITING_TURNS": "5"}
    with Stack(tmp_path_factory.mktemp("small"), environ=environ) as stack:
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


def test_a_busy_session_does_not_delay_anothers_first_turn(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One place in the only worker, and many turns of one session before it."""
    environ = {"WORKER_CONCURRENCY": "1", "MAX_ACTIVE_TURNS": "2"}
    with Stack(tmp_path_factory.mktemp("fair"), environ=environ) as stack:
        greedy, modest = stack.client(), stack.client()
        first, gate = hold(stack, "first")
        greedy.send(first)
        greedy.wait_for(lambda: bool(stack.model.requests(first)), "the worker has begun")
        turns = [greedy.send(stack.secret_text(f"chat {number}")) for number in range(12)]
        mine = modest.send(stack.secret_text("mine"))
        gate.open()
        modest.wait_finished(mine["turn_id"])
        for turn in turns:
            greedy.wait_finished(turn["turn_id"], timeout=60)

        def order(turn_id: str) -> int:
            log = stack.workers[0].output()
            return next((n for n, line in enumerate(log.splitlines()) if "turn over" in line and turn_id in line), 0)

        eventually(lambda: all(order(turn["turn_id"]) for turn in [mine, *turns]), "the log is written")
        before = [turn for turn in turns if order(turn["turn_id"]) < order(mine["turn_id"])]
        assert len(before) <= 1


def test_a_providers_own_limit_is_kept_to_and_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of 120 requests a minute a tenth may go at once, to two workers together."""
    stack = Stack(tmp_path_factory.mktemp("budget"), workers=2)
    stack.model.rates = {"rpm": 120}
    with stack:
        client = stack.client()
        turns = [client.send(stack.secret_text()) for _ in range(16)]
        for turn in turns:
            assert client.wait_finished(turn["turn_id"])["status"] == "done"
        asked = sorted(request.started_at for request in stack.model.upstream.requests)
        assert len(asked) == 16
        assert asked[15] - asked[0] > 1, "the last ones waited"
        reasons = {event["reason"] for event in client.received if event["type"] == "turn.retrying"}
        assert len(reasons) == 1
        assert "takes no more for a moment" in reasons.pop()
