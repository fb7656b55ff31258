"""Judges a history. Every rule stands for itself, so that one that is broken hides no other."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

from tests.chaos.history import Fault, History, Json, Send, Shown

SNAPSHOT_MESSAGES = 50
ENDED = {"done", "stopped", "failed"}


@dataclass
class TakeOver:
    turn_id: str
    fault: Fault
    seconds: float


@dataclass
class Report:
    """Each of the lists names what went wrong; the run is good if all are empty."""

    turns: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    not_as_saved: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    take_overs: list[TakeOver] = field(default_factory=list)
    slowest_stop: float | None = None
    slowest_calm_stop: float | None = None
    stops: int = 0

    @property
    def violations(self) -> dict[str, list[str]]:
        return {
            "lost": self.lost,
            "duplicated": self.duplicated,
            "out of order": self.out_of_order,
            "rendered ≠ saved": self.not_as_saved,
            "wrong text or status": self.wrong,
        }

    @property
    def good(self) -> bool:
        return not any(self.violations.values())


def check(history: History) -> Report:
    report = Report(turns=len(history.sends))
    by_conversation: dict[str, list[Send]] = defaultdict(list)
    for send in history.sends:
        by_conversation[send.conversation].append(send)
    for conversation, sends in by_conversation.items():
        _check_saved(conversation, sends, history, report)
        _check_order(conversation, sends, history, report)
    for shown in history.shown:
        _check_shown(shown, history.saved.get(shown.conversation, []), report)
    _check_events(history, report)
    _check_stops(history, report)
    report.wrong += history.refusals
    report.faults.update(fault.kind for fault in history.faults)
    report.take_overs = _take_overs(history)
    return report


# --- What is saved ------------------------------------------------------------------------------------------------


def _check_saved(conversation: str, sends: list[Send], history: History, report: Report) -> None:
    saved = history.saved.get(conversation, [])
    questions = Counter(message["text"] for message in saved if message["role"] == "user")
    replies: dict[str, list[Json]] = defaultdict(list)
    for message in saved:
        if message["role"] == "assistant":
            replies[message["turn_id"]].append(message)
    ids = Counter(message["id"] for message in saved)
    report.duplicated += [
        f"{conversation}: message {id_} is saved {count} times" for id_, count in ids.items() if count > 1
    ]
    for send in sends:
        name = f"{conversation}: “{send.text}” ({send.client_id})"
        if not send.acks:
            report.lost.append(f"{name} was never acknowledged")
            continue
        turns = {(ack.turn_id, ack.message_id) for ack in send.acks}
        if len(turns) > 1:
            report.duplicated.append(f"{name} was acknowledged as different turns: {sorted(turns)}")
        _check_count(f"{name}: its message", questions[send.text], report)
        found = replies[send.acks[0].turn_id]
        _check_count(f"{name}: its reply ({send.acks[0].turn_id})", len(found), report)
        for reply in found:
            report.ended[reply["status"]] += 1
            _check_reply(name, reply, send, history, report)


def _check_count(name: str, count: int, report: Report) -> None:
    if count == 0:
        report.lost.append(f"{name} is not saved")
    elif count > 1:
        report.duplicated.append(f"{name} is saved {count} times")


def _check_reply(name: str, reply: Json, send: Send, history: History, report: Report) -> None:
    status, text = reply["status"], reply["text"]
    if reply["parent_id"] != send.acks[0].message_id:
        report.wrong.append(f"{name}: its reply hangs below {reply['parent_id']}")
    said = history.said.get(send.text, [])
    if status not in ENDED:
        report.wrong.append(f"{name} is saved as {status}")
    elif status == "done":
        if not any(one.whole and one.text == text for one in said):
            report.wrong.append(f"{name} is done, but no answer of the upstream is {text!r}: {said}")
    elif text and not any(one.text.startswith(text) for one in said):
        report.wrong.append(f"{name} is {status}, but no answer of the upstream begins with {text!r}: {said}")


# --- Order --------------------------------------------------------------------------------------------------------


def _check_order(conversation: str, sends: list[Send], history: History, report: Report) -> None:
    acked = sorted((send for send in sends if send.acks), key=lambda send: send.acks[0].seq)
    if len({send.acks[0].epoch for send in acked}) > 1:
        return  # Redis came back with less: what is missing is reported as lost, and positions cannot be compared
    latest_start = float("-inf")
    for earlier, later in pairwise(acked):
        latest_start = max(latest_start, earlier.first_sent_at)
        if min(ack.at for ack in later.acks) < latest_start:
            report.out_of_order.append(
                f"{conversation}: “{later.text}” was acknowledged before an earlier one was sent"
            )
    wanted = [send.acks[0].turn_id for send in acked]
    place = {turn_id: number for number, turn_id in enumerate(wanted)}
    replies = [m["turn_id"] for m in history.saved.get(conversation, []) if m["role"] == "assistant"]
    known = [turn_id for turn_id in replies if turn_id in place]
    report.out_of_order += [
        f"{conversation}: the reply of {second} is saved behind that of {first}"
        for first, second in pairwise(known)
        if place[first] > place[second]
    ]
    parents = {m["id"]: m["parent_id"] for m in history.saved.get(conversation, [])}
    ids = [m["id"] for m in history.saved.get(conversation, [])]
    report.out_of_order += [
        f"{conversation}: {second} is saved behind {first}, but hangs below {parents[second]}"
        for first, second in pairwise(ids)
        if parents[second] != first and parents[second] in parents
    ]


def _check_events(history: History, report: Report) -> None:
    """All clients saw one and the same history, in which one turn runs at a time, in the order of the queue."""
    events: dict[str, dict[tuple[str, int], tuple[str, str | None]]] = defaultdict(dict)
    for shown in history.shown:
        seen = events[shown.conversation]
        for epoch, seq, kind, turn_id, _attempt, _at in shown.applied:
            if seen.setdefault((epoch, seq), (kind, turn_id)) != (kind, turn_id):
                report.not_as_saved.append(f"{shown.conversation}: clients saw different events {seq} of {epoch}")
    for conversation, seen in events.items():
        _check_turns(conversation, seen, report)


def _check_turns(conversation: str, seen: dict[tuple[str, int], tuple[str, str | None]], report: Report) -> None:
    finished: set[str | None] = set()
    queued: list[str | None] = []
    for (_epoch, seq), (kind, turn_id) in sorted(seen.items()):
        if kind == "turn.queued":
            queued.append(turn_id)
        elif kind in {"turn.started", "turn.finished"} and turn_id in finished:
            report.duplicated.append(f"{conversation}: {turn_id} was over, then came {kind} (event {seq})")
        elif kind == "turn.finished":
            finished.add(turn_id)
        elif kind == "turn.started":
            _check_started(conversation, seq, turn_id, seen, queued, report)


def _check_started(
    conversation: str,
    seq: int,
    turn_id: str | None,
    seen: dict[tuple[str, int], tuple[str, str | None]],
    queued: list[str | None],
    report: Report,
) -> None:
    if turn_id not in queued:
        return  # its queueing was in a snapshot
    ends = {turn: number for (_, number), (kind, turn) in seen.items() if kind == "turn.finished"}
    for waiting in queued[: queued.index(turn_id)]:
        # Without its end among the events, it lies in a gap that a snapshot filled.
        if ends.get(waiting, -1) > seq:
            report.out_of_order.append(f"{conversation}: {turn_id} started (event {seq}) before {waiting} had ended")


# --- What clients show --------------------------------------------------------------------------------------------


def _check_shown(shown: Shown, saved: list[Json], report: Report) -> None:
    name = f"{shown.conversation} as {shown.client} shows it"
    bad = report.not_as_saved
    bad += [f"{name}: {error}" for error in shown.errors]
    if len(shown.messages) < min(len(saved), SNAPSHOT_MESSAGES):
        bad.append(f"{name}: {len(shown.messages)} messages of {len(saved)}")
    elif shown.messages != (saved[-len(shown.messages) :] if shown.messages else []):
        first = next(
            (n for n, (a, b) in enumerate(zip(reversed(shown.messages), reversed(saved), strict=False)) if a != b), -1
        )
        bad.append(
            f"{name}: {len(shown.messages)} messages, not those saved ({len(saved)}; the {first}th last differs)"
        )
    if shown.open_turns:
        bad.append(f"{name}: turns {shown.open_turns} seem to go on")
    breaks = 0
    for (epoch, seq, *_), (next_epoch, next_seq, *_) in pairwise(shown.applied):
        if epoch == next_epoch and next_seq <= seq:
            bad.append(f"{name}: event {next_seq} was applied after event {seq}")
        breaks += (next_epoch, next_seq) != (epoch, seq + 1)
    if breaks > shown.snapshots:
        bad.append(f"{name}: {breaks} gaps in what was applied, but {shown.snapshots} snapshots")


# --- Stops and take-overs -----------------------------------------------------------------------------------------


def _check_stops(history: History, report: Report) -> None:
    replies = {m["turn_id"]: m for saved in history.saved.values() for m in saved if m["role"] == "assistant"}
    for stop in history.stops:
        reply = replies.get(stop.turn_id)
        if reply is not None and reply["status"] != stop.status:
            report.wrong.append(f"{stop.turn_id}: its stop was answered with {stop.status}, saved is {reply['status']}")
    report.stops = len(history.stops)
    report.slowest_stop = max((stop.took for stop in history.stops), default=None)
    report.slowest_calm_stop = max((stop.took for stop in history.stops if stop.calm), default=None)


def _take_overs(history: History) -> list[TakeOver]:
    """Turns that began anew because their worker was hit: from the fault to the start of the next attempt."""
    starts: dict[str, dict[int, float]] = defaultdict(dict)
    for shown in history.shown:
        for _epoch, _seq, kind, turn_id, attempt, at in shown.applied:
            if kind == "turn.started" and turn_id is not None and attempt is not None:
                starts[turn_id][attempt] = at
    found = []
    for turn_id, attempts in starts.items():
        for attempt, at in attempts.items():
            before = attempts.get(attempt - 1)
            if before is None:
                continue
            hits = [fault for fault in history.faults if before <= fault.at <= at]
            if hits and hits[-1].worker:
                found.append(TakeOver(turn_id, hits[-1], at - hits[-1].at))
    return found
