"""Who somebody is: one question, and an answer that does not depend on how it was found."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.clock import iso

MAX_NAME_CHARS = 80


@dataclass(frozen=True, slots=True)
class Given:
    """What a request or a Socket.IO handshake shows of who it is from."""

    token: object  # shown on purpose: a bearer token, or `auth.token` of a handshake; None if neither
    cookies: Mapping[str, str]
    header: Callable[[str], str | None]
    peer: str  # the address of whoever connected to this process, be it a proxy


@dataclass(frozen=True, slots=True)
class Session:
    """`id` is what owns conversations; `credential` tells apart what it was got with, without giving it away."""

    id: str
    name: str
    credential: str
    created_at: str | None = None  # ISO 8601
    expires: float | None = None  # seconds since the epoch; None: with the connection
    ambient: bool = False  # found by what a browser sends along, whichever page asks it to

    @property
    def expires_at(self) -> str | None:
        return None if self.expires is None else iso(int(self.expires * 1000))


class Identities(Protocol):
    """Raises redis-py's errors, or Unavailable."""

    def identify(self, given: Given) -> Session | None:
        """None: nobody who is known."""
        ...

    def renew(self, session: Session) -> bool:
        """Whether it is still alive. If it is, it has been used just now."""
        ...

    def remaining(self, sessions: Sequence[Session]) -> list[float]:
        """Seconds that each has left, 0 for one that is over. Looking is not using."""
        ...


def owner_of(issuer: str, subject: str) -> str:
    """The id of somebody whom others know; the same whenever and wherever they come from."""
    return "u" + hashlib.blake2b(f"{issuer}\0{subject}".encode(), digest_size=15, person=b"owner").hexdigest()
