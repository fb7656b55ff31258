"""The truth: conversations as state machines in Redis, changed only by the Lua scripts beside this file."""

from app.ledger.ledger import Ledger
from app.ledger.models import (
    Accepted,
    Busy,
    Claimed,
    Figures,
    Finish,
    Finished,
    GivenUp,
    Gone,
    NewTurn,
    Page,
    Prompt,
    Snapshot,
    Tail,
    TurnState,
    Write,
    Written,
)

__all__ = [
    "Accepted",
    "Busy",
    "Claimed",
    "Figures",
    "Finish",
    "Finished",
    "GivenUp",
    "Gone",
    "Ledger",
    "NewTurn",
    "Page",
    "Prompt",
    "Snapshot",
    "Tail",
    "TurnState",
    "Write",
    "Written",
]
