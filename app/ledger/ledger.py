"""The scripts' Python face."""

from app.ledger.owners import OwnerCalls
from app.ledger.upkeep import UpkeepCalls
from app.ledger.workers import WorkerCalls


class Ledger(OwnerCalls, WorkerCalls, UpkeepCalls):
    """Conversations, turns and messages. Every method is one round trip and raises redis-py's errors."""
