"""The scripted server itself."""

import asyncio
import contextlib
import ssl
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Self

import orjson

from tests.support.host import HERE, Host
from tests.support.upstream.connection import Connection
from tests.support.upstream.request import Request
from tests.support.upstream.script import PATIENCE, Script, words


def echo(request: Request) -> Script:
    """“You said: …”, in word tokens."""
    tokens = words(f"You said: {request.last_user_text}")
    given = sum(len(words(str(message["content"]))) for message in request.messages)
    return Script(tokens, usage=(given, len(tokens)))


class Upstream:
    """The server, in a thread of its own. `tls` makes it speak HTTPS."""

    def __init__(
        self,
        port: int = 0,
        *,
        host: Host = HERE,
        models: Sequence[str] = ("test-model",),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.requests: list[Request] = []
        self.respond: Callable[[Request], Script] = echo
        self.models = tuple(models)
        self.keep_requests = True
        self._scripts: deque[Script] = deque()
        self._changed = threading.Condition()
        self._port = port
        self._host = host
        self._tls = tls
        self._connections: set[Connection] = set()
        self._accepted = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self._host.address}:{self._port}/v1"

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._connections)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="upstream", daemon=True)
        self._thread.start()
        if not ready.wait(PATIENCE):
            raise TimeoutError("the upstream did not start")
        return self

    def stop(self) -> None:
        """Break every connection off and stop listening. `start()` begins again on the same port."""
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(loop.stop)
            thread.join(PATIENCE)
        self._loop = self._thread = None

    def script(self, *scripts: Script) -> None:
        """The answers to the next requests."""
        with self._changed:
            self._scripts.extend(scripts)

    def wait_for_request(self, number: int = 1, timeout: float = PATIENCE) -> Request:
        """The request of that number, counted from 1, as soon as it has arrived."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests) >= number, timeout):
                raise TimeoutError(f"{len(self.requests)} of {number} requests arrived")
            return self.requests[number - 1]

    def wait_until(self, condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Until `condition` holds; looked at whenever a request begins or ends, or a connection comes or goes."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise TimeoutError("the condition was not met")

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Connection(self), self._host.address, self._port, ssl=self._tls, backlog=4096
        )
        self._port = server.sockets[0].getsockname()[1]
        ready()
        async with server:
            await asyncio.Event().wait()

    def _run(self, ready: threading.Event) -> None:
        self._host.enter()
        loop = self._loop = asyncio.new_event_loop()
        serving = loop.create_task(self.serve(ready.set))
        loop.run_forever()
        for connection in list(self._connections):
            connection.abort()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(serving, *tasks, return_exceptions=True))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    def opened(self, connection: "Connection") -> int:
        with self._changed:
            self._connections.add(connection)
            self._accepted += 1
            self._changed.notify_all()
            return self._accepted

    def closed(self, connection: "Connection") -> None:
        with self._changed:
            self._connections.discard(connection)
            self._changed.notify_all()

    def received(
        self, connection: int, peer: str, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[Request, Script]:
        data = orjson.loads(body) if body else {}
        request = Request(self._changed, connection, peer, method, path, headers, data)
        if not path.endswith(("/chat/completions", "/responses")):
            return request, self._about_models(path)
        with self._changed:
            if self.keep_requests:
                self.requests.append(request)
            script = self._scripts.popleft() if self._scripts else None
            self._changed.notify_all()
        return request, script or self.respond(request)

    def _about_models(self, path: str) -> Script:
        if path.rstrip("/").endswith("/models"):
            models = [{"id": model, "object": "model", "created": 0, "owned_by": "parley"} for model in self.models]
            return Script(body={"object": "list", "data": models})
        return Script.error(404, f"nothing at {path}")
