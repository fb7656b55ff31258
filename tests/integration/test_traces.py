"""OpenTelemetry: what a collector is sent, and that nothing of it is there when nobody wants it."""

import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.collector import Collector, Span
from tests.support.ports import ClosedPort
from tests.support.processes import ROOT, eventually
from tests.support.stack import Mode, Stack
from tests.support.upstream import Gate, Hold, Script

SERVER, CLIENT, CONSUMER = 2, 3, 5


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(mode: Mode, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "TITLE_MODEL": "large",
        "LLM_RETRIES": "1",
        "LEASE_SECONDS": "2",
        "LOG_FORMAT": "json",
    }
    with Stack(tmp_path_factory.mktemp("traces"), mode=mode, environ=environ) as stack:
        yield stack
        assert stack.leaks() == []
        sent = b"".join(collector.bodies)
        assert [secret for secret in stack.secrets if secret.encode() in sent] == []


def named(spans: list[Span], *names: str) -> list[Span]:
    return [span for name in names for span in spans if span.name == name]


def trace_of(collector: Collector, turn_id: str, *names: str) -> list[Span]:
    """Its spans of these names, one each, once all are there."""

    def found() -> list[Span]:
        spans = named(collector.of_turn(turn_id), *names)
        return spans if len(spans) >= len(names) else []

    spans = eventually(found, f"the spans {names} are there")
    assert [span.name for span in spans] == list(names)
    return spans


def test_one_trace_from_the_event_through_the_task_to_the_provider(traced: Stack, collector: Collector) -> None:
    question = traced.secret_text()
    traced.model.answer(question, Script(["Fine"], usage=(3, 7)))
    client = traced.client()
    answer = client.send(question)
    client.wait_finished(answer["turn_id"])
    event, task, call, title = trace_of(
        collector, answer["turn_id"], "event send_message", "task reply", "chat small", "task title"
    )
    assert (event.parent_id, task.parent_id, call.parent_id, title.parent_id) == (
        "",
        event.span_id,
        task.span_id,
        task.span_id,
    )
    assert (event.kind, task.kind, call.kind) == (SERVER, CONSUMER, CLIENT)
    assert [span.service for span in (event, task, call)] == ["parley-web", "parley-worker", "parley-worker"]
    assert task.attributes["gen_ai.conversation.id"] == answer["conversation_id"]
    assert (task.attributes["parley.outcome"], task.attributes["parley.attempt"]) == ("done", 1)
    assert call.attributes["gen_ai.provider.name"] == "chat"
    assert (call.attributes["gen_ai.usage.input_tokens"], call.attributes["gen_ai.usage.output_tokens"]) == (3, 7)
    # The provider is told where its part belongs.
    told = traced.model.request(question).headers["traceparent"]
    assert told.startswith(f"00-{call.trace_id}-{call.span_id}-")
    [titled] = eventually(lambda: named(collector.of_turn(answer["turn_id"]), "chat large"), "its call is there")
    assert titled.parent_id == title.span_id


def test_a_request_goes_on_with_its_callers_trace(traced: Stack, collector: Collector) -> None:
    api = traced.api(traced.session())
    conversation_id = api("POST", "/api/conversations", json={}).json()["id"]
    trace_id, caller = secrets.token_hex(16), secrets.token_hex(8)
    sent = api(
        "POST",
        f"/api/conversations/{conversation_id}/messages",
        json={"text": traced.secret_text(), "client_id": "a"},
        headers={"traceparent": f"00-{trace_id}-{caller}-01"},
    )
    name = "POST /api/conversations/<conversation_id>/messages"
    request, task, call = trace_of(collector, sent.json()["turn_id"], name, "task reply", "chat small")
    assert {request.trace_id, task.trace_id, call.trace_id} == {trace_id}
    assert (request.parent_id, task.parent_id, call.parent_id) == (caller, request.span_id, task.span_id)
    assert request.attributes["http.response.status_code"] == 202


