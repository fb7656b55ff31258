"""HTTP clients that are gone, or might as well be, and have not said so."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.event_stream import EventReader
from tests.support.http_client import Api, Session
from tests.support.processes import eventually
from tests.support.stack import Mode, Stack

AT = "2026-01-31T12:00:00.000Z"
# More than the buffers of both sides hold.
MUCH = "x" * 10_000_000
# Those of gunicorn.conf.py and app/web/eventlet_worker.py, and then some.
STALLED, SILENT = 60, 100

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this kernel waits for ever"),
]


@pytest.fixture(scope="module")
def stack(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("vanished"), workers=0, mode=mode) as stack:
        yield stack


def imported(api: Api, reply: str) -> str:
    export = {
        "format": "parley.conversation",
        "version": 1,
        "conversation": {"created_at": AT},
        "messages": [
            {"id": "a", "parent_id": None, "role": "user", "text": "x", "created_at": AT},
            {"id": "b", "parent_id": "a", "role": "assistant", "text": reply, "created_at": AT},
        ],
        "head": "b",
    }
    answer = api("POST", "/api/conversations/import", json=export)
    assert answer.status_code == 201
    return str(answer.json()["id"])


class Connection:
    """One that reads nothing unless told so."""

    def __init__(self, stack: Stack, session: Session, path: str | None) -> None:
        address = urlsplit(stack.webs[0].url)
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self._socket.connect((address.hostname, address.port))
        # As the kernel's tables have them.
        self._ends = f":{address.port:04X}", f":{self._socket.getsockname()[1]:04X}"
        if path is not None:
            head = f"GET {path} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {session.token}\r\n\r\n"
            self._socket.sendall(head.encode())

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def read_answer(self) -> None:
        assert self._socket.recv(4_096).startswith(b"HTTP/1.1 200 ")

    def is_over(self) -> bool:
        """Whether it is, for the server. Who reads nothing is not told."""
        rows = [line.split() for table in ("tcp", "tcp6") for line in Path("/proc/net", table).read_text().splitlines()]
        established = [(local[-5:], remote[-5:]) for _, local, remote, state, *_ in rows if state == "01"]
        return self._ends not in established


def connections(stack: Stack) -> float:
    (line,) = (
        line
        for line in requests.get(f"{stack.webs[0].url}/metrics", timeout=20).text.splitlines()
        if line.startswith("parley_connections ")
    )
    return float(line.split()[1])


def test_they_are_cut_off(stack: Stack) -> None:
    session = stack.session()
    api = stack.api(session)
    large = imported(api, MUCH)
    small = imported(api, "x")
    client = stack.client(session)
    with ExitStack() as opened:
        follower = opened.enter_context(EventReader(api, f"/api/conversations/{small}/events"))
        assert follower.next().name == "snapshot"
        silent = [opened.enter_context(Connection(stack, session, path)) for path in (None, "/healthz")]
        silent[1].read_answer()
        stalled = [
            opened.enter_context(Connection(stack, session, f"/api/conversations/{large}/{what}"))
            for what in ("events", "export")
        ]
        eventually(lambda: connections(stack) == 3, "three are followed")
        assert not any(one.is_over() for one in stalled)
        eventually(lambda: all(one.is_over() for one in stalled), "who reads nothing is cut off", STALLED)
        eventually(lambda: connections(stack) == 2, "and is forgotten")
        eventually(lambda: all(one.is_over() for one in silent), "who asks for nothing is hung up on", SILENT)
        # Who reads what there is stays.
        api("PATCH", f"/api/conversations/{small}", json={"title": "News"})
        assert follower.next().data["conversation"]["title"] == "News"
    assert client.do("list_conversations")["ok"]
    assert client.disconnects == []
    assert "Traceback" not in stack.webs[0].output()
