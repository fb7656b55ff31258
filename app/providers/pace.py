"""How often a reply is read."""

import time
from collections.abc import Callable

# Shares of one core: up to the first a process is at ease, from the second on it is busy.
AT_EASE, BUSY = 0.1, 0.4
LONGEST = 2.5  # times the shortest
LOOK_SECONDS = 0.25


class Pace:
    """The least time between two reads of one reply; of all replies of a provider in this process.

    It stretches, up to LONGEST times its length, as the process gets busy: each read and each flush then carries more text, so
    that the process gets cheaper instead of late.
    """

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self._shortest = self._seconds = seconds
        self._clock = clock
        self._cpu = cpu
        self._looked, self._used = clock(), cpu()

    def __call__(self) -> float:
        """In seconds."""
        now = self._clock()
        if (passed := now - self._looked) >= LOOK_SECONDS:
            used = self._cpu()
            share = (used - self._used) / passed
            self._looked, self._used = now, used
            busy = min(max((share - AT_EASE) / (BUSY - AT_EASE), 0.0), 1.0)
            self._seconds = self._shortest * (1 + busy * (LONGEST - 1))
        return self._seconds
