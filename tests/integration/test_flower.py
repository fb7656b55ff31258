"""The Procfile's Flower: what it shows, whom it shows it to, and what it leaves in Redis."""

import ast
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.integration.conftest import Stacks
from tests.support.ports import free_port
from tests.support.processes import Process, eventually
from tests.support.stack import Mode, Stack
from tests.support.upstream import Gate, Hold, Script

LOGIN = ("watcher", "planted-flower-password")
# What Celery needs to know who listens: a few names for each process, none for a task.
BINDINGS = "_kombu.binding"


class Flower(Process):
    def __init__(self, stack: Stack) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        environ = {**stack.environ, "PORT": str(port), "FLOWER_BASIC_AUTH": ":".join(LOGIN)}
        super().__init__("flower", ["sh", "scripts/procfile.sh", "flower"], environ, stack.folder)

    def get(self, path: str) -> Any:
        answer = requests.get(self.url + path, auth=LOGIN, timeout=20)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    def knows_the_worker(self) -> bool:
        try:
            # It asks for each of these, and leaves out what nobody answered within a second.
            [worker] = self.get("/api/workers?refresh=1").values() or [{}]
            return bool({"stats", "active_queues", "registered"} <= worker.keys())
        except requests.RequestException:
            assert self.running, self.output()
            return False


@pytest.fixture(scope="module")
def flower(stacks: Stacks, mode: Mode) -> Iterator[Flower]:
    stack = stacks("calm", mode)
    stack.secrets.add(LOGIN[1])
    flower = Flower(stack)
    flower.start()
    eventually(flower.knows_the_worker, "Flower is up and has found the worker", 60)
    yield flower
    flower.kill()


def test_it_lets_nobody_in_without_the_password(flower: Flower) -> None:
    for path in ("/", "/tasks", "/workers", "/api/tasks", "/api/workers"):
        assert requests.get(flower.url + path, timeout=20).status_code == 401, path
        assert requests.get(flower.url + path, auth=(LOGIN[0], "wrong"), timeout=20).status_code == 401, path


def test_it_shows_tasks_as_they_are(stack: Stack, flower: Flower) -> None:
    client = stack.client()
    failing, endless = stack.secret_text("Nobody is there"), stack.secret_text("On and on")
    stack.model.answer(endless, Script(["On ", Hold(Gate())]))
    sent = [client.send(stack.secret_text()), client.send(failing, provider="dead"), client.send(endless)]
    stopped = sent[-1]
    client.wait_text(stopped["conversation_id"], stopped["turn_id"], "On ")
    client.do("stop_turn", conversation_id=stopped["conversation_id"], turn_id=stopped["turn_id"])
    for answer in sent:
        client.wait_finished(answer["turn_id"])
    turns = {answer["turn_id"]: answer["conversation_id"] for answer in sent}

    def shown() -> dict[str, dict[str, Any]]:
        tasks = flower.get("/api/tasks?taskname=reply").values()
        found = {ast.literal_eval(task["args"])[1]: task for task in tasks if task["state"] == "SUCCESS"}
        return found if turns.keys() <= found.keys() else {}

    tasks = eventually(shown, "Flower has heard of them")
    for turn_id, conversation_id in turns.items():
        task = tasks[turn_id]
        assert ast.literal_eval(task["args"]) == (conversation_id, turn_id), "ids, and nothing else"
        assert task["kwargs"] == "{}"
        assert task["received"] <= task["started"] <= task["succeeded"]
        assert 0 < task["runtime"] < 60
    assert [tasks[answer["turn_id"]]["result"] for answer in sent] == ["'done'", "'failed'", "'stopped'"]
    shown_at_all = requests.get(f"{flower.url}/tasks", auth=LOGIN, timeout=20).text + str(tasks)
    assert [secret for secret in stack.secrets if secret in shown_at_all] == []


def test_it_shows_the_worker(flower: Flower, mode: Mode) -> None:
    eventually(flower.knows_the_worker, "the worker answers in time")
    [(name, worker)] = flower.get("/api/workers?refresh=1").items()
    assert name.startswith("worker-")
    assert [queue["name"] for queue in worker["active_queues"]] == ["replies"]
    assert worker["stats"]["pool"]["implementation"].endswith(f"{mode}:TaskPool")
    assert {"reply", "title", "summary"} <= set(worker["registered"])


def test_tasks_leave_nothing_in_redis(stack: Stack, flower: Flower) -> None:
    redis = stack.redis.client

    def foreign() -> dict[str, int]:
        """Keys of Celery's, and how much is in them."""
        sizes = {b"list": redis.llen, b"set": redis.scard, b"zset": redis.zcard, b"hash": redis.hlen}
        keys: list[bytes] = redis.keys("*")  # type: ignore[assignment]
        return {
            key.decode(): int(sizes[redis.type(key)](key))  # type: ignore[index]
            for key in keys
            if not key.startswith(b"parley:")
        }

    before = foreign()
    assert [key for key in before if not key.startswith(BINDINGS)] == []
    client = stack.client()
    for _ in range(30):
        client.talk(stack.secret_text())
    assert foreign() == before
    # A Flower that was killed does not make the workers heap up events for it, or answers to what it asked.
    flower.kill()
    for _ in range(30):
        client.talk(stack.secret_text())
    assert foreign() == before
    flower.start()
    eventually(flower.knows_the_worker, "another one", 60)
    after = foreign()
    assert [key for key in after if not key.startswith(BINDINGS)] == []
    assert sum(after.values()) <= sum(before.values()) + 1, "at most its own name is left"
