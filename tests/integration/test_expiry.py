"""What is not used for long is gone, and nothing is left of it."""

from typing import Any

import pytest

from tests.support.processes import eventually
from tests.support.stack import Mode, Stack


def left_of(stack: Stack, *names: str) -> list[str]:
    """Keys and members of collections in which one of these stands."""
    redis: Any = stack.redis.client
    read = {
        b"zset": lambda key: redis.zrange(key, 0, -1),
        b"set": redis.smembers,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"hash": redis.hgetall,
    }
    found = []
    for key in redis.scan_iter(count=1000):
        items = [key, *read.get(redis.type(key), lambda _key: ())(key)]
        found += [item.decode(errors="replace") for item in items]
    return [item for item in found if any(name in item for name in names)]


def test_nothing_is_left_of_what_expired(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> None:
    environ = {"CONVERSATION_TTL_SECONDS": "4", "SESSION_TTL_SECONDS": "8", "RATE_LIMIT": "1000/second"}
    environ["RATE_LIMIT_IP"] = environ["RATE_LIMIT"]
    with Stack(tmp_path_factory.mktemp("expiry"), mode=mode, environ=environ) as stack:
        client = stack.client()
        for _ in range(2):
            client.talk(stack.secret_text())
        client.talk(stack.secret_text(), client.received[0]["conversation_id"])
        ids = [*client.views, client.session.id]
        assert left_of(stack, *ids)
        client.disconnect()
        eventually(lambda: not left_of(stack, *ids), "all of it is gone", 40)


def test_one_that_expired_is_gone_from_the_list_of_a_session_that_lives_on(
    mode: Mode, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Stack(tmp_path_factory.mktemp("listed"), mode=mode, environ={"CONVERSATION_TTL_SECONDS": "5"}) as stack:
        client = stack.client()
        client.talk(stack.secret_text())
        first = client.received[0]["conversation_id"]
        second = client.talk(stack.secret_text())["id"]
        [other] = set(client.views) - {first}

        def only_the_used_one_is_left() -> bool:
            client.open(other)
            return not left_of(stack, first)

        eventually(only_the_used_one_is_left, "the unused one is gone", 40)
        assert [one["id"] for one in client.do("list_conversations")["conversations"]] == [other]
        assert second in [message["id"] for message in client.view(other).messages]
