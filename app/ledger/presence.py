"""Which worker processes are alive, so that it can be said when none is."""

import secrets
import time

from redis import Redis

from app.connections import UNREACHABLE

KEY = "parley:workers"
# Seconds of silence after which a worker counts as gone.
SILENCE = 15.0


class Presence:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._name = secrets.token_hex(8)

    def show(self) -> None:
        """This process is alive. One round trip; raises redis-py's errors."""
        now = time.time()
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zadd(KEY, {self._name: now})
        pipeline.zremrangebyscore(KEY, "-inf", now - 4 * SILENCE)
        pipeline.execute()

    def is_writable(self) -> bool:
        """Whether workers can show themselves, which a full Redis does not let them."""
        try:
            self._redis.set(f"{KEY}:none", "", xx=True)  # writes nothing, and is refused where a write would be
        except UNREACHABLE:
            return False
        return True

    def leave(self) -> None:
        self._redis.zrem(KEY, self._name)

    def count(self) -> int:
        """Workers heard of within SILENCE. One round trip; raises redis-py's errors."""
        return int(self._redis.zcount(KEY, time.time() - SILENCE, "+inf"))
