"""The scripts' Python face."""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import orjson
from redis import Redis

from app import errors
from app.connections import UNREACHABLE
from app.errors import Conflict, Invalid, NotFound, QueueFull
from app.ledger import keys
from app.ledger.models import (
    Accepted,
    Busy,
    Claimed,
    Figures,
    Finished,
    GivenUp,
    Gone,
    Json,
    NewTurn,
    Page,
    Snapshot,
    Tail,
    TurnState,
    Write,
    Written,
)
from app.ledger.scripts import Call, Scripts
from app.logs import get_logger

SNAPSHOT_MESSAGES = 50
MAX_TAIL_EVENTS = 1000
MAX_ATTEMPTS = 3
TOMBSTONE_MS = 86_400_000
# How long a waiting turn may go unnoticed before the sweep takes its hint for lost.
GRACE_MS = 2_000
LONGEST_PAUSE_MS = 60_000
TITLE_CHARS = 60
# A summary that has not come by then has failed, and may be tried again.
RESERVE_MS = 120_000
NO_MESSAGE = "There is no such message in this conversation."
# Where workers hear of turns that were ended over their heads.
ENDED_CHANNEL = "parley:ended"
GAVE_UP = {
    "code": "worker_lost",
    "message": "The worker writing this reply was lost, several times over. What had arrived is kept; try again.",
}


def system_clock() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class LedgerOptions:
    """Times in ms. `channel` is the prefix of the rooms' channels."""

    channel: str
    conversation_ttl: int
    lease: int = 10_000
    max_queued: int = 20
    max_active: int = 4


