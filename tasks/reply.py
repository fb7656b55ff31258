"""The task `reply`: one for each turn."""

from celery import Celery

from app.turns.run import Runner
from tasks.celery_app import REPLY


def register_reply(celery: Celery, runner: Runner) -> None:
    @celery.task(name=REPLY)  # type: ignore[untyped-decorator]
    def reply(conversation_id: str, turn_id: str) -> str:
        return runner.run(conversation_id, turn_id)
