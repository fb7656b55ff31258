"""What Flower, which listens to Celery's events, is told of turns."""

import time
from contextlib import suppress

from celery import Celery

from tests.support.processes import PATIENCE
from tests.support.stack import Stack


def test_each_state_of_a_task_is_told(stack: Stack) -> None:
    flower = Celery(broker=stack.redis.url)
    told: list[dict[str, object]] = []
    text = stack.secret_text()

    with (
        flower.connection_for_read() as channel,
        flower.events.Receiver(channel, handlers={"*": told.append}).consumer_context(wakeup=False) as (connection, *_),
    ):

        def hear(kind: str, of: str = "") -> dict[str, object]:
            until = time.monotonic() + PATIENCE
            while not (found := [event for event in told if event["type"] == kind and of in str(event)]):
                assert time.monotonic() < until, f"no {kind} among {told}"
                with suppress(TimeoutError):
                    connection.drain_events(timeout=1)
            return found[0]

        hear("worker-heartbeat")  # it listens
        turn_id = stack.client().talk(text)["turn_id"]
        # (A reply of an earlier test may be told of as well.)
        task = hear("task-received", turn_id)["uuid"]
        hear("task-succeeded", str(task))
    tasks = [event for event in told if event.get("uuid") == task]
    assert [event["type"] for event in tasks] == ["task-received", "task-started", "task-succeeded"]
    assert tasks[0]["name"] == "reply"
    assert text not in str(tasks)
