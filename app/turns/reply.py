"""One reply in the making: what the reader has got from the provider and the pump has yet to write."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from app.ledger import Busy, Claimed, Finish, Finished, GivenUp, Gone, Prompt, Write
from app.providers.base import Completion, Piece, UpstreamError

# Why a worker ends its part of a turn that it has not ended: it was stopped, was tried too often, or is for another
# worker; or it is lost: somebody else has it, or it was deleted.
Dropped = Literal["stopped", "failed", "handed back", "lost"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds."""

    first_token: float = 60
    idle: float = 30
    total: float = 600


class Reply:
    """Shared by two threads (greenlets): the reader feeds text, the pump takes it as numbered pieces.

    A piece stays the same until the ledger has answered for it, so that one whose answer was lost can be sent again.
    When a piece is refused, the turn is claimed again: if nobody else has it (the ledger lost what was written, or the
    one who had taken over is dead too), all of the text is written once more; if not, this reply is dropped.
    """

    def __init__(
        self,
        claim: Claimed,
        timeouts: Timeouts,
        clock: Callable[[], float],
        claim_again: Callable[[Claimed], Claimed | Busy | Gone | GivenUp],
    ) -> None:
        self.claim = claim
        self.dropped: Dropped | None = None
        self.refused = False
        self.flushes = 0
        self.first_token: float | None = None  # seconds from asking to the first piece
        self._claim_again = claim_again
        self._timeouts = timeouts
        self._clock = clock
        self._lock = threading.Lock()
        self._prompt: Prompt | None = None
        self._said: list[Piece] = []
        self._taken = 0  # of `_said`, in pieces so far
        self._chunk = 0
        self._pending: Write | None = None
        self._finish: Finish | None = None
        self._next_turn: str | None = None
        self._over = threading.Event()
        self._interrupted = threading.Event()
        self._completion: Completion | None = None
        self._problem: UpstreamError | None = None
        self._began = self._began_listening = clock()
        self._heard: float | None = None
        self._written = self._began
        self._listening = False
        self._asked = False

    # --- The reader's side ----------------------------------------------------------------------------------------

    def ask(self, prompt: Prompt) -> None:
        """What the provider is sent."""
        with self._lock:
            self._prompt = prompt

    def listen_to(self, completion: Completion) -> None:
        """From now on the deadlines for tokens count, and an interruption closes this completion."""
        with self._lock:
            self._completion = completion
            self._heard = None
            self._listening = True
            self._began_listening = self._clock()
        if self._interrupted.is_set():
            completion.abort()

    def feed(self, piece: Piece) -> None:
        """Without the lock, which would cost more than all the rest: `_said` only grows, and only here."""
        self._said.append(piece)
        self._heard = self._clock()
        if self.first_token is None:
            self.first_token = self._heard - self._began_listening

    @property
    def heard(self) -> bool:
        """Whether the provider that is listened to has said anything yet."""
        return self._heard is not None

    def stop_listening(self) -> UpstreamError | None:
        """Returns what the deadlines found wrong, if the reader was interrupted for that."""
        with self._lock:
            self._listening = False
            self._completion = None
            return self._problem

    def wait(self, seconds: float) -> bool:
        """Sleeps; true if the reply was interrupted."""
        return self._interrupted.wait(seconds)

    def end(self, finish: Finish) -> None:
        with self._lock:
            self._finish = finish

    def wait_until_over(self) -> str | None:
        """Returns the turn that may start now, if there is one and it is this worker's to know."""
        self._over.wait()
        return self._next_turn

    # --- The pump's side --------------------------------------------------------------------------------------------

    def next_write(self, heartbeat: float) -> Write | None:
        """The piece to write now, or a sign of life if none was written for `heartbeat` seconds."""
        with self._lock:
            if self._over.is_set() or self.refused:
                return None
            if self._pending is None:
                if self._taken < len(self._said) or self._finish:
                    said = self._said[self._taken :]
                    self._taken += len(said)
                    if said:
                        self._chunk += 1
                    self._pending = Write(
                        self.claim,
                        self._chunk,
                        "".join(piece.text for piece in said),
                        self._finish,
                        reasoning="".join(piece.reasoning for piece in said),
                        prompt=self._prompt if said and self._chunk == 1 else None,
                    )
                elif self._asked or self._clock() - self._written >= heartbeat:
                    self._pending = Write(self.claim, self._chunk, "")
                if self._pending is not None:
                    self._asked = False
            return self._pending

    def written(self, result: Finished) -> None:
        """What the ledger said to the piece that was pending."""
        with self._lock:
            piece, self._pending = self._pending, None
            self._written = self._clock()
            self.flushes += bool(piece and (piece.text or piece.reasoning))
            if result.written != "ok":
                self.refused = True
            elif piece is not None and piece.finish is not None:
                self._next_turn = result.next_turn
                self._over.set()

    def claim_again(self) -> None:
        """After a refusal. Raises redis-py's errors; then it is to be called again."""
        match self._claim_again(self.claim):
            case Claimed() as again:
                with self._lock:
                    self.claim = again
                    self.refused = False
                    self._chunk = self._taken = 0
            case GivenUp(next_turn):
                self.drop("failed", next_turn)
            case Gone("stopped"):
                self.drop("stopped")
            case _:
                self.drop("lost")

    def drop(self, why: Dropped, next_turn: str | None = None) -> None:
        """The turn is no longer this worker's: the provider is cut off, and nothing more is written."""
        with self._lock:
            if self._over.is_set():
                return
            self.dropped = why
            self._next_turn = next_turn
            self._over.set()
        self._interrupt(None)

    def show_life(self) -> None:
        """Makes the next sign of life due now, and so finds out whether the turn is still this worker's."""
        with self._lock:
            self._asked = True

    def check_deadlines(self) -> None:
        with self._lock:
            late = None if self._finish or self._interrupted.is_set() else self._late()
        if late:
            self._interrupt(UpstreamError("provider_timeout", late))

    def _late(self) -> str | None:
        now, limits = self._clock(), self._timeouts
        if now - self._began > limits.total:
            return f"The reply took longer than {limits.total:g} seconds and was ended."
        if not self._listening:
            return None
        if self._heard is None:
            if now - self._began_listening > limits.first_token:
                return f"The model did not begin to answer within {limits.first_token:g} seconds."
        elif now - self._heard > limits.idle:
            return f"The model fell silent for {limits.idle:g} seconds in the middle of its reply."
        return None

    def _interrupt(self, problem: UpstreamError | None) -> None:
        with self._lock:
            self._problem = self._problem or problem
            self._interrupted.set()
            completion = self._completion
        if completion is not None:
            completion.abort()
