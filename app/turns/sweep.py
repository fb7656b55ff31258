"""Finds turns that nobody works on. Every worker process sweeps."""

import threading
import time

from app.connections import UNREACHABLE
from app.ledger import Ledger
from app.ledger.presence import Presence
from app.logs import get_logger
from app.turns.hints import Hints


class Sweeper:
    """Sends a new hint for each overdue turn: its hint was lost, its worker died, or all workers are busy."""

    def __init__(self, ledger: Ledger, hints: Hints, presence: Presence, *, seconds: float) -> None:
        self._ledger = ledger
        self._hints = hints
        self._presence = presence
        self._seconds = seconds
        self._stopped = False
        self._log = get_logger(__name__)

    def start(self) -> None:
        threading.Thread(target=self._run, name="sweep", daemon=True).start()

    def stop(self) -> None:
        """This process is going: it sweeps no more and no longer counts as a worker."""
        self._stopped = True
        try:
            self._presence.leave()
        except UNREACHABLE as exc:
            self._log.warning("ledger unreachable", error=str(exc))

    def sweep(self) -> int:
        """Returns how many turns were overdue."""
        overdue = self._ledger.sweep()
        for conversation_id, turn_id in overdue:
            self._log.info("turn is overdue", conversation_id=conversation_id, turn_id=turn_id)
            self._hints.reply(conversation_id, turn_id)
        return len(overdue)

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._presence.show()
                self.sweep()
            except UNREACHABLE as exc:
                self._log.warning("ledger unreachable", error=str(exc))
            except Exception:
                self._log.exception("sweep failed")
            time.sleep(self._seconds)
