"""What happened in a run, as far as people could see it. Plain data, so that a history can also be written by hand."""

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass
class Ack:
    """One acknowledgement of a send. `seq` is the position that it names, `at` when it arrived."""

    turn_id: str
    message_id: str
    epoch: str
    seq: int
    at: float


@dataclass
class Send:
    """One message of a user, however often it was sent. Its text is no other message's."""

    conversation: str
    client_id: str
    text: str
    first_sent_at: float
    acks: list[Ack] = field(default_factory=list)


@dataclass
class Stop:
    """An acknowledged stop. `took`: seconds from the first asking to the answer; `calm`: no fault was on meanwhile."""

    conversation: str
    turn_id: str
    status: str
    took: float
    calm: bool = True


@dataclass
class Shown:
    """What one client showed of a conversation when all was over, and all that it applied to get there.

    `applied` holds (epoch, seq, type, turn id or None, attempt or None, at) of each event.
    """

    client: str
    conversation: str
    messages: list[Json]
    open_turns: list[str]
    applied: list[tuple[str, int, str, str | None, int | None, float]]
    snapshots: int = 0
    errors: list[str] = field(default_factory=list)


@dataclass
class Said:
    """What the upstream sent in answer to one request; `whole`: it meant to say no more, and ended well."""

    text: str
    whole: bool


@dataclass
class Fault:
    """`at`: wall-clock time, as in events. `worker`: it took a worker's turns away. `alone`: no other worker was up."""

    kind: str
    at: float
    until: float = 0.0
    worker: bool = False
    alone: bool = False


@dataclass
class History:
    sends: list[Send] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    saved: dict[str, list[Json]] = field(default_factory=dict)
    shown: list[Shown] = field(default_factory=list)
    said: dict[str, list[Said]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
