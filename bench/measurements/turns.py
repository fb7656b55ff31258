"""What a turn costs in a short and in a long conversation, and what a reply leaves in Redis and has written to it."""

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.load import Load, load
from bench.report import Figure
from bench.stacks import Stack, parley, upstream
from bench.upstream import words_for
from bench.worker import Writer

TITLE = "A turn in a long conversation, and a reply in Redis"
SHORT, LONG = 10, 10_000
# As many earlier messages go to the model in both.
WINDOW = 10
ROUNDS = 24
TURNS_A_ROUND = 6
QUICK = words_for(1, 0)
# Each token comes alone, so each is a flush.
FLUSHES, RATE = 40, 20
REPLIES = 20
SINGLE_REPLIES = 4
IDLE_SECONDS = 6.0  # what happens every few seconds happens in it too
WAYS = ("to Redis", "by Redis (AOF)")
# Bytes of a token: two sizes tell what grows with a reply from what does not.
SMALL, LARGE = 20, 220


def measure(folder: Path) -> Iterator[Figure]:
    settings = {"MEMORY_MESSAGES": str(WINDOW)}
    with (
        upstream(folder) as model,
        parley(folder, model, environ=settings) as stack,
        load(stack) as short,
        load(stack) as long,
    ):
        short.connect(TURNS_A_ROUND)
        long.connect(1)
        for clients, count, length in ((short, TURNS_A_ROUND, SHORT), (long, 1, LONG)):
            clients.ask(QUICK, count)
            _fill(stack, clients, length)
        yield from _turns(stack, short, long)
        yield from _space(stack)
        yield from _bytes_of_length(stack, short, long)


def _fill(stack: Stack, clients: Load, length: int) -> None:
    """Up to so many messages, in each conversation."""
    assert stack.redis is not None
    writer = Writer(stack.redis.url)
    for conversation_id in clients.conversations():
        for _ in range(length // 2 - 1):
            writer.answer(
                conversation_id, "A question of some twenty or thirty words would be here. " * 3, "So. " * 100
            )


def _turns(stack: Stack, short: Load, long: Load) -> Iterator[Figure]:
    spent: dict[str, dict[str, list[float]]] = {"short": defaultdict(list), "long": defaultdict(list)}
    for _ in range(ROUNDS):
        for length, clients in (("short", short), ("long", long)):
            for what, value in _round(stack, clients, length).items():
                spent[length][what].append(value)
    for what in spent["long"]:
        ten, many = (statistics.median(spent[length][what]) for length in ("short", "long"))
        limit = 1.1 if what in {"time", "time in Redis's scripts", "CPU, redis"} else None
        yield Figure(f"turn with {LONG} messages: {what}", many, "ms", (f"with {SHORT}", ten), limit, of_ratio=True)


def _round(stack: Stack, clients: Load, length: str) -> dict[str, float]:
    """Some turns one after the other, in ms a turn: short conversations take turns, so that they stay short."""
    before, scripts, lasts = stack.cpu(), _script_seconds(stack), []
    for number in range(TURNS_A_ROUND):
        lasts += clients.ask(QUICK, 1, first=number if length == "short" else 0)["lasts"]
    time.sleep(0.1)  # what follows the last reply
    after = stack.cpu()
    spent = {"time": statistics.median(lasts), "time in Redis's scripts": _script_seconds(stack) - scripts}
    spent["time in Redis's scripts"] /= TURNS_A_ROUND
    spent |= {f"CPU, {tier}": (after[tier] - before[tier]) / TURNS_A_ROUND for tier in after}
    return {what: seconds * 1000 for what, seconds in spent.items()}


def _space(stack: Stack) -> Iterator[Figure]:
    with load(stack) as clients:
        clients.connect(REPLIES)
        clients.ask(QUICK, REPLIES)
        assert stack.redis is not None
        stack.redis.client.config_set("auto-aof-rewrite-percentage", 0)  # a file that is rewritten says nothing
        held, sent, flushed = {}, {}, {}
        for size in (SMALL, LARGE):
            question, reply = words_for(FLUSHES, RATE, size), FLUSHES * size
            sent[reply], flushed[reply] = _bytes_moved(stack, clients, question, REPLIES)
            before = _held(stack)
            clients.ask(question, REPLIES, over=1)
            held[reply] = (_held(stack) - before) / REPLIES
    small, large = held
    for reply, kept in held.items():
        yield Figure(f"memory that a reply of {reply} bytes keeps", kept, "bytes", limit=4 * reply + 2048)
    for way in WAYS:
        growth = (sent[large][way] - sent[small][way]) / (large - small)
        yield Figure(f"bytes sent {way}, for each byte of a reply", growth, "", limit=6)
        rest = (sent[large][way] - growth * large) / flushed[large]
        yield Figure(f"bytes sent {way}, further, for each flush", rest, "bytes")


def _bytes_of_length(stack: Stack, short: Load, long: Load) -> Iterator[Figure]:
    """One reply after the other in both: replies at once share round trips."""
    question = words_for(FLUSHES, RATE, LARGE)
    ten = _bytes_moved(stack, short, question, 1, SINGLE_REPLIES)[0]
    many = _bytes_moved(stack, long, question, 1, SINGLE_REPLIES)[0]
    for way in WAYS:
        what = f"turn with {LONG} messages: bytes sent {way}"
        yield Figure(what, many[way], "bytes", (f"with {SHORT}", ten[way]), 1.1, of_ratio=True)


def _bytes_moved(
    stack: Stack, clients: Load, question: str, at_once: int, times: int = 1
) -> tuple[dict[str, float], float]:
    """Of each reply: bytes by way, without what Redis does when idle, and events."""
    clients.ask(question, at_once, over=1)  # buffers of this size are there
    time.sleep(1)
    first = _moved(stack)
    time.sleep(IDLE_SECONDS)
    before = _moved(stack)
    events = sum(clients.ask(question, at_once, over=1)["events"] for _ in range(times))
    time.sleep(1)
    after = _moved(stack)
    idle = (after["at"] - before["at"]) / (before["at"] - first["at"])
    replies = at_once * times
    moved = {way: (after[way] - before[way] - (before[way] - first[way]) * idle) / replies for way in WAYS}
    return moved, events / replies


def _held(stack: Stack) -> int:
    """By all keys; `used_memory` moves by more than a reply with the buffers of connections."""
    assert stack.redis is not None
    redis = stack.redis.client
    return sum(redis.memory_usage(key, samples=0) or 0 for key in redis.scan_iter(count=1000))


def _moved(stack: Stack) -> dict[str, float]:
    assert stack.redis is not None
    info: dict[str, Any] = stack.redis.client.info()
    return {
        "at": time.monotonic(),
        "to Redis": info["total_net_input_bytes"],
        "by Redis (AOF)": info["aof_current_size"],
    }


def _script_seconds(stack: Stack) -> float:
    assert stack.redis is not None
    stats: dict[str, Any] = stack.redis.client.info("commandstats")
    return sum(float(one["usec"]) for name, one in stats.items() if name in {"cmdstat_evalsha", "cmdstat_eval"}) / 1e6
