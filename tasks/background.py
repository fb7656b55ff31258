"""The tasks `title` and `summary`: what is asked of a model beside the replies."""

from typing import Any

from celery import Celery

from app.turns.background import Background
from tasks.celery_app import SUMMARY, TITLE


def register_background(celery: Celery, background: Background) -> None:
    @celery.task(name=TITLE, bind=True)  # type: ignore[untyped-decorator]
    def title(self: Any, conversation_id: str, reply_id: str) -> str:
        return background.title(conversation_id, reply_id, self.request.headers or {})

    @celery.task(name=SUMMARY, bind=True)  # type: ignore[untyped-decorator]
    def summary(self: Any, conversation_id: str, reply_id: str) -> str:
        return background.summary(conversation_id, reply_id, self.request.headers or {})
