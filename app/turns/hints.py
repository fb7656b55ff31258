"""Wake-up calls for workers."""

from typing import Protocol


class Hints(Protocol):
    """Best effort: nothing here blocks or raises."""

    def reply(self, conversation_id: str, turn_id: str, rank: int) -> None:
        """A turn may start; the lower its rank, the sooner. A hint that is lost is made up for by the sweep."""

    def title(self, conversation_id: str, reply_id: str) -> None:
        """A conversation wants a title. One that is lost is made up for by the next reply."""

    def summary(self, conversation_id: str, reply_id: str) -> None:
        """A conversation has outgrown the window. One that is lost is made up for by the next reply."""
