"""CPU time of a streamed token, of all processes and Redis, and how long it takes from the model to the client."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from bench.load import load
from bench.report import Figure
from bench.stacks import Stack, Upstream, chainlit, fastapi, install_peers, parley, stock, upstream
from bench.upstream import words_for

TITLE = "A streamed token: 100 conversations of 50 tokens/s each"
CONVERSATIONS = 100
RATE = 50.0
TOKENS = 300
PEERS: dict[str, Callable[[Path, Upstream], AbstractContextManager[Stack]]] = {
    "FastAPI + SSE": fastapi,
    "Chainlit": chainlit,
    "stock": stock,
}


class Cost(NamedTuple):
    """CPU in µs a token; `slowed`: how much longer than the model's own time the replies took."""

    by_tier: dict[str, float]
    clients: dict[str, Any]
    slowed: float

    @property
    def total(self) -> float:
        return sum(self.by_tier.values())


def measure(folder: Path) -> Iterator[Figure]:
    install_peers()
    with upstream(folder) as model:
        ours = _cost(parley, folder, model)
        theirs = {name: _cost(peer, folder, model) for name, peer in PEERS.items()}
    limits = {"FastAPI + SSE": 0.4, "stock": 0.2}
    for name, cost in theirs.items():
        yield Figure("CPU of a token", ours.total, "µs", (name, cost.total), limits.get(name), of_ratio=True)
    for tier, value in ours.by_tier.items():
        there = theirs["stock"].by_tier[tier]
        yield Figure(f"  of that, {tier}", value, "µs", ("stock", there))
    yield Figure("delay from the model, p99", ours.clients["delay_p99"], "ms", limit=100)
    for name, cost in theirs.items():
        yield Figure("  p99", ours.clients["delay_p99"], "ms", (name, cost.clients["delay_p99"]))
    for name, cost in theirs.items():
        yield Figure("replies' time / the model's", ours.slowed, "times", (name, cost.slowed))
    yield Figure("events at the clients, of 100 tokens", 100 * ours.clients["events"] / ours.clients["tokens"], "")


def _cost(start: Callable[[Path, Upstream], AbstractContextManager[Stack]], folder: Path, model: Upstream) -> Cost:
    with start(folder, model) as stack, load(stack) as clients:
        clients.connect(CONVERSATIONS)
        clients.ask(words_for(20, RATE), CONVERSATIONS, over=1)  # what only the first reply pays for
        before = stack.cpu()
        answer = clients.ask(words_for(TOKENS, RATE), CONVERSATIONS, over=1, patience=300)
        after = stack.cpu()
    tokens = CONVERSATIONS * TOKENS
    if answer["tokens"] != tokens:
        raise RuntimeError(f"{stack.kind}: {answer['tokens']} of {tokens} tokens arrived: {answer['wrong']}")
    lasts = answer["lasts"]
    return Cost(
        {tier: (after[tier] - before[tier]) * 1e6 / tokens for tier in after},
        answer,
        sum(lasts) / len(lasts) / ((TOKENS - 1) / RATE),
    )
