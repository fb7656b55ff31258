"""Time to the first token on an idle machine, next to a direct call of the SDK."""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from openai import OpenAI

from bench.load import load
from bench.report import Figure
from bench.stacks import parley, upstream
from bench.upstream import words_for

TITLE = "The first token, idle"
TURNS = 40
QUESTION = words_for(5, 50)


def measure(folder: Path) -> Iterator[Figure]:
    with upstream(folder) as model, parley(folder, model) as stack, load(stack) as clients:
        sdk = OpenAI(api_key="none", base_url=model.base_url)
        clients.connect(1)
        ours, direct = [], []
        for turn in range(TURNS + 3):
            first = clients.ask(QUESTION, 1)["firsts"][0]
            called = _first_token(sdk)
            if turn >= 3:
                ours.append(first * 1000)
                direct.append(called * 1000)
    with_us, without = statistics.median(ours), statistics.median(direct)
    yield Figure("to the first token, median", with_us, "ms", ("SDK", without))
    yield Figure("more than the SDK", with_us - without, "ms", limit=15)
    yield Figure("slowest of 40", max(ours), "ms", ("SDK", max(direct)))


def _first_token(sdk: OpenAI) -> float:
    began, first = time.perf_counter(), 0.0
    for chunk in sdk.chat.completions.create(
        model="bench", messages=[{"role": "user", "content": QUESTION}], stream=True
    ):
        if not first and chunk.choices and chunk.choices[0].delta.content:
            first = time.perf_counter() - began
    return first
