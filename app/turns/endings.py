"""Tells the pump of turns that were ended over their workers' heads, so that a stop closes the provider at once."""

import threading
from collections.abc import Callable, Iterator

from app.turns.pump import Pump


class Endings:
    """A hint like the others: without it a worker finds out with its next write."""

    def __init__(self, messages: Callable[[], Iterator[tuple[str, bytes]]], pump: Pump) -> None:
        """`messages` yields (channel, turn id) for ever."""
        self._messages = messages
        self._pump = pump

    def start(self) -> None:
        threading.Thread(target=self._run, name="endings", daemon=True).start()

    def _run(self) -> None:
        for _, turn_id in self._messages():
            self._pump.look_at(turn_id.decode())
