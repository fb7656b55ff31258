"""Celery's consumer, as it has to be for hints to flow again as soon as the broker does.

Celery's own waits 2, 4, 6 … seconds between its attempts to reach the broker again, and its mailbox on green pools
(remote control, which Flower uses) is silent for good once its connection breaks. A worker whose places are all taken
looks but once a second whether one has become free. A test pins what is relied on.
"""

import threading
from contextlib import suppress
from typing import Any, ClassVar

from celery.worker import consumer, pidbox
from celery.worker.consumer import control
from celery.worker.state import maybe_shutdown

from app.logs import get_logger

RETRY_SECONDS = 0.5
# How long a free place may go unnoticed after all were taken.
LOOK_SECONDS = 0.05
# How long the mailbox may take to notice that it shall end.
LISTEN_SECONDS = 1.0


class Mailbox(pidbox.gPidbox):
    """Has a connection of its own, and another one when that is lost, until it is stopped."""

    _log = get_logger(__name__)

    def loop(self, c: Any) -> None:
        # `stop` sets the one and waits for the other.
        shutdown = self._node_shutdown = threading.Event()
        stopped = self._node_stopped = threading.Event()
        try:
            while not shutdown.is_set() and c.connection:
                try:
                    self._listen(c, shutdown)
                except Exception as exc:
                    self._log.warning("remote control lost, connecting again", error=str(exc))
                    shutdown.wait(RETRY_SECONDS)
        finally:
            stopped.set()

    def _listen(self, c: Any, shutdown: threading.Event) -> None:
        with c.app.connection_for_read() as connection:
            connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
            self._do_reset(c, connection)
            resets = self._resets
            while not shutdown.is_set() and c.connection:
                if resets != self._resets:
                    resets = self._resets
                    self._do_reset(c, connection)
                with suppress(TimeoutError):
                    connection.drain_events(timeout=LISTEN_SECONDS)


class Control(control.Control):
    def __init__(self, c: Any, **options: Any) -> None:
        super().__init__(c, **options)
        if self.is_green:
            self.box = Mailbox(c)
            self.start, self.stop, self.shutdown = self.box.start, self.box.stop, self.box.shutdown


STOCK_CONTROL = "celery.worker.consumer.control:Control"


class Attentive:
    """The connection, as the worker's loop uses it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def drain_events(self, timeout: float) -> None:
        self._connection.drain_events(timeout=min(timeout, LOOK_SECONDS))


class Consumer(consumer.Consumer):
    """Named by Celery's setting `worker_consumer`."""

    class Blueprint(consumer.Consumer.Blueprint):
        default_steps: ClassVar = [
            Control if step == STOCK_CONTROL else step for step in consumer.Consumer.Blueprint.default_steps
        ]

    _log = get_logger(__name__)

    def loop_args(self) -> tuple[Any, ...]:
        consumer, connection, *rest = super().loop_args()
        return consumer, Attentive(connection), *rest

    def ensure_connected(self, conn: Any) -> Any:
        """Tries until it is connected, or the worker shall end."""
        conn.ensure_connection(
            lambda exc, _interval: self._log.warning("broker unreachable", error=str(exc)),
            interval_start=RETRY_SECONDS,
            interval_step=0,
            interval_max=RETRY_SECONDS,
            callback=maybe_shutdown,
        )
        return conn
