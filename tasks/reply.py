"""The task `reply`: one for each turn."""

from typing import Any

import structlog
from celery import Celery

from app.turns.run import Runner
from tasks.celery_app import REPLY


def register_reply(celery: Celery, runner: Runner) -> None:
    @celery.task(name=REPLY, bind=True)  # type: ignore[untyped-decorator]
    def reply(self: Any, conversation_id: str, turn_id: str) -> str:
        about = {"request_id": request_id} if (request_id := (self.request.headers or {}).get("request_id")) else {}
        with structlog.contextvars.bound_contextvars(**about):
            return runner.run(conversation_id, turn_id)
