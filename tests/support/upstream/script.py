"""What an answer of the scripted server is made of."""

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

PATIENCE = 40.0  # seconds that a test waits before it calls a condition unmet


class Gate:
    """Where a script holds until the test opens it. One gate may hold any number of replies."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = False
        self._reached = 0
        self._waiting: list[Callable[[], None]] = []

    def open(self) -> None:
        with self._changed:
            self._open = True
            waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()

    def set(self) -> None:
        self.open()

    def is_set(self) -> bool:
        return self._open

    def wait_reached(self, count: int = 1, timeout: float = PATIENCE) -> None:
        """Until `count` replies have arrived at this gate."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._reached >= count, timeout):
                raise TimeoutError(f"{self._reached} of {count} replies reached the gate")

    async def passed(self) -> None:
        """For the server: until the gate is open."""
        loop = asyncio.get_running_loop()
        opened = asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the server has stopped meanwhile
                loop.call_soon_threadsafe(opened.set)

        with self._changed:
            self._reached += 1
            self._changed.notify_all()
            if self._open:
                return
            self._waiting.append(wake)
        await opened.wait()


# What a reply is made of, besides plain strings, which are its tokens.


@dataclass(frozen=True)
class Hold:
    """Wait here until the test opens the gate."""

    gate: Gate


@dataclass(frozen=True)
class Stall:
    """Go silent for ever, with the connection open."""


@dataclass(frozen=True)
class Drop:
    """Break the connection off: by a reset, or in an orderly way but too early."""

    reset: bool = False


@dataclass(frozen=True)
class Pause:
    seconds: float


@dataclass(frozen=True)
class Raw:
    """These bytes in the event stream, as they are."""

    data: bytes


@dataclass(frozen=True)
class Event:
    """This JSON as an event of the stream."""

    data: Mapping[str, Any]


@dataclass(frozen=True)
class Reasoning:
    text: str


@dataclass(frozen=True)
class Refusal:
    text: str


@dataclass(frozen=True)
class Failure:
    """An error inside the stream, in the words of the API that was asked."""

    message: str
    code: str = "server_error"


Step = str | Hold | Stall | Drop | Pause | Raw | Event | Reasoning | Refusal | Failure
Finish = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True)
class Script:
    """One answer."""

    steps: Sequence[Step] = ()
    before_headers: Sequence[Hold | Stall | Drop | Pause] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None  # bytes, or something for JSON: answered instead of a stream
    rate: float = 0.0  # tokens a second; 0: as fast as they go
    usage: tuple[int, int] | None = (7, 11)
    finish: Finish | None = "stop"  # None: neither a finish reason nor a terminal event
    done: bool = True  # chat's [DONE]
    newline: str = "\n"
    split: int = 0  # bytes to a write and HTTP chunk; 0: an event to each
    chunked: bool = True  # False: the end of the connection ends the body
    last_chunk: bool = True  # False: the connection stays open after the last event

    @classmethod
    def of_tokens(cls, count: int, rate: float = 0.0, token: str = " token") -> Self:
        return cls([token] * count, rate=rate)

    @classmethod
    def error(
        cls, status: int, message: str = "", *, code: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Self:
        return cls(status=status, headers=headers or {}, body={"error": {"message": message, "code": code}})


def words(text: str) -> list[str]:
    """`text` in tokens, of which each is a word with the space before it."""
    return re.findall(r"\s*\S+|\s+$", text)