def test_a_message_that_waits_keeps_its_own_trace_and_so_does_one_that_is_taken_over(
    traced: Stack, collector: Collector
) -> None:
    client = traced.client()
    first, second, gate = traced.secret_text(), traced.secret_text(), Gate()
    traced.model.answer(first, Script(["One ", Hold(gate)]), Script(["Two"]))
    running = client.send(first)
    client.wait_text(running["conversation_id"], running["turn_id"], "One ")
    waiting = client.send(second, running["conversation_id"])
    traced.workers[0].kill()
    traced.repair()
    client.wait_finished(waiting["turn_id"])
    gate.open()
    traces = set()
    for turn in (running, waiting):
        event, task, _ = trace_of(collector, turn["turn_id"], "event send_message", "task reply", "chat small")
        assert task.parent_id == event.span_id
        assert task.attributes["parley.attempt"] == (2 if turn is running else 1)
        traces.add(task.trace_id)
    assert len(traces) == 2
    # What is logged in the worker goes by the message's own request as well.
    accepted, over = (
        {line["turn_id"]: line["request_id"] for line in lines(traced, event)}
        for event in ("turn accepted", "turn over")
    )
    for turn in (running, waiting):
        assert over[turn["turn_id"]] == accepted[turn["turn_id"]]


def lines(stack: Stack, event: str) -> list[dict[str, Any]]:
    return [line for line in stack.log_entries() if line["event"] == event]


def test_what_fails_is_marked_and_a_stop_is_no_failure(traced: Stack, collector: Collector) -> None:
    client = traced.client()
    failing, stopped = traced.secret_text(), traced.secret_text()
    traced.model.answer(failing, Script.error(500), Script.error(401))
    failed = client.send(failing)
    client.wait_finished(failed["turn_id"])
    [first, second] = (
        eventually(
            lambda: len(found := named(collector.of_turn(failed["turn_id"]), "chat small")) == 2 and found, "both calls"
        )
        or []
    )
    assert [call.attributes["error.type"] for call in (first, second)] == ["provider_unavailable", "provider_auth"]
    [task] = trace_of(collector, failed["turn_id"], "task reply")
    assert first.failed
    assert task.failed
    traced.model.answer(stopped, Script([Hold(Gate())]))
    running = client.send(stopped)
    traced.model.request(stopped)
    client.do("stop_turn", conversation_id=running["conversation_id"], turn_id=running["turn_id"])
    task, call = trace_of(collector, running["turn_id"], "task reply", "chat small")
    assert task.attributes["parley.outcome"] == "stopped"
    assert not task.failed
    assert not call.failed


def test_a_process_that_ends_sends_what_it_has(collector: Collector, mode: Mode, tmp_path: Path) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "3600000"}
    with Stack(tmp_path, mode=mode, environ=environ) as stack:
        client = stack.client()
        turn_id = client.talk(stack.secret_text())["turn_id"]
        for part in (*stack.workers, *stack.webs):
            part.signal(signal.SIGTERM)
            part.wait()
        trace_of(collector, turn_id, "event send_message", "task reply", "chat small")


def test_a_collector_that_is_away_holds_nothing_up(mode: Mode, tmp_path: Path) -> None:
    with closing(ClosedPort()) as closed:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{closed.number}"}
        with Stack(tmp_path, mode=mode, environ=environ) as stack:
            client = stack.client()
            assert client.talk(stack.secret_text())["status"] == "done"
            for part in (*stack.workers, *stack.webs):
                part.signal(signal.SIGTERM)
                part.wait(10)  # the exporter alone would try for longer


def test_without_an_address_nothing_of_it_is_imported(stack: Stack) -> None:
    # (redis-py imports some of it by itself, for metrics, where it is installed.)
    program = "import sys, wsgi; print([name for name in sys.modules if name.startswith('opentelemetry.exporter')])"
    said = subprocess.run(
        [sys.executable, "-c", program], env=stack.environ, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines()[-1] == "[]"
    # Nor does it keep anything from starting when it is asked for and not installed.
    environ = {**stack.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    program = "import sys; sys.modules['opentelemetry'] = None; import wsgi"
    said = subprocess.run(
        [sys.executable, "-c", program], env=environ, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "requirements-otel.txt is not installed" in said.stdout
    question = stack.secret_text()
    client = stack.client()
    client.talk(question)
    assert "traceparent" not in stack.model.request(question).headers
