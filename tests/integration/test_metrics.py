"""GET /metrics, and the line on each turn in the log."""

import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.support.documents import documented_metrics
from tests.support.event_stream import EventReader
from tests.support.processes import eventually
from tests.support.stack import Mode, Stack
from tests.support.upstream import Gate, Hold, Script

TOKEN = "planted-metrics-token"


@pytest.fixture(scope="module")
def stack(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Of its own: figures are of all that happens."""
    environ = {"METRICS_TOKEN": TOKEN, "LOG_FORMAT": "json", "LLM_RETRIES": "1", "TRUSTED_PROXIES": "1"}
    with Stack(tmp_path_factory.mktemp("metrics"), webs=2, mode=mode, environ=environ) as stack:
        stack.secrets.add(TOKEN)
        yield stack
        assert stack.leaks() == []


@pytest.fixture(autouse=True)
def closed(stack: Stack) -> Iterator[None]:
    yield
    stack.close_clients()


def text(stack: Stack, web: int = 0) -> str:
    answer = requests.get(f"{stack.webs[web].url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return answer.text


def figures(stack: Stack, web: int = 0) -> dict[str, float]:
    """Name and labels, sorted, without their quotes → value."""
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text(stack, web))
        for sample in family.samples
    }


def change(stack: Stack, before: dict[str, float], *names: str) -> list[float]:
    now = figures(stack, web=1)
    return [now.get(name, 0) - before.get(name, 0) for name in names]


def lines(stack: Stack, event: str) -> list[dict[str, Any]]:
    return [entry for entry in stack.log_entries() if entry["event"] == event]


def test_what_happens_to_turns(stack: Stack) -> None:
    before = figures(stack)
    assert before["parley_redis_up"] == 1
    client = stack.client()
    question = stack.secret_text("Count")
    stack.model.answer(question, Script(["One", " two", " three"], usage=(3, 7)))
    client.talk(question)
    stopped, gate = stack.secret_text("Endless"), Gate()
    stack.model.answer(stopped, Script(["On and on", Hold(gate)]))
    answer = client.send(stopped)
    client.wait_text(answer["conversation_id"], answer["turn_id"], "On and on")
    running = figures(stack, web=1)
    assert (running["parley_turns_active"], running["parley_turns_waiting"]) == (1, 0)
    behind = client.send(stack.secret_text("Behind"), answer["conversation_id"])
    for turn_id in (behind["turn_id"], answer["turn_id"]):
        client.do("stop_turn", conversation_id=answer["conversation_id"], turn_id=turn_id)
    gate.open()
    failing = stack.secret_text("Fail")
    stack.model.answer(failing, *[Script.error(500, "no")] * 2)
    client.wait_finished(client.send(failing)["turn_id"])
    sent = stack.secret_text("Twice")
    for _ in range(2):
        answer = client.do("send_message", text=sent, client_id="the-same")
    client.wait_finished(answer["turn_id"])

    def of_turns() -> list[float]:
        return change(
            stack,
            before,
            "parley_turns_total provider=chat status=done",
            "parley_turns_total provider=chat status=stopped",
            "parley_turns_total provider= status=stopped",
            "parley_turns_total provider=chat status=failed",
            "parley_duplicates_total",
        )

    assert of_turns() == [2, 1, 1, 1, 1]  # the ledger's own: at once

    def of_workers() -> list[float]:
        return change(
            stack,
            before,
            "parley_queue_seconds_count",
            "parley_turn_seconds_count provider=chat",
            "parley_first_token_seconds_count provider=chat",
            "parley_tokens_per_second_count provider=chat",
            "parley_upstream_errors_total code=provider_unavailable provider=chat",
        )

    eventually(
        lambda: of_workers()[:1] == [4] and of_workers()[1] == 4, f"the worker's figures are there: {of_workers()}"
    )
    assert of_workers()[2:] == [3, 2, 2]
    assert change(stack, before, "parley_flush_chars_count")[0] >= 3
    now = figures(stack)
    assert (now["parley_workers"], now["parley_worker_slots"]) == (1, 200)
    assert (now["parley_turns_active"], now["parley_turns_waiting"], now["parley_oldest_waiting_seconds"]) == (0, 0, 0)


def test_clients_that_come_back(stack: Stack) -> None:
    eventually(lambda: figures(stack)["parley_connections"] == 0, "those of other tests are gone")
    before = figures(stack)
    client = stack.client()
    other = stack.client(web=1)
    eventually(lambda: change(stack, before, "parley_connections") == [2], "both are counted, on both processes")
    client.talk(stack.secret_text())
    conversation_id = client.received[0]["conversation_id"]
    view = client.view(conversation_id)
    names = ("parley_resumes_total by=tail", "parley_resumes_total by=snapshot", "parley_gaps_total")
    client.do("open_conversation", conversation_id=conversation_id, after=view.seq, epoch=view.epoch)
    assert change(stack, before, *names) == [1, 0, 0]
    client.do("open_conversation", conversation_id=conversation_id, after=1, epoch=view.epoch)
    assert change(stack, before, *names[:2]) == [1, 1]  # what led there is no longer in the log
    eventually(lambda: change(stack, before, *names) == [1, 1, 1], "it had it open, so it missed something")
    with EventReader(stack.api(client.session), f"/api/conversations/{conversation_id}/events"):
        eventually(
            lambda: change(stack, before, "parley_connections") == [3], "who follows over HTTP is counted as well"
        )
    other.close()
    client.close()
    # A stream's end is noticed when something is sent on it, which is every 15 s.
    eventually(lambda: change(stack, before, "parley_connections") == [0], "they are gone", 60)


def test_turns_that_nobody_works_on(stack: Stack) -> None:
    worker = stack.workers[0]
    worker.freeze()
    try:
        client = stack.client()
        answer = client.send(stack.secret_text("Anybody?"))
        oldest = eventually(lambda: figures(stack)["parley_oldest_waiting_seconds"], "it is seen waiting")
        assert figures(stack)["parley_turns_waiting"] == 1
        eventually(lambda: figures(stack)["parley_oldest_waiting_seconds"] > oldest, "and for longer and longer")
    finally:
        worker.thaw()
    client.wait_finished(answer["turn_id"])
    assert figures(stack)["parley_turns_waiting"] == 0


def test_a_worker_that_ends_leaves_its_counts(stack: Stack) -> None:
    client = stack.client()
    client.talk(stack.secret_text())
    worker = stack.workers[0]
    worker.signal(signal.SIGTERM)
    try:
        worker.wait()
        now = figures(stack)
        ended = [
            now.get(f"parley_turns_total provider=chat status={status}", 0) for status in ("done", "stopped", "failed")
        ]
        assert now["parley_turn_seconds_count provider=chat"] == sum(ended)
        assert (now["parley_workers"], now["parley_worker_slots"]) == (0, 0)
    finally:
        worker.kill()
        stack.repair()


def test_labels_hold_no_ids_and_no_text(stack: Stack) -> None:
    client = stack.client()
    client.talk(stack.secret_text())
    shown = text(stack)
    ids = {value for event in client.received for name, value in event.items() if name.endswith("_id")}
    assert [secret for secret in {*stack.secrets, *ids} if secret in shown] == []
    labels = {
        name for family in text_string_to_metric_families(shown) for sample in family.samples for name in sample.labels
    }
    assert labels <= {"status", "provider", "code", "by", "le"}


# --- Who may see it ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}])
def test_the_token_is_asked_for(stack: Stack, headers: dict[str, str]) -> None:
    answer = requests.get(f"{stack.webs[0].url}/metrics", headers=headers, timeout=20)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")


def test_without_a_token_it_answers_its_own_machine_only(mode: Mode, tmp_path: Path) -> None:
    own = _own_address()
    with Stack(tmp_path, workers=0, mode=mode, environ={"TRUSTED_PROXIES": "1"}) as stack:
        url = f"{stack.webs[0].url}/metrics"
        assert requests.get(url, timeout=20).status_code == 200
        for headers in (
            {"X-Forwarded-For": "203.0.113.9"},
            {"X-Forwarded-For": "127.0.0.1"},
            {"Forwarded": "for=1.2.3.4"},
        ):
            answer = requests.get(url, headers=headers, timeout=20)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "unauthorized"), headers
        elsewhere = url.replace("127.0.0.1", own)
        assert requests.get(elsewhere, timeout=20).status_code == 403
        assert requests.get(elsewhere, headers={"X-Forwarded-For": "127.0.0.1"}, timeout=20).status_code == 403
        stack.redis.kill()
        said = requests.get(url, timeout=20)
        assert (said.status_code, "parley_redis_up 0.0" in said.text) == (200, True)


def _own_address() -> str:
    """Of this machine, other than its loopback one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent
        return str(probe.getsockname()[0])


# --- What is shipped beside it ----------------------------------------------------------------------------------------


def families(stack: Stack) -> set[str]:
    return set(re.findall(r"^# TYPE (\w+)", text(stack), re.MULTILINE))


def test_every_metric_and_label_is_documented(stack: Stack) -> None:
    """tests/unit/test_monitoring.py holds dashboard and alerts against the document."""
    documented = documented_metrics()
    assert documented.keys() == families(stack)
    told = {
        (family.name, label)
        for family in text_string_to_metric_families(text(stack))
        for sample in family.samples
        for label in sample.labels.keys() - {"le"}
    }
    assert told <= {(name.removesuffix("_total"), label) for name, labels in documented.items() for label in labels}


# --- Logs -------------------------------------------------------------------------------------------------------------


def test_one_line_tells_a_turn_s_life(stack: Stack) -> None:
    client = stack.client()
    question = stack.secret_text("Log this")
    stack.model.answer(question, Script(["One", " two"], usage=(3, 7)))
    answer = client.send(question)
    client.wait_finished(answer["turn_id"])

    def of_turn(event: str) -> list[dict[str, Any]]:
        return [line for line in lines(stack, event) if line["turn_id"] == answer["turn_id"]]

    [line] = eventually(lambda: of_turn("turn over"), "it is logged")
    assert {
        "conversation_id": answer["conversation_id"],
        "outcome": "done",
        "attempt": 1,
        "tokens": 7,
    }.items() <= line.items()
    assert line["flushes"] >= 1
    assert 0 <= line["first_token"] <= line["seconds"]
    assert line["queued"] >= 0
    [accepted] = of_turn("turn accepted")
    assert accepted["request_id"] == line["request_id"], "from the socket's event to the worker"
    assert stack.model.request(question).headers["x-client-request-id"] == answer["turn_id"]


def test_a_request_keeps_the_id_that_it_was_given(stack: Stack) -> None:
    session = stack.session()
    api = stack.api(session)
    answer = api("POST", "/api/conversations", json={})
    made = answer.headers["X-Request-ID"]
    path = f"/api/conversations/{answer.json()['id']}/messages"
    sent = api("POST", path, json={"text": stack.secret_text(), "client_id": "a"}, headers={"X-Request-ID": "mine-1"})
    assert sent.headers["X-Request-ID"] == "mine-1" != made
    [line] = eventually(
        lambda: [line for line in lines(stack, "turn over") if line["turn_id"] == sent.json()["turn_id"]],
        "it is logged",
    )
    assert line["request_id"] == "mine-1"
    odd = api("GET", "/api/models", headers={"X-Request-ID": "two words\t"})
    assert re.fullmatch(r"[0-9a-f]{16}", odd.headers["X-Request-ID"])
