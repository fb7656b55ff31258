"""What the ledger takes and gives. Messages, conversations and events are the JSON objects of the contract."""

from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
Status = Literal["done", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class NewTurn:
    """One message on its way in, or, without a `text`, the wish for another reply.

    `None` for memory, provider, model or system_prompt: as the conversation is set.

    At most one is given of `parent_id` (it follows that reply), `edited` (it is another version of that message) and
    `again` (another version of that reply is wanted).
    """

    text: str
    client_id: str
    parent_id: str | None = None
    edited: str | None = None
    again: str | None = None
    memory: bool | None = None
    provider: str | None = None
    model: str | None = None
    system_prompt: str | None = None
    # For whoever answers it: the request's id in logs, and its trace.
    asked_by: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Accepted:
    """`answer` is the acknowledgement; `start` the turn to start now, if it is the first of the queue; `rank` as in
    `Ledger.rank`."""

    answer: Json
    start: str | None
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Claimed:
    """The right to answer one turn, and what is needed for it. `history` is oldest first and ends before `question`."""

    conversation_id: str
    turn_id: str
    reply_id: str
    fence: str
    attempt: int
    provider: str
    model: str
    memory: bool
    system_prompt: str
    question: Json
    history: list[Json] = field(default_factory=list)
    # Of what came before `history`; empty if there is none.
    summary: str = ""
    # There is more before `history` than the summary speaks for.
    overflows: bool = False
    # The conversation goes by its first words so far.
    untitled: bool = False
    # How long nobody worked on it before, in ms.
    waited: int = 0
    # As in NewTurn.
    asked_by: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gone:
    """The turn is over, in this way, or there is none."""

    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Busy:
    """Another worker has it, or a turn before it is not over."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """It has been tried too often and is failed now. `next_turn` may start."""

    next_turn: str | None


# Refused: the turn is somebody else's, or over, or the ledger has less than was written.
Written = Literal["ok", "refused"]


@dataclass(frozen=True, slots=True)
class Write:
    """A piece of a reply; `finish` makes it the last one. `chunk` counts the pieces, this one included.

    One without text and reasoning keeps the number of the piece before it: a sign of life. `prompt` comes with the
    first.
    """

    claim: Claimed
    chunk: int
    text: str
    finish: "Finish | None" = None
    reasoning: str = ""
    prompt: "Prompt | None" = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the provider was sent, for the usage of a reply that is stopped. Prices in USD per million tokens."""

    input_tokens: int
    input_price: float | None = None
    output_price: float | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """`finish_reason`: why a reply that is done is shorter than the model wanted; None: it is not."""

    status: Status
    usage: Json | None = None
    error: Json | None = None
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    written: Written
    next_turn: str | None = None


@dataclass(frozen=True, slots=True)
class Tail:
    """All events after the client's position, none missing."""

    epoch: str
    seq: int
    events: list[Json]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state itself: messages oldest first; turns with the text shown so far."""

    epoch: str
    seq: int
    conversation: Json
    messages: list[Json]
    more: bool
    turns: list[Json]


@dataclass(frozen=True, slots=True)
class TurnState:
    """Where a turn stands after the event `seq`. Once it is over, `reply` is what was saved; it and `reply_id` are None
    if the conversation was emptied meanwhile. Until then `attempt` (0: it waits), `text`, `reasoning` and `origin`
    (provider, model) say how far it is.
    """

    status: Literal["waiting", "running", "done", "stopped", "failed"]
    epoch: str
    seq: int
    attempt: int
    text: str
    reasoning: str
    origin: Json
    reply: Json | None
    reply_id: str | None

    @property
    def over(self) -> bool:
        return self.status not in {"waiting", "running"}


@dataclass(frozen=True, slots=True)
class Figures:
    """Of all conversations: those in which a turn is running, or waits for a worker, and for how many seconds the one
    that has waited longest; and how often things have happened since the ledger began.

    `owners` are those who have any such; `service` is the seconds that a turn takes once a worker has it, as measured
    lately; None before the first. `turns` is by status and provider, the provider empty for turns that never began.
    """

    running: int
    waiting: int
    oldest: float
    owners: int
    service: float | None
    turns: dict[tuple[str, str], int]
    others: dict[str, int]


@dataclass(frozen=True, slots=True)
class Pace:
    """What a wait is estimated by, in seconds: how long a turn takes, and how long it is until the first one of a
    conversation begins, by how many other conversations of its owner are active."""

    service: float
    begin: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Queue:
    """A conversation's turns that are not over. `since`: when the first of them could have been taken (ms); None if it
    runs. `rank`: how many other conversations of the owner are active."""

    turn_ids: list[str]
    running: bool
    since: int | None
    rank: int


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list; `cursor` continues it."""

    items: list[Json]
    more: bool
    cursor: str | None = None
