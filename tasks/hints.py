"""Hints as Celery messages."""

import threading
from typing import Any

from celery import Celery

from app.logs import bound, get_logger
from tasks.celery_app import PRIORITIES, QUEUE, REPLY, SUMMARY, TITLE

# A connection of the pool may have died since it was last used; the second attempt is made on a new one.
AGAIN = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


class CeleryHints:
    def __init__(self, celery: Celery) -> None:
        self._celery = celery
        self._log = get_logger(__name__)

    def reply(self, conversation_id: str, turn_id: str, rank: int) -> None:
        self._start(REPLY, conversation_id, turn_id, PRIORITIES[min(rank, len(PRIORITIES) - 1)])

    def title(self, conversation_id: str, reply_id: str) -> None:
        self._start(TITLE, conversation_id, reply_id, PRIORITIES[-1])

    def summary(self, conversation_id: str, reply_id: str) -> None:
        self._start(SUMMARY, conversation_id, reply_id, PRIORITIES[-1])

    def _start(self, task: str, conversation_id: str, item_id: str, priority: int) -> None:
        """From a thread (greenlet) of its own: nobody waits for a broker that is slow or away."""
        # In a header: the arguments are for Flower, and a turn has the same ones whoever asks for it.
        headers = {"request_id": request_id} if (request_id := bound("request_id")) else {}
        message = {"args": (conversation_id, item_id), "priority": priority, "headers": headers}
        threading.Thread(target=self._send, args=(task, message), daemon=True).start()

    def _send(self, task: str, message: dict[str, Any]) -> None:
        try:
            self._celery.send_task(task, queue=QUEUE, retry=True, retry_policy=AGAIN, **message)
        except Exception as exc:
            # A turn is found by the sweep; for a title or a summary the next reply asks again.
            self._log.warning("hint not sent", task=task, ids=message["args"], error=str(exc))
