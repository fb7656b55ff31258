"""The metrics of all processes, added up in Redis, so that any web process can tell Prometheus all of them.

Each process adds what has changed since it last did. So sums only grow, whatever process comes and goes, they need no
label for it, and a worker needs no port. A process that is killed takes what it counted since then with it.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterator

import orjson
from prometheus_client.samples import Sample
from redis import Redis

from app.connections import UNREACHABLE
from app.logs import get_logger
from app.metrics import Metrics

SUMS = "parley:metrics"
PROCESSES = "parley:metrics:processes"
PUSH_SECONDS = 3.0
# Among the gauges: how many replies this process can carry.
WORKER_SLOTS = "worker_slots"
# What a process that has fallen silent said of itself counts no longer than this.
SILENCE = 15


class Tally:
    def __init__(self, redis: Redis, metrics: Metrics, gauges: Callable[[], dict[str, float]]) -> None:
        """`gauges`: what this process says of itself right now; added up over those that are alive."""
        self._redis = redis
        self._metrics = metrics
        self._gauges = gauges
        self._name = secrets.token_hex(8)
        self._pushed: dict[bytes, float] = {}
        self._pushing = threading.Lock()
        self._log = get_logger(__name__)

    def start(self) -> None:
        threading.Thread(target=self._run, name="tally", daemon=True).start()

    def push(self) -> None:
        """One round trip. Raises redis-py's errors; what was not added is added the next time.

        (If only the answer was lost, it is added twice: these are figures for people, not the ledger.)
        """
        with self._pushing:
            now = time.time()
            current = {_field(sample): sample.value for sample in self._metrics.samples()}
            pipeline = self._redis.pipeline()
            for field, value in current.items():
                more = value - self._pushed.get(field, 0)
                if more or field not in self._pushed:
                    pipeline.hincrbyfloat(SUMS, field, more)
            pipeline.zadd(PROCESSES, {self._name: now})
            pipeline.zremrangebyscore(PROCESSES, "-inf", now - SILENCE)
            pipeline.set(_process_key(self._name), orjson.dumps(self._gauges()), ex=SILENCE)
            pipeline.execute()
            self._pushed = current

    def leave(self) -> None:
        """The process is going: its last counts, and nothing of itself any more."""
        self.push()
        pipeline = self._redis.pipeline()
        pipeline.zrem(PROCESSES, self._name)
        pipeline.delete(_process_key(self._name))
        pipeline.execute()

    def sums(self) -> Iterator[Sample]:
        sums: dict[bytes, bytes] = self._redis.hgetall(SUMS)  # type: ignore[assignment]
        for field, value in sums.items():
            name, labels = orjson.loads(field)
            yield Sample(name, labels, float(value))

    def gauges(self) -> dict[str, float]:
        """Added up over all processes that are alive."""
        names: list[bytes] = self._redis.zrange(PROCESSES, 0, -1)  # type: ignore[assignment]
        pipeline = self._redis.pipeline(transaction=False)
        for name in names:
            pipeline.get(_process_key(name.decode()))
        sums: dict[str, float] = {}
        for said in filter(None, pipeline.execute()):
            for name, value in orjson.loads(said).items():
                sums[name] = sums.get(name, 0) + value
        return sums

    def _run(self) -> None:
        while True:
            try:
                self.push()
            except UNREACHABLE as exc:
                self._log.debug("metrics not pushed", error=str(exc))
            except Exception:
                self._log.exception("metrics not pushed")
            time.sleep(PUSH_SECONDS)


def _field(sample: Sample) -> bytes:
    return orjson.dumps([sample.name, sample.labels], option=orjson.OPT_SORT_KEYS)


def _process_key(name: str) -> str:
    return f"{PROCESSES}:{name}"
