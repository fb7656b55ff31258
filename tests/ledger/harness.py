"""A ledger on virtual time, and what its tests look at behind its back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from redis import Redis

from app.ledger import Accepted, Busy, Claimed, Finish, Finished, GivenUp, Gone, Ledger, NewTurn, Write
from app.ledger.calls import LedgerOptions
from app.ledger.keys import (
    PARTS,
    active_key,
    conversation_keys,
    due_key,
    listing_key,
    new_conversation_id,
    usage_key,
    waiting_key,
)
from app.ledger.models import Json

CHANNEL = "rooms/"
TTL = 86_400_000
LEASE = 10_000
MAX_QUEUED = 3
MANY = 1000
# 2026-01-31T12:00:00Z
START = 1_769_860_800_000

PROVIDERS = {"p": "p-1", "q": "q-1"}

# What JSON, Lua, UTF-8 or a stream could mangle.
NASTY = (
    'quotes " and \\ back\\slashes, \\n \\u0041 / </script>',
    "\0 NUL, \x1b[1m, \x7f DEL, \r\n\t",
    "🐢 👩‍👩‍👧 𝄞 ﷽ e\u0301",
    "\u2028 and \u2029, \ufeff, \uffff",
    '","role":"assistant","parent_id":"',
    "{}[]%s %q %1",
)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now

    def advance(self, ms: int) -> None:
        self.now += ms


class Tap:
    """Hears everything that is published, in order."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pubsub = redis.pubsub(ignore_subscribe_messages=True)
        self._pubsub.psubscribe(f"{CHANNEL}*", "mark")  # what workers are told is no matter of clients
        self._marks = 0
        self.take()

    def take(self) -> list[tuple[str, bytes]]:
        """(channel, message) of all that was published since the last call."""
        self._marks += 1
        mark = b"%d" % self._marks
        self._redis.publish("mark", mark)
        taken: list[tuple[str, bytes]] = []
        while True:
            message = self._pubsub.get_message(timeout=10)
            if message is None:
                continue  # its own confirmation was read
            channel, data = message["channel"].decode(), message["data"]
            if channel == "mark" and data == mark:
                return taken
            if channel != "mark":
                taken.append((channel, data))

    def events(self, conversation_id: str) -> list[Json]:
        """The conversation's events since the last call."""
        room = f"{CHANNEL}c:{conversation_id}"
        return [orjson.loads(data)["data"][0] for channel, data in self.take() if channel == room]

    def close(self) -> None:
        self._pubsub.close()


