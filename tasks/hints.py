"""Hints as Celery messages."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from celery import Celery
from kombu.messaging import Producer

from app.logs import get_logger
from app.traces import asked_by
from tasks.celery_app import PRIORITIES, QUEUE, REPLY, SUMMARY, TITLE

# A broker's connection may have died since it was last used; the second attempt is made on a new one.
ATTEMPTS = 2
# Of kombu, for a connection: the attempts are ours.
AT_ONCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}

Hint = dict[str, Any]


class CeleryHints:
    """Sends from a thread (greenlet) of its own: nobody waits for a broker that is slow or away.

    What is asked for while it sends goes out together after that, in one round trip: in a burst, most of what a message
    costs the web tier would be Celery's sending one hint after the other.
    """

    def __init__(self, celery: Celery) -> None:
        self._celery = celery
        self._lock = threading.Lock()
        self._waiting: list[Hint] = []
        self._sending = False
        # The sender's own, and there is one at a time.
        self._producer: Producer | None = None
        self._log = get_logger(__name__)

    def reply(self, conversation_id: str, turn_id: str, rank: int) -> None:
        priority = PRIORITIES[min(rank, len(PRIORITIES) - 1)]
        # What asked for a turn is in the ledger, as others may send its hint.
        self._start({"name": REPLY, "args": (conversation_id, turn_id), "priority": priority})

    def title(self, conversation_id: str, reply_id: str) -> None:
        self._later(TITLE, conversation_id, reply_id)

    def summary(self, conversation_id: str, reply_id: str) -> None:
        self._later(SUMMARY, conversation_id, reply_id)

    def _later(self, task: str, conversation_id: str, reply_id: str) -> None:
        self._start(
            {"name": task, "args": (conversation_id, reply_id), "priority": PRIORITIES[-1], "headers": asked_by()}
        )

    def _start(self, hint: Hint) -> None:
        with self._lock:
            self._waiting.append(hint)
            if self._sending:
                return
            self._sending = True
        threading.Thread(target=self._send_all, daemon=True).start()

    def _send_all(self) -> None:
        while hints := self._taken():
            self._send(hints)

    def _taken(self) -> list[Hint]:
        with self._lock:
            hints, self._waiting = self._waiting, []
            self._sending = bool(hints)
        return hints

    def _send(self, hints: Sequence[Hint]) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._publish(hints)
            except Exception as exc:
                self._disconnect()
                if attempt == ATTEMPTS:
                    # A turn is found by the sweep; for a title or a summary the next reply asks again.
                    for hint in hints:
                        self._log.warning("hint not sent", task=hint["name"], ids=hint["args"], error=str(exc))
            else:
                return

    def _publish(self, hints: Sequence[Hint]) -> None:
        if self._producer is None:
            connection = self._celery.connection_for_write(transport_options=AT_ONCE)
            self._producer = self._celery.amqp.Producer(connection, auto_declare=False)
        with self._producer.batch():
            for hint in hints:
                # The workers declare the queue.
                self._celery.send_task(**hint, queue=QUEUE, declare=(), retry=False, producer=self._producer)

    def _disconnect(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(Exception):  # what is broken need not end well
                producer.connection.release()
