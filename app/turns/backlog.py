"""How much is waiting in the whole system, and how long it will."""

import time
from collections.abc import Callable
from math import ceil

from app.ledger import Figures, Ledger, Pace
from app.ledger.models import Json

# While there is plenty of room, the ledger is asked this often at most.
FRESH_SECONDS = 0.25
PACE_SECONDS = 1.0
LONGEST_RETRY_AFTER = 60
# Of owners with more active conversations than that, no more are told apart.
RANKS = 16


class Backlog:
    """Methods raise redis-py's errors."""

    def __init__(
        self,
        ledger: Ledger,
        slots: Callable[[], float],
        *,
        limit: int,
        max_active: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`slots`: turns that all workers together can carry. `limit`: turns that may wait; `max_active`: turns of one
        owner that run at a time."""
        self._ledger = ledger
        self._slots = slots
        self._limit = limit
        self._max_active = max_active
        self._clock = clock
        self._count = 0
        self._asked = float("-inf")
        self._measured = float("-inf")
        self._figures: Figures | None = None
        self._places = 0.0
        self._added = 0

    def is_full(self) -> bool:
        if self._count >= self._limit / 2 or self._clock() - self._asked > FRESH_SECONDS:
            self._asked = self._clock()
            self._count = self._ledger.waiting()
        return self._count >= self._limit

    def add(self) -> None:
        """One more waits, as this process knows before it asks again."""
        self._count += 1
        self._added += 1

    def retry_after(self) -> int:
        """Seconds: as long as the oldest has been waiting so far."""
        return round(min(LONGEST_RETRY_AFTER, max(1, self._ledger.figures().oldest)))

    def pace(self) -> Pace | None:
        """For a turn that comes now. None if nobody can say: no worker is there, or none has ended a turn yet."""
        self._measure()
        figures = self._figures
        if figures is None or figures.service is None or not self._places:
            return None
        begin = (self._until_begun(figures, figures.waiting + self._added, rank) for rank in range(RANKS))
        return Pace(figures.service, tuple(begin))

    def turns(self, owner: str, conversation_id: str) -> list[Json]:
        """A conversation's turns that are not over, in their order, with how long they are likely to wait. Raises
        NotFound."""
        queue = self._ledger.queue(owner, conversation_id)
        found: list[Json] = [
            {"turn_id": turn_id, "status": "waiting", "position": position}
            for position, turn_id in enumerate(queue.turn_ids)
        ]
        if queue.running:
            found[0]["status"] = "running"
        pace = self.pace() if found else None
        if pace is None or self._figures is None:
            return found
        ahead = self._ledger.ready_before(queue.since) if queue.since else self._figures.waiting
        begin = self._until_begun(self._figures, ahead, queue.rank)
        for turn in found[queue.running :]:
            # As accept.lua has it.
            turn["wait"] = ceil(turn["position"] * (pace.service + begin) + (0 if queue.running else begin))
        return found

    def _until_begun(self, figures: Figures, ahead: int, rank: int) -> float:
        """Seconds until a turn begins that nothing in its conversation is before, but `ahead` others that wait.

        Places become free evenly. Who has fewer under way goes first, so no more than this come before it of each
        owner; and each has so many places and no more.
        """
        others = min(ahead, (figures.owners + self._added) * (rank + 1))
        behind = max(0.0, others + 1 - max(0.0, self._places - figures.running)) / max(1.0, self._places)
        behind_own = max(0, rank + 1 - self._max_active) / self._max_active
        return max(behind, behind_own) * (figures.service or 0.0)

    def _measure(self) -> None:
        if self._clock() - self._measured > PACE_SECONDS:
            self._measured = self._clock()
            self._figures, self._places = self._ledger.figures(), self._slots()
            self._added = 0
