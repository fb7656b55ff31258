"""Wake-up calls for workers."""

from typing import Protocol


class Hints(Protocol):
    def reply(self, conversation_id: str, turn_id: str) -> None:
        """Best effort: never blocks, never raises. A hint that is lost is made up for by the sweep."""