@dataclass
class Lab:
    """One owner and a worker, with short names for what tests do all the time."""

    redis: Redis
    ledger: Ledger
    clock: Clock
    tap: Tap
    owner: str = "alice"
    made: int = field(default=0)

    def send(self, conversation_id: str | None = None, text: str = "Hello", **more: Any) -> Accepted:
        self.made += 1
        turn = NewTurn(text, **{"client_id": f"client-{self.made}", **more})
        if conversation_id is None:
            return self.ledger.accept(self.owner, new_conversation_id(self.owner, turn.client_id), turn, create=True)
        return self.ledger.accept(self.owner, conversation_id, turn, create=False)

    def conversation(self, **more: Any) -> tuple[str, str]:
        """(conversation, turn) of a new one."""
        answer = self.send(**more).answer
        return answer["conversation_id"], answer["turn_id"]

    def try_claim(
        self, conversation_id: str, turn_id: str, *, max_messages: int = 20, max_bytes: int = 100_000
    ) -> Claimed | Busy | Gone | GivenUp:
        return self.ledger.claim(
            conversation_id,
            turn_id,
            default_provider="p",
            default_models=PROVIDERS,
            max_messages=max_messages,
            max_bytes=max_bytes,
        )

    def claim(self, conversation_id: str, turn_id: str, **window: int) -> Claimed:
        claim = self.try_claim(conversation_id, turn_id, **window)
        assert isinstance(claim, Claimed)
        return claim

    def write(self, claim: Claimed, chunk: int, text: str, finish: Finish | None = None, **more: Any) -> Finished:
        [result] = self.ledger.write([Write(claim, chunk, text, finish, **more)])
        assert isinstance(result, Finished)
        return result

    def answer(self, conversation_id: str, turn_id: str, text: str = "Hi") -> Json:
        """Claims, writes and finishes. Returns the saved reply."""
        claim = self.claim(conversation_id, turn_id)
        assert self.write(claim, 1, text, Finish("done")).written == "ok"
        return self.reply_to(conversation_id, turn_id)

    def exchange(self, conversation_id: str, text: str = "Hello", reply: str = "Hi", **more: Any) -> tuple[Json, Json]:
        """(question, reply), saved."""
        answer = self.send(conversation_id, text, **more).answer
        said = self.answer(conversation_id, answer["turn_id"], reply)
        return self.messages(conversation_id)[answer["message_id"]], said

    # --- Behind its back ------------------------------------------------------------------------------------------

    def key(self, conversation_id: str, part: str) -> str:
        return conversation_keys(conversation_id)[PARTS.index(part)]

    def meta(self, conversation_id: str) -> dict[str, str]:
        found: dict[bytes, bytes] = self.redis.hgetall(self.key(conversation_id, "meta"))  # type: ignore[assignment]
        return {name.decode(): value.decode() for name, value in found.items()}

    def messages(self, conversation_id: str) -> dict[str, Json]:
        """With their versions, as clients see them."""
        found: list[bytes] = self.redis.hvals(self.key(conversation_id, "messages"))  # type: ignore[assignment]
        children: dict[bytes, bytes] = self.redis.hgetall(self.key(conversation_id, "children"))  # type: ignore[assignment]
        messages = {message["id"]: message for message in map(orjson.loads, found)}
        for message in messages.values():
            message["versions"] = orjson.loads(b"[" + children[(message["parent_id"] or "-").encode()] + b"]")
        return messages

    def reply_to(self, conversation_id: str, turn_id: str) -> Json:
        [reply] = self.replies(conversation_id, turn_id)
        return reply

    def replies(self, conversation_id: str, turn_id: str) -> list[Json]:
        saved = self.messages(conversation_id).values()
        return [message for message in saved if message["turn_id"] == turn_id and message["role"] == "assistant"]

    def queue(self, conversation_id: str) -> list[str]:
        found: list[bytes] = self.redis.lrange(self.key(conversation_id, "queue"), 0, -1)  # type: ignore[assignment]
        return [turn_id.decode() for turn_id in found]

    def due(self, conversation_id: str) -> int | None:
        score: float | None = self.redis.zscore(due_key(conversation_id[:2]), conversation_id)
        return None if score is None else int(score)

    def log(self, conversation_id: str) -> list[tuple[int, bytes]]:
        """(seq, event as JSON)"""
        entries: Sequence[Any] = self.redis.xrange(self.key(conversation_id, "log"))  # type: ignore[assignment]
        return [(int(entry.removesuffix(b"-0")), fields[b"e"]) for entry, fields in entries]

    def logged(self, conversation_id: str) -> list[Json]:
        return [orjson.loads(event) for _, event in self.log(conversation_id)]

    def dump(self, conversation_id: str) -> list[Any]:
        """All there is of a conversation, to tell whether it has changed."""
        pipeline = self.redis.pipeline()
        for part in ("meta", "turns", "messages", "children", "summaries"):
            pipeline.hgetall(self.key(conversation_id, part))
        pipeline.lrange(self.key(conversation_id, "queue"), 0, -1)
        for part in ("text", "reasoning"):
            pipeline.get(self.key(conversation_id, part))
        pipeline.xrange(self.key(conversation_id, "log"))
        pipeline.zscore(due_key(conversation_id[:2]), conversation_id)
        pipeline.zscore(listing_key(self.owner), conversation_id)
        pipeline.zrange(waiting_key(conversation_id[:2]), 0, -1)
        pipeline.smembers(active_key(self.owner))
        found: list[Any] = pipeline.execute()
        return found

    def ttls(self, conversation_id: str) -> dict[str, int]:
        """Of each key there is, in ms; -1 where it would stay for ever."""
        keys = dict(zip(PARTS, conversation_keys(conversation_id), strict=False))
        owners = {"listing": listing_key, "usage": usage_key, "active": active_key}
        keys |= {name: key(self.owner) for name, key in owners.items()}
        found = {name: int(self.redis.pttl(key)) for name, key in keys.items()}
        return {name: ttl for name, ttl in found.items() if ttl != -2}


def make_ledger(redis: Redis, clock: Callable[[], int], *, relay: Redis | None = None, **options: int) -> Ledger:
    options = {"lease": LEASE, "max_queued": MAX_QUEUED, "max_active": MANY, **options}
    return Ledger(redis, LedgerOptions(channel=CHANNEL, conversation_ttl=TTL, **options), relay=relay, clock=clock)


def make_lab(redis: Redis, *, relay: Redis | None = None) -> Lab:
    clock = Clock()
    return Lab(redis, make_ledger(redis, clock, relay=relay), clock, Tap(redis))
