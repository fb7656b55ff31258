"""What owners do: the calls behind what people ask for."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from app import errors
from app.errors import Conflict, Invalid, NotFound, QueueFull
from app.ledger import keys
from app.ledger.calls import Calls, new_epoch, oldest_first
from app.ledger.models import Accepted, Json, NewTurn, Pace, Page, Queue, Snapshot, Tail, TurnState

SNAPSHOT_MESSAGES = 50
MAX_TAIL_EVENTS = 1000
TOMBSTONE_MS = 86_400_000
TITLE_CHARS = 60
NO_MESSAGE = "There is no such message in this conversation."


class OwnerCalls(Calls):
    """Each raises NotFound for a conversation that is not this owner's."""

    def accept(
        self,
        owner: str,
        conversation_id: str,
        turn: NewTurn,
        *,
        create: bool,
        full: bool = False,
        pace: Pace | None = None,
    ) -> Accepted:
        """Takes a message in, once for each client_id. `create`: the conversation may be a new one. `full`: what is
        known already is answered, but nothing new is taken. `pace`: for the wait that is told, where one can be.

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
                "service": pace and pace.service,
                "begin": pace and pace.begin,
                "title": title_of(turn.text),
                "epoch": new_epoch(),
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
                raise errors.Busy
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
        arguments = {"title": title, "epoch": new_epoch(), "settings": _initial(**settings)}
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

    def queue(self, owner: str, conversation_id: str) -> Queue:
        match self._run("queue", conversation_id, {"owner": owner}):
            case [b"ok", running, since, rank, *turn_ids]:
                ids = [turn_id.decode() for turn_id in turn_ids]
                return Queue(ids, bool(running), int(since) if since else None, rank)
            case _:
                raise NotFound

    def turn(self, owner: str, conversation_id: str, turn_id: str, message_id: str) -> TurnState:
        """`message_id`: the message that the turn answers. Raises NotFound."""
        match self._run("turn", conversation_id, {"owner": owner, "turn_id": turn_id, "message_id": message_id}):
            case [status, epoch, seq, attempt, text, reasoning, origin, reply, reply_id]:
                return TurnState(
                    status.decode(),
                    epoch.decode(),
                    int(seq),
                    int(attempt),
                    text.decode(),
                    reasoning.decode(),
                    orjson.loads(origin or b"{}"),
                    orjson.loads(reply) if reply else None,
                    reply_id.decode() or None,
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
                "new_epoch": new_epoch(),
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
            current.decode(), int(seq), orjson.loads(conversation), oldest_first(messages), bool(more), open_turns
        )

    def history(self, owner: str, conversation_id: str, before: str | None, limit: int) -> Page:
        """Messages of the chosen branch before a message, oldest first."""
        match self._run("history", conversation_id, {"owner": owner, "before": before, "limit": limit}):
            case [b"ok", more, *messages]:
                return Page(oldest_first(messages), bool(more))
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
            "epoch": new_epoch(),
            "settings": _initial(**settings),
            "head": head,
            "count": len(messages),
        }
        return self._conversation("import", conversation_id, owner, arguments, *texts)

    def usage(self, owner: str) -> Json:
        """What all replies to an owner have used."""
        sums: dict[bytes, bytes] = self._redis.hgetall(keys.usage_key(owner))  # type: ignore[assignment]
        return _usage({name.decode(): value.decode() for name, value in sums.items()})


def title_of(text: str) -> str:
    """The first words of a message, in one line."""
    line = " ".join(text.split())
    if len(line) <= TITLE_CHARS:
        return line
    head = line[:TITLE_CHARS]
    return (head.rsplit(" ", 1)[0] if " " in head[TITLE_CHARS // 2 :] else head) + "…"


def _chosen(turn: NewTurn) -> Json:
    chosen = {
        "memory": turn.memory,
        "provider": turn.provider,
        "model": turn.model,
        "system_prompt": turn.system_prompt,
        "asked_by": turn.asked_by or None,
    }
    return {name: value for name, value in chosen.items() if value is not None}


def _stored(**settings: Any) -> Json:
    """Settings as a hash holds them: empty for None, 0 and 1 for bools."""
    return {
        name: ("1" if value else "0") if isinstance(value, bool) else value or "" for name, value in settings.items()
    }


def _initial(**settings: Any) -> Json:
    return _stored(**{"memory": True, "provider": None, "model": None, "system_prompt": None, **settings})


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
