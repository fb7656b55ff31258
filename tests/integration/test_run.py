"""`make run`'s runner, with a stand-in for the web tier and the worker, and a real Redis and model."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import redis

from tests.support.ports import ClosedPort, free_port
from tests.support.replicated_redis import ReplicatedRedis

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes through /proc")

# Says what it was given; `/readyz` sees a worker once there is a file named `worker`.
WEB = """
import http.server, json, os, pathlib
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = {name: os.environ.get(name) for name in ("REDIS_URL", "PROVIDERS", "SECRET_KEY")}
        said["workers"] = int(pathlib.Path("worker").exists())
        said["version"] = pathlib.Path("app/version.py").read_text()
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
print("noise of the start", flush=True)
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""
# Hands back its work on SIGTERM, through Redis; its own child must not be left behind either.
WORKER = """
import os, pathlib, redis, signal, subprocess, sys
subprocess.Popen(["sleep", "600"])
def hand_back(*args):
    redis.Redis.from_url(os.environ["REDIS_URL"]).incr("handed_back")
    sys.exit()
signal.signal(signal.SIGTERM, hand_back)
pathlib.Path("worker").touch()
while True:
    signal.pause()
"""
PROVIDER = '[{"name": "none", "base_url": "http://127.0.0.1:1/v1", "models": ["none"]}]'


