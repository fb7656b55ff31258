"""Starts what is compared: Parley by its Procfile, the peers by the commands of their manuals."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from bench.machine import cpu_seconds, resident_bytes
from tests.support.ports import free_port
from tests.support.processes import ROOT, Process, clean_environment, eventually
from tests.support.redis_server import RedisServer
from tests.support.stack import PLENTY, SECRET_KEY, Web, Worker

PEERS = ROOT / "bench" / "peers"
PEERS_VENV = ROOT / ".data" / "bench" / "peers"
# Clients of the bench come from one address, and some ask more often than a person would.
NO_LIMITS = {**PLENTY, "MAX_ACTIVE_TURNS": "100000", "MAX_WAITING_TURNS": "100000"}
# Calls of a model beside the replies. The peers make none, and the scripted model gives no title that is taken.
NO_EXTRAS = {"TITLE_MODEL": "off", "SUMMARY_MODEL": "off"}


class Peer(Process):
    """Starts where the peers are, out of reach of our own gunicorn.conf.py."""

    def start(self, cwd: Path = PEERS) -> None:
        super().start(cwd)


@dataclass
class Stack:
    """`parts`: what is counted, by tier."""

    kind: str
    urls: list[str]
    parts: dict[str, list[Process]]
    environ: dict[str, str] = field(default_factory=dict)
    redis: RedisServer | None = None

    def cpu(self) -> dict[str, float]:
        """Seconds so far."""
        return {tier: sum(cpu_seconds(process.group) for process in parts) for tier, parts in self.parts.items()}

    def resident(self, tier: str) -> int:
        return sum(resident_bytes(process.group) for process in self.parts[tier])


@dataclass
class Upstream:
    base_url: str


@contextmanager
def upstream(folder: Path) -> Iterator[Upstream]:
    port = free_port()
    process = Process(
        "upstream", [sys.executable, "-m", "bench.upstream", str(port)], clean_environment(folder), folder
    )
    with _running(process):
        eventually(lambda: "ready" in process.output(), "the scripted model listens")
        yield Upstream(f"http://127.0.0.1:{port}/v1")


@contextmanager
def parley(
    folder: Path, model: Upstream, *, webs: int = 1, workers: int = 1, environ: Mapping[str, str] | None = None
) -> Iterator[Stack]:
    with RedisServer(Path(tempfile.mkdtemp(dir=folder))) as redis:
        settings = {
            **clean_environment(folder),
            **NO_LIMITS,
            "SECRET_KEY": SECRET_KEY,
            "REDIS_URL": redis.url,
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API": "chat",
            "LOG_LEVEL": "warning",
            **NO_EXTRAS,
            **(environ or {}),
        }
        web = [Web(f"web-{number}", settings, folder) for number in range(webs)]
        # At `warning` Celery does not say that it is ready; the web tier sees it.
        worker = [Worker(f"worker-{number}", settings, folder) for number in range(workers)]
        parts: dict[str, list[Process]] = {"web": [*web], "worker": [*worker], "redis": [redis.process]}
        with _running(*web, *worker):
            for one in web:
                eventually(one.is_up, f"{one.name} is up", 60)
            if workers:
                eventually(lambda: _workers(web[0].url) >= workers, "the workers are up", 60)
            yield Stack("parley", [one.url for one in web], parts, settings, redis)


@contextmanager
def fastapi(folder: Path, model: Upstream) -> Iterator[Stack]:
    port = free_port()
    command = ["uvicorn", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", "fastapi_sse:app"]
    process = _peer("fastapi", command, folder, model)
    url = f"http://127.0.0.1:{port}"
    with _running(process):
        eventually(lambda: _says(f"{url}/openapi.json", "openapi"), "FastAPI is up", 60)
        yield Stack("fastapi", [url], {"web": [process]})


@contextmanager
def chainlit(folder: Path, model: Upstream) -> Iterator[Stack]:
    port = free_port()
    command = ["chainlit", "run", str(PEERS / "chainlit_app.py"), "--headless", "--host", "127.0.0.1"]
    process = _peer("chainlit", [*command, "--port", str(port)], folder, model, CHAINLIT_APP_ROOT=str(folder))
    url = f"http://127.0.0.1:{port}"
    with _running(process):
        eventually(lambda: _says(f"{url}/", "<html"), "Chainlit is up", 60)
        yield Stack("chainlit", [url], {"web": [process]})


@contextmanager
def stock(folder: Path, model: Upstream, *, webs: int = 1, workers: int = 1) -> Iterator[Stack]:
    with RedisServer(Path(tempfile.mkdtemp(dir=folder))) as redis:
        ports = [free_port() for _ in range(webs)]
        gunicorn = ["gunicorn", "--worker-class", "gevent", "--worker-connections", "10000"]
        gunicorn += ["--log-level", "warning", "--no-control-socket"]
        web = [
            _peer(
                f"stock-web-{number}",
                [*gunicorn, "--bind", f"127.0.0.1:{port}", "stock_web:app"],
                folder,
                model,
                REDIS_URL=redis.url,
            )
            for number, port in enumerate(ports)
        ]
        command = ["celery", "--app", "stock_worker", "worker", "--pool", "gevent", "--concurrency", "200"]
        worker = [
            _peer(f"stock-worker-{number}", [*command, "--loglevel", "info"], folder, model, REDIS_URL=redis.url)
            for number in range(workers)
        ]
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        with _running(*web, *worker):
            for url in urls:
                eventually(lambda url=url: _says(f"{url}/nothing", "Not Found"), "the stock web tier is up", 60)  # type: ignore[misc]
            for one in worker:
                eventually(lambda one=one: " ready." in one.output(), "the stock worker is up", 60)  # type: ignore[misc]
            yield Stack("stock", urls, {"web": web, "worker": worker, "redis": [redis.process]}, {}, redis)


def install_peers() -> None:
    """Into an environment of their own, once for each version of requirements.txt."""
    wanted = (PEERS / "requirements.txt").read_text()
    stamp = PEERS_VENV / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("Installing the peers (a minute or two, only this time) ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(PEERS_VENV)], check=True)
    pip = [str(PEERS_VENV / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--requirement", str(PEERS / "requirements.txt")], check=True, stderr=subprocess.DEVNULL)
    stamp.write_text(wanted)


def _peer(name: str, command: list[str], folder: Path, model: Upstream, **environ: str) -> Process:
    settings = {
        **clean_environment(folder),
        "OPENAI_API_KEY": "none",
        "OPENAI_BASE_URL": model.base_url,
        **environ,
    }
    settings["PATH"] = f"{PEERS_VENV / 'bin'}{os.pathsep}{settings['PATH']}"
    program = str(PEERS_VENV / "bin" / command[0])
    return Peer(name, [program, *command[1:]], settings, folder)


@contextmanager
def _running(*processes: Process) -> Iterator[None]:
    try:
        for process in processes:
            process.start()
        yield
    finally:
        for process in processes:
            process.kill()


def _says(url: str, words: str) -> bool:
    try:
        return words in requests.get(url, timeout=5).text
    except requests.RequestException:
        return False


def _workers(url: str) -> int:
    """That the web tier has seen."""
    try:
        seen: int = requests.get(f"{url}/readyz", timeout=5).json().get("workers", 0)
    except requests.RequestException:
        return 0
    return seen
