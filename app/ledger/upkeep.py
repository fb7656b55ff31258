"""What both tiers do to keep conversations going and clients level, and what is to be seen from outside."""

from collections import Counter
from collections.abc import Iterable

import orjson

from app.clock import iso, system_clock
from app.ledger import keys
from app.ledger.calls import GRACE_MS, Calls, new_epoch
from app.ledger.models import Figures
from app.ledger.scripts import Call

LONGEST_PAUSE_MS = 60_000


class UpkeepCalls(Calls):
    def renew(self, conversation_id: str, seen: int) -> None:
        """Starts another epoch if the ledger has fewer events than have been `seen`."""
        self._run("renew", conversation_id, {"seq": seen, "new_epoch": new_epoch()})

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
                "epoch": new_epoch(),
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

    def waiting(self) -> int:
        """How many turns have never been claimed."""
        pipeline = self._redis.pipeline(transaction=False)
        for partition in keys.partitions():
            pipeline.zcard(keys.waiting_key(partition))
        return sum(pipeline.execute())