def until(condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


class Run:
    """One start of the runner. What it starts inherits a mark in its environment; Redis writes its title over it."""

    def __init__(self, root: Path, port: int, *arguments: str, **environ: str) -> None:
        self.data = root / ".data" / "redis"
        self.mark = f"PARLEY_TEST_RUN={uuid.uuid4()}"
        self.url = f"http://localhost:{port}"
        name, _, value = self.mark.partition("=")
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scripts.run", "--root", str(root), *arguments],
            cwd=ROOT,
            env={**kept, "PORT": str(port), "PROVIDERS": PROVIDER, name: value, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def ready(self) -> bool:
        assert self.process.poll() is None, self.output
        return any(self.url in line for line in self.lines)

    def wait_until_ready(self) -> None:
        until(self.ready, "the URL is printed", 90)

    def exit_code(self) -> int:
        code = self.process.wait(timeout=30)
        self.reader.join(timeout=30)
        return code

    def page(self) -> dict[str, str]:
        with urlopen(self.url) as answer:
            page: dict[str, str] = json.load(answer)
            return page

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.page()["REDIS_URL"], decode_responses=True)

    def processes(self) -> dict[int, str]:
        """All that live and bear the mark, or work in the folder of Redis' data."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                marked = self.mark.encode() in (folder / "environ").read_bytes().split(b"\0")
                if marked or (folder / "cwd").readlink() == self.data:
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return found

    def running(self, words: str) -> list[int]:
        return [pid for pid, command in self.processes().items() if words in command]

    def one_process(self, words: str) -> int:
        (pid,) = self.running(words)
        return pid

    def wait_until_gone(self) -> None:
        until(lambda: not self.processes(), f"{self.processes()} are gone")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "Procfile").write_text("web: python web.py\nworker: python worker.py\n")
    (tmp_path / "web.py").write_text(WEB)
    (tmp_path / "worker.py").write_text(WORKER)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "version.py").write_text("1")
    return tmp_path


@pytest.fixture
def port() -> int:
    return free_port()


Start = Callable[..., Run]


@pytest.fixture
def start(root: Path, port: int) -> Iterator[Start]:
    runs: list[Run] = []

    def started(*arguments: str, port: int = port, **environ: str) -> Run:
        runs.append(Run(root, port, *arguments, **environ))
        return runs[-1]

    yield started
    for run in runs:
        if run.process.poll() is None:
            run.process.terminate()
            run.process.wait(timeout=30)
    for run in runs:
        run.wait_until_gone()


def test_the_url_is_printed_once_and_only_when_a_worker_is_seen(start: Start, root: Path) -> None:
    (root / "gate").touch()
    (root / "worker.py").write_text(
        "import pathlib, time\nwhile pathlib.Path('gate').exists(): time.sleep(0.02)\n" + WORKER
    )
    run = start()
    until(lambda: run.running("worker.py"), "the worker starts")
    until(lambda: version(run), "the page answers")
    assert run.url not in run.output
    (root / "gate").unlink()
    run.wait_until_ready()
    assert run.output.count(run.url) == 1
    assert "noise of the start" not in run.output


def version(run: Run) -> str | None:
    """What the page was written with; None while it does not answer."""
    try:
        return run.page()["version"]
    except OSError:
        return None


def test_a_taken_port_is_named_before_anything_starts(start: Start, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        run = start()
        assert run.exit_code() == 1
    assert f"Port {port} cannot be used" in run.output
    assert "PORT=" in run.output
    assert "Starting" not in run.output


@pytest.mark.parametrize("providers", [PROVIDER, ""])
def test_bad_settings_are_all_named_before_anything_starts(start: Start, providers: str) -> None:
    run = start(FLUSH_MS="often", ASYNC_MODE="twisted", PROVIDERS=providers)
    assert run.exit_code() == 1
    assert "provider" not in run.output
    assert "FLUSH_MS" in run.output
    assert "ASYNC_MODE" in run.output
    assert "Starting" not in run.output


def test_an_unreachable_redis_is_named_without_its_password(start: Start) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{nobody.getsockname()[1]}"
        run = start(REDIS_URL=f"redis://:secret@{where}/0")
        assert run.exit_code() == 1
    assert f"The Redis at {where} cannot be used" in run.output
    assert "secret" not in run.output


def test_a_redis_is_found_by_any_of_its_sentinels(start: Start, tmp_path_factory: pytest.TempPathFactory) -> None:
    with ReplicatedRedis(tmp_path_factory.mktemp("replicated")) as redis, closing(ClosedPort()) as closed:
        url = redis.url.replace("://", f"://127.0.0.1:{closed.number},")
        unknown = start(REDIS_URL=url.replace("/parley", "/other"))
        assert unknown.exit_code() == 1
        assert "cannot be used: No master found for 'other'" in unknown.output
        start(REDIS_URL=url).wait_until_ready()


@pytest.mark.parametrize("name", ["web", "worker"])
def test_a_child_that_dies_in_the_start_is_named_with_its_last_lines(start: Start, root: Path, name: str) -> None:
    (root / f"{name}.py").write_text("print('a reason to give up', flush=True)\nraise SystemExit(7)\n")
    run = start()
    assert run.exit_code() == 1
    assert f"{name} ended by itself (exit code 7)" in run.output
    assert f"{name:<6} | a reason to give up" in run.output
    assert run.url not in run.output
    run.wait_until_gone()


def test_a_child_that_dies_later_ends_all(start: Start) -> None:
    run = start()
    run.wait_until_ready()
    os.kill(run.one_process("worker.py"), signal.SIGKILL)
    assert run.exit_code() == 1
    assert "worker ended by itself (signal SIGKILL)" in run.output
    run.wait_until_gone()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_of_it_and_redis_last(start: Start, number: signal.Signals) -> None:
    run = start()
    run.wait_until_ready()
    assert run.redis().get("handed_back") is None
    secret_key = run.page()["SECRET_KEY"]
    os.killpg(run.process.pid, number)
    assert run.exit_code() == 0, run.output
    assert run.processes() == {}
    again = start()
    again.wait_until_ready()
    assert again.redis().get("handed_back") == "1", "the worker reached Redis while it stopped, and Redis kept it"
    assert again.page()["SECRET_KEY"] == secret_key


def test_a_second_ctrl_c_hurries(start: Start, root: Path) -> None:
    (root / "worker.py").write_text(WORKER.replace("    sys.exit()\n", "    pathlib.Path('asked').touch()\n"))
    run = start()
    run.wait_until_ready()
    os.killpg(run.process.pid, signal.SIGINT)
    until((root / "asked").exists, "the worker is asked to stop, and does not")
    began = time.monotonic()
    while run.process.poll() is None:
        assert time.monotonic() < began + 15
        os.killpg(run.process.pid, signal.SIGINT)
        time.sleep(0.1)
    assert run.exit_code() == 0
    assert run.processes() == {}


def test_a_killed_runner_leaves_nothing_and_loses_nothing(start: Start) -> None:
    run = start()
    run.wait_until_ready()
    run.redis().set("written", "before the kill")
    before = run.processes()
    for words in ("redis-server", "web.py", "worker.py", "sleep"):
        assert run.running(words), before
    os.killpg(run.process.pid, signal.SIGKILL)
    run.process.wait()
    again = start()  # at once: it waits until the data is free
    again.wait_until_ready()
    assert not before.keys() & run.processes().keys()
    assert again.redis().mget("written", "handed_back") == ["before the kill", "1"]


def test_a_second_run_in_the_same_folder_is_refused(start: Start) -> None:
    run = start()
    run.wait_until_ready()
    second = start(port=free_port())
    assert second.exit_code() == 1
    assert f"process {run.process.pid}" in second.output
    assert run.redis().ping()


def test_env_file_is_read_and_the_real_environment_wins(start: Start, root: Path) -> None:
    (root / ".env").write_text(f"SECRET_KEY={'s' * 20}\nPORT=1\n")
    run = start()
    run.wait_until_ready()
    assert run.page()["SECRET_KEY"] == "s" * 20
    assert not (root / ".data" / "secret_key").exists()


def test_without_a_provider_the_local_model_answers(start: Start) -> None:
    run = start(PROVIDERS="")
    run.wait_until_ready()
    (provider,) = json.loads(run.page()["PROVIDERS"])
    question = {
        "model": provider["models"][0],
        "max_tokens": 8,
        "messages": [{"role": "user", "content": "Say hello."}],
    }
    request = Request(f"{provider['base_url']}/chat/completions", json.dumps(question).encode())
    with urlopen(request, timeout=60) as answer:
        assert json.load(answer)["choices"][0]["message"]["content"]


def test_dev_restarts_what_changed_and_survives_a_broken_edit(start: Start, root: Path) -> None:
    run = start("--dev")
    run.wait_until_ready()
    worker, redis_server = run.one_process("worker.py"), run.one_process("redis-server")
    (root / "app" / "version.py").write_text("2")
    until(lambda: version(run) == "2", "the new version answers")
    until(lambda: [pid for pid in run.running("worker.py") if pid != worker], "the worker is a new one")
    assert run.one_process("redis-server") == redis_server
    (root / "web.py").write_text("this is no Python\n")
    until(lambda: "It starts again with the next change." in run.output, "the broken edit is reported")
    (root / "web.py").write_text(WEB)
    until(lambda: version(run), "the mended page answers")
