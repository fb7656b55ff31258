"""Hundreds or thousands of clients in one process.

It obeys commands on standard input, one JSON object a line, and answers each with one (see `Load` in load.py).
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from bench.protocols import KINDS, Client

CONNECTING_AT_ONCE = 20


class Clients:
    def __init__(self) -> None:
        self._clients: list[Client] = []

    async def connect(self, kind: str, urls: list[str], count: int) -> dict[str, Any]:
        door = asyncio.Semaphore(CONNECTING_AT_ONCE)
        refused = 0

        async def enter(number: int) -> Client:
            nonlocal refused
            async with door:
                while True:
                    client = KINDS[kind](urls[number % len(urls)])
                    try:
                        await client.connect()
                    except ConnectionError:
                        refused += 1
                        if refused > count:
                            raise
                        await asyncio.sleep(1)  # as every client of Socket.IO does
                    else:
                        return client

        self._clients += await asyncio.gather(*map(enter, range(count)))
        return {"refused": refused}

    async def join(self) -> dict[str, Any]:
        """Every client into a room of its own."""
        rooms = [await client.join(f"room-{number}") for number, client in enumerate(self._clients)]  # type: ignore[attr-defined]
        return {"rooms": rooms}

    async def conversations(self) -> dict[str, Any]:
        return {"ids": [client.conversation_id for client in self._clients]}  # type: ignore[attr-defined]

    async def ask(self, text: str, count: int, first: int, over: float, patience: float) -> dict[str, Any]:
        """`count` clients, from number `first` on, ask at moments spread over `over` seconds."""
        clients = self._clients[first : first + count]
        self._forget(clients)

        async def ask(number: int, client: Client) -> float:
            await asyncio.sleep(over * number / count)
            await asyncio.wait_for(client.ask(text), patience)
            return time.perf_counter() - client.asked

        began = time.perf_counter()
        ends = await asyncio.gather(*(ask(*each) for each in enumerate(clients)), return_exceptions=True)
        wrong = [repr(end) for end in ends if isinstance(end, BaseException)]
        return {
            **self._report(clients),
            "seconds": time.perf_counter() - began,
            "finished": len(ends) - len(wrong),
            "wrong": wrong[:3],
            "firsts": [client.first for client in clients],
            "lasts": [end for end in ends if isinstance(end, float)],
        }

    async def forget(self) -> dict[str, Any]:
        self._forget(self._clients)
        return {}

    async def report(self) -> dict[str, Any]:
        return self._report(self._clients)

    def _forget(self, clients: list[Client]) -> None:
        for client in clients:
            client.tokens = client.events = client.pings = client.refused = 0
            client.delays = []

    def _report(self, clients: list[Client]) -> dict[str, Any]:
        delays = sorted(delay for client in clients for delay in client.delays)
        at = [delays[int(len(delays) * part)] / 10 if delays else None for part in (0.5, 0.99)]
        return {
            "open": sum(client.open for client in clients),
            "tokens": sum(client.tokens for client in clients),
            "events": sum(client.events for client in clients),
            "refused": sum(client.refused for client in clients),
            "pinged": sum(client.pings > 0 for client in clients),
            "delay_p50": at[0],
            "delay_p99": at[1],
        }


async def main() -> None:
    clients = Clients()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        method: Callable[..., Awaitable[dict[str, Any]]] = getattr(clients, command.pop("do"))
        try:
            answer = await method(**command)
        except Exception as exc:
            answer = {"error": repr(exc)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
