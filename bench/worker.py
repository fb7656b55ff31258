"""A worker without a model: writes to conversations what a measurement wants written."""

import secrets

from app.connections import connect
from app.delivery.manager import ROOM_CHANNELS
from app.ledger import Claimed, Finish, Ledger, Write, keys
from app.ledger.calls import LedgerOptions
from app.ledger.models import NewTurn


class Writer:
    def __init__(self, redis_url: str) -> None:
        self._redis = connect(redis_url)
        self.ledger = Ledger(self._redis, LedgerOptions(channel=ROOM_CHANNELS, conversation_ttl=86_400_000))
        self._claims: dict[str, tuple[Claimed, int]] = {}

    def claim(self, conversation_id: str, turn_id: str) -> None:
        claim = self.ledger.claim(
            conversation_id, turn_id, default_provider="openai", default_models={}, max_messages=1, max_bytes=10_000
        )
        assert isinstance(claim, Claimed), claim
        self._claims[conversation_id] = (claim, 0)

    def write(self, texts: dict[str, str], finish: Finish | None = None) -> None:
        """One piece for each of these conversations, in one round trip."""
        writes = []
        for conversation_id, text in texts.items():
            claim, chunk = self._claims[conversation_id]
            self._claims[conversation_id] = (claim, chunk + 1)
            writes.append(Write(claim, chunk + 1, text, finish))
        for answer in self.ledger.write(writes):
            if isinstance(answer, Exception) or answer.written != "ok":
                raise RuntimeError(f"a piece was not written: {answer}")

    def answer(self, conversation_id: str, question: str, reply: str) -> None:
        """A whole turn."""
        owner = str(self._redis.hget(keys.meta_key(conversation_id), "owner"), "utf-8")  # type: ignore[arg-type]
        turn = NewTurn(question, client_id=secrets.token_hex(8))
        accepted = self.ledger.accept(owner, conversation_id, turn, create=False)
        self.claim(conversation_id, accepted.answer["turn_id"])
        self.write({conversation_id: reply}, Finish("done"))
