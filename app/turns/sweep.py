"""Finds turns that nobody works on. Every worker process sweeps."""

import threading
import time
from collections.abc import Callable

from app.connections import UNREACHABLE
from app.ledger import Ledger
from app.ledger.presence import Presence
from app.logs import get_logger
from app.turns.hints import Hints
from app.turns.starts import Starts

# Workers find out one after the other that Redis is back. What their replies lack then is not overdue: a sweep at once
# would take them over, from this very process as well.
SETTLE_SECONDS = 1.0


class Sweeper:
    """Sends a new hint for each overdue turn: its hint was lost, its worker died, or all workers are busy."""

    def __init__(self, ledger: Ledger, hints: Hints, presence: Presence, *, seconds: float) -> None:
        self._ledger = ledger
        self._starts = Starts(ledger, hints)
        self._presence = presence
        self._seconds = seconds
        self._stopped = False
        self._away = False
        self._settled_at = 0.0
        self._log = get_logger(__name__)

    def start(self) -> None:
        threading.Thread(target=self._run, name="sweep", daemon=True).start()

    def stop(self) -> None:
        """From the next look on, this process neither sweeps nor counts as a worker. Safe in a signal handler."""
        self._stopped = True

    def sweep(self) -> int:
        """Returns how many turns were overdue."""
        overdue = self._ledger.sweep()
        for conversation_id, turn_id in overdue:
            self._log.info("turn is overdue", conversation_id=conversation_id, turn_id=turn_id)
            self._starts.start(conversation_id, turn_id)
        return len(overdue)

    def _run(self) -> None:
        while not self._stopped:
            self._try(self._look)
            time.sleep(self._seconds)
        self._try(self._presence.leave)

    def _look(self) -> None:
        self._presence.show()
        if self._away:
            self._away, self._settled_at = False, time.monotonic() + SETTLE_SECONDS
        if time.monotonic() >= self._settled_at:
            self.sweep()

    def _try(self, step: Callable[[], object]) -> None:
        try:
            step()
        except UNREACHABLE as exc:
            self._away = True
            self._log.warning("ledger unreachable", error=str(exc))
        except Exception:
            self._log.exception("sweep failed")
