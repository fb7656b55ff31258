"""What `make run` gives to someone who has configured nothing: the real local model answers."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clients import make_client
from tests.support.http_client import Api, Session
from tests.support.ports import free_port
from tests.support.processes import clean_environment, eventually

ROOT = Path(__file__).resolve().parents[2]
# What the runner needs beside a data folder of its own.
PARTS = (
    "Procfile",
    "app",
    "tasks",
    "scripts",
    "templates",
    "static",
    "wsgi.py",
    "celery_worker.py",
    "gunicorn.conf.py",
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[str]:
    """The address that the runner prints."""
    for part in PARTS:
        (tmp_path / part).symlink_to(ROOT / part)
    log = tmp_path / "run.log"
    environ = {**clean_environment(tmp_path), "PORT": str(free_port())}
    with log.open("wb") as out:
        runner = subprocess.Popen(
            [sys.executable, "-m", "scripts.run", "--root", str(tmp_path)],
            cwd=ROOT,
            env=environ,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )

    def address() -> str:
        assert runner.poll() is None, log.read_text()
        _, said, rest = log.read_text().partition("Parley is ready: ")
        return rest.split()[0] if said and "\n" in rest else ""

    try:
        yield eventually(address, "make run is ready", 90)
    finally:
        os.kill(runner.pid, signal.SIGINT)
        runner.wait(60)


@pytest.mark.timeout(240)
def test_the_local_model_answers(running: str) -> None:
    created = Api(running)("POST", "/api/sessions", json={"name": "Ann"}).json()
    client = make_client("python", Session(created["session_id"], created["token"]), running).connect()

    def streamed() -> str:
        return "".join(event["text"] for event in client.received if event["type"] == "turn.delta")

    answer = client.send("Tell me a story about a tortoise that crosses a river.")
    conversation_id, turn_id = answer["conversation_id"], answer["turn_id"]
    client.wait_for(lambda: len(re.findall(r"[a-z]{2,}", streamed())) >= 3, "it says three words", timeout=90)
    # What else it has to say can take a while on a busy machine, and is no matter of ours.
    client.do("stop_turn", conversation_id=conversation_id, turn_id=turn_id)
    reply = client.wait_finished(turn_id)["message"]
    assert reply["text"] == streamed()
    assert (reply["provider"], reply["model"]) == ("local", "smollm2-135m")
    client.close()
