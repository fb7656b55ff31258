"""Reading what is here already does not wait, and where nothing else does either, nobody else is let in."""

import time

# Longer between two readings, and it has waited. After so long without, others have their turn, for so long.
WAIT_SECONDS = 0.001
STRETCH_SECONDS = 0.01
PAUSE_SECONDS = 0.001


class Stretch:
    """What one thread (greenlet) does without ever waiting. To be told whenever something has been read, and when that
    has been dealt with."""

    __slots__ = ("_began", "_done")

    def __init__(self) -> None:
        self._began = self._done = 0.0

    def read(self) -> None:
        """Pauses if it has lasted for too long. (Not for a time of 0, after which gevent may come back at once.)"""
        now = time.monotonic()
        if now - self._done > WAIT_SECONDS:
            self._began = now
        elif now - self._began > STRETCH_SECONDS:
            time.sleep(PAUSE_SECONDS)
            self._began = time.monotonic()

    def done(self) -> None:
        self._done = time.monotonic()
