"""Sums of many processes in Redis."""

from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from app.connections import connect
from app.ledger.tally import SUMS, Tally
from app.metrics import Metrics
from tests.support.redis_server import RedisServer


def process(redis: Redis, **gauges: float) -> tuple[Metrics, Tally]:
    metrics = Metrics()
    return metrics, Tally(redis, metrics, lambda: gauges)


def sums(tally: Tally) -> dict[str, float]:
    """Those that are not 0, as Prometheus would write them."""
    return {
        sample.name + "".join(f" {name}={label}" for name, label in sorted(sample.labels.items())): sample.value
        for sample in tally.sums()
        if sample.value
    }


def test_processes_add_up_whatever_becomes_of_them(redis: Redis) -> None:
    first, first_tally = process(redis)
    first.gaps.inc()
    first.upstream_errors.labels("chat", "provider_timeout").inc(2)
    first_tally.push()
    first.gaps.inc()
    first_tally.leave()
    second, second_tally = process(redis)
    second.gaps.inc()
    for _ in range(2):  # what has been added is not added again
        second_tally.push()
    assert sums(second_tally) == {
        "parley_gaps_total": 3,
        "parley_upstream_errors_total code=provider_timeout provider=chat": 2,
    }


def test_a_histogram_keeps_its_shape(redis: Redis) -> None:
    for seconds in (0.003, 0.2, 1000.0):
        metrics, tally = process(redis)
        metrics.queued.observe(seconds)
        tally.push()
    buckets = {
        float(sample.labels["le"]): sample.value
        for sample in tally.sums()
        if sample.name == "parley_queue_seconds_bucket"
    }
    assert (buckets[0.01], buckets[0.1], buckets[0.25], buckets[300], buckets[float("inf")]) == (1, 1, 2, 2, 3)
    assert sums(tally)["parley_queue_seconds_count"] == 3
    assert sums(tally)["parley_queue_seconds_sum"] == pytest.approx(1000.203)


def test_what_processes_say_of_themselves_ends_with_them(redis: Redis) -> None:
    (_, first), (_, second), (_, watcher) = process(redis, connections=3), process(redis, connections=4), process(redis)
    for tally in (first, second):
        tally.push()
    assert watcher.gauges() == {"connections": 7}
    first.leave()
    assert watcher.gauges() == {"connections": 4}
    found: list[bytes] = redis.keys("parley:metrics:processes:*")  # type: ignore[assignment]
    assert [0 < int(redis.ttl(key)) <= 15 for key in found] == [True], "one that is killed is forgotten"


def test_what_could_not_be_added_is_added_later(redis: Redis, tmp_path: Path) -> None:
    with RedisServer(tmp_path, aof=False) as server:
        client = connect(server.url)
        metrics, tally = process(client)
        metrics.gaps.inc()
        server.kill()
        with pytest.raises(RedisConnectionError):
            tally.push()
        metrics.gaps.inc()
        server.start()
        tally.push()
        assert sums(tally) == {"parley_gaps_total": 2}
        client.close()


def test_all_of_it_is_one_key_however_many_there_are(redis: Redis) -> None:
    for _ in range(5):
        metrics, tally = process(redis)
        metrics.flush_chars.observe(10)
        tally.leave()
    assert redis.keys("*") == [SUMS.encode()]
