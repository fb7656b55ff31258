"""The tasks `title` and `summary`: what is asked of a model beside the replies."""

from celery import Celery

from app.turns.background import Background
from tasks.celery_app import SUMMARY, TITLE


def register_background(celery: Celery, background: Background) -> None:
    @celery.task(name=TITLE)  # type: ignore[untyped-decorator]
    def title(conversation_id: str, reply_id: str) -> str:
        return background.title(conversation_id, reply_id)

    @celery.task(name=SUMMARY)  # type: ignore[untyped-decorator]
    def summary(conversation_id: str, reply_id: str) -> str:
        return background.summary(conversation_id, reply_id)
