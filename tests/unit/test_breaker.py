"""When a provider counts as down, and how it comes back."""

import pytest

from app.providers.base import UpstreamError
from app.providers.breaker import FAILURES, PAUSE_SECONDS, SPAN_SECONDS, Breaker

DOWN = UpstreamError("provider_unreachable", "The model provider “p” could not be reached.", retryable=True)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def down(clock: Clock) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        breaker.check("p")
        breaker.failed("p", DOWN)
    clock.now += SPAN_SECONDS
    breaker.check("p")  # one may try
    return breaker


def test_one_that_is_down_is_left_alone_and_says_why(down: Breaker) -> None:
    with pytest.raises(UpstreamError) as error:
        down.check("p")
    assert error.value.code == DOWN.code
    assert error.value.message.startswith(DOWN.message)
    assert f"{FAILURES} times" in error.value.message
    assert not error.value.retryable


def test_now_and_then_one_tries(down: Breaker, clock: Clock) -> None:
    clock.now += PAUSE_SECONDS
    down.check("p")
    with pytest.raises(UpstreamError):
        down.check("p")


def test_one_word_and_it_is_back(down: Breaker) -> None:
    down.answered("p")
    for _ in range(FAILURES - 1):
        down.failed("p", DOWN)
    down.check("p")


def test_others_are_asked(down: Breaker) -> None:
    down.check("q")


def test_many_failures_at_once_are_one_bad_moment(clock: Clock) -> None:
    breaker = Breaker(clock)
    for _ in range(10 * FAILURES):
        breaker.failed("p", DOWN)
    breaker.check("p")
    breaker.check("p")


@pytest.mark.parametrize("code", ["provider_auth", "provider_rejected", "provider_rate_limited", "provider_stream"])
def test_a_provider_that_says_no_is_not_down(clock: Clock, code: str) -> None:
    breaker = Breaker(clock)
    for _ in range(10 * FAILURES):
        breaker.failed("p", UpstreamError(code, "No."))
        clock.now += 1
    breaker.check("p")
    breaker.check("p")
