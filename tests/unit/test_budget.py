"""A provider's requests and tokens in a minute."""

from collections.abc import Iterator

import pytest

from app.access.budget import Budget, Rates
from app.connections import connect
from tests.support.redis_server import RedisServer

RATES = {"p": Rates(requests=100), "q": Rates(tokens=10_000), "both": Rates(requests=1000, tokens=10_000)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), aof=False) as server:
        yield server


@pytest.fixture
def budgets(server: RedisServer) -> Iterator[tuple[Budget, Budget]]:
    """Of two workers."""
    redis = connect(server.url)
    redis.flushall()
    yield Budget(redis, RATES), Budget(connect(server.url), RATES)
    redis.close()


def test_no_limit_no_question(budgets: tuple[Budget, Budget]) -> None:
    assert {budgets[0].take("free", 10**9) for _ in range(1000)} == {0}


def test_requests_of_all_workers_share_a_minute(budgets: tuple[Budget, Budget]) -> None:
    taken = 0
    while not (wait := budgets[taken % 2].take("p", 5000)):
        taken += 1
        assert taken <= 20, "a tenth of a minute's requests may go at once"
    assert taken >= 10
    assert 0 < wait <= 60 / 100 / 0.9 + 0.001, "the next one may go a moment later"


def test_tokens(budgets: tuple[Budget, Budget]) -> None:
    one, other = budgets
    assert one.take("q", 900) == 0
    assert one.take("q", 900) == 0
    wait = other.take("q", 1)
    assert 0 < wait <= 1800 * 60 / 9000 - 6 + 0.001


def test_what_came_back_is_charged_too(budgets: tuple[Budget, Budget]) -> None:
    one, other = budgets
    one.spend("q", 5000)
    assert other.take("q", 1) > 20


def test_a_refusal_costs_nothing(budgets: tuple[Budget, Budget]) -> None:
    one, _ = budgets
    one.spend("both", 2000)
    first = one.take("both", 5000)
    assert first > 0
    assert one.take("both", 5000) <= first


def test_a_request_larger_than_the_burst_is_sent_all_the_same(budgets: tuple[Budget, Budget]) -> None:
    assert budgets[0].take("q", 9_000) == 0
