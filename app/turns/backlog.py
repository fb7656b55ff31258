"""How much is waiting in the whole system."""

import time
from collections.abc import Callable

from app.ledger import Ledger

# While there is plenty of room, the ledger is asked this often at most.
FRESH_SECONDS = 0.25
LONGEST_RETRY_AFTER = 60


class Backlog:
    def __init__(self, ledger: Ledger, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`limit`: turns that may wait."""
        self._ledger = ledger
        self._limit = limit
        self._clock = clock
        self._count = 0
        self._asked = float("-inf")

    def is_full(self) -> bool:
        """Raises redis-py's errors."""
        if self._count >= self._limit / 2 or self._clock() - self._asked > FRESH_SECONDS:
            self._asked = self._clock()
            self._count = self._ledger.waiting()
        return self._count >= self._limit

    def add(self) -> None:
        """One more waits, as this process knows before it asks again."""
        self._count += 1

    def retry_after(self) -> int:
        """Seconds: as long as the oldest has been waiting so far."""
        return round(min(LONGEST_RETRY_AFTER, max(1, self._ledger.figures().oldest)))
