"""What a conversation must be, in plain Python: the scripts are held against it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.ledger import Claimed, Ledger, Snapshot, Tail, Write
from app.ledger.models import Json

OVER = {"done", "stopped", "failed"}
# Of a turn in a snapshot.
SHOWN = ("turn_id", "message_id", "reply_id", "status", "attempt", "text", "reasoning")


@dataclass(eq=False)
class Turn:
    """`parent` is the turn whose reply it follows; `shown` and `thought` what was streamed under the running attempt.
    `again`: it has no message of its own, but answers that of another turn once more."""

    id: str
    message_id: str
    client_id: str
    text: str
    answer: Json
    parent: "Turn | None" = None
    first: bool = False
    again: bool = False
    status: str = "waiting"
    attempts: int = 0
    shown: str = ""
    thought: str = ""
    reply: Json | None = None
    cleared: bool = False

    @property
    def over(self) -> bool:
        return self.status in OVER

    def ancestors(self) -> Iterator["Turn"]:
        turn = self.parent
        while turn is not None:
            yield turn
            turn = turn.parent


@dataclass(eq=False)
class Job:
    """One claim of one worker, which may be the current one or long superseded."""

    talk: "Talk"
    turn: Turn
    claim: Claimed
    chunk: int = 0
    last: Write | None = None
    ended: bool = False


@dataclass(eq=False)
class Talk:
    """One conversation."""

    id: str
    owner: str
    memory: bool = True
    turns: list[Turn] = field(default_factory=list)
    # Those that are over, in the order in which their replies were saved.
    answered: list[Turn] = field(default_factory=list)
    queue: list[Turn] = field(default_factory=list)
    head: Turn | None = None
    holder: Job | None = None
    lease_end: int = 0
    fences: set[object] = field(default_factory=set)
    deleted: bool = False
    # What was published.
    epoch: str = ""
    seq: int = 0
    events: dict[int, bytes] = field(default_factory=dict)

    @property
    def kept(self) -> list[Turn]:
        return [turn for turn in self.turns if not turn.cleared]

    def branch(self) -> list[Turn]:
        """The chosen one, oldest first."""
        return [*reversed(list(self.head.ancestors())), self.head] if self.head else []

    def conclude(self, turn: Turn, status: str) -> None:
        if self.holder is not None and self.holder.turn is turn:
            self.holder = None
        else:
            turn.shown = turn.thought = (
                ""  # nobody has begun, or what somebody had written was never shown under this attempt
            )
        turn.status = status
        self.queue.remove(turn)
        self.answered.append(turn)

    def leaf_below(self, turn: Turn) -> Turn:
        """The end of the branch that goes on from a reply with what is newest."""
        while following := [other for other in self.kept if other.parent is turn and not other.again]:
            turn = self.newest_answer(following[-1].message_id)
        return turn

    def newest_answer(self, message_id: str) -> Turn:
        """What is still to come before what is there."""
        versions = [
            turn for turn in [*self.answered, *self.queue] if turn.message_id == message_id and not turn.cleared
        ]
        return versions[-1]

    def versions(self, message: Json) -> list[str]:
        if message["role"] == "assistant":
            return [
                turn.reply["id"]
                for turn in self.answered
                if turn.reply and not turn.cleared and turn.message_id == message["parent_id"]
            ]
        [asked] = [turn for turn in self.kept if turn.message_id == message["id"] and not turn.again]
        return [turn.message_id for turn in self.kept if turn.parent is asked.parent and not turn.again]

    def clear(self, *, delete: bool) -> None:
        for turn in self.queue:
            turn.status = "stopped"
        for turn in self.turns:
            turn.cleared = True
        self.queue.clear()
        self.head = self.holder = None
        self.deleted = delete


class View:
    """A client that follows the contract: applies what comes next, drops what is older, opens again otherwise."""

    def __init__(self, ledger: Ledger, talk: Talk) -> None:
        self.talk = talk
        self.inbox: list[Json] = []
        self.epoch: str | None = None
        self.seq: int | None = None
        self.settings: Json = {}
        self.messages: list[Json] = []
        self.more = False
        self.head: str | None = None
        self.turns: dict[str, Json] = {}
        self.deleted = False
        self._ledger = ledger

    def receive(self, event: Json) -> None:
        if event["epoch"] == self.epoch and self.seq is not None:
            if event["seq"] <= self.seq:
                return
            if event["seq"] == self.seq + 1:
                self._apply(event)
                return
        self.open()

    def open(self) -> None:
        found = self._ledger.open(self.talk.owner, self.talk.id, self.seq, self.epoch)
        if isinstance(found, Snapshot):
            self._replace(found)
            return
        self._follow(found)

    def _follow(self, tail: Tail) -> None:
        assert self.seq is not None
        assert tail.epoch == self.epoch
        first = self.seq + 1
        assert [event["seq"] for event in tail.events] == list(range(first, tail.seq + 1))
        for event in tail.events:
            # Opening again in the middle may have brought the client beyond some of them.
            if event["epoch"] == self.epoch and event["seq"] == self.seq + 1:
                self._apply(event)

    def _replace(self, snapshot: Snapshot) -> None:
        self.epoch, self.seq = snapshot.epoch, snapshot.seq
        self.settings = _settings(snapshot.conversation)
        self.head = snapshot.conversation["head"]
        self.messages, self.more = snapshot.messages, snapshot.more
        self.turns = {turn["turn_id"]: _turn(turn) for turn in snapshot.turns}

    def _apply(self, event: Json) -> None:
        self.seq = event["seq"]
        if "turn_id" in event:
            self._apply_to_turn(event["turn_id"], event)
        elif event["type"] == "message.created":
            self._ask(event["message"])
        else:
            self.settings = _settings(event["conversation"])
            if event["type"] == "conversation.cleared":
                self.messages, self.more = [], False
            self.deleted = event["type"] == "conversation.deleted"
            if "head" in event:
                self._open_anew()

    def _apply_to_turn(self, turn_id: str, event: Json) -> None:
        match event["type"]:
            case "turn.queued":
                turn = {name: event[name] for name in ("turn_id", "message_id", "reply_id")}
                self.turns[turn_id] = {**turn, "status": "waiting", "attempt": 0, "text": "", "reasoning": ""}
                self.head = event["reply_id"]
                self._cut_after(event["message_id"])
            case "turn.started":
                fresh = {"status": "running", "attempt": event["attempt"], "text": "", "reasoning": ""}
                self.turns[turn_id] |= fresh
            case "turn.delta":
                self.turns[turn_id]["text"] += event["text"]
            case "turn.reasoning":
                self.turns[turn_id]["reasoning"] += event["text"]
            case "turn.finished":
                del self.turns[turn_id]
                if event["message"] is not None:
                    self._answer(event["message"])
            case kind:
                assert kind == "turn.retrying"

    def _ask(self, message: Json) -> None:
        if message["parent_id"] is None:
            self.messages, self.more = [], False
        elif not self._cut_after(message["parent_id"]):
            return
        self._update_versions(message)
        self.messages.append(message)

    def _cut_after(self, message_id: str) -> bool:
        """The shown branch goes on from there. False if that is not shown, and all had to be read anew."""
        # A reply that is still to come is not shown, but its question is.
        to_come = [turn["message_id"] for turn in self.turns.values() if turn["reply_id"] == message_id]
        for index, message in enumerate(self.messages):
            if message["id"] in {message_id, *to_come}:
                del self.messages[index + 1 :]
                return True
        self._open_anew()
        return False

    def _answer(self, reply: Json) -> None:
        self._update_versions(reply)
        for index, message in enumerate(self.messages):
            if message["id"] == reply["parent_id"]:
                if reply["id"] in {self.head, *(message["parent_id"] for message in self.messages)}:
                    self.messages.insert(index + 1, reply)
                return

    def _update_versions(self, message: Json) -> None:
        for shown in self.messages:
            if shown["id"] in message["versions"]:
                shown["versions"] = message["versions"]

    def _open_anew(self) -> None:
        self.seq = self.epoch = None
        self.open()


def _settings(conversation: Json) -> Json:
    return {name: conversation[name] for name in ("memory", "provider", "model", "system_prompt")}


def _turn(turn: Json) -> Json:
    return {name: turn[name] for name in SHOWN}
