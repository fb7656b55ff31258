"""One reply in the making, between its reader and the pump."""

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ledger import Claimed, Finish, Finished, Write
from app.providers.base import Usage
from app.turns.reply import Reply, Timeouts

CLAIM = Claimed("c", "t", 1, 1, "p", "m", True, "", {"text": "Hello"})
OK = Finished("ok")
DONE = Finish("done")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Stream:
    """A completion of which only the end matters."""

    usage: Usage | None = None

    def __init__(self) -> None:
        self.aborted = 0

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def abort(self) -> None:
        self.aborted += 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reply(clock: Clock) -> Reply:
    return Reply(CLAIM, Timeouts(first_token=60, idle=30, total=600), clock)


def test_text_is_taken_in_numbered_pieces(reply: Reply) -> None:
    reply.feed("One, ")
    reply.feed("two, ")
    assert reply.next_write(1) == Write(CLAIM, 1, "One, two, ")
    reply.feed("three")
    # Until the ledger has answered for it, a piece stays the same.
    assert reply.next_write(1) == Write(CLAIM, 1, "One, two, ")
    reply.written(OK)
    assert reply.next_write(1) == Write(CLAIM, 2, "three")
    reply.written(OK)
    assert reply.next_write(1) is None


def test_the_last_piece(reply: Reply) -> None:
    reply.feed("One")
    reply.end(DONE)
    assert reply.next_write(1) == Write(CLAIM, 1, "One", DONE)
    reply.written(Finished("ok", "next"))
    assert reply.wait_until_over() == Finished("ok", "next")
    assert not reply.lost
    assert reply.next_write(0) is None


def test_the_end_after_the_last_piece(reply: Reply) -> None:
    reply.feed("One")
    assert reply.next_write(1) == Write(CLAIM, 1, "One")
    reply.end(DONE)
    assert reply.next_write(1) == Write(CLAIM, 1, "One"), "it is on its way already"
    reply.written(OK)
    assert reply.next_write(1) == Write(CLAIM, 1, "", DONE)
    reply.written(OK)
    assert reply.wait_until_over() == OK


def test_an_empty_reply(reply: Reply) -> None:
    reply.end(DONE)
    assert reply.next_write(1) == Write(CLAIM, 0, "", DONE)


def test_signs_of_life(reply: Reply, clock: Clock) -> None:
    assert reply.next_write(1) is None
    clock.now += 1
    assert reply.next_write(1) == Write(CLAIM, 0, "")
    reply.feed("One")
    assert reply.next_write(1) == Write(CLAIM, 0, "")
    reply.written(OK)
    assert reply.next_write(1) == Write(CLAIM, 1, "One")
    clock.now += 0.5
    reply.written(OK)
    clock.now += 0.75
    assert reply.next_write(1) is None, "each write is a sign of life"
    clock.now += 0.25
    assert reply.next_write(1) == Write(CLAIM, 1, "")


def test_an_end_that_comes_while_a_sign_of_life_is_on_its_way(reply: Reply, clock: Clock) -> None:
    clock.now += 1
    assert reply.next_write(1) == Write(CLAIM, 0, "")
    reply.end(DONE)
    reply.written(OK)
    assert reply.next_write(1) == Write(CLAIM, 0, "", DONE)


@pytest.mark.parametrize("answer", ["fenced", "rollback"])
def test_a_reply_that_is_somebody_elses(reply: Reply, answer: str) -> None:
    stream = Stream()
    reply.listen_to(stream)
    reply.feed("One")
    reply.next_write(1)
    reply.written(Finished(answer))  # type: ignore[arg-type]
    assert reply.lost
    assert stream.aborted == 1
    assert reply.wait(60), "who waits is woken"
    assert reply.stop_listening() is None, "nothing is wrong with the provider"
    assert reply.wait_until_over().written == answer
    reply.feed("two")
    assert reply.next_write(0) is None


def test_who_listens_too_late_is_told_at_once(reply: Reply) -> None:
    reply.feed("One")
    reply.next_write(1)
    reply.written(Finished("fenced"))
    stream = Stream()
    reply.listen_to(stream)
    assert stream.aborted == 1


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([60.5], "did not begin to answer within 60"),
        ([59, "x", 30.5], "fell silent for 30"),
        (["x", *[30, "x"] * 20, 1], "longer than 600"),
    ],
)
def test_deadlines(reply: Reply, clock: Clock, steps: list[float | str], words: str) -> None:
    stream = Stream()
    reply.listen_to(stream)
    for step in steps:
        reply.check_deadlines()
        assert stream.aborted == 0
        if isinstance(step, str):
            reply.feed(step)
        else:
            clock.now += step
    reply.check_deadlines()
    assert stream.aborted == 1
    reply.check_deadlines()
    assert stream.aborted == 1, "once"
    problem = reply.stop_listening()
    assert problem is not None
    assert (problem.code, problem.retryable) == ("provider_timeout", False)
    assert words in problem.message
    assert not reply.lost
    # What has arrived is still written.
    reply.end(Finish("failed"))
    assert reply.next_write(1) is not None


def test_deadlines_just_met(reply: Reply, clock: Clock) -> None:
    stream = Stream()
    reply.listen_to(stream)
    clock.now += 60
    reply.check_deadlines()
    reply.feed("x")
    clock.now += 30
    reply.check_deadlines()
    assert stream.aborted == 0


def test_no_deadline_while_nobody_listens(reply: Reply, clock: Clock) -> None:
    stream = Stream()
    reply.listen_to(stream)
    reply.stop_listening()
    clock.now += 400
    reply.check_deadlines()
    assert not reply.wait(0)
    # A new attempt has its own time for a first token, and no more than the rest of the whole.
    second = Stream()
    reply.listen_to(second)
    clock.now += 60
    reply.check_deadlines()
    assert second.aborted == 0
    reply.feed("x")
    clock.now += 141
    reply.check_deadlines()
    assert second.aborted == 1
    assert stream.aborted == 0


@given(st.lists(st.one_of(st.text(min_size=1, max_size=3), st.sampled_from([True, False, None])), max_size=40))
def test_no_text_is_lost_or_moved(steps: list[str | bool | None]) -> None:
    """Text is fed; the pump tries (True: it was written; False: it failed and is sent again; None: time passes)."""
    clock = Clock()
    reply = Reply(CLAIM, Timeouts(), clock)
    fed, ledger, chunk = "", "", 0

    def write(*, succeeds: bool) -> None:
        nonlocal ledger, chunk
        piece = reply.next_write(1)
        if piece is None or not succeeds:
            return
        if piece.text:
            assert piece.chunk == chunk + 1
            ledger, chunk = ledger + piece.text, piece.chunk
        assert piece.chunk == chunk
        reply.written(OK)

    for step in steps:
        if isinstance(step, str):
            reply.feed(step)
            fed += step
        elif step is None:
            clock.now += 2
        else:
            write(succeeds=step)
    reply.end(DONE)
    write(succeeds=True)
    write(succeeds=True)
    assert ledger == fed
    assert reply.wait_until_over() == OK


def test_waiting_until_it_is_over(reply: Reply) -> None:
    found: list[Finished] = []
    waiting = threading.Thread(target=lambda: found.append(reply.wait_until_over()))
    waiting.start()
    reply.end(DONE)
    assert reply.next_write(1) is not None
    assert waiting.is_alive()
    reply.written(OK)
    waiting.join(10)
    assert found == [OK]
