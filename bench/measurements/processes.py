"""What an event costs all web processes together, with more and more of them that have as much to do each."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import cycle, islice
from pathlib import Path

import socketio

from bench.load import load
from bench.report import Figure
from bench.stacks import Stack, install_peers, parley, stock, upstream
from bench.upstream import now
from bench.worker import Writer

TITLE = "An event, with 1 to 8 web processes: 8 rooms and 125 events/s for each"
COUNTS = (1, 2, 4, 8)
# For each process: one that has less to do is woken for fewer events at a time, so each costs it more.
ROOMS = 8
BEAT_SECONDS = 0.008
SECONDS = 1.25
# All stacks are up together and take turns, as the machine itself is slower or faster by the minute.
ROUNDS = 5
LEVEL = 1.15

Rooms = list[list[str]]
Emit = Callable[[Rooms], None]
Emitter = Callable[[Stack, Rooms], Emit]
Start = Callable[[int], AbstractContextManager[Stack]]
Round = Callable[[], float]


def measure(folder: Path) -> Iterator[Figure]:
    install_peers()
    with upstream(folder) as model:
        ours = _costs(lambda count: parley(folder, model, webs=count, workers=0), _through_the_ledger)
        theirs = _costs(lambda count: stock(folder, model, webs=count, workers=0), _through_the_stock_queue)
    for count in COUNTS:
        yield Figure(f"web CPU of an event, {count} web", ours[count], "µs", ("stock", theirs[count]))
    for count in COUNTS[1:]:
        yield Figure(
            f"{count} web : 1 web", ours[count] / ours[1], "times", ("stock", theirs[count] / theirs[1]), LEVEL
        )


def _costs(start: Start, emitter: Emitter) -> dict[int, float]:
    """µs of an event, by number of web processes."""
    with ExitStack() as running:
        measured = {}
        for count in COUNTS:
            stack = running.enter_context(start(count))
            measured[count] = running.enter_context(_measured(stack, emitter))
        rounds = [{count: one() for count, one in measured.items()} for _ in range(ROUNDS)]
    return {count: statistics.median(each[count] for each in rounds) for count in COUNTS}


def _through_the_ledger(stack: Stack, rooms: Rooms) -> Emit:
    assert stack.redis is not None
    writer = Writer(stack.redis.url)
    for conversation_id, turn_id in rooms:
        writer.claim(conversation_id, turn_id)
    return lambda due: writer.write({conversation_id: f"~{now():07d} " for conversation_id, _ in due})


def _through_the_stock_queue(stack: Stack, _rooms: Rooms) -> Emit:
    assert stack.redis is not None
    queue = socketio.RedisManager(stack.redis.url, channel="flask-socketio", write_only=True)

    def emit(due: Rooms) -> None:
        for (room,) in due:
            queue.emit("token", {"text": f"~{now():07d} "}, room=room, namespace="/")

    return emit


@contextmanager
def _measured(stack: Stack, emitter: Emitter) -> Iterator[Round]:
    """A round gives µs for each event that a client got; what idle processes cost is taken off."""
    with load(stack) as clients:
        webs = len(stack.urls)
        clients.connect(ROOMS * webs)
        rooms = clients.join()
        emit, turn = emitter(stack, rooms), cycle(rooms)

        def beat(seconds: float) -> int:
            return webs * _beat(lambda: emit(list(islice(turn, webs))), seconds)

        def one_round() -> float:
            clients.forget()
            before, began = stack.cpu()["web"], time.monotonic()
            sent = beat(SECONDS)
            while (got := clients.report()["events"]) < sent:
                if time.monotonic() > began + 60:
                    raise RuntimeError(f"{stack.kind}: {got} of {sent} events arrived")
                time.sleep(0.05)
            spent = stack.cpu()["web"] - before - idle * (time.monotonic() - began)
            return spent * 1e6 / sent

        beat(0.5)
        time.sleep(0.5)
        before = stack.cpu()["web"]
        time.sleep(2)
        idle = (stack.cpu()["web"] - before) / 2
        yield one_round


def _beat(emit: Callable[[], None], seconds: float) -> int:
    """How often it was called."""
    began = time.monotonic()
    times = round(seconds / BEAT_SECONDS)
    for number in range(times):
        time.sleep(max(0.0, began + number * BEAT_SECONDS - time.monotonic()))
        emit()
    return times
