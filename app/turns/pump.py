"""Carries the text of all replies of a process to the ledger, many in one round trip."""

import threading
import time
from collections import deque
from collections.abc import Callable

from app.connections import UNREACHABLE
from app.ledger import Finished, Ledger, Write
from app.logs import get_logger
from app.metrics import Metrics
from app.turns.reply import Reply

# Between two round trips, so that replies whose text arrives at about the same time share one.
REST_SECONDS = 0.005
# How late a deadline, or that a sign of life is due, may be noticed.
TICK_SECONDS = 0.25
LONGEST_PAUSE = 0.5


class Pump:
    """One thread (greenlet) for each process, started by the first reply. Nothing that fails ends it."""

    def __init__(
        self, ledger: Ledger, metrics: Metrics, *, heartbeat: float, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """`heartbeat`: seconds after which a silent reply shows a sign of life."""
        self._ledger = ledger
        self._metrics = metrics
        self._heartbeat = heartbeat
        self._sleep = sleep
        self._replies: set[Reply] = set()
        self._ready: deque[Reply] = deque()
        self._look_at_all = 0.0  # when to
        self._hand_back_at: float | None = None
        self._wake = threading.Event()
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None
        self._log = get_logger(__name__)

    def add(self, reply: Reply) -> None:
        self._replies.add(reply)
        with self._start:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pump", daemon=True)
                self._thread.start()

    def discard(self, reply: Reply) -> None:
        self._replies.discard(reply)

    def wake(self, reply: Reply) -> None:
        """It has something to write."""
        self._ready.append(reply)
        self._wake.set()

    def look_at(self, turn_id: str) -> None:
        """Somebody says that this turn was ended over its worker's head: ask the ledger now."""
        for reply in list(self._replies):
            if reply.claim.turn_id == turn_id:
                reply.show_life()
                self.wake(reply)

    @property
    def draining(self) -> bool:
        return self._hand_back_at is not None

    def drain(self, seconds: float) -> None:
        """The process is going: what is not finished by then goes back to the queue. Safe in a signal handler.

        Being told again gives no further time.
        """
        if self._hand_back_at is None:
            self._hand_back_at = time.monotonic() + seconds

    def _run(self) -> None:
        pause = 0.0
        while True:
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()
            try:
                self._write_all()
                if self._hand_back_at is not None and time.monotonic() >= self._hand_back_at:
                    self._hand_back()
            except UNREACHABLE as exc:
                pause = min(LONGEST_PAUSE, pause * 2 or 0.1)
                self._log.warning("ledger unreachable, text is kept", replies=len(self._replies), error=str(exc))
            except Exception:
                pause = min(LONGEST_PAUSE, pause * 2 or 0.1)
                self._log.exception("writing replies failed, text is kept")
            else:
                pause = 0.0
            self._sleep(pause or REST_SECONDS)
            if pause:
                self._look_at_all = 0.0
                self._wake.set()

    def _write_all(self) -> None:
        due, failed = [], None
        for reply in self._worth_a_look():
            if reply.refused and not reply.dropped:
                try:
                    reply.claim_again()
                except UNREACHABLE:
                    raise
                except Exception as exc:
                    failed = exc
            write = reply.next_write(self._heartbeat)
            if write is not None:
                due.append((reply, write))
        results = self._ledger.write([write for _, write in due]) if due else []
        for (reply, write), result in zip(due, results, strict=True):
            if isinstance(result, Finished):
                self._measure(write)
                reply.written(result)
            else:
                failed = result
        if failed is not None:
            raise failed

    def _measure(self, write: Write) -> None:
        if size := len(write.text) + len(write.reasoning):
            self._metrics.flush_chars.observe(size)

    def _worth_a_look(self) -> list[Reply]:
        """Those with something to write; now and then all, of which most are silent."""
        ready = dict.fromkeys(self._ready.popleft() for _ in range(len(self._ready)))
        now = time.monotonic()
        if now < self._look_at_all:
            return [reply for reply in ready if reply in self._replies]
        self._look_at_all = now + TICK_SECONDS
        replies = list(self._replies)
        for reply in replies:
            reply.check_deadlines()
        return replies

    def _hand_back(self) -> None:
        for reply in list(self._replies):
            self._ledger.release(reply.claim)
            reply.drop("handed back")
