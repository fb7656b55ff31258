"""Waiting for a reply whose end nobody will say any more."""

from typing import Any, cast

from redis.exceptions import ConnectionError as RedisConnectionError

from app.delivery.listeners import Heard
from app.ledger import Ledger, TurnState
from app.web.following import RETRY_SECONDS, Follower, reply_within

ASKED = {"conversation_id": "c", "turn_id": "t", "message_id": "m"}


class Away:
    """A ledger whose Redis is there again at the third time; the turn is over since long."""

    def __init__(self) -> None:
        self.asked = 0

    def turn(self, *_: Any) -> TurnState:
        self.asked += 1
        if self.asked < 3:
            raise RedisConnectionError
        return TurnState("done", "e", 7, 1, "", "", {}, {"text": "Hello"}, "r")


class Silent:
    """A follower that hears nothing."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def take(self, seconds: float) -> Heard:
        self.waits.append(seconds)
        return Heard([], missed=False, closed=False)


def test_a_reply_is_looked_for_until_redis_could_say() -> None:
    ledger, follower = Away(), Silent()
    reply = reply_within(cast(Follower, follower), cast(Ledger, ledger), "alice", ASKED, 3600)
    assert reply == {"text": "Hello"}
    assert follower.waits == [RETRY_SECONDS] * 2
