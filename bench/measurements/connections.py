"""What idle connections hold of a web process's memory, and whether it is still well with thousands of them."""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from bench.load import Load, load
from bench.report import Figure
from bench.stacks import Stack, install_peers, parley, stock, upstream
from bench.upstream import words_for

TITLE = "Idle connections on one web process"
MANY = 5000
STOCK = 1000
QUESTION = words_for(5, 50)
# Two intervals of Engine.IO's pings, the longest of ours.
PINGED_WITHIN = 45.0


def measure(folder: Path) -> Iterator[Figure]:
    install_peers()
    with upstream(folder) as model:
        with stock(folder, model, workers=0) as stack, load(stack) as clients:
            theirs = _kilobytes(stack, clients, STOCK)
        with parley(folder, model) as stack, load(stack) as clients:
            clients.connect(1)
            usual = _first_token(clients)
            ours = _kilobytes(stack, clients, STOCK)
            began = stack.resident("web")
            clients.connect(MANY - STOCK - 11)
            later = (stack.resident("web") - began) / 1024 / (MANY - STOCK - 11)
            clients.forget()
            before, since = stack.cpu()["web"], time.monotonic()
            while (state := clients.report())["pinged"] < MANY and time.monotonic() < since + PINGED_WITHIN:
                time.sleep(0.5)
            idle = (stack.cpu()["web"] - before) / (time.monotonic() - since)
            crowded = _first_token(clients)
    yield Figure(f"memory of a connection, first {STOCK}", ours, "KB", ("stock", theirs), 60)
    yield Figure(f"memory of a connection, up to {MANY}", later, "KB", limit=60)
    yield Figure(f"connections lost, of {MANY}", MANY - state["open"], "", limit=0)
    yield Figure("connections not pinged in time", MANY - state["pinged"], "", limit=0)
    yield Figure(f"first token with {MANY} connections", crowded, "ms", ("with 1", usual), 1.5, of_ratio=True)
    yield Figure("CPU of the idle web process", 100 * idle, "%")


def _kilobytes(stack: Stack, clients: Load, count: int) -> float:
    """Of each connection, once the first ten are there."""
    clients.connect(10)
    time.sleep(0.5)
    before = stack.resident("web")
    clients.connect(count)
    time.sleep(0.5)
    return (stack.resident("web") - before) / 1024 / count


def _first_token(clients: Load) -> float:
    """In ms, median."""
    firsts: list[float] = [clients.ask(QUESTION, 1)["firsts"][0] for _ in range(25)]
    return 1000 * statistics.median(firsts)
