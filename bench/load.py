"""The clients: a process of their own, which is not counted."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.stacks import Stack
from tests.support.processes import ROOT


class Load:
    def __init__(self, process: "subprocess.Popen[str]", stack: Stack) -> None:
        self._process = process
        self._stack = stack

    def connect(self, count: int) -> None:
        """More clients, over all web processes in turn."""
        answer = self._do("connect", kind=self._stack.kind, urls=self._stack.urls, count=count)
        if answer["refused"]:
            print(f"connecting {count} clients, {answer['refused']} attempts were refused", flush=True)

    def conversations(self) -> list[str]:
        """Where each client has asked last."""
        ids: list[str] = self._do("conversations")["ids"]
        return ids

    def ask(
        self, text: str, count: int, *, first: int = 0, over: float = 0.0, patience: float = 120.0
    ) -> dict[str, Any]:
        """`count` clients, from number `first` on, ask at moments spread over `over` seconds; returns when all replies
        are there.

        The answer: `tokens`, `events`, `delay_p50` and `delay_p99` (ms from the model to the client), `firsts` (seconds
        to the first token), `lasts` (to the end), `finished`, `seconds`, `refused` (how often the server had to be
        asked again).
        """
        answer = self._do("ask", text=text, count=count, first=first, over=over, patience=patience)
        if answer["wrong"]:
            print(f"{count - answer['finished']} of {count} replies went wrong, such as: {answer['wrong']}", flush=True)
        return answer

    def join(self) -> list[list[str]]:
        """Every client into a room of its own: what is needed to write to each."""
        rooms: list[list[str]] = self._do("join")["rooms"]
        return rooms

    def forget(self) -> None:
        """What was counted until now."""
        self._do("forget")

    def report(self) -> dict[str, Any]:
        """As `ask`, of all clients since `forget`; and how many are `open`, and were `pinged`."""
        return self._do("report")

    def _do(self, command: str, **arguments: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"do": command, **arguments}), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(f"the clients could not {command}: {answer['error']}")
        return answer


@contextmanager
def load(stack: Stack) -> Iterator[Load]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.client"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Load(process, stack)
    finally:
        process.kill()
        process.wait()
