"""What Flower hears of tasks."""

import threading
from typing import Any

from celery.events.dispatcher import EventDispatcher

FLUSH_SECONDS = 0.5
# So many waiting events are sent at once.
MANY = 500


class BatchedEvents(EventDispatcher):  # type: ignore[misc]
    """Sends the events of tasks together, twice a second; their times are those at which they happened.

    Celery does so itself, but not on green pools, where each of a task's three events costs a publication of its own:
    more than claiming a turn and asking its provider. Named by `celery.events.dispatcher_cls`; a test pins what is
    relied on.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._due = False
        options |= {"buffer_group": {"task"}, "buffer_limit": MANY, "on_send_buffered": self._flush_soon}
        super().__init__(*args, **options)

    def close(self) -> None:
        self.flush()
        super().close()

    def flush(self, errors: bool = True, groups: bool = True) -> None:
        """Celery empties a list once it is published, and with it what has come meanwhile."""
        super().flush(errors=errors, groups=False)
        for group, events in list(self._group_buffer.items()) if groups else []:
            taken, events[:] = events[:], []
            if taken:
                self._publish(taken, self.producer, f"{group}.multi")

    def _flush_soon(self) -> None:
        if not self._due:
            self._due = True
            timer = threading.Timer(FLUSH_SECONDS, self._flush_now)
            timer.daemon = True
            timer.start()

    def _flush_now(self) -> None:
        self._due = False
        self.flush()
