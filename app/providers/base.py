"""What the rest of Parley knows about a model provider."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

Role = Literal["system", "user", "assistant"]
Api = Literal["responses", "chat"]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    role: Role
    text: str


class Piece(NamedTuple):
    """What a provider sent at a time. A model that reasons aloud does so before, seldom between, its text."""

    text: str = ""
    reasoning: str = ""

    def __bool__(self) -> bool:
        return bool(self.text or self.reasoning)


@dataclass(frozen=True, slots=True)
class Usage:
    input_tokens: int
    output_tokens: int


class Aborted(Exception):
    """Reading ended because somebody called `abort()`."""


class UpstreamError(Exception):
    """The provider did not give a (whole) reply.

    `message` is for the person who chats and holds no secrets; `detail` is for the log and holds none either.
    `retryable` is true only while no text has been yielded.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after
        self.detail = detail

    def __repr__(self) -> str:
        return f"UpstreamError({self.code!r}, {self.message!r}, retryable={self.retryable}, detail={self.detail!r})"


class Completion(Protocol):
    """One streamed reply. Read it once, from one thread or greenlet."""

    @property
    def usage(self) -> Usage | None:
        """Known once the iteration has ended, where the API says it."""

    @property
    def finish_reason(self) -> str | None:
        """Known as late: why the text is shorter than the model wanted (`length`, `content_filter`); else None."""

    def __iter__(self) -> Iterator[Piece]:
        """Connect on the first `next()`, then give what arrives, never nothing. Ends with `Aborted` or `UpstreamError`
        if it does not end well. Closing the iterator early closes the upstream connection."""

    def abort(self) -> None:
        """Make the reader stop and close the upstream connection.

        From any thread or greenlet, at any moment, any number of times; never blocks.
        """


class Provider(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def models(self) -> tuple[str, ...]:
        """The first is the default."""

    @property
    def api(self) -> Api: ...

    def complete(self, model: str, messages: Sequence[ChatMessage]) -> Completion:
        """A completion that has not connected yet."""

    def warm_up(self) -> None:
        """Do what the first call would otherwise wait for. Optional, after fork, no network."""
