"""Publishes what scripts returned, where Socket.IO's message queue is another Redis than the ledger's."""

import threading
import time
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from redis import Redis

from app.connections import UNREACHABLE
from app.logs import get_logger

# In one round trip, so that a long outage ends with many that each have time enough.
BATCH = 1_000
# More than this, and most of what waits is forgotten: some seconds of a busy process.
MAX_WAITING = 10_000
# The last messages of so many conversations stay, those that went on most lately.
KEPT = 5_000
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 2.0
# Of the time that a platform leaves a process to end.
FLUSH_SECONDS = 5.0


class Publication(NamedTuple):
    conversation_id: str
    channel: bytes
    message: bytes


class Relay:
    """Publishes in order, from a thread (greenlet) of its own: nobody waits for a queue that is slow or away.

    What comes meanwhile goes out together. What could not be published is kept and tried again, but only the last
    message of each conversation (in each channel): whoever gets that one sees the gap and asks the ledger. One may be
    published twice, or late; clients know by its number.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[Publication] = []
        self._under_way = False
        self._changed = threading.Condition()
        # It stays: to start one for each flush would cost three times as much as to wake it.
        self._thread: threading.Thread | None = None
        self._pause = 0.0
        self._log = get_logger(__name__)

    def publish(self, publications: Sequence[Publication]) -> None:
        with self._changed:
            self._waiting += publications
            if len(self._waiting) > MAX_WAITING:
                self._thin_out()
            if self._thread is None:  # the process may have been forked since this was made
                self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, seconds: float) -> None:
        """Returns when all has been published, or after this time."""
        with self._changed:
            if not self._is_level():
                self._log.info("waiting for the message queue", seconds=seconds)
                self._changed.wait_for(self._is_level, seconds)

    def _is_level(self) -> bool:
        return not self._waiting and not self._under_way

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                self._under_way = True
            published = self._try(batch)
            with self._changed:
                if not published:
                    self._waiting = batch + self._waiting
                    self._thin_out()
                self._under_way = False
                self._changed.notify_all()
            if not published:
                time.sleep(self._pause)

    def _try(self, batch: Sequence[Publication]) -> bool:
        try:
            self._publish_now(batch)
        except Exception as exc:  # whatever it is, nobody else would try again
            if not self._pause:
                self._log.warning(
                    "message queue unreachable, the last events are kept",
                    error=str(exc),
                    exc_info=not isinstance(exc, UNREACHABLE),
                )
            self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
            return False
        if self._pause:
            self._log.info("message queue reached again")
            self._pause = 0.0
        return True

    def _publish_now(self, batch: Sequence[Publication]) -> None:
        """Raises redis-py's errors, also what Redis refused, in which redis-py would quote the message."""
        pipeline = self._redis.pipeline(transaction=False)
        for one in batch:
            pipeline.publish(one.channel, one.message)
        for answer in pipeline.execute(raise_on_error=False):
            if isinstance(answer, Exception):
                raise answer

    def _thin_out(self) -> None:
        last: dict[tuple[str, bytes], Publication] = {}
        for one in reversed(self._waiting):
            last.setdefault((one.conversation_id, one.channel), one)
        self._waiting = list(islice(last.values(), KEPT))[::-1]
