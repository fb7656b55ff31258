"""Hints as Celery messages."""

import threading

from celery import Celery

from app.logs import get_logger
from tasks.celery_app import QUEUE, REPLY

# A connection of the pool may have died since it was last used; the second attempt is made on a new one.
AGAIN = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


class CeleryHints:
    def __init__(self, celery: Celery) -> None:
        self._celery = celery
        self._log = get_logger(__name__)

    def reply(self, conversation_id: str, turn_id: str) -> None:
        """Sent from a thread (greenlet) of its own: nobody waits for a broker that is slow or away."""
        threading.Thread(target=self._send, args=(conversation_id, turn_id), daemon=True).start()

    def _send(self, conversation_id: str, turn_id: str) -> None:
        try:
            self._celery.send_task(REPLY, args=(conversation_id, turn_id), queue=QUEUE, retry=True, retry_policy=AGAIN)
        except Exception as exc:
            self._log.warning(
                "hint not sent; the sweep will", conversation_id=conversation_id, turn_id=turn_id, error=str(exc)
            )
