"""One worker process with a thousand slow replies at once."""

from collections.abc import Iterator
from pathlib import Path

from bench.load import load
from bench.report import Figure
from bench.stacks import parley, upstream
from bench.upstream import words_for

TITLE = "One worker, 1000 replies at once, 2 tokens/s each"
REPLIES = 1000
TOKENS = 60
ASKED_WITHIN = 20.0
RATE = 2.0


def measure(folder: Path) -> Iterator[Figure]:
    many = {"WORKER_CONCURRENCY": str(REPLIES + 100)}
    with upstream(folder) as model, parley(folder, model, environ=many) as stack, load(stack) as clients:
        clients.connect(REPLIES)
        before = stack.cpu()
        answer = clients.ask(words_for(TOKENS, RATE), REPLIES, over=ASKED_WITHIN)
        after = stack.cpu()
    lasts = sorted(answer["lasts"])
    yield Figure("replies that did not complete", REPLIES - answer["finished"], "", limit=0)
    yield Figure("tokens that did not arrive", REPLIES * TOKENS - answer["tokens"], "", limit=0)
    yield Figure("messages that were refused at first", answer["refused"], "")
    yield Figure(
        "slowest reply / the model's time", lasts[-1] / ((TOKENS - 1) / RATE) if lasts else 0, "times", limit=1.1
    )
    yield Figure("delay from the model, p50", answer["delay_p50"], "ms")
    yield Figure("delay from the model, p99", answer["delay_p99"], "ms")
    for tier in after:
        spent = 1e6 * (after[tier] - before[tier]) / (REPLIES * TOKENS)
        yield Figure(f"CPU of a token, {tier}", spent, "µs")
