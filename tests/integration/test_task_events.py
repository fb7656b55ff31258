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

        def hear(kind: str) -> None:
            until = time.monotonic() + PATIENCE
            while kind not in [event["type"] for event in told]:
                assert time.monotonic() < until, f"no {kind} among {told}"
                with suppress(TimeoutError):
                    connection.drain_events(timeout=1)

        hear("worker-heartbeat")  # it listens
        assert stack.client().talk(text)["status"] == "done"
        hear("task-succeeded")
    tasks = [event for event in told if str(event["type"]).startswith("task-")]
    assert [event["type"] for event in tasks] == ["task-received", "task-started", "task-succeeded"]
    assert len({event["uuid"] for event in tasks}) == 1
    assert tasks[0]["name"] == "reply"
    assert text not in str(tasks)
