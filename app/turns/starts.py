"""Tells workers that a turn may start."""

from contextlib import suppress

from app.connections import UNREACHABLE
from app.ledger import Ledger
from app.turns.hints import Hints


class Starts:
    """A turn whose owner has fewer others under way goes first."""

    def __init__(self, ledger: Ledger, hints: Hints) -> None:
        self._ledger = ledger
        self._hints = hints

    def start(self, conversation_id: str, turn_id: str | None, rank: int | None = None) -> None:
        """Never raises: what is lost is found by the sweep."""
        if turn_id is None:
            return
        if rank is None:
            rank = 0
            with suppress(*UNREACHABLE):
                rank = self._ledger.rank(conversation_id)
        self._hints.reply(conversation_id, turn_id, rank)
