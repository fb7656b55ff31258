"""The checker is seen to fail: each of these histories is a good one that was made bad in one place."""

import copy
from collections.abc import Callable

import pytest

from tests.chaos.checker import Report, check
from tests.chaos.history import Ack, Fault, History, Said, Send, Shown, Stop

E = "epoch"
Spoil = Callable[[History], object]


def good() -> History:
    """Two messages, sent at once: one taken over by another worker and answered, one stopped. Two clients."""
    history = History()
    saved = []
    for number in (1, 2):
        text, turn, question = f"q{number}", f"t{number}", f"u{number}"
        ack = Ack(turn, question, E, 2 * number, 10.0 + number)
        history.sends.append(Send("c", f"k{number}", text, 10.0, [ack, copy.copy(ack)]))
        saved.append({"id": question, "parent_id": f"r{number - 1}", "role": "user", "text": text, "turn_id": turn})
        saved.append({"id": f"r{number}", "parent_id": question, "role": "assistant", "turn_id": turn})
    saved[1] |= {"text": "#2 all of it", "status": "done"}
    saved[3] |= {"text": "#1 some", "status": "stopped"}
    history.saved["c"] = saved
    history.said = {
        "q1": [Said("#1 all", whole=False), Said("#2 all of it", whole=True)],
        "q2": [Said("#1 some of", whole=False)],
    }
    history.stops.append(Stop("c", "t2", "stopped", 0.01))
    history.faults.append(Fault("worker killed", at=17.5, worker=True))
    kinds: list[tuple[str, str, int | None]] = [
        ("message.created", "t1", None),
        ("turn.queued", "t1", None),
        ("message.created", "t2", None),
        ("turn.queued", "t2", None),
        ("turn.started", "t1", 1),
        ("turn.started", "t1", 2),
        ("turn.finished", "t1", None),
        ("turn.started", "t2", 1),
        ("turn.finished", "t2", None),
    ]
    applied = [(E, seq, kind, turn, attempt, 12.0 + seq) for seq, (kind, turn, attempt) in enumerate(kinds, 1)]
    applied[5] = (E, 6, "turn.started", "t1", 2, 18.5)
    history.shown.append(Shown("one", "c", copy.deepcopy(saved), [], list(applied)))
    # The other one has lost its connection, and came back to a snapshot.
    history.shown.append(Shown("two", "c", copy.deepcopy(saved), [], [*applied[:3], *applied[6:]], snapshots=1))
    return history


def test_a_good_history_is_good() -> None:
    report = check(good())
    assert report.good, report.violations
    assert (report.turns, dict(report.ended)) == (2, {"done": 1, "stopped": 1})
    assert [(one.turn_id, one.seconds) for one in report.take_overs] == [("t1", 1.0)]
    assert (report.slowest_stop, report.faults["worker killed"]) == (0.01, 1)


def _swap_replies(history: History) -> None:
    saved = history.saved["c"]
    history.saved["c"] = saved[2:] + saved[:2]
    for shown in history.shown:
        shown.messages = list(history.saved["c"])


def _save_twice(history: History, number: int, **changes: str) -> None:
    history.saved["c"].append({**history.saved["c"][number], **changes})
    for shown in history.shown:
        shown.messages = list(history.saved["c"])


def _forget(history: History, number: int) -> None:
    del history.saved["c"][number]
    for shown in history.shown:
        shown.messages = list(history.saved["c"])


def _change(history: History, number: int, **changes: str) -> None:
    history.saved["c"][number].update(changes)
    for shown in history.shown:
        shown.messages[number].update(changes)


def _swap_starts(history: History) -> None:
    for shown in history.shown:
        shown.applied = [
            (epoch, seq, kind, {"t1": "t2", "t2": "t1"}[str(turn)] if kind == "turn.started" else turn, attempt, at)
            for epoch, seq, kind, turn, attempt, at in shown.applied
        ]


def _end_twice(history: History) -> None:
    history.shown[0].applied.append((E, 10, "turn.finished", "t1", None, 30.0))


BAD: dict[str, tuple[str, Spoil]] = {
    "a reply is missing": ("lost", lambda h: _forget(h, 3)),
    "a question is missing": ("lost", lambda h: _forget(h, 2)),
    "nothing is saved": ("lost", lambda h: h.saved.clear()),
    "a send was never acknowledged": ("lost", lambda h: h.sends[1].acks.clear()),
    "one send, two turns": ("duplicated", lambda h: setattr(h.sends[0].acks[1], "turn_id", "t9")),
    "one send, saved twice": ("duplicated", lambda h: _save_twice(h, 0, id="u9")),
    "one turn, two replies": ("duplicated", lambda h: _save_twice(h, 1, id="r9")),
    "one message, twice in the list": ("duplicated", lambda h: _save_twice(h, 1)),
    "a turn ended twice": ("duplicated", _end_twice),
    "replies in another order": ("out of order", _swap_replies),
    "answered in another order": ("out of order", _swap_starts),
    "acknowledged in another order than sent": ("out of order", lambda h: setattr(h.sends[0], "first_sent_at", 20.0)),
    "a reply below another question": ("wrong text or status", lambda h: _change(h, 1, parent_id="u2")),
    "a client lacks the last message": ("rendered ≠ saved", lambda h: h.shown[1].messages.pop()),
    "a client shows nothing": ("rendered ≠ saved", lambda h: h.shown[1].messages.clear()),
    "a client shows another text": ("rendered ≠ saved", lambda h: h.shown[0].messages[3].update(text="#1 so")),
    "a client shows a turn that is over": ("rendered ≠ saved", lambda h: h.shown[0].open_turns.append("t1")),
    "a gap was applied": ("rendered ≠ saved", lambda h: h.shown[0].applied.pop(3)),
    "an event was applied twice": ("rendered ≠ saved", lambda h: h.shown[0].applied.insert(4, h.shown[0].applied[3])),
    "two clients, two histories": (
        "rendered ≠ saved",
        lambda h: h.shown[1].applied.__setitem__(0, (E, 1, "conversation.updated", None, None, 13.0)),
    ),
    "a client met something impossible": ("rendered ≠ saved", lambda h: h.shown[0].errors.append("a reply came twice")),
    "two attempts in one text": ("wrong text or status", lambda h: _change(h, 1, text="#1 all#2 all of it")),
    "done, but cut short": ("wrong text or status", lambda h: _change(h, 1, text="#2 all")),
    "done, with an attempt that was cut off": ("wrong text or status", lambda h: _change(h, 1, text="#1 all")),
    "stopped, with more than was sent": ("wrong text or status", lambda h: _change(h, 3, text="#1 some of it")),
    "stopped, but saved as failed": ("wrong text or status", lambda h: _change(h, 3, status="failed")),
    "an end that is none": ("wrong text or status", lambda h: _change(h, 1, status="running")),
    "a refusal that should not be": ("wrong text or status", lambda h: h.refusals.append("internal")),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_seen(name: str) -> None:
    column, spoil = BAD[name]
    history = good()
    spoil(history)
    report: Report = check(history)
    assert report.violations[column], f"{name} was not seen; {report.violations}"
    assert not report.good


def test_a_take_over_is_counted_from_the_fault_that_caused_it() -> None:
    history = good()
    history.faults.append(Fault("redis killed", at=18.0))
    assert check(history).take_overs == []
