"""Whole conversations, read and searched. They may be long, so it is done in pieces, which a script could not."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
from redis import Redis

from app.errors import NotFound
from app.ledger import keys
from app.ledger.ledger import Ledger
from app.ledger.models import Json, Page

BATCH = 200
# What one call looks through before it gives a cursor for the rest.
MAX_SEARCHED_BYTES = 2_000_000
MAX_SEARCHED_CONVERSATIONS = 200
EXCERPT_CHARS = 60
# What comes before an excerpt is passed over by so many characters at a time.
BLOCK_CHARS = 4096


@dataclass(frozen=True, slots=True)
class Tree:
    """`messages`: parents before children, siblings in order of creation; `head`: the last one of the chosen branch."""

    conversation: Json
    messages: list[Json]
    head: str | None

    def branch(self) -> list[Json]:
        """The chosen one, oldest first."""
        known = {message["id"]: message for message in self.messages}
        found = []
        message = known.get(self.head or "")
        while message:
            found.append(message)
            message = known.get(message["parent_id"] or "")
        return found[::-1]


class Archive:
    def __init__(self, redis: Redis, ledger: Ledger) -> None:
        self._redis = redis
        self._ledger = ledger

    def tree(self, owner: str, conversation_id: str) -> Tree:
        """All that is saved. What waits behind a reply that is still to come is not part of it. Raises NotFound."""
        conversation = self._ledger.show(owner, conversation_id)
        followers: dict[bytes, bytes] = self._redis.hgetall(keys.children_key(conversation_id))  # type: ignore[assignment]
        newest = self._ledger.history(owner, conversation_id, None, BATCH).items[::-1]
        messages: list[Json] = []
        ids = list(_in_order(followers))
        for first in range(0, len(ids), BATCH):
            found: Any = self._redis.hmget(keys.messages_key(conversation_id), ids[first : first + BATCH])
            if None in found:  # the conversation has been emptied meanwhile
                return Tree(conversation, [], None)
            messages += map(orjson.loads, found)
        known = {message["id"]: message for message in messages}
        head = next((message["id"] for message in newest if message["id"] in known), None)
        # Where another version of a reply is still to come, the branch goes on with the last one there is.
        while head and (below := followers.get(head.encode())):
            head = orjson.loads(b"[" + below + b"]")[-1]
        return Tree(conversation, messages, head)

    def search(self, owner: str, words: str, cursor: str | None, limit: int) -> Page:
        """Conversations, the last used first, in whose title or messages these words stand. Each has a `match`:
        {message_id, text}, or None if it is the title that has them. A page may be short, or empty, with more to come:
        a call looks through so much and no more."""
        wanted = words.casefold()
        found: list[Json] = []
        budget = MAX_SEARCHED_BYTES
        for count, (after, conversation, begin) in enumerate(self._from(owner, cursor), 1):
            hit, go_on, used = self._look(conversation, wanted, begin, budget)
            budget -= used
            if go_on:
                return Page(found, True, f"{after}-{go_on}")
            found += [hit] if hit else []
            if len(found) == limit or budget <= 0 or count == MAX_SEARCHED_CONVERSATIONS:
                return Page(found, True, after)
        return Page(found, False)

    def _from(self, owner: str, cursor: str | None) -> Iterator[tuple[str, Json, int]]:
        """(cursor after it, conversation, where in it to begin)."""
        after = cursor
        if cursor and cursor.count("-") == 2:
            after, _, scan = cursor.rpartition("-")
            conversation_id = after.partition("-")[2]
            if keys.is_conversation_id(conversation_id):
                with suppress(NotFound):
                    yield after, self._ledger.show(owner, conversation_id), int(scan)
        more = True
        while more:
            listed, more = self._ledger.listed(owner, after, BATCH)
            for place, conversation in listed:
                yield place, conversation, 0
                after = place

    def _look(self, conversation: Json, wanted: str, scan: int, budget: int) -> tuple[Json | None, int, int]:
        """(what is found, where to go on if it is not decided yet, bytes looked through)."""
        if not scan and wanted in conversation["title"].casefold():
            return {**conversation, "match": None}, 0, 0
        used = 0
        while True:
            answer: Any = self._redis.hscan(keys.messages_key(conversation["id"]), scan, count=BATCH)
            scan, batch = answer
            for raw in batch.values():
                used += len(raw)
                message = orjson.loads(raw)
                if wanted in message["text"].casefold():
                    match = {"message_id": message["id"], "text": excerpt(message["text"], wanted)}
                    return {**conversation, "match": match}, 0, used
            if not scan or used >= budget:
                return None, int(scan), used


def excerpt(text: str, wanted: str) -> str:
    """Some of the text around the first place that, case aside, says what is wanted (casefolded)."""
    start = text.casefold().index(wanted)
    end = start + len(wanted)
    # Casefolding may lengthen what stands before: `ß` is `ss`.
    first = last = length = block = 0
    while length + (folded := len(text[block : block + BLOCK_CHARS].casefold())) < start:
        length += folded
        block += BLOCK_CHARS
    for position, character in enumerate(text[block:], block):
        if length <= start:
            first = position
        length += len(character.casefold())
        last = position + 1
        if length >= end:
            break
    begin, stop = max(0, first - EXCERPT_CHARS), last + EXCERPT_CHARS
    return ("…" if begin else "") + text[begin:stop] + ("…" if stop < len(text) else "")


def _in_order(followers: dict[bytes, bytes]) -> Iterator[str]:
    """All messages that hang together with the first ones, parents before children."""
    waiting = ["-"]
    while waiting:
        message_id = waiting.pop()
        if message_id != "-":
            yield message_id
        waiting += reversed(orjson.loads(b"[" + followers.get(message_id.encode(), b"") + b"]"))
