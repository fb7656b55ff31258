"""All of Parley, as it runs in production: Redis, web processes and workers, with a scripted model behind them."""

import json
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import requests

from tests.support.clients import ChatClient, Kind, make_client
from tests.support.host import HERE, Host
from tests.support.http_client import Api, Session
from tests.support.model import API_KEY, Model
from tests.support.ports import free_port
from tests.support.processes import Process, clean_environment, eventually, procfile_command
from tests.support.raw_socket import RawSocket
from tests.support.redis_server import RedisServer

Mode = Literal["gevent", "eventlet"]
SECRET_KEY = "planted-secret-key-0123456789"
# All tests come from one address, and do in a second what people do in an hour.
PLENTY = {
    "RATE_LIMIT": "100000/minute",
    "RATE_LIMIT_IP": "100000/minute",
    "RATE_LIMIT_SESSIONS": "100000/minute",
    "EVENT_RATE": "100000/second",
    "MAX_CONNECTIONS_IP": "10000",
    "MAX_ACTIVE_TURNS": "1000",
}
# Stacks that are up, for the report of a test that fails.
running_stacks: list["Stack"] = []


class Part(Process):
    """A process of the Procfile, there called `entry`."""

    def __init__(self, name: str, entry: str, environ: Mapping[str, str], folder: Path, host: Host) -> None:
        self.host = host
        super().__init__(name, host.command(_shell(entry)), environ, folder)

    def is_up(self) -> bool:
        if not self.running:
            raise AssertionError(f"{self.name} did not start:\n{self.output()}")
        return self._says_so()

    def _says_so(self) -> bool:
        raise NotImplementedError


