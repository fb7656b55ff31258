"""What both tiers do to keep conversations going and clients level, and what is to be seen from outside."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import orjson

from app.clock import iso, system_clock
from app.ledger import keys
from app.ledger.calls import GRACE_MS, LONGEST_LEASE_MS, Calls, new_epoch
from app.ledger.models import Figures
from app.ledger.scripts import Call

LONGEST_PAUSE_MS = 60_000
# What was measured so long ago weighs a third; as common.lua has it.
FADING_MS = 300_000


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
                    LONGEST_LEASE_MS,
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
            pipeline.scard(keys.owners_key(partition))
        (seconds, microseconds), *answers = pipeline.execute()
        now = self._clock() if self._clock else seconds * 1000 + microseconds // 1000
        waiting = sum(answers[1::5])
        since = [score for first in answers[2::5] for _, score in first]
        counts: Counter[str] = Counter()
        services = []
        for counted in answers[3::5]:
            service = [counted.pop(name, None) for name in (b"service:ms", b"service:turns", b"service:at")]
            services += [tuple(map(float, service))] if None not in service else []
            counts.update({name.decode(): int(value) for name, value in counted.items()})
        turns = {
            (status, provider): number
            for name, number in counts.items()
            for kind, status, provider in [(name + "::").split(":")[:3]]
            if kind == "turns"
        }
        return Figures(
            running=max(0, sum(answers[0::5]) - waiting),
            waiting=waiting,
            oldest=max(0.0, (now - min(since)) / 1000) if since else 0.0,
            owners=sum(answers[4::5]),
            service=_mean(services),
            turns=turns,
            others={name: number for name, number in counts.items() if not name.startswith("turns:")},
        )

    def ready_before(self, since: int) -> int:
        """In how many conversations a turn could be taken before this time (ms)."""
        pipeline = self._redis.pipeline(transaction=False)
        for partition in keys.partitions():
            pipeline.zcount(keys.ready_key(partition), "-inf", f"({since}")
        return sum(pipeline.execute())

    def waiting(self) -> int:
        """How many turns have never been claimed."""
        pipeline = self._redis.pipeline(transaction=False)
        for partition in keys.partitions():
            pipeline.zcard(keys.waiting_key(partition))
        return sum(pipeline.execute())


def _mean(services: Sequence[tuple[float, ...]]) -> float | None:
    """In seconds, of what the partitions have measured: (sum in ms, number, when they were last added to)."""
    newest = max((at for _, _, at in services), default=0)
    weights = [math.exp((at - newest) / FADING_MS) for _, _, at in services]
    number = sum(turns * weight for (_, turns, _), weight in zip(services, weights, strict=True))
    total = sum(ms * weight for (ms, _, _), weight in zip(services, weights, strict=True))
    return total / number / 1000 if number else None
