"""The scripts against a reference, under everything that goes wrong: workers that die, pause and come back, hints that
are lost, duplicated and late, clients that miss, repeat and reorder what they are told, stops at any moment.

PARLEY_MACHINE_EXAMPLES makes the run longer; it then says what it did.
"""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from redis import Redis

from app.errors import Conflict, NotFound, QueueFull
from app.ledger import Busy, Claimed, Finish, Finished, GivenUp, Gone, NewTurn, Snapshot, Write, owners
from app.ledger.calls import GRACE_MS
from app.ledger.keys import PARTS, conversation_keys, new_conversation_id, ready_key
from app.ledger.models import Json
from app.ledger.owners import TOMBSTONE_MS
from app.ledger.upkeep import LONGEST_PAUSE_MS
from app.ledger.workers import MAX_ATTEMPTS
from tests.ledger.harness import CHANNEL, LEASE, MAX_QUEUED, PROVIDERS, Tap, make_lab
from tests.ledger.reference import SHOWN, Job, Talk, Turn, View

EXAMPLES = os.environ.get("PARLEY_MACHINE_EXAMPLES")
STEPS = 60
# Small, so that short runs reach beyond them.
SNAPSHOT_MESSAGES = 10
MAX_TAIL_EVENTS = 12
WINDOW = 4
OWNERS = ("alice", "bob")

done: Counter[str] = Counter()

T = TypeVar("T")
any_index = st.integers(0, 7)
pieces = st.lists(
    st.sampled_from(["a", "Hello, ", '"', "\\", "\0", "🐢", "\u2028", "\n", "ß", "</"]), min_size=1, max_size=4
).map("".join)


def one(among: Sequence[T], index: int) -> T:
    return among[index % len(among)]


