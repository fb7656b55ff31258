"""Hints on their way to the broker."""

import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from app.settings import Settings
from tasks.celery_app import PRIORITIES, QUEUE, make_celery
from tasks.hints import CeleryHints
from tests.support.processes import eventually
from tests.support.redis_server import RedisServer


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path, aof=False) as server:
        yield server


@pytest.fixture
def hints(redis: RedisServer) -> CeleryHints:
    return CeleryHints(make_celery(Settings(redis_url=redis.url)))


def turns_in(redis: RedisServer, key: str = QUEUE) -> list[str]:
    """Those that a worker would be told of, the next one first."""
    messages = [orjson.loads(message) for message in redis.client.lrange(key, 0, -1)]
    return [orjson.loads(b64decode(message["body"]))[0][1] for message in reversed(messages)]


def test_a_burst_arrives_whole_and_in_order(redis: RedisServer, hints: CeleryHints) -> None:
    names = [f"t{number}" for number in range(200)]
    for name in names:
        hints.reply("c", name, 0)
    eventually(lambda: len(turns_in(redis)) == len(names), "all hints are there")
    assert turns_in(redis) == names


def test_threads_that_ask_at_once_lose_nothing(redis: RedisServer, hints: CeleryHints) -> None:
    def ask(who: int) -> None:
        for number in range(20):
            hints.reply("c", f"t{who}-{number}", 0)
            time.sleep(0)

    threads = [threading.Thread(target=ask, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: len(turns_in(redis)) >= 160, "all hints are there")
    assert len(set(turns_in(redis))) == 160


def test_whose_owner_has_others_under_way_comes_later(redis: RedisServer, hints: CeleryHints) -> None:
    for rank in range(6):
        hints.reply("c", f"t{rank}", rank)
    lists = [QUEUE, *(f"{QUEUE}\x06\x16{priority}" for priority in PRIORITIES[1:])]
    eventually(lambda: sum(len(turns_in(redis, name)) for name in lists) == 6, "all hints are there")
    assert [turns_in(redis, name) for name in lists] == [["t0"], ["t1"], ["t2"], ["t3", "t4", "t5"]]


def test_a_broker_that_was_away_is_found_again(redis: RedisServer, hints: CeleryHints) -> None:
    hints.reply("c", "t0", 0)
    eventually(lambda: turns_in(redis) == ["t0"], "the first hint is there")
    redis.kill()
    redis.start(keep_data=False)
    hints.reply("c", "t1", 0)
    eventually(lambda: turns_in(redis) == ["t1"], "the second hint is there")


def test_nobody_waits_for_a_broker_that_is_away(
    redis: RedisServer, hints: CeleryHints, capsys: pytest.CaptureFixture[str]
) -> None:
    redis.kill()
    hints.reply("c", "t0", 0)
    said = ""

    def it_is_said() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return "hint not sent" in said

    eventually(it_is_said, "the log says so")
    redis.start()
    hints.reply("c", "t1", 0)
    eventually(lambda: turns_in(redis) == ["t1"], "what comes later is sent")
