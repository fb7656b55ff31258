"""deploy/nginx.conf in front of two web processes: a client meets another one with every connection."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.clients import make_client
from tests.support.http_client import Api
from tests.support.ports import free_port
from tests.support.processes import ROOT, Process, clean_environment, eventually, find_program
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Script

HTTP = """
user root;
worker_processes 1;
daemon off;
error_log stderr warn;
pid {folder}/nginx.pid;
events {{}}
http {{
    log_format upstream '$request $status $upstream_addr';
    access_log {folder}/access.log upstream;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream parley {{ {servers} }}
    include {folder}/parley.conf;
}}
"""


class Nginx(Process):
    def __init__(self, stack: Stack, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._access = folder / "access.log"
        shipped = (ROOT / "deploy" / "nginx.conf").read_text()
        # As its comment says for a list of servers instead of compose's DNS.
        config, count = re.subn(r"    resolver .*\n    set \$web web:8000;", "    set $web parley;", shipped)
        assert count == 1
        listen = f"    listen 127.0.0.1:{self.port};"
        (folder / "parley.conf").write_text(re.sub(r"    listen 80;\n    listen \[::\]:80;", listen, config))
        servers = " ".join(f"server 127.0.0.1:{web.port};" for web in stack.webs)
        (folder / "nginx.conf").write_text(HTTP.format(folder=folder, servers=servers))
        command = [find_program("nginx"), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
        super().__init__("nginx", command, clean_environment(folder), folder)

    def answers(self) -> bool:
        assert self.running, self.output()
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def served_by(self, path: str) -> list[str]:
        """The web process's address for each request that began with this path, and is over."""
        lines = (line.split() for line in self._access.read_text().splitlines())
        return [line[-1] for line in lines if line[1].startswith(path)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("nginx"), webs=2, environ={"TRUSTED_PROXIES": "1"}) as stack:
        yield stack


@pytest.fixture(scope="module")
def nginx(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    nginx = Nginx(stack, tmp_path_factory.mktemp("proxy"))
    nginx.start()
    eventually(nginx.answers, "nginx passes requests on")
    yield nginx
    nginx.kill()


def test_nobody_sticks_to_a_process(stack: Stack, nginx: Nginx) -> None:
    session = stack.session()
    question, gate = stack.secret_text("Go on"), Gate()
    stack.model.answer(question, Script(["One", Hold(gate), " two"]))
    clients = [make_client("python", session, nginx.url).connect() for _ in range(4)]
    try:
        answer = clients[0].send(question)
        conversation_id, turn_id = answer["conversation_id"], answer["turn_id"]
        for client in clients[1:]:
            client.open(conversation_id)
        for client in clients:
            client.wait_text(conversation_id, turn_id, "One")
        clients[0].disconnect()
        clients[0].connect()  # to another process than before
        clients[0].open(conversation_id)
        gate.open()
        for client in clients:
            client.wait_finished(turn_id)
            stack.assert_saved_as_shown(client, conversation_id)
            assert client.gaps == 0
    finally:
        for client in clients:
            client.close()
    eventually(lambda: len(nginx.served_by("/socket.io")) == 5, "nginx has seen all of them off")
    assert {f"127.0.0.1:{web.port}" for web in stack.webs} == set(nginx.served_by("/socket.io"))


def test_what_nginx_says_of_clients_is_believed(stack: Stack, nginx: Nginx) -> None:
    """Their own address counts, and it is the browser's address that a page's origin is held against."""
    api = Api(nginx.url)
    made = api("POST", "/api/sessions", json={"name": "Page"}, headers={"Origin": nginx.url})
    assert made.status_code == 201
    foreign = api("POST", "/api/sessions", json={"name": "Page"}, headers={"Origin": stack.webs[0].url})
    assert foreign.status_code == 403
    assert re.fullmatch(r"[0-9a-f]{32}", made.headers["X-Request-ID"]), (
        "nginx's, so that its log and ours can be joined"
    )
    assert api("GET", "/metrics").status_code == 403


def test_a_process_that_is_gone_is_not_missed(stack: Stack, nginx: Nginx) -> None:
    client = make_client("python", stack.session(), nginx.url).connect()
    try:
        stack.webs[0].kill()
        for _ in range(4):
            assert Api(nginx.url)("GET", "/readyz").status_code == 200
        eventually(lambda: not client.disconnects or client.connect(), "it is connected, now if not still")
        client.talk(stack.secret_text())
    finally:
        client.close()
        stack.repair()
