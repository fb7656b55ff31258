"""What a streamed token costs, and how long the first one takes, against a direct call of the SDK.

`python -m bench.stream` starts Redis (AOF everysec), a scripted upstream, one web process and one worker, by the
Procfile's own commands, and lets N clients ask at once. Counted: the CPU time of web, worker and Redis, not that of the
upstream and the clients. A token here is one event of the upstream's stream.
"""

import argparse
import asyncio
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import openai
import orjson
import requests
import websockets

from scripts.processes import free_port

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, nargs="*", default=[1, 50])
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--rate", type=float, default=50, help="tokens a second and conversation")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = Bench(stack, folder, options.tokens, options.rate)
        print("conversations  µs/token   web  worker  redis   first token   direct")
        for count in options.conversations:
            cpu, first = bench.measure(count)
            total = sum(cpu.values())
            print(
                f"{count:>13} {total:>9.0f} {cpu['web']:>5.0f} {cpu['worker']:>7.0f} {cpu['redis']:>6.0f} "
                f"{first * 1000:>9.1f} ms {bench.direct() * 1000:>4.1f} ms"
            )


class Bench:
    def __init__(self, stack: ExitStack, folder: Path, tokens: int, rate: float) -> None:
        self.tokens = tokens
        redis, upstream, web = free_port(), free_port(), free_port()
        self.web = f"127.0.0.1:{web}"
        self.upstream = f"http://127.0.0.1:{upstream}/v1"
        environ = {
            "PATH": f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}",
            "SECRET_KEY": secrets.token_hex(),
            "REDIS_URL": f"redis://127.0.0.1:{redis}/0",
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": self.upstream,
            "OPENAI_API": "chat",
            "PORT": str(web),
            "LOG_LEVEL": "warning",
        }
        redis_command = f"redis-server --port {redis} --dir {folder} --appendonly yes --appendfsync everysec --save ''"
        script = f"{sys.executable} -m tests.support.upstream --port {upstream} --tokens {tokens} --rate {rate}"
        procfile = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
        self.groups = {
            name: stack.enter_context(_process(command, environ, folder / f"{name}.log"))
            for name, command in (
                ("redis", redis_command),
                ("upstream", script),
                ("web", procfile["web"]),
                ("worker", procfile["worker"]),
            )
        }
        deadline = time.monotonic() + 60
        while not self._ready():
            if time.monotonic() > deadline:
                sys.exit("".join(path.read_text() for path in folder.glob("*.log")))
            time.sleep(0.1)
        session = requests.post(f"http://{self.web}/api/sessions", json={"name": "bench"}, timeout=10)
        self.token = session.json()["token"]
        asyncio.run(self._ask(1))  # what only the first reply pays for

    def _ready(self) -> bool:
        try:
            return bool(requests.get(f"http://{self.web}/readyz", timeout=5).json().get("workers"))
        except requests.RequestException:
            return False

    def measure(self, count: int) -> tuple[dict[str, float], float]:
        """(µs of CPU for each token by tier, median seconds to the first token) with `count` conversations at once."""
        before = {name: _cpu_seconds(group) for name, group in self.groups.items()}
        firsts = asyncio.run(self._ask(count))
        spent = {name: _cpu_seconds(group) - before[name] for name, group in self.groups.items()}
        tokens = count * self.tokens
        return {name: seconds * 1e6 / tokens for name, seconds in spent.items()}, statistics.median(firsts)

    async def _ask(self, count: int) -> list[float]:
        start = asyncio.Barrier(count)
        return await asyncio.gather(*(self._client(start) for _ in range(count)))

    async def _client(self, start: asyncio.Barrier) -> float:
        """Seconds from sending a message to its first token; returns when the reply is over."""
        url = f"ws://{self.web}/socket.io/?EIO=4&transport=websocket"
        async with websockets.connect(url, compression=None, max_size=None) as socket:
            await socket.recv()
            await socket.send("40" + orjson.dumps({"token": self.token}).decode())
            await socket.recv()
            await start.wait()
            message = {"text": "Count, please.", "client_id": secrets.token_hex(8)}
            began, first = time.perf_counter(), 0.0
            await socket.send("421" + orjson.dumps(["send_message", message]).decode())
            mine = ""
            async for frame in socket:
                text = str(frame)
                if text == "2":
                    await socket.send("3")
                elif text.startswith("431"):
                    mine = orjson.loads(text[3:])[0]["conversation_id"]
                elif not first and '"type":"turn.delta"' in text:
                    first = time.perf_counter() - began
                elif '"type":"turn.finished"' in text and mine in text:
                    return first
        raise RuntimeError("the connection ended before the reply")

    def direct(self) -> float:
        """Seconds to the first token of a call of the SDK itself; the median of some."""
        client = openai.OpenAI(api_key="none", base_url=self.upstream)
        firsts = []
        for _ in range(5):
            began = time.perf_counter()
            with client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "Count, please."}], stream=True
            ) as chunks:
                for chunk in chunks:
                    if chunk.choices and chunk.choices[0].delta.content:
                        firsts.append(time.perf_counter() - began)
                        break
        return statistics.median(firsts)


@contextmanager
def _process(command: str, environ: dict[str, str], log: Path) -> Iterator[int]:
    """Yields the process group."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["sh", "-c", command], cwd=ROOT, env=environ, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield process.pid
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def _cpu_seconds(group: int) -> float:
    """CPU time of all processes of a group."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


if __name__ == "__main__":
    main()