class Ledger:
    """Conversations, turns and messages. Every method is one round trip and raises redis-py's errors.

    Events are published in the scripts themselves, or, where Socket.IO's message queue is another Redis (`relay`),
    right after them. A lost publication is no loss: clients see the gap.
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
        self._scripts = Scripts(redis)
        self._options = options
        self._relay = relay
        self._clock = clock
        self._log = get_logger(__name__)

    # --- What owners do -------------------------------------------------------------------------------------------

    def waiting(self) -> int:
        """How many turns have never been claimed."""
        pipeline = self._redis.pipeline(transaction=False)
        for partition in keys.partitions():
            pipeline.zcard(keys.waiting_key(partition))
        return sum(pipeline.execute())

    def accept(self, owner: str, conversation_id: str, turn: NewTurn, *, create: bool, full: bool = False) -> Accepted:
        """Takes a message in, once for each client_id. `create`: the conversation may be a new one. `full`: what is
        known already is answered, but nothing new is taken.

        Raises NotFound, QueueFull, Busy, Conflict for another version of a reply that is not over, or Invalid.
        """
        turn_id, message_id, reply_id = keys.new_id("t"), keys.new_id("m"), keys.new_id("m")
        result = self._run(
            "accept",
            conversation_id,
            {
                "owner": owner,
                "client_id": turn.client_id,
                "turn_id": turn_id,
                "message_id": message_id,
                "reply_id": reply_id,
                "parent_id": turn.parent_id,
                "edited": turn.edited,
                "again": turn.again,
                "chosen": _chosen(turn),
                "create": create,
                "full": full,
                "title": title_of(turn.text),
                "epoch": _new_epoch(),
                "settings": _initial(memory=turn.memory is not False, provider=turn.provider, model=turn.model),
                "max_queued": self._options.max_queued,
            },
            orjson.dumps(turn.text),
        )
        match result:
            case [b"ok", answer, start, rank]:
                return Accepted(orjson.loads(answer), start.decode() or None, rank)
            case [b"queue_full"]:
                raise QueueFull(
                    f"{self._options.max_queued} messages are waiting here already. Let some be answered first.",
                    retry_after=5,
                )
            case [b"busy"]:
                raise errors.Busy("Too many messages are waiting to be answered. Try again in a while.")
            case [b"bad_parent"]:
                raise Invalid("parent_id must be a reply of this conversation.", field="parent_id")
            case [b"bad_message"]:
                kind = "a reply" if turn.again else "a message of yours"
                raise Invalid(f"message_id must be {kind}.", field="message_id")
            case [b"no_message"]:
                raise NotFound(NO_MESSAGE)
            case [b"conflict"]:
                raise Conflict("This reply is still being written, or waits. Stop it first.")
            case _:
                raise NotFound

    def select(self, owner: str, conversation_id: str, message_id: str) -> None:
        """Chooses the branch that a message is on."""
        match self._run("select", conversation_id, {"owner": owner, "message_id": message_id}):
            case b"ok":
                return
            case b"no_message":
                raise NotFound(NO_MESSAGE)
            case _:
                raise NotFound

    def create(self, owner: str, *, title: str = "", **settings: Any) -> Json:
        """An empty conversation. `settings`: memory, provider, model, system_prompt."""
        arguments = {"title": title, "epoch": _new_epoch(), "settings": _initial(**settings)}
        return self._conversation("create", keys.new_conversation_id(owner), owner, arguments)

    def show(self, owner: str, conversation_id: str) -> Json:
        return self._conversation("show", conversation_id, owner, {})

    def configure(self, owner: str, conversation_id: str, changes: Json) -> Json:
        """`changes`: any of title, memory, provider, model, system_prompt; None sets back to the default."""
        return self._conversation(
            "configure", conversation_id, owner, {"changes": _stored(**changes), "max_events": MAX_TAIL_EVENTS}
        )

    def clear(self, owner: str, conversation_id: str, *, delete: bool = False) -> Json:
        """Ends what is running and removes all messages; with `delete` the conversation too."""
        return self._conversation(
            "clear", conversation_id, owner, {"delete": delete, "tombstone": TOMBSTONE_MS, "call": secrets.token_hex(8)}
        )

    def stop(self, owner: str, conversation_id: str, turn_id: str) -> tuple[str, str | None]:
        """Ends a turn. Returns its status and the turn that may start now."""
        match self._run("stop", conversation_id, {"owner": owner, "turn_id": turn_id}):
            case [status, following]:
                return status.decode(), following.decode() or None
            case _:
                raise NotFound("There is no such turn in this conversation.")

    def turn(self, owner: str, conversation_id: str, turn_id: str, message_id: str) -> TurnState:
        """`message_id`: the message that the turn answers. Raises NotFound."""
        match self._run("turn", conversation_id, {"owner": owner, "turn_id": turn_id, "message_id": message_id}):
            case [status, epoch, seq, attempt, text, origin, reply]:
                return TurnState(
                    status.decode(),
                    epoch.decode(),
                    int(seq),
                    int(attempt),
                    text.decode(),
                    orjson.loads(origin or b"{}"),
                    orjson.loads(reply) if reply else None,
                )
            case _:
                raise NotFound("There is no such turn in this conversation.")

    def open(
        self, owner: str, conversation_id: str, after: int | None = None, epoch: str | None = None
    ) -> Tail | Snapshot:
        """What a client at (`epoch`, `after`) lacks."""
        kind, *rest = self._run(
            "open",
            conversation_id,
            {
                "owner": owner,
                "after": after,
                "epoch": epoch,
                "new_epoch": _new_epoch(),
                "limit": SNAPSHOT_MESSAGES,
                "max_events": MAX_TAIL_EVENTS,
            },
        )
        if kind == b"not_found":
            raise NotFound
        if kind == b"events":
            return Tail(rest[0].decode(), int(rest[1]), [orjson.loads(event) for event in rest[2:]])
        current, seq, conversation, more, turns, text, reasoning, *messages = rest
        open_turns = orjson.loads(turns)
        for turn in open_turns:
            running = turn["status"] == "running"
            turn["text"], turn["reasoning"] = (text.decode(), reasoning.decode()) if running else ("", "")
        return Snapshot(
            current.decode(), int(seq), orjson.loads(conversation), _oldest_first(messages), bool(more), open_turns
        )

    def history(self, owner: str, conversation_id: str, before: str | None, limit: int) -> Page:
        """Messages of the chosen branch before a message, oldest first."""
        match self._run("history", conversation_id, {"owner": owner, "before": before, "limit": limit}):
            case [b"ok", more, *messages]:
                return Page(_oldest_first(messages), bool(more))
            case [b"bad_before"]:
                raise Invalid("before must be a message of this conversation.", field="before")
            case _:
                raise NotFound

    def conversations(self, owner: str, cursor: str | None, limit: int) -> Page:
        """An owner's conversations, the last used first."""
        listed, more = self.listed(owner, cursor, limit)
        return Page([item for _, item in listed], more, listed[-1][0] if more and listed else None)

    def listed(self, owner: str, cursor: str | None, limit: int) -> tuple[list[tuple[str, Json]], bool]:
        """The same, each with the cursor that stands for the place after it; and whether there are more."""
        score, _, last = (cursor or "").partition("-")
        prefix = keys.conversation_prefix(keys.partition_of(owner))
        more, *rows = self._scripts.run("list", [keys.listing_key(owner)], [prefix, score, last, limit])
        return [(f"{int(row[1])}-{row[0].decode()}", _summary(*row)) for row in rows], bool(more)

    def restore(self, owner: str, conversation_id: str, messages: Sequence[Json], head: str, **settings: Any) -> Json:
        """A conversation with these messages, parents before children and siblings in order, once for each id.

        `settings`: as for `create`, and created_at."""
        children: dict[str, list[str]] = {}
        for message in messages:
            children.setdefault(message["parent_id"] or "-", []).append(f'"{message["id"]}"')
        texts = [part for message in messages for part in (message["id"].encode(), orjson.dumps(message))]
        texts += [part.encode() for parent, below in children.items() for part in (parent, ",".join(below))]
        arguments = {
            "title": settings.pop("title"),
            "epoch": _new_epoch(),
            "settings": _initial(**settings),
            "head": head,
            "count": len(messages),
        }
        return self._conversation("import", conversation_id, owner, arguments, *texts)

    def usage(self, owner: str) -> Json:
        """What all replies to an owner have used."""
        sums: dict[bytes, bytes] = self._redis.hgetall(keys.usage_key(owner))  # type: ignore[assignment]
        return _usage({name.decode(): value.decode() for name, value in sums.items()})

    # --- What workers do ------------------------------------------------------------------------------------------

    def claim(
        self,
        conversation_id: str,
        turn_id: str,
        *,
        default_provider: str,
        default_models: dict[str, str],
        max_messages: int,
        max_bytes: int,
        had: Claimed | None = None,
    ) -> Claimed | Busy | Gone | GivenUp:
        """The right to answer a turn until the lease ends, and up to `max_messages` of history in `max_bytes`.

        `had`: the claim of a worker whose write was refused, and who would write all of its text again.
        """
        result = self._run(
            "claim",
            conversation_id,
            {
                "turn_id": turn_id,
                # One made again has a fence of its own for good, so that it may be repeated if its answers are lost.
                "fence": _after(had.fence) if had else secrets.token_hex(8),
                "had": had.fence if had else None,
                "had_attempt": had.attempt if had else None,
                "wrote": {"provider": had.provider, "model": had.model} if had else None,
                "new_epoch": _new_epoch(),
                "max_attempts": MAX_ATTEMPTS,
                "max_active": self._options.max_active,
                "gave_up": orjson.dumps(GAVE_UP).decode(),
                "defaults": {"provider": default_provider, "models": default_models},
                "window": {"messages": max_messages, "bytes": max_bytes},
            },
        )
        match result:
            case [b"claimed", facts, question, *history]:
                return Claimed(
                    conversation_id=conversation_id,
                    turn_id=turn_id,
                    question=orjson.loads(question),
                    history=_oldest_first(history),
                    **orjson.loads(facts),
                )
            case [b"given_up", following]:
                return GivenUp(following.decode() or None)
            case [b"busy"]:
                return Busy()
            case _:
                return Gone()

    def write(self, writes: Sequence[Write]) -> list[Finished | Exception]:
        """Pieces of many replies in one round trip. An entry that failed alone has its exception in its place."""
        calls = [self._call(*_write_call(write)) for write in writes]
        answers: list[Finished | Exception] = []
        outbox: list[bytes] = []
        for answer in self._scripts.run_all(calls):
            if isinstance(answer, Exception):
                answers.append(answer)
                continue
            result, published = answer
            outbox += published
            written, following = (result[0], result[1:]) if isinstance(result, list) else (result, [])
            answers.append(Finished(written.decode(), following[0].decode() or None if following else None))
        self._pass_on(outbox)
        return answers

    def rank(self, conversation_id: str) -> int:
        """How many other conversations of its owner have turns that are not over. Who has fewer is served first."""
        return int(self._run("rank", conversation_id, {}))

    def note(self, claim: Claimed, kind: str, body: Json) -> Written:
        """An event of a running turn without text."""
        extra = b"," + orjson.dumps({"turn_id": claim.turn_id, **body})[1:-1]
        written: bytes = self._run("note", claim.conversation_id, {"fence": claim.fence, "kind": kind}, extra)
        return written.decode()  # type: ignore[return-value]

    def entitle(self, conversation_id: str, title: str) -> None:
        """A model's title, unless the conversation has got another one meanwhile. Empty: no more is to be asked for."""
        self._run("entitle", conversation_id, {"title": title})

    def branch(
        self, conversation_id: str, reply_id: str, *, max_messages: int, max_bytes: int, reserve: bool = False
    ) -> tuple[str, list[Json]]:
        """What a model would be sent of the branch that ends with this reply: a summary, maybe empty, and the messages
        since, oldest first. Nothing if the reply is gone or, with `reserve`, if somebody is about to sum it up."""
        window = {"messages": max_messages, "bytes": max_bytes}
        arguments = {"reply_id": reply_id, "window": window, "reserve": RESERVE_MS if reserve else 0}
        summary, *messages = self._run("branch", conversation_id, arguments) or [b""]
        return summary.decode(), _oldest_first(messages)

    def summarize(self, conversation_id: str, reply_id: str, summary: Json) -> None:
        """`summary`: {text, provider, model} of the branch up to and with this reply."""
        self._run("summarize", conversation_id, {"reply_id": reply_id}, orjson.dumps(summary))

    def release(self, claim: Claimed) -> Written:
        """Gives a turn back, for another worker to answer."""
        written: bytes = self._run("release", claim.conversation_id, {"turn_id": claim.turn_id, "fence": claim.fence})
        return written.decode()  # type: ignore[return-value]

    # --- What the web tier does to keep its clients level -----------------------------------------------------------

    def renew(self, conversation_id: str, seen: int) -> None:
        """Starts another epoch if the ledger has fewer events than have been `seen`."""
        self._run("renew", conversation_id, {"seq": seen, "new_epoch": _new_epoch()})

    def last_events(self, conversation_ids: Iterable[str]) -> list[tuple[str, bytes]]:
        """(conversation, its last event as JSON). For one that is gone, that it was deleted."""
        wanted = list(conversation_ids)
        pipeline = self._redis.pipeline(transaction=False)
        for conversation_id in wanted:
            pipeline.xrevrange(keys.log_key(conversation_id), count=1)
            pipeline.hexists(keys.meta_key(conversation_id), "epoch")
        answers = pipeline.execute()
        found = []
        for conversation_id, entries, exists in zip(wanted, answers[::2], answers[1::2], strict=True):
            if entries:
                found.append((conversation_id, entries[0][1][b"e"]))
            elif not exists:
                found.append((conversation_id, self._deletion(conversation_id)))
        return found

    def _deletion(self, conversation_id: str) -> bytes:
        """As an event of an epoch that nobody has seen: whoever still shows the conversation asks, and hears."""
        return orjson.dumps(
            {
                "seq": 1,
                "epoch": _new_epoch(),
                "conversation_id": conversation_id,
                "type": "conversation.deleted",
                "at": iso(self._clock() if self._clock else system_clock()),
                "conversation": None,
            }
        )

    def sweep(self, limit: int = 100) -> list[tuple[str, str]]:
        """(conversation, turn) of turns that nobody works on; each is told to one caller at a time."""
        now = self._clock() if self._clock else ""
        calls: list[Call] = [
            (
                "sweep",
                keys.sweep_keys(partition),
                [
                    keys.conversation_prefix(partition),
                    now,
                    GRACE_MS,
                    LONGEST_PAUSE_MS,
                    limit,
                    self._options.conversation_ttl,
                ],
            )
            for partition in keys.partitions()
        ]
        found = []
        for answer in self._scripts.run_all(calls):
            if isinstance(answer, Exception):
                raise answer
            ids = [item.decode() for item in answer]
            found += list(zip(ids[::2], ids[1::2], strict=True))
        return found

    # --- What is to be seen from outside ----------------------------------------------------------------------------

    def figures(self) -> Figures:
        """Its cost grows with the number of partitions, not with that of conversations."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.time()
        for partition in keys.partitions():
            pipeline.zcard(keys.due_key(partition))
            pipeline.zcard(keys.ready_key(partition))
            pipeline.zrange(keys.ready_key(partition), 0, 0, withscores=True)
            pipeline.hgetall(keys.counts_key(partition))
        (seconds, microseconds), *answers = pipeline.execute()
        now = self._clock() if self._clock else seconds * 1000 + microseconds // 1000
        waiting = sum(answers[1::4])
        since = [score for first in answers[2::4] for _, score in first]
        counts: Counter[str] = Counter()
        for counted in answers[3::4]:
            counts.update({name.decode(): int(value) for name, value in counted.items()})
        turns = {
            (status, provider): number
            for name, number in counts.items()
            for kind, status, provider in [(name + "::").split(":")[:3]]
            if kind == "turns"
        }
        return Figures(
            running=max(0, sum(answers[0::4]) - waiting),
            waiting=waiting,
            oldest=max(0.0, (now - min(since)) / 1000) if since else 0.0,
            turns=turns,
            others={name: number for name, number in counts.items() if not name.startswith("turns:")},
        )

    # --- How --------------------------------------------------------------------------------------------------------

    def _call(self, name: str, conversation_id: str, arguments: Json, *texts: bytes) -> Call:
        now = self._clock() if self._clock else None
        named = {
            "at": iso(now or system_clock()),
            "now": now,
            "conversation_id": conversation_id,
            "channel": self._options.channel,
            "ended": ENDED_CHANNEL,
            "relay": self._relay is not None,
            "lease": self._options.lease,
            "grace": GRACE_MS,
            "ttl": self._options.conversation_ttl,
            **arguments,
        }
        given = {key: value for key, value in named.items() if value is not None}
        return name, keys.conversation_keys(conversation_id), [orjson.dumps(given), *texts]

    def _run(self, name: str, conversation_id: str, arguments: Json, *texts: bytes) -> Any:
        if not keys.is_conversation_id(conversation_id):
            raise NotFound
        result, outbox = self._scripts.run(*self._call(name, conversation_id, arguments, *texts))
        self._pass_on(outbox)
        return result

    def _conversation(self, name: str, conversation_id: str, owner: str, arguments: Json, *texts: bytes) -> Json:
        conversation = self._run(name, conversation_id, {"owner": owner, **arguments}, *texts)
        if not conversation:
            raise NotFound
        parsed: Json = orjson.loads(conversation)
        return parsed

    def _pass_on(self, outbox: Sequence[bytes]) -> None:
        if self._relay is None or not outbox:
            return
        pipeline = self._relay.pipeline(transaction=False)
        for channel, message in zip(outbox[::2], outbox[1::2], strict=True):
            pipeline.publish(channel, message)
        try:
            pipeline.execute(raise_on_error=False)
        except UNREACHABLE as exc:
            # What was done is done; clients see the gap.
            self._log.warning("message queue unreachable, events not published", error=str(exc))


def iso(ms: int) -> str:
    """2026-01-31T12:00:00.123Z"""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def title_of(text: str) -> str:
    """The first words of a message, in one line."""
    line = " ".join(text.split())
    if len(line) <= TITLE_CHARS:
        return line
    head = line[:TITLE_CHARS]
    return (head.rsplit(" ", 1)[0] if " " in head[TITLE_CHARS // 2 :] else head) + "…"


def _after(fence: str) -> str:
    return sha256(fence.encode()).hexdigest()[:16]


def _new_epoch() -> str:
    return secrets.token_hex(6)


def _chosen(turn: NewTurn) -> Json:
    chosen = {"memory": turn.memory, "provider": turn.provider, "model": turn.model}
    return {name: value for name, value in chosen.items() if value is not None}


def _stored(**settings: Any) -> Json:
    """Settings as a hash holds them: empty for None, 0 and 1 for bools."""
    return {
        name: ("1" if value else "0") if isinstance(value, bool) else value or "" for name, value in settings.items()
    }


def _initial(**settings: Any) -> Json:
    return _stored(**{"memory": True, "provider": None, "model": None, "system_prompt": None, **settings})


def _oldest_first(messages: Sequence[bytes]) -> list[Json]:
    return [orjson.loads(message) for message in reversed(messages)]


def _summary(conversation_id: bytes, _score: bytes, messages: int, flat: Sequence[bytes]) -> Json:
    meta = {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
    return {
        "id": conversation_id.decode(),
        "title": meta["title"],
        "memory": meta["memory"] == "1",
        "provider": meta["provider"] or None,
        "model": meta["model"] or None,
        "system_prompt": meta["system_prompt"] or None,
        "created_at": meta["created_at"],
        "updated_at": meta["updated_at"],
        "state": meta["state"],
        "message_count": messages,
        "head": meta["head"] or None,
        "usage": _usage(meta),
    }


def _usage(sums: Mapping[str, str]) -> Json:
    usage: Json = {name: int(sums.get(name, 0)) for name in ("input_tokens", "output_tokens")}
    return usage | ({"cost": float(sums["cost"])} if "cost" in sums else {})


def _utf8(text: str) -> bytes:
    """A model may send half a character; what cannot be stored must not keep the rest from being written."""
    return text.encode(errors="replace")


def _write_call(write: Write) -> tuple[str, str, Json, bytes, bytes]:
    claim, finish = write.claim, write.finish
    named: Json = {"turn_id": claim.turn_id, "fence": claim.fence, "chunk": write.chunk}
    if write.prompt:
        named["prompt"] = {name: value for name, value in asdict(write.prompt).items() if value is not None}
    piece = _utf8(write.text), _utf8(write.reasoning)
    if finish is None:
        return "append", claim.conversation_id, named, *piece
    named |= {
        "status": finish.status,
        "usage": orjson.dumps(finish.usage).decode(),
        "error": orjson.dumps(finish.error).decode() if finish.error else "",
    }
    return "finish", claim.conversation_id, named, *piece
