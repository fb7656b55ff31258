"""One reply in the making, between its reader and the pump."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ledger import Busy, Claimed, Finish, Finished, GivenUp, Gone, Write
from app.providers.base import Piece, Usage
from app.turns.reply import Reply, Timeouts

CLAIM = Claimed("c", "t", "r", "first", 1, "p", "m", True, "", {"text": "Hello"})
AGAIN = replace(CLAIM, fence="second", attempt=2)
OK = Finished("ok")
REFUSED = Finished("refused")
DONE = Finish("done")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Stream:
    """A completion of which only the end matters."""

    usage: Usage | None = None
    finish_reason: str | None = None

    def __init__(self) -> None:
        self.aborted = 0

    def __iter__(self) -> Iterator[Piece]:
        return iter(())

    def abort(self) -> None:
        self.aborted += 1


@dataclass
class Ledger:
    """What it says to claims that are made again; an error is raised."""

    answers: list[Claimed | Busy | Gone | GivenUp | Exception] = field(default_factory=list)
    asked: list[Claimed] = field(default_factory=list)

    def __call__(self, had: Claimed) -> Claimed | Busy | Gone | GivenUp:
        self.asked.append(had)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def reply(clock: Clock, ledger: Ledger) -> Reply:
    return Reply(CLAIM, Timeouts(first_token=60, idle=30, total=600), clock, ledger)


def test_text_is_taken_in_numbered_pieces(reply: Reply) -> None:
    reply.feed(Piece("One, "))
    reply.feed(Piece("two, "))
    assert reply.next_write(1) == Write(CLAIM, 1, "One, two, ")
    reply.feed(Piece("three"))
    # Until the ledger has answered for it, a piece stays the same.
    assert reply.next_write(1) == Write(CLAIM, 1, "One, two, ")
    reply.written(OK)
    assert reply.next_write(1) == Write(CLAIM, 2, "three")
    reply.written(OK)
    assert reply.next_write(1) is None


def test_the_last_piece(reply: Reply) -> None:
    reply.feed(Piece("One"))
    reply.end(DONE)
    assert reply.next_write(1) == Write(CLAIM, 1, "One", DONE)
    reply.written(Finished("ok", "next"))
    assert reply.wait_until_over() == "next"
    assert not reply.dropped
    assert reply.next_write(0) is None


def test_the_end_after_the_last_piece(reply: Reply) -> None:
    reply.feed(Piece("One"))
    assert reply.next_write(1) == Write(CLAIM, 1, "One")
    reply.end(DONE)
    assert reply.next_write(1) == Write(CLAIM, 1, "One"), "it is on its way already"
    reply.written(OK)
    assert reply.next_write(1) == Write(CLAIM, 1, "", DONE)
    reply.written(OK)
    assert reply.wait_until_over() is None
    assert not reply.dropped


def test_an_empty_reply(reply: Reply) -> None:
    reply.end(DONE)
    assert reply.next_write(1) == Write(CLAIM, 0, "", DONE)


def test_signs_of_life(reply: Reply, clock: Clock) -> None:
    assert reply.next_write(1) is None
    clock.now += 1
    assert reply.next_write(1) == Write(CLAIM, 0, "")
    reply.feed(Piece("One"))
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


@pytest.mark.parametrize(
    ("answer", "why", "following"),
    [
        (Busy(), "lost", None),
        (Gone(), "lost", None),
        (Gone("done"), "lost", None),
        (Gone("stopped"), "stopped", None),
        (GivenUp("next"), "failed", "next"),
    ],
)
def test_a_reply_that_is_somebody_elses(
    reply: Reply, ledger: Ledger, answer: Busy | Gone | GivenUp, why: str, following: str | None
) -> None:
    stream = Stream()
    reply.listen_to(stream)
    reply.feed(Piece("One"))
    reply.next_write(1)
    reply.written(REFUSED)
    assert (reply.refused, reply.dropped, stream.aborted) == (True, None, 0), "it may still be this worker's"
    ledger.answers = [answer]
    reply.claim_again()
    assert ledger.asked == [CLAIM]
    assert reply.dropped == why
    assert stream.aborted == 1
    assert reply.wait(60), "who waits is woken"
    assert reply.stop_listening() is None, "nothing is wrong with the provider"
    assert reply.wait_until_over() == following
    reply.feed(Piece("two"))
    assert reply.next_write(0) is None


def test_a_reply_that_is_claimed_again_is_written_once_more(reply: Reply, ledger: Ledger) -> None:
    stream = Stream()
    reply.listen_to(stream)
    for number, text in enumerate(["One, ", "two, ", "three, "], 1):
        reply.feed(Piece(text))
        assert reply.next_write(1) == Write(CLAIM, number, text)
        reply.written(REFUSED if number == 3 else OK)
    reply.feed(Piece("four, "))
    assert reply.next_write(0) is None, "nothing is written under a claim that is none"
    ledger.answers = [AGAIN]
    reply.claim_again()
    assert reply.claim == AGAIN
    assert not reply.refused
    assert reply.next_write(1) == Write(AGAIN, 1, "One, two, three, four, ")
    reply.feed(Piece("five"))
    assert reply.next_write(1) == Write(AGAIN, 1, "One, two, three, four, ")
    reply.written(OK)
    reply.end(DONE)
    assert reply.next_write(1) == Write(AGAIN, 2, "five", DONE)
    reply.written(Finished("ok", "next"))
    assert reply.wait_until_over() == "next"
    assert (reply.dropped, stream.aborted) == (None, 0)
    assert not reply.wait(0)


def test_a_last_piece_that_is_refused_is_written_again_with_the_rest(reply: Reply, ledger: Ledger) -> None:
    reply.feed(Piece("One, "))
    assert reply.next_write(1) == Write(CLAIM, 1, "One, ")
    reply.written(OK)
    reply.feed(Piece("two"))
    reply.end(DONE)
    assert reply.next_write(1) == Write(CLAIM, 2, "two", DONE)
    reply.written(REFUSED)
    ledger.answers = [AGAIN]
    reply.claim_again()
    assert reply.next_write(1) == Write(AGAIN, 1, "One, two", DONE)
    reply.written(OK)
    assert reply.wait_until_over() is None
    assert not reply.dropped


def test_a_sign_of_life_that_is_refused(reply: Reply, ledger: Ledger, clock: Clock) -> None:
    clock.now += 1
    assert reply.next_write(1) == Write(CLAIM, 0, "")
    reply.written(REFUSED)
    ledger.answers = [AGAIN]
    reply.claim_again()
    assert reply.next_write(1) is None, "the claim is one itself"
    clock.now += 1
    assert reply.next_write(1) == Write(AGAIN, 0, "")


def test_refused_time_and_again(reply: Reply, ledger: Ledger) -> None:
    third = replace(AGAIN, fence="third", attempt=3)
    reply.feed(Piece("One"))
    reply.next_write(1)
    reply.written(REFUSED)
    ledger.answers = [AGAIN, third, Busy()]
    reply.claim_again()
    assert reply.next_write(1) == Write(AGAIN, 1, "One")
    reply.written(REFUSED)
    reply.claim_again()
    assert reply.next_write(1) == Write(third, 1, "One")
    reply.written(REFUSED)
    reply.claim_again()
    assert ledger.asked == [CLAIM, AGAIN, third]
    assert reply.dropped


def test_a_claim_that_could_not_be_made_is_made_later(reply: Reply, ledger: Ledger) -> None:
    reply.feed(Piece("One"))
    reply.next_write(1)
    reply.written(REFUSED)
    ledger.answers = [ConnectionError(), AGAIN]
    with pytest.raises(ConnectionError):
        reply.claim_again()
    assert (reply.refused, reply.dropped) == (True, None)
    assert reply.next_write(0) is None
    reply.claim_again()
    assert reply.next_write(1) == Write(AGAIN, 1, "One")


def test_who_listens_too_late_is_told_at_once(reply: Reply, ledger: Ledger) -> None:
    reply.feed(Piece("One"))
    reply.next_write(1)
    reply.written(REFUSED)
    ledger.answers = [Gone()]
    reply.claim_again()
    stream = Stream()
    reply.listen_to(stream)
    assert stream.aborted == 1


def test_a_reply_that_is_given_up(reply: Reply) -> None:
    stream = Stream()
    reply.listen_to(stream)
    reply.feed(Piece("One"))
    assert reply.next_write(1) is not None
    reply.drop("handed back")
    assert (reply.dropped, stream.aborted) == ("handed back", 1)
    assert reply.wait(60)
    assert reply.stop_listening() is None
    assert reply.wait_until_over() is None
    assert reply.next_write(0) is None


def test_a_reply_that_is_saved_cannot_be_given_up(reply: Reply) -> None:
    reply.end(DONE)
    reply.next_write(1)
    reply.written(Finished("ok", "next"))
    reply.drop("handed back")
    assert not reply.dropped
    assert reply.wait_until_over() == "next"


def test_a_sign_of_life_that_is_asked_for(reply: Reply) -> None:
    reply.feed(Piece("One"))
    reply.next_write(1)
    reply.written(OK)
    assert reply.next_write(3600) is None
    reply.show_life()
    assert reply.next_write(3600) == Write(CLAIM, 1, "")
    reply.written(OK)
    assert reply.next_write(3600) is None, "once"
    reply.show_life()
    reply.feed(Piece("two"))
    assert reply.next_write(3600) == Write(CLAIM, 2, "two"), "text is one as well"


def test_a_sign_of_life_that_is_asked_for_while_a_piece_is_on_its_way(reply: Reply) -> None:
    """The ledger may have answered before what the asker knows of."""
    reply.feed(Piece("One"))
    assert reply.next_write(3600) is not None
    reply.show_life()
    reply.written(OK)
    assert reply.next_write(3600) == Write(CLAIM, 1, "")


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
            reply.feed(Piece(step))
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
    assert not reply.dropped
    # What has arrived is still written.
    reply.end(Finish("failed"))
    assert reply.next_write(1) is not None


def test_deadlines_just_met(reply: Reply, clock: Clock) -> None:
    stream = Stream()
    reply.listen_to(stream)
    clock.now += 60
    reply.check_deadlines()
    reply.feed(Piece("x"))
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
    reply.feed(Piece("x"))
    clock.now += 141
    reply.check_deadlines()
    assert second.aborted == 1
    assert stream.aborted == 0


@given(
    st.lists(st.one_of(st.text(min_size=1, max_size=3), st.sampled_from(["OK", "AWAY", "LESS", "LATER"])), max_size=40)
)
def test_no_text_is_lost_or_moved(steps: list[str]) -> None:
    """Text is fed; the pump tries, and the piece is written, or not (and is sent again), or refused, as the ledger has
    less than it had; or time passes."""
    clock = Clock()
    claims = 1
    fed, ledger, chunk = "", "", 0

    def claim_again(had: Claimed) -> Claimed:
        nonlocal claims, ledger, chunk
        assert had.fence == str(claims)
        claims += 1
        ledger, chunk = "", 0
        return replace(CLAIM, fence=str(claims), attempt=claims)

    reply = Reply(replace(CLAIM, fence="1"), Timeouts(), clock, claim_again)

    def write(outcome: str) -> None:
        nonlocal ledger, chunk
        piece = reply.next_write(1)
        if piece is None or outcome == "AWAY":
            return
        assert piece.claim.fence == str(claims)
        if outcome == "LESS":
            reply.written(REFUSED)
            assert reply.next_write(0) is None
            reply.claim_again()
            return
        if piece.text:
            assert piece.chunk == chunk + 1
            ledger, chunk = ledger + piece.text, piece.chunk
        assert piece.chunk == chunk
        reply.written(OK)

    for step in steps:
        if step == "LATER":
            clock.now += 2
        elif step in {"OK", "AWAY", "LESS"}:
            write(step)
        else:
            reply.feed(Piece(step))
            fed += step
    reply.end(DONE)
    write("OK")
    write("OK")
    assert ledger == fed
    assert reply.wait_until_over() is None
    assert not reply.dropped


def test_waiting_until_it_is_over(reply: Reply) -> None:
    found: list[str | None] = []
    waiting = threading.Thread(target=lambda: found.append(reply.wait_until_over()))
    waiting.start()
    reply.end(DONE)
    assert reply.next_write(1) is not None
    assert waiting.is_alive()
    reply.written(Finished("ok", "next"))
    waiting.join(10)
    assert found == ["next"]


def test_the_whole_is_limited_while_nobody_is_listened_to_as_well(reply: Reply, clock: Clock) -> None:
    """Between two attempts, or before the first."""
    clock.now += 599
    reply.check_deadlines()
    assert not reply.wait(0)
    clock.now += 2
    reply.check_deadlines()
    assert reply.wait(60)
    problem = reply.stop_listening()
    assert problem is not None
    assert "longer than 600" in problem.message


def test_a_reply_that_has_been_read_is_late_no_more(reply: Reply, clock: Clock) -> None:
    reply.feed(Piece("One"))
    reply.end(DONE)
    clock.now += 601
    reply.check_deadlines()
    assert not reply.wait(0)