class Machine(RuleBasedStateMachine):
    def __init__(self, redis: Redis) -> None:
        super().__init__()
        redis.flushall()
        self.redis = redis
        self.lab = make_lab(redis)
        self.ledger = self.lab.ledger
        self.clock = self.lab.clock
        self.talks: list[Talk] = []
        self.jobs: list[Job] = []
        self.hints: list[tuple[Talk, str]] = []
        self.views: list[View] = []
        done["runs"] += 1

    # --- Owners -------------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.talks) < 3)
    @rule(owner=st.sampled_from(OWNERS), text=pieces, memory=st.booleans(), hinted=st.booleans())
    def start(self, owner: str, text: str, memory: bool, hinted: bool) -> None:
        client_id = f"c{len(self.talks)}"
        talk = Talk(new_conversation_id(owner, client_id), owner, memory)
        turn = NewTurn(text, client_id, memory=memory)
        accepted = self.ledger.accept(owner, talk.id, turn, create=True)
        self.talks.append(talk)
        self.accepted(talk, turn, accepted.answer, None, first=True)
        assert accepted.start == talk.queue[0].id
        self.hint(talk, accepted.start, hinted)
        self.settle("start", talk)

    @precondition(lambda self: self.talks)
    @rule(which=any_index, text=pieces, back=st.none() | st.integers(0, 1), hinted=st.booleans())
    def send(self, which: int, text: str, back: int | None, hinted: bool) -> None:
        """`back`: follows an earlier reply, and so makes a branch."""
        talk = one(self.talks, which)
        answered = [turn for turn in talk.branch()[-2:] if turn.reply]
        parent = one(answered, back) if back is not None and answered else None
        turn = NewTurn(text, f"m{len(talk.turns)}", parent_id=_reply_id(parent))
        waiting = len(talk.queue) - (talk.holder is not None)
        try:
            accepted = self.ledger.accept(talk.owner, talk.id, turn, create=False)
        except NotFound:
            assert talk.deleted
            return
        except QueueFull:
            assert waiting >= MAX_QUEUED
            self.settle("refused", talk)
            return
        assert not talk.deleted
        assert waiting < MAX_QUEUED
        first = not talk.queue
        self.accepted(talk, turn, accepted.answer, parent or talk.head, first=False)
        assert accepted.start == (talk.queue[0].id if first else None)
        self.hint(talk, accepted.start, hinted)
        self.settle("send", talk)

    @precondition(lambda self: any(talk.kept for talk in self.talks))
    @rule(which=any_index, index=any_index, hinted=st.booleans())
    def regenerate(self, which: int, index: int, hinted: bool) -> None:
        talk = one([talk for talk in self.talks if talk.kept], which)
        earlier = one(talk.kept, index)
        before = self.lab.dump(talk.id)
        reply_id = self.reply_id(talk, earlier)
        turn = NewTurn("", f"m{len(talk.turns)}", again=reply_id)
        try:
            accepted = self.ledger.accept(talk.owner, talk.id, turn, create=False)
        except Conflict:
            assert not earlier.over
            assert self.lab.dump(talk.id) == before
            return
        except QueueFull:
            self.settle("refused", talk)
            return
        assert earlier.over
        first = not talk.queue
        self.accepted(talk, turn, accepted.answer, earlier.parent, first=False, again=earlier)
        self.hint(talk, accepted.start if first else None, hinted)
        self.settle("regenerate", talk)

    @precondition(lambda self: any(talk.kept for talk in self.talks))
    @rule(which=any_index, index=any_index, text=pieces, hinted=st.booleans())
    def edit(self, which: int, index: int, text: str, hinted: bool) -> None:
        talk = one([talk for talk in self.talks if talk.kept], which)
        earlier = one(talk.kept, index)
        turn = NewTurn(text, f"m{len(talk.turns)}", edited=earlier.message_id)
        try:
            accepted = self.ledger.accept(talk.owner, talk.id, turn, create=False)
        except QueueFull:
            self.settle("refused", talk)
            return
        self.accepted(talk, turn, accepted.answer, earlier.parent, first=False)
        self.hint(talk, accepted.start, hinted)
        self.settle("edit", talk)

    @precondition(lambda self: any(talk.kept for talk in self.talks))
    @rule(which=any_index, index=any_index, question=st.booleans())
    def select(self, which: int, index: int, question: bool) -> None:
        talk = one([talk for talk in self.talks if talk.kept], which)
        chosen = one(talk.kept, index)
        if question:
            message_id, leaf = chosen.message_id, talk.leaf_below(talk.newest_answer(chosen.message_id))
        else:
            message_id = self.reply_id(talk, chosen)
            leaf = talk.leaf_below(chosen)
        moved, talk.head = leaf is not talk.head, leaf
        self.ledger.select(talk.owner, talk.id, message_id)
        self.settle("select", talk, events=int(moved))

    @precondition(lambda self: any(talk.turns for talk in self.talks))
    @rule(which=any_index, index=any_index)
    def send_again(self, which: int, index: int) -> None:
        talk = one(self.talks, which)
        turn = one(talk.turns, index)
        before = self.lab.dump(talk.id)
        again = NewTurn("another text", turn.client_id)
        try:
            accepted = self.ledger.accept(talk.owner, talk.id, again, create=turn.first)
        except NotFound:
            assert talk.deleted
        else:
            assert not talk.deleted
            assert accepted.answer == turn.answer
            assert accepted.start is None
        assert self.lab.dump(talk.id) == before
        self.settle("send again", talk)

    @precondition(lambda self: any(talk.turns for talk in self.talks))
    @rule(which=any_index, index=any_index, hinted=st.booleans())
    def stop(self, which: int, index: int, hinted: bool) -> None:
        talk = one(self.talks, which)
        turn = one(talk.turns, index)
        before = self.lab.dump(talk.id)
        try:
            status, following = self.ledger.stop(talk.owner, talk.id, turn.id)
        except NotFound:
            assert talk.deleted
            return
        assert not talk.deleted
        if turn.over:
            assert (status, following) == (turn.status, None)
            assert self.lab.dump(talk.id) == before
        else:
            assert status == "stopped"
            was_first = turn is talk.queue[0]
            talk.conclude(turn, "stopped")
            if was_first:
                self.hint(talk, self.following(talk, following), hinted)
            else:
                assert following is None, "whatever is first has its hint"
        self.settle("stop", talk)

    @precondition(lambda self: self.talks)
    @rule(which=any_index, memory=st.booleans())
    def configure(self, which: int, memory: bool) -> None:
        talk = one(self.talks, which)
        try:
            conversation = self.ledger.configure(talk.owner, talk.id, {"memory": memory, "title": f"{memory}"})
        except NotFound:
            assert talk.deleted
            return
        talk.memory = memory
        assert conversation["memory"] is memory
        self.settle("configure", talk)

    @precondition(lambda self: any(len(talk.kept) > 2 for talk in self.talks))
    @rule(which=any_index, chance=st.integers(0, 3))
    def clear(self, which: int, chance: int) -> None:
        talk = one(self.talks, which)
        try:
            self.ledger.clear(talk.owner, talk.id, delete=chance == 0)
        except NotFound:
            assert talk.deleted
            return
        assert not talk.deleted
        talk.clear(delete=chance == 0)
        self.settle("clear", talk)

    @precondition(lambda self: self.talks)
    @rule(which=any_index)
    def trespass(self, which: int) -> None:
        talk = one(self.talks, which)
        other = OWNERS[talk.owner == OWNERS[0]]
        turn_id = talk.turns[0].id if talk.turns else "t"
        before = self.lab.dump(talk.id)
        for attempt in (
            lambda: self.ledger.open(other, talk.id, talk.seq, talk.epoch),
            lambda: self.ledger.accept(other, talk.id, NewTurn("Hello", "x"), create=True),
            lambda: self.ledger.stop(other, talk.id, turn_id),
            lambda: self.ledger.clear(other, talk.id, delete=True),
            lambda: self.ledger.configure(other, talk.id, {"memory": True}),
            lambda: self.ledger.history(other, talk.id, None, 10),
            lambda: self.ledger.show(other, talk.id),
            lambda: self.ledger.select(other, talk.id, "m"),
            lambda: self.ledger.accept(other, talk.id, NewTurn("", "y", again="m"), create=False),
            lambda: self.ledger.accept(other, talk.id, NewTurn("Hello", "z", edited="m"), create=False),
        ):
            with pytest.raises(NotFound):
                attempt()
        assert self.lab.dump(talk.id) == before
        self.settle("trespass", talk)

    # --- Workers ------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.hints)
    @rule(index=st.integers(0, 30), duplicate=st.booleans(), hinted=st.booleans())
    def claim(self, index: int, duplicate: bool, hinted: bool) -> None:
        """Any hint, in any order; it may come once more."""
        hint = one(self.hints, index)
        if not duplicate:
            self.hints.remove(hint)
        self.work_on(*hint, hinted=hinted)

    @precondition(lambda self: self.jobs)
    @rule(index=any_index, piece=pieces)
    def write(self, index: int, piece: str) -> None:
        self.write_all([(one(self.jobs, index), piece)])

    @precondition(lambda self: self.jobs)
    @rule(texts=st.lists(pieces, min_size=1, max_size=4), forgotten=st.booleans())
    def write_many(self, texts: list[str], forgotten: bool) -> None:
        """As the pump does it: many replies in one round trip. Redis may have lost the scripts before."""
        if forgotten:
            self.redis.script_flush()
        self.write_all(list(zip(self.jobs, texts, strict=False)))

    @precondition(lambda self: any(job.last for job in self.jobs))
    @rule(index=any_index)
    def write_again(self, index: int) -> None:
        """The acknowledgement was lost."""
        job = one([job for job in self.jobs if job.last], index)
        assert job.last is not None
        held = job.talk.holder is job
        before = self.lab.dump(job.talk.id)
        [result] = self.ledger.write([job.last])
        assert result == Finished("ok" if held else "refused")
        if held:
            self.renew(job)
        else:
            assert self.lab.dump(job.talk.id) == before
        self.settle("write again", job.talk, events=0)

    @precondition(lambda self: self.jobs)
    @rule(index=any_index)
    def heartbeat(self, index: int) -> None:
        job = one(self.jobs, index)
        held = job.talk.holder is job
        before = self.lab.dump(job.talk.id)
        [result] = self.ledger.write([Write(job.claim, job.chunk, "")])
        assert result == Finished("ok" if held else "refused")
        if held:
            self.renew(job)
        else:
            assert self.lab.dump(job.talk.id) == before
        self.settle("heartbeat" if held else "fenced", job.talk, events=0)

    @precondition(lambda self: self.jobs)
    @rule(index=any_index)
    def write_beyond(self, index: int) -> None:
        """The ledger came back with less than it had: nothing may be put after the hole."""
        job = one(self.jobs, index)
        before = self.lab.dump(job.talk.id)
        results = self.ledger.write([Write(job.claim, job.chunk + 2, "x"), Write(job.claim, job.chunk + 1, "")])
        assert results == [Finished("refused")] * 2
        assert self.lab.dump(job.talk.id) == before
        self.settle("write beyond", job.talk, events=0)

    @precondition(lambda self: self.jobs)
    @rule(index=any_index, text=pieces | st.just(""), status=st.sampled_from(["done", "failed"]), hinted=st.booleans())
    def finish(self, index: int, text: str, status: Any, hinted: bool) -> None:
        self.end(one(self.jobs, index), text, status, hinted=hinted)

    @precondition(lambda self: self.jobs)
    @rule(index=any_index, note=st.text(max_size=3))
    def note(self, index: int, note: str) -> None:
        job = one(self.jobs, index)
        held = job.talk.holder is job
        before = self.lab.dump(job.talk.id)
        assert self.ledger.note(job.claim, "turn.retrying", {"reason": note}) == ("ok" if held else "refused")
        if held:
            job.talk.lease_end = self.clock.now + LEASE
        else:
            assert self.lab.dump(job.talk.id) == before
        self.settle("note", job.talk, events=int(held))

    @precondition(lambda self: self.talks)
    @rule(which=any_index, texts=st.lists(pieces, min_size=1, max_size=6))
    def answer(self, which: int, texts: list[str]) -> None:
        """A worker to whom nothing happens."""
        talk = one(self.talks, which)
        for text in texts:
            if not talk.queue:
                return
            self.work_on(talk, talk.queue[0].id, hinted=False)
            if talk.holder in self.jobs:
                self.write_all([(talk.holder, text)])
                self.end(talk.holder, text, "done", hinted=False)

    @precondition(lambda self: any(job.talk.holder is job for job in self.jobs))
    @rule(index=any_index)
    def outlast(self, index: int) -> None:
        """A worker pauses past its lease, and another one takes over."""
        job = one([job for job in self.jobs if job.talk.holder is job], index)
        self.clock.advance(LEASE + 1)
        self.work_on(job.talk, job.turn.id, hinted=False)
        self.write_all([(job, "late")])

    @precondition(lambda self: self.jobs)
    @rule(index=any_index)
    def die(self, index: int) -> None:
        self.jobs.remove(one(self.jobs, index))
        done["die"] += 1

    @precondition(lambda self: any(job.talk.holder is job for job in self.jobs))
    @rule(index=any_index)
    def come_too_early(self, index: int) -> None:
        """Another worker, just before the lease ends."""
        job = one([job for job in self.jobs if job.talk.holder is job], index)
        self.clock.now = max(self.clock.now, job.talk.lease_end - 1)
        self.work_on(job.talk, job.turn.id, hinted=False)

    @precondition(lambda self: any(len(talk.queue) > 1 for talk in self.talks))
    @rule(which=any_index, index=any_index)
    def come_out_of_turn(self, which: int, index: int) -> None:
        """A hint for a turn whose time has not come."""
        talk = one([talk for talk in self.talks if len(talk.queue) > 1], which)
        self.work_on(talk, one(talk.queue[1:], index).id, hinted=False)

    @precondition(lambda self: self.hints)
    @rule(index=st.integers(0, 30))
    def lose_hint(self, index: int) -> None:
        self.hints.remove(one(self.hints, index))
        done["lose hint"] += 1

    @rule(ms=st.sampled_from([1, 500, GRACE_MS, 3_500, LEASE + 1, LONGEST_PAUSE_MS]))
    def pause(self, ms: int) -> None:
        """Nobody does anything for this long; who held a lease may find it gone."""
        self.clock.advance(ms)

    @precondition(lambda self: self.talks)
    @rule(heard=st.booleans())
    def sweep(self, heard: bool) -> None:
        overdue = {
            (talk.id, talk.queue[0].id)
            for talk in self.talks
            if talk.queue and (self.lab.due(talk.id) or 0) <= self.clock.now
        }
        found = self.ledger.sweep()
        assert len(found) == len(set(found))
        assert set(found) == overdue
        assert self.ledger.sweep() == [], "each is told to one sweeper"
        for conversation_id, turn_id in found:
            [talk] = [talk for talk in self.talks if talk.id == conversation_id]
            assert talk.holder is None or talk.lease_end <= self.clock.now, "somebody works on it"
            self.hint(talk, turn_id, heard)
        done["sweep"] += 1

    # --- Clients ------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.talks and len(self.views) < 5)
    @rule(which=any_index)
    def join(self, which: int) -> None:
        view = View(self.ledger, one(self.talks, which))
        self.open(view)
        self.views.append(view)
        done["join"] += 1

    @precondition(lambda self: self.views)
    @rule(index=any_index)
    def leave(self, index: int) -> None:
        self.views.remove(one(self.views, index))

    @precondition(lambda self: any(view.inbox for view in self.views))
    @rule(index=any_index, count=st.integers(1, 12))
    def hear(self, index: int, count: int) -> None:
        """As it was sent."""
        view = one([view for view in self.views if view.inbox], index)
        for event in view.inbox[:count]:
            self.tell(view, event)
        del view.inbox[:count]
        self.compare(view)

    @precondition(lambda self: any(view.inbox for view in self.views))
    @rule(index=any_index, order=st.lists(st.integers(0, 30), min_size=1, max_size=8), duplicate=st.booleans())
    def hear_badly(self, index: int, order: list[int], duplicate: bool) -> None:
        """Out of order, twice, or not at all."""
        view = one([view for view in self.views if view.inbox], index)
        told = [one(view.inbox, place) for place in order]
        if not duplicate:
            view.inbox = [event for event in view.inbox if event not in told]
        for event in told:
            self.tell(view, event)
        self.compare(view)

    @precondition(lambda self: any(view.inbox for view in self.views))
    @rule(index=any_index)
    def miss(self, index: int) -> None:
        """The connection was away for a while; the client asks when it is back."""
        view = one([view for view in self.views if view.inbox], index)
        view.inbox.clear()
        self.open(view)
        self.compare(view)
        done["miss"] += 1

    @precondition(lambda self: any(talk.seq > 8 for talk in self.talks))
    @rule(which=any_index, ahead=st.integers(1, 3))
    def come_from_the_future(self, which: int, ahead: int) -> None:
        """A client has seen more than Redis came back with: a new epoch tells all others."""
        talk = one(self.talks, which)
        if talk.deleted:
            return
        opened = self.ledger.open(talk.owner, talk.id, talk.seq + ahead, talk.epoch)
        assert isinstance(opened, Snapshot)
        assert opened.epoch != talk.epoch
        talk.epoch = opened.epoch
        self.settle("new epoch", talk, events=0)

    # --- How ----------------------------------------------------------------------------------------------------------

    def reply_id(self, talk: Talk, turn: Turn) -> str:
        """Of one that is still to come as well."""
        if turn.reply:
            return str(turn.reply["id"])
        record: bytes = self.redis.hget(self.lab.key(talk.id, "turns"), f"t:{turn.id}")  # type: ignore[assignment]
        return str(orjson.loads(record)["reply_id"])

    def accepted(
        self, talk: Talk, sent: NewTurn, answer: Json, parent: Turn | None, *, first: bool, again: Turn | None = None
    ) -> None:
        text = again.text if again else sent.text
        turn = Turn(answer["turn_id"], answer["message_id"], sent.client_id, text, answer, parent, first, bool(again))
        assert answer["conversation_id"] == talk.id
        assert answer["position"] == len(talk.queue)
        assert answer["seq"] == talk.seq + (1 if again else 2)
        assert again is None or answer["message_id"] == again.message_id
        talk.turns.append(turn)
        talk.queue.append(turn)
        talk.head = turn
        done["accepted"] += 1

    def hint(self, talk: Talk, turn_id: str | None, arrives: bool) -> None:
        if turn_id and arrives:
            self.hints.append((talk, turn_id))

    def following(self, talk: Talk, following: str | None) -> str | None:
        """What the ledger says may start now, checked."""
        assert following == (talk.queue[0].id if talk.queue and talk.holder is None else None)
        assert following is None or self.lab.due(talk.id) == self.clock.now + GRACE_MS, "its hint may be lost"
        return following

    def work_on(self, talk: Talk, turn_id: str, *, hinted: bool) -> None:
        [turn] = [turn for turn in talk.turns if turn.id == turn_id]
        before = self.lab.dump(talk.id)
        result = self.lab.try_claim(talk.id, turn_id, max_messages=WINDOW)
        if turn.over:
            assert isinstance(result, Gone)
        elif talk.queue[0] is not turn or (talk.holder and talk.lease_end > self.clock.now):
            assert result == Busy()
        elif turn.attempts == MAX_ATTEMPTS:
            talk.conclude(turn, "failed")
            assert result == GivenUp(self.following(talk, talk.queue[0].id if talk.queue else None))
            self.hint(talk, talk.queue[0].id if talk.queue else None, hinted)
            self.settle("given up", talk)
            return
        else:
            assert isinstance(result, Claimed)
            self.check_claim(talk, turn, result)
            turn.status, turn.shown, turn.thought = "running", "", ""
            turn.attempts += 1
            talk.fences.add(result.fence)
            talk.lease_end = self.clock.now + LEASE
            talk.holder = Job(talk, turn, result)
            self.jobs.append(talk.holder)
            self.settle("claimed" if turn.attempts == 1 else "taken over", talk)
            return
        assert self.lab.dump(talk.id) == before
        self.settle("claimed in vain", talk, events=0)

    def check_claim(self, talk: Talk, turn: Turn, claim: Claimed) -> None:
        assert claim.fence not in talk.fences
        assert claim.attempt == turn.attempts + 1
        assert claim.question["text"] == turn.text
        memory = talk.memory if not turn.first else claim.memory  # what its own first message asked for
        assert (claim.memory, claim.provider, claim.model) == (memory, "p", PROVIDERS["p"])
        expected: list[Any] = []
        for earlier in turn.ancestors():
            assert earlier.reply is not None
            expected += [earlier.reply["id"], earlier.message_id]
        expected = expected[:WINDOW][::-1] if memory else []
        assert [message["id"] for message in claim.history] == expected

    def write_all(self, texts: list[tuple[Job, str]]) -> None:
        before = {job: self.lab.dump(job.talk.id) for job, _ in texts if job.talk.holder is not job}
        held = {job.talk for job, _ in texts if job.talk.holder is job}
        writes = [Write(job.claim, job.chunk + 1, text, reasoning=thought(text)) for job, text in texts]
        results = self.ledger.write(writes)
        events = 0
        for (job, text), write, result in zip(texts, writes, results, strict=True):
            if job in before:
                assert result == Finished("refused")
                assert job.talk in held or self.lab.dump(job.talk.id) == before[job]
                done["fenced"] += 1
            else:
                assert result == Finished("ok")
                job.chunk, job.last = job.chunk + 1, write
                job.turn.shown += text
                job.turn.thought += thought(text)
                events += 1 + bool(thought(text))
                self.renew(job)
                done["written"] += 1
        self.settle("write", *{job.talk: None for job, _ in texts}, events=events)

    def renew(self, job: Job) -> None:
        """At most a third of a lease passes before a sign of life counts."""
        lease_end = int(self.lab.meta(job.talk.id)["lease"])
        assert self.clock.now + LEASE * 2 / 3 <= lease_end <= self.clock.now + LEASE
        job.talk.lease_end = lease_end

    def end(self, job: Job, text: str, status: Any, *, hinted: bool) -> None:
        held = job.talk.holder is job
        before = self.lab.dump(job.talk.id)
        chunk = job.chunk + bool(text)
        [result] = self.ledger.write([Write(job.claim, chunk, text, Finish(status, usage={"input_tokens": 1}))])
        assert isinstance(result, Finished)
        if held:
            assert result.written == "ok"
            job.turn.shown += text
            job.talk.conclude(job.turn, status)
            self.hint(job.talk, self.following(job.talk, result.next_turn), hinted)
            job.ended = True
        else:
            # Its own end once more is as good as done.
            assert result.written == "refused" or job.ended
            assert self.lab.dump(job.talk.id) == before
        self.settle("finished" if held else "fenced", job.talk)

    def tell(self, view: View, event: Json) -> None:
        done["told"] += 1
        if view.deleted:
            return
        try:
            view.receive(event)
        except NotFound:
            assert view.talk.deleted
            view.deleted = True

    def open(self, view: View) -> None:
        try:
            view.open()
        except NotFound:
            assert view.talk.deleted
            view.deleted = True

    # --- What must hold -----------------------------------------------------------------------------------------------

    def settle(self, what: str, *talks: Talk, events: int | None = None) -> None:
        """Takes in what was published, and holds the ledger against the reference."""
        done[what] += 1
        count = self.take_in(self.lab.tap)
        if events is not None:
            assert count == events
        for talk in talks:
            if talk.deleted:
                self.check_deleted(talk)
            else:
                self.check(talk)

    def take_in(self, tap: Tap) -> int:
        count = 0
        for channel, data in tap.take():
            message = orjson.loads(data)
            assert (message["method"], message["namespace"]) == ("emit", "/")
            assert channel == CHANNEL + message["room"]
            if message["event"] == "activity":
                continue
            [event] = message["data"]
            [talk] = [talk for talk in self.talks if message["room"] == f"c:{talk.id}"]
            assert event["conversation_id"] == talk.id
            assert event["seq"] == talk.seq + 1, "events are numbered without a hole"
            assert talk.epoch in {"", event["epoch"]}
            talk.seq, talk.epoch = event["seq"], event["epoch"]
            talk.events[talk.seq] = data[data.index(b'"data":[') + 8 : -2]
            if event["type"] == "turn.finished" and event["message"] is not None:
                self.saved(talk, event)
            for view in self.views:
                if view.talk is talk:
                    view.inbox.append(event)
            count += 1
        return count

    def saved(self, talk: Talk, event: Json) -> None:
        [turn] = [turn for turn in talk.turns if turn.id == event["turn_id"]]
        assert turn.reply is None, "saved twice"
        turn.reply = event["message"]
        assert (turn.reply["text"], turn.reply["status"]) == (turn.shown, turn.status)
        assert turn.reply.get("reasoning", "") == turn.thought
        assert turn.reply["parent_id"] == turn.message_id
        if turn.status != "stopped":
            earlier = talk.turns[: talk.turns.index(turn)]
            assert all(turn.over for turn in earlier), "answered in the order of acknowledgement"
        done["saved"] += 1

    def check(self, talk: Talk) -> None:
        meta = self.lab.meta(talk.id)
        assert int(meta["seq"]) == talk.seq
        assert meta["epoch"] == talk.epoch
        assert self.lab.queue(talk.id) == [turn.id for turn in talk.queue]
        assert meta["turn"] == (talk.holder.turn.id if talk.holder else "")

        due = self.lab.due(talk.id)
        assert (due is not None) == bool(talk.queue), "a sweep finds whoever waits, and nobody else"
        if due is not None:
            assert due <= self.clock.now + LONGEST_PAUSE_MS
            assert talk.holder is None or due >= min(talk.lease_end, self.clock.now)
        waiting = self.redis.zscore(ready_key(talk.id[:2]), talk.id) is not None
        if not talk.queue or talk.holder is None:
            assert waiting == bool(talk.queue), "it counts as waiting until somebody works on it"
        else:
            assert not waiting or talk.lease_end <= self.clock.now

        text: bytes | None = self.redis.get(self.lab.key(talk.id, "text"))  # type: ignore[assignment]
        assert (text or b"").decode() == (talk.holder.turn.shown if talk.holder else "")
        assert meta["head"] == (self.reply_id(talk, talk.head) if talk.head else "")

        messages = self.lab.messages(talk.id)
        for turn in talk.kept:
            if not turn.again:
                question = messages.pop(turn.message_id)
                assert (question["text"], question["role"], question["turn_id"]) == (turn.text, "user", turn.id)
                assert question["versions"] == talk.versions(question)
            assert turn.over == (turn.reply is not None), "each turn that is over has its reply"
            if turn.reply is not None:
                assert messages.pop(turn.reply["id"]) == {**turn.reply, "versions": talk.versions(turn.reply)}
        assert messages == {}, "nothing else is saved"

        log = self.lab.log(talk.id)
        assert [seq for seq, _ in log] == list(range(talk.seq - len(log) + 1, talk.seq + 1))
        assert all(talk.events[seq] == event for seq, event in log), "what is in the log is what was published"
        assert -1 not in self.lab.ttls(talk.id).values()
        for view in self.views:
            if view.talk is talk:
                self.compare(view)

    def check_deleted(self, talk: Talk) -> None:
        left: int = self.redis.exists(*conversation_keys(talk.id)[1 : len(PARTS)])
        assert left == 0
        assert self.lab.due(talk.id) is None
        assert 0 < self.lab.ttls(talk.id)["meta"] <= TOMBSTONE_MS
        with pytest.raises(NotFound):
            self.ledger.open(talk.owner, talk.id)

    def compare(self, view: View) -> None:
        """A client that has all events shows what is saved, however it came to have them."""
        talk = view.talk
        if talk.deleted or (view.epoch, view.seq) != (talk.epoch, talk.seq):
            return
        snapshot = self.ledger.open(talk.owner, talk.id)
        assert isinstance(snapshot, Snapshot)
        assert view.settings == {name: snapshot.conversation[name] for name in view.settings}
        saved = self.whole_branch(talk)
        assert snapshot.messages == saved[-SNAPSHOT_MESSAGES:]
        assert snapshot.more == (len(saved) > SNAPSHOT_MESSAGES)
        assert view.messages == saved[len(saved) - len(view.messages) :]
        assert bool(view.messages) == bool(saved)
        assert view.more == (len(view.messages) < len(saved))
        assert list(view.turns.values()) == [{name: turn[name] for name in SHOWN} for turn in snapshot.turns]
        assert [(turn["turn_id"], turn["text"], turn["reasoning"]) for turn in snapshot.turns] == [
            (turn.id, turn.shown, turn.thought) for turn in talk.queue
        ]
        done["compared"] += 1

    def whole_branch(self, talk: Talk) -> list[Json]:
        """Page by page."""
        found: list[Json] = []
        more = True
        while more:
            page = self.ledger.history(talk.owner, talk.id, found[0]["id"] if found else None, 3)
            assert page.items or not page.more
            found[:0] = page.items
            more = page.more
        expected: list[str] = []
        for turn in talk.branch():
            expected += [turn.message_id, *([turn.reply["id"]] if turn.reply else [])]
        assert [message["id"] for message in found] == expected
        return found

    def teardown(self) -> None:
        try:
            self.drain()
        finally:
            self.lab.tap.close()

    def drain(self) -> None:
        """All hints and all workers are lost but one; it sweeps until nothing is left."""
        for _ in range(200):
            if not any(talk.queue for talk in self.talks):
                break
            self.clock.advance(LONGEST_PAUSE_MS)
            for conversation_id, turn_id in self.ledger.sweep():
                [talk] = [talk for talk in self.talks if talk.id == conversation_id]
                self.work_on(talk, turn_id, hinted=False)
                if talk.holder is not None:
                    self.end(talk.holder, "the end", "done", hinted=False)
        for job in self.jobs:
            self.end(job, "too late", "done", hinted=False)
        for talk in self.talks:
            assert talk.queue == []
            # `check` has seen to it that each kept turn has one reply, and that nothing else is saved.
            assert all(turn.over for turn in talk.turns)
            self.settle("drained", talk, events=0)
        for view in self.views:
            self.open(view)
            assert view.deleted or (view.epoch, view.seq) == (view.talk.epoch, view.talk.seq)
            self.compare(view)
        for owner in OWNERS:
            listed = [item["id"] for item in self.ledger.conversations(owner, None, 100).items]
            assert sorted(listed) == sorted(talk.id for talk in self.talks if talk.owner == owner and not talk.deleted)


def thought(text: str) -> str:
    """What is thought before some of the pieces."""
    return text[::-1] if len(text) % 2 else ""


def _reply_id(turn: Turn | None) -> str | None:
    return turn.reply["id"] if turn and turn.reply else None


@pytest.mark.timeout(0 if EXAMPLES else 600)
def test_whatever_happens(redis: Redis, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(owners, "SNAPSHOT_MESSAGES", SNAPSHOT_MESSAGES)
    monkeypatch.setattr(owners, "MAX_TAIL_EVENTS", MAX_TAIL_EVENTS)
    done.clear()
    run_state_machine_as_test(
        lambda: Machine(redis),  # type: ignore[arg-type]  # any factory will do
        settings=settings(
            max_examples=int(EXAMPLES or 160),
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert done["saved"] > 0
    if EXAMPLES:
        with capfd.disabled():
            sys.stdout.write("".join(f"\n{count:>9,} {what}" for what, count in done.most_common()) + "\n")
