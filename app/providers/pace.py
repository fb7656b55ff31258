"""How often a reply is read."""

import math
import time
from collections.abc import Callable

# Shares of one core: up to the first a process is at ease, from the second on it is busy.
AT_EASE, BUSY = 0.1, 0.3
LONGEST = 2.0  # times the shortest
LOOK_SECONDS = 0.25


class Pace:
    """The least time between two reads of one reply; of all replies of a provider in this process.

    It stretches, up to LONGEST times its length, as the process gets busy: each read and each flush then carries more
    text, so that the process gets cheaper instead of late. And all replies are then read at the same moments, because
    most of what a flush costs is to be woken up for it, in the worker, in Redis and in the web tier.
    """

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self._shortest = self.seconds = seconds
        self._clock = clock
        self._cpu = cpu
        self._looked, self._used = clock(), cpu()

    def turn_after(self, last: float) -> float:
        """When what was read at `last` is to be read again, both by the clock."""
        now = self._clock()
        if (passed := now - self._looked) >= LOOK_SECONDS:
            used = self._cpu()
            busy = ((used - self._used) / passed - AT_EASE) / (BUSY - AT_EASE)
            self._looked, self._used = now, used
            self.seconds = self._shortest * (1 + min(max(busy, 0.0), 1.0) * (LONGEST - 1))
        if self.seconds == self._shortest:
            return last + self.seconds
        # The next of the common moments but one that would be too soon.
        return math.ceil(last / self.seconds + 0.5) * self.seconds
