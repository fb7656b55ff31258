"""How the ledger's scripts are called."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from redis import Redis

from app.clock import iso, system_clock
from app.errors import NotFound
from app.ledger import keys
from app.ledger.models import Json
from app.ledger.relay import FLUSH_SECONDS, Publication, Relay
from app.ledger.scripts import Call, Scripts

# How long a waiting turn may go unnoticed before the sweep takes its hint for lost.
GRACE_MS = 2_000
# None is longer, and nothing is due later than this from now (see app/settings).
LONGEST_LEASE_MS = 600_000
# Where workers hear of turns that were ended over their heads.
ENDED_CHANNEL = "parley:ended"


@dataclass(frozen=True, slots=True)
class LedgerOptions:
    """Times in ms. `channel` is the prefix of the rooms' channels."""

    channel: str
    conversation_ttl: int
    lease: int = 10_000
    max_queued: int = 20
    max_active: int = 4


class Calls:
    """Calls scripts, each in one round trip, and sees to what they publish.

    Events are published in the scripts themselves, or, where Socket.IO's message queue is another Redis (`relay`),
    soon after them: no call waits for it, or fails with it.
    """

    def __init__(
        self,
        redis: Redis,
        options: LedgerOptions,
        *,
        relay: Redis | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """`clock`: virtual time for tests, in ms since the epoch; by default Redis's own counts."""
        self._redis = redis
        self._scripts = Scripts(
            redis,
            {
                "channel": options.channel,
                "ended": ENDED_CHANNEL,
                "relay": relay is not None,
                "lease": options.lease,
                "longest_lease": LONGEST_LEASE_MS,
                "grace": GRACE_MS,
                "ttl": options.conversation_ttl,
            },
        )
        self._options = options
        self._relay = Relay(relay) if relay is not None else None
        self._clock = clock

    def flush(self) -> None:
        """The process ends: what is still to be published by way of another Redis gets a moment for it."""
        if self._relay is not None:
            self._relay.flush(FLUSH_SECONDS)

    def _call(self, name: str, conversation_id: str, arguments: Json, *texts: bytes) -> Call:
        now = self._clock() if self._clock else None
        named = {"at": iso(now or system_clock()), "now": now, "conversation_id": conversation_id, **arguments}
        given = {key: value for key, value in named.items() if value is not None}
        return name, [keys.meta_key(conversation_id)], [orjson.dumps(given), *texts]

    def _run(self, name: str, conversation_id: str, arguments: Json, *texts: bytes) -> Any:
        if not keys.is_conversation_id(conversation_id):
            raise NotFound
        outbox: list[Publication] = []
        answer = self._scripts.run(*self._call(name, conversation_id, arguments, *texts))
        result = self._result(answer, conversation_id, outbox)
        self._pass_on(outbox)
        return result

    def _conversation(self, name: str, conversation_id: str, owner: str, arguments: Json, *texts: bytes) -> Json:
        conversation = self._run(name, conversation_id, {"owner": owner, **arguments}, *texts)
        if not conversation:
            raise NotFound
        parsed: Json = orjson.loads(conversation)
        return parsed

    def _result(self, answer: Any, conversation_id: str, outbox: list[Publication]) -> Any:
        """What a script returned; what it left for its caller to publish goes to the outbox."""
        if self._relay is None:
            return answer
        result, published = answer
        for channel, message in zip(published[::2], published[1::2], strict=True):
            outbox.append(Publication(conversation_id, channel, message))
        return result

    def _pass_on(self, outbox: Sequence[Publication]) -> None:
        if self._relay is not None and outbox:
            self._relay.publish(outbox)


def new_epoch() -> str:
    return secrets.token_hex(6)


def oldest_first(messages: Sequence[bytes]) -> list[Json]:
    return [orjson.loads(message) for message in reversed(messages)]