class Web(Part):
    def __init__(self, name: str, environ: Mapping[str, str], folder: Path, host: Host = HERE) -> None:
        self.port = free_port()
        self.url = f"http://{host.address}:{self.port}"
        super().__init__(name, "web", {**environ, "PORT": str(self.port)}, folder, host)

    def _says_so(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except requests.RequestException:  # gunicorn listens before its worker serves
            return False


class Worker(Part):
    def __init__(self, name: str, environ: Mapping[str, str], folder: Path, host: Host = HERE) -> None:
        super().__init__(name, "worker", environ, folder, host)

    def _says_so(self) -> bool:
        return " ready." in self.output()  # as Celery says it


class Stack:
    """`environ` is added to that of the web processes and the workers; `hosts` tells by its name where a part runs."""

    def __init__(
        self,
        folder: Path,
        *,
        webs: int = 1,
        workers: int = 1,
        mode: Mode = "gevent",
        environ: Mapping[str, str] | None = None,
        hosts: Callable[[str], Host] = lambda _name: HERE,
    ) -> None:
        self.mode = mode
        self.folder = folder
        self.model = Model(hosts("model"))
        self.redis = RedisServer(folder / "redis", host=hosts("redis"))
        self.secrets: set[str] = {API_KEY, SECRET_KEY}
        self._environ = environ or {}
        self._hosts = hosts
        self._counts = (webs, workers)
        self.webs: list[Web] = []
        self.workers: list[Worker] = []
        self._clients: list[ChatClient] = []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def environ(self) -> dict[str, str]:
        return {
            **clean_environment(self.folder),
            "ASYNC_MODE": self.mode,
            "REDIS_URL": self.redis.url,
            "PROVIDERS": self.model.providers,
            "SECRET_KEY": SECRET_KEY,
            **PLENTY,
            # Tests count what the model is asked; those of titles and summaries ask for them.
            "TITLE_MODEL": "off",
            "SUMMARY_MODEL": "off",
            **self._environ,
        }

    def start(self) -> Self:
        running_stacks.append(self)
        try:
            self.model.start()
            self.redis.start()
            webs, workers = self._counts
            names = [f"web-{number}" for number in range(webs)]
            self.webs = [Web(name, self.environ, self.folder, self._hosts(name)) for name in names]
            names = [f"worker-{number}" for number in range(workers)]
            self.workers = [Worker(name, self.environ, self.folder, self._hosts(name)) for name in names]
            self.repair()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        self.close_clients()
        for process in [*self.webs, *self.workers]:
            process.kill()
        self.redis.kill()
        self.model.stop()
        running_stacks.remove(self)

    def repair(self) -> None:
        """Everything that should run runs, and is ready."""
        if not self.redis.running:
            self.redis.start()
        parts: list[Part] = [*self.webs, *self.workers]
        for part in parts:
            part.thaw()
            if not part.running:
                part.start()
        for part in parts:
            eventually(part.is_up, f"{part.name} is up", 60)

    def add_worker(self) -> Worker:
        """One more, until `remove_worker`."""
        worker = Worker(f"worker-{uuid.uuid4().hex[:6]}", self.environ, self.folder)
        self.workers.append(worker)
        worker.start()
        eventually(worker.is_up, f"{worker.name} is up", 60)
        return worker

    def remove_worker(self, worker: Worker) -> None:
        worker.kill()
        self.workers.remove(worker)

    # --- Using it -----------------------------------------------------------------------------------------------------

    def session(self, name: str = "Tester", web: int = 0) -> Session:
        answer = requests.post(f"{self.webs[web].url}/api/sessions", json={"name": name}, timeout=20)
        assert answer.status_code == 201, answer.text
        session = Session(answer.json()["session_id"], answer.json()["token"])
        self.secrets.add(session.token)
        return session

    def client(
        self, session: Session | None = None, *, web: int = 0, kind: Kind = "python", connect: bool = True
    ) -> ChatClient:
        """A connected one, of a new session if none is given. It is closed when the test is over."""
        client = make_client(kind, session or self.session(), self.webs[web].url)
        self._clients.append(client)
        return client.connect() if connect else client

    def close_clients(self) -> None:
        while self._clients:
            self._clients.pop().close()

    def raw(self, session: Session, web: int = 0) -> RawSocket:
        return RawSocket(self.webs[web].url).log_in(session.token)

    def api(self, session: Session | None = None, web: int = 0) -> Api:
        return Api(self.webs[web].url, session.token if session else None)

    def secret_text(self, about: str = "") -> str:
        """A message that no other test sends, and that must appear in no log."""
        text = f"{about} {uuid.uuid4().hex}".strip()
        self.secrets.add(text.rpartition(" ")[2])
        return text

    def logs(self) -> dict[str, str]:
        return {path.name: path.read_text(errors="replace") for path in sorted(self.folder.rglob("*.log"))}

    def log_entries(self) -> list[dict[str, Any]]:
        """What was logged, with LOG_FORMAT=json."""
        lines = (line for log in self.logs().values() for line in log.splitlines())
        return [json.loads(line) for line in lines if line.startswith("{") and '"event"' in line]

    def leaks(self) -> list[str]:
        """Lines of logs that hold what they must not."""
        return [
            f"{name}: {line}"
            for name, log in self.logs().items()
            for line in log.splitlines()
            if any(secret in line for secret in self.secrets)
        ]

    def assert_saved_as_shown(self, client: ChatClient, conversation_id: str) -> list[dict[str, Any]]:
        """What the client has made of its events is what is saved; returns it."""
        saved = self.api(client.session).messages(conversation_id)
        assert client.view(conversation_id).messages == saved
        return saved

    def assert_answered_once(self, client: ChatClient, conversation_id: str, turn_ids: list[str]) -> None:
        """Each of them ended once and has one saved reply, in this order; the client shows that and missed nothing."""
        saved = self.assert_saved_as_shown(client, conversation_id)
        view = client.view(conversation_id)
        assert [message["turn_id"] for message in saved if message["role"] == "assistant"] == turn_ids
        assert [event["turn_id"] for event in view.applied if event["type"] == "turn.finished"] == turn_ids
        assert (view.turns, client.gaps, client.disconnects) == ({}, 0, [])


def _shell(entry: str) -> list[str]:
    # Without `exec` a SIGTERM would end the shell at once, and it would look as if the process itself had.
    return ["sh", "-c", f"exec {procfile_command(entry)}"]
