"""Hints as Celery messages."""

import threading
from typing import Any

from celery import Celery

from app.logs import get_logger
from app.traces import asked_by
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
        self._start(TITLE, conversation_id, reply_id, PRIORITIES[-1], asked_by())

    def summary(self, conversation_id: str, reply_id: str) -> None:
        self._start(SUMMARY, conversation_id, reply_id, PRIORITIES[-1], asked_by())

    def _start(
        self, task: str, conversation_id: str, item_id: str, priority: int, asked_by: dict[str, str] | None = None
    ) -> None:
        """From a thread (greenlet) of its own: nobody waits for a broker that is slow or away.

        `asked_by` goes into headers; a turn's own is in the ledger, as others may send its hint."""
        message = {"args": (conversation_id, item_id), "priority": priority, "headers": asked_by or {}}
        threading.Thread(target=self._send, args=(task, message), daemon=True).start()

    def _send(self, task: str, message: dict[str, Any]) -> None:
        try:
            self._celery.send_task(task, queue=QUEUE, retry=True, retry_policy=AGAIN, **message)
        except Exception as exc:
            # A turn is found by the sweep; for a title or a summary the next reply asks again.
            self._log.warning("hint not sent", task=task, ids=message["args"], error=str(exc))
