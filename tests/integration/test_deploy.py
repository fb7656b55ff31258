"""What platforms do to the Procfile's processes: addresses, several on a port, Redis by other ways."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import requests
from redis import Redis
from redis.exceptions import RedisError

from tests.support.ports import free_port
from tests.support.processes import Process, clean_environment, eventually, find_program
from tests.support.redis_server import RedisServer
from tests.support.stack import Mode, Stack, Web, Worker
from tests.support.tls import TlsFront


def has_ipv6() -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def test_it_listens_on_every_address(stack: Stack) -> None:
    """Railway's private network is IPv6 only; others have none."""
    for host in ["127.0.0.1", *(["[::1]"] if has_ipv6() else [])]:
        answer = requests.get(f"http://{host}:{stack.webs[0].port}/healthz", timeout=20)
        assert answer.json() == {"status": "ok"}, host


def test_several_processes_share_a_port(mode: Mode, tmp_path: Path) -> None:
    """As Heroku's buildpack asks for it, by the dyno's size."""
    with Stack(tmp_path, mode=mode, environ={"WEB_CONCURRENCY": "2"}) as stack:
        eventually(lambda: stack.webs[0].output().count("Booting worker with pid") == 2, "both are started")
        clients = [stack.client() for _ in range(4)]
        for client in clients:
            client.talk(stack.secret_text())
            stack.assert_saved_as_shown(client, client.received[0]["conversation_id"])


class Elsewhere:
    """The web process and the worker of a stack once more, with another way to its Redis."""

    def __init__(self, stack: Stack, folder: Path, url: str, **more: str) -> None:
        environ = {**stack.environ, "REDIS_URL": url, **more}
        self.web = Web("web-elsewhere", environ, folder)
        self.worker = Worker("worker-elsewhere", environ, folder)
        self._stack = stack

    def __enter__(self) -> "Elsewhere":
        for part in (self.web, self.worker):
            part.start()
        for part in (self.web, self.worker):
            eventually(part.is_up, f"{part.name} is up", 60)
        self._stack.webs.append(self.web)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close_clients()
        self._stack.webs.remove(self.web)
        for part in (self.web, self.worker):
            part.kill()

    def answers(self) -> None:
        client = self._stack.client(web=-1)
        conversation_id = None
        for _ in range(3):
            client.talk(self._stack.secret_text(), conversation_id)
            conversation_id = client.received[0]["conversation_id"]
        assert client.gaps == 0
        stop = client.send(self._stack.secret_text(), conversation_id)
        client.do("stop_turn", conversation_id=conversation_id, turn_id=stop["turn_id"])
        # By way of a queue of its own, what the worker says of its beginning may come after the end: the client asks.
        client.wait_reply(stop["conversation_id"], stop["turn_id"])
        self._stack.assert_saved_as_shown(client, stop["conversation_id"])


@pytest.fixture(scope="module")
def bare(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Redis and a model, and nothing that uses them."""
    with Stack(tmp_path_factory.mktemp("bare"), webs=0, workers=0, mode=mode) as stack:
        yield stack


def test_a_redis_user_with_few_rights(bare: Stack, tmp_path: Path) -> None:
    """Those that docs/deploy.md names."""
    admin = bare.redis.client
    rights = "~* &* +@all -@admin -@dangerous +info"
    admin.execute_command("ACL", "SETUSER", "parley", "on", ">planted-redis-password", *rights.split())
    bare.secrets.add("planted-redis-password")
    url = bare.redis.url.replace("redis://", "redis://parley:planted-redis-password@")
    with Elsewhere(bare, tmp_path, url) as elsewhere:
        elsewhere.answers()
        for part in (elsewhere.web, elsewhere.worker):
            assert "NOPERM" not in part.output()
            assert "planted-redis-password" not in part.output()
    # redis-py would tell its name, and goes on without.
    assert [entry for entry in admin.acl_log() if entry["username"] == "parley" and entry["object"] != "client"] == []


def test_a_redis_for_each_of_its_three_uses(bare: Stack, tmp_path: Path) -> None:
    """What an installation that has outgrown one Redis moves elsewhere first."""
    names = ("ledger", "broker", "queue")
    with ExitStack() as stack:
        ledger, broker, queue = (stack.enter_context(RedisServer(tmp_path / name)) for name in names)
        more = {"CELERY_BROKER_URL": broker.url, "SOCKETIO_MESSAGE_QUEUE": queue.url}
        with Elsewhere(bare, tmp_path, ledger.url, **more) as elsewhere:
            elsewhere.answers()
            assert queue.client.pubsub_channels("flask-socketio/*") != []
            assert ledger.client.pubsub_channels("flask-socketio/*") == []
            assert ledger.client.keys("_kombu*") == []
            assert broker.client.keys("parley:*") == []
            assert queue.client.keys() == []


@pytest.fixture
def sentinel(bare: Stack, tmp_path: Path) -> Iterator[str]:
    """REDIS_URL by way of one."""
    port = free_port()
    config = tmp_path / "sentinel.conf"
    config.write_text(f"port {port}\nbind 127.0.0.1\nsentinel monitor parley 127.0.0.1 {bare.redis.port} 1\n")
    process = Process(
        "sentinel", [find_program("redis-server"), str(config), "--sentinel"], clean_environment(tmp_path), tmp_path
    )
    process.start()
    client: Redis = Redis(port=port)

    def knows_the_master() -> bool:
        with suppress(RedisError):
            return bool(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "parley"))
        return False

    eventually(knows_the_master, "the sentinel answers")
    yield f"redis+sentinel://127.0.0.1:{port}/0/parley"
    client.close()
    process.kill()


def test_a_redis_found_by_a_sentinel(bare: Stack, sentinel: str, tmp_path: Path) -> None:
    with Elsewhere(bare, tmp_path, sentinel) as elsewhere:
        elsewhere.answers()


def test_a_redis_with_a_self_signed_certificate(bare: Stack, tmp_path: Path) -> None:
    """Heroku's: accepted on a dyno, and nowhere else."""
    with TlsFront(bare.redis.port, tmp_path) as front:
        url = f"rediss://127.0.0.1:{front.port}/0"
        with Elsewhere(bare, tmp_path, url, DYNO="web.1") as elsewhere:
            elsewhere.answers()
        wary = Web("web-wary", {**bare.environ, "REDIS_URL": url}, tmp_path)
        wary.start()
        try:
            eventually(wary.is_up, "it is up", 60)
            assert requests.get(f"{wary.url}/readyz", timeout=20).status_code == 503
        finally:
            wary.kill()
