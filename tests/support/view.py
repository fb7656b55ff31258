"""What a client shows of a conversation, made of nothing but snapshots and events."""

from typing import Any

Json = dict[str, Any]


class View:
    """The client's side of the contract: an event counts only if it is the next one in the same epoch."""

    def __init__(self, epoch: str | None = None, seq: int = 0) -> None:
        self.epoch = epoch
        self.seq = seq
        self.conversation: Json = {}
        self.messages: list[Json] = []
        self.turns: dict[str, Json] = {}
        self.more = False
        self.head: str | None = None
        self.deleted = False
        # Only a snapshot can tell what is shown now.
        self.lost = False
        self.applied: list[Json] = []
        self.snapshots = 0

    def is_old(self, event: Json) -> bool:
        return bool(event["epoch"] == self.epoch and event["seq"] <= self.seq)

    def is_next(self, event: Json) -> bool:
        return bool(event["epoch"] == self.epoch and event["seq"] == self.seq + 1)

    def load(self, answer: Json) -> None:
        """The acknowledgement of open_conversation."""
        if "events" in answer:
            for event in answer["events"]:
                assert self.is_next(event), (self.epoch, self.seq, event)
                self.apply(event)
            assert (answer["epoch"], answer["seq"]) == (self.epoch, self.seq)
            return
        snapshot = answer["snapshot"]
        self.epoch, self.seq = answer["epoch"], answer["seq"]
        self.conversation = snapshot["conversation"]
        self.head = self.conversation["head"]
        self.lost = False
        self.messages = list(snapshot["messages"])
        self.more = snapshot["more"]
        self.turns = {turn["turn_id"]: dict(turn) for turn in snapshot["turns"]}
        self.snapshots += 1

    def apply(self, event: Json) -> None:
        self.seq = event["seq"]
        self.applied.append(event)
        turn = self.turns.get(event.get("turn_id", ""), {})
        match event["type"]:
            case "message.created":
                self._cut_after(event["message"]["parent_id"])
                self._update_versions(event["message"])
                self.messages.append(event["message"])
            case "turn.queued":
                self._cut_after(event["message_id"])
                self.head = event["reply_id"]
                named = {name: event[name] for name in ("message_id", "reply_id")}
                self.turns[event["turn_id"]] = {"status": "waiting", **named, "text": "", "reasoning": ""}
            case "turn.started":
                turn |= {"status": "running", "attempt": event["attempt"], "text": "", "reasoning": ""}
            case "turn.reasoning":
                turn["reasoning"] += event["text"]
            case "turn.delta":
                turn["text"] += event["text"]
            case "turn.finished":
                self.turns.pop(event["turn_id"], None)
                self._save(event["message"])
            case "conversation.updated":
                self.conversation = event["conversation"]
                self.lost = self.lost or "head" in event
            case "conversation.cleared":
                self.conversation = event["conversation"]
                self.messages.clear()
                self.turns.clear()
            case "conversation.deleted":
                self.deleted = True

    def _cut_after(self, message_id: str | None) -> None:
        """The branch that is shown goes on from there."""
        if message_id is None:
            self.messages.clear()
            return
        ids = [message["id"] for message in self.messages]
        # A reply that is still to come is not shown, but its question is.
        to_come = [turn["message_id"] for turn in self.turns.values() if turn["reply_id"] == message_id]
        place = next((ids.index(one) for one in (message_id, *to_come) if one in ids), None)
        if place is None:
            self.lost = True
        else:
            del self.messages[place + 1 :]

    def _update_versions(self, message: Json) -> None:
        for shown in self.messages:
            if shown["id"] in message["versions"]:
                shown["versions"] = message["versions"]

    def _save(self, reply: Json | None) -> None:
        """A reply stands behind its question, if that is on the branch that is shown."""
        if reply is None:
            return
        self._update_versions(reply)
        ids = [message["id"] for message in self.messages]
        assert reply["id"] not in ids, f"a reply came twice: {reply}"
        if reply["id"] in {self.head, *(message["parent_id"] for message in self.messages)}:
            self.messages.insert(ids.index(reply["parent_id"]) + 1, reply)

    def text_of(self, turn_id: str) -> str:
        """Of a turn that is not over: what is shown of it."""
        return str(self.turns.get(turn_id, {}).get("text", ""))
