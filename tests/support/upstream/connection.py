"""The HTTP of the scripted server: as little of it as the tests need, and fast."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from tests.support.upstream.apis import Chat, Responses, Stream, chat_body, responses_body
from tests.support.upstream.request import Request
from tests.support.upstream.script import (
    Drop,
    Event,
    Failure,
    Hold,
    Pause,
    Raw,
    Reasoning,
    Refusal,
    Script,
    Stall,
    Step,
)


class Server(Protocol):
    """What a connection asks of the server."""

    def opened(self, connection: "Connection") -> int: ...
    def closed(self, connection: "Connection") -> None: ...
    def received(
        self, connection: int, peer: str, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[Request, Script]: ...


class Connection(asyncio.Protocol):
    """One connection of a client, which may bring many requests, one after the other."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._number = 0
        self._peer = ""
        self._received = b""
        self._task: asyncio.Task[None] | None = None
        self._transport: Any = None
        self._request: Request | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._peer = transport.get_extra_info("peername")[0]
        self._number = self._server.opened(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._next()

    def eof_received(self) -> None:
        self._gone()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone()
        self._server.closed(self)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _gone(self) -> None:
        request, self._request = self._request, None
        if request is not None:
            request.end(closed_early=True)
        if self._task is not None:
            self._task.cancel()

    def _next(self) -> None:
        """Answer the next request, once it is here whole and the last is answered."""
        if self._task is not None:
            return
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self._received = rest[length:]
        method, path, _ = first.split(" ", 2)
        request, script = self._server.received(self._number, self._peer, method, path, headers, rest[:length])
        self._request = request
        self._task = asyncio.get_running_loop().create_task(self._answer(request, script))

    async def _answer(self, request: Request, script: Script) -> None:
        answer = _Answer(request, script, self._transport)
        keep = await answer.send()
        if self._transport.is_closing():
            self._request = None
            request.end(closed_early=not answer.broke_off)
            return
        self._request = None
        request.end(finished=True)
        self._task = None
        if keep:
            self._next()
        else:
            self._transport.close()


class _Answer:
    """Writes one answer."""

    def __init__(self, request: Request, script: Script, transport: Any) -> None:
        self._request = request
        self._script = script
        self._transport = transport
        self._stream: Stream = Chat() if request.api == "chat" else Responses()
        self.broke_off = False  # as the script wanted
        self._cache: dict[str, bytes] = {}
        self._held = b""

    async def send(self) -> bool:
        """Whether the connection may be kept."""
        script = self._script
        for early in script.before_headers:
            if not await self._act(early):
                return False
        if script.body is not None or not self._request.body.get("stream"):
            whole = chat_body if self._request.api == "chat" else responses_body
            body = script.body if script.body is not None else whole(self._request, script)
            return self._send_body(body if isinstance(body, bytes) else orjson.dumps(body))
        return await self._send_stream()

    def _send_body(self, body: bytes) -> bool:
        headers = {"content-type": "application/json", **self._script.headers, "content-length": str(len(body))}
        self._transport.write(self._head(headers) + body)
        return True

    def _head(self, headers: Mapping[str, str]) -> bytes:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self._script.status} Scripted\r\n{lines}\r\n".encode("latin-1")

    async def _send_stream(self) -> bool:
        script = self._script
        framing = {"transfer-encoding": "chunked"} if script.chunked else {"connection": "close"}
        self._transport.write(self._head({"content-type": "text/event-stream", **framing, **script.headers}))
        for data in self._stream.start(self._request):
            self._write(self._event(data))
        if not await self._send_steps():
            return False
        for data in self._stream.end(self._request, script):
            self._write(self._event(data))
        if script.done and self._request.api == "chat":
            self._write(f"data: [DONE]{script.newline}{script.newline}".encode())
        self._flush()
        if not script.last_chunk:
            await asyncio.Event().wait()
        if script.chunked:
            self._transport.write(b"0\r\n\r\n")
        return script.chunked

    async def _send_steps(self) -> bool:
        script = self._script
        loop = asyncio.get_running_loop()
        start, tokens = loop.time(), 0
        for step in script.steps:
            if isinstance(step, str):
                if script.rate:
                    wait = start + tokens / script.rate - loop.time()
                    if wait > 0:
                        await asyncio.sleep(wait)
                frame = self._cache.get(step)
                if frame is None:
                    frame = self._cache[step] = self._event(self._stream.token(step))
                self._write(frame)
                tokens += 1
                self._request.tokens_sent = tokens
                if not script.rate and tokens % 50 == 0:
                    await asyncio.sleep(0)
            elif not await self._act(step):
                return False
        return True

    async def _act(self, step: Step) -> bool:
        """Do what is not a token. False: the connection is broken off."""
        match step:
            case Hold(gate):
                self._flush()
                await gate.passed()
            case Stall():
                self._flush()
                await asyncio.Event().wait()
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Drop(reset):
                self._flush()
                self.broke_off = True
                if reset:
                    self._transport.abort()
                else:
                    self._transport.close()
                return False
            case Raw(data):
                self._write(data)
            case Event() | Reasoning() | Refusal() | Failure():
                self._write(self._event(self._content(step)))
        return True

    def _content(self, step: Event | Reasoning | Refusal | Failure) -> Mapping[str, Any]:
        match step:
            case Event(data):
                return data
            case Reasoning(text):
                return self._stream.reasoning(text)
            case Refusal(text):
                return self._stream.refusal(text)
            case Failure(message, code):
                return self._stream.failure(message, code)

    def _event(self, data: Mapping[str, Any]) -> bytes:
        newline = self._script.newline
        name = f"event: {data['type']}{newline}" if self._request.api == "responses" and "type" in data else ""
        return f"{name}data: {orjson.dumps(data).decode()}{newline}{newline}".encode()

    def _write(self, data: bytes) -> None:
        if self._script.split:
            self._held += data
            while len(self._held) >= self._script.split:
                self._put(self._held[: self._script.split])
                self._held = self._held[self._script.split :]
        else:
            self._put(data)

    def _flush(self) -> None:
        held, self._held = self._held, b""
        self._put(held)

    def _put(self, data: bytes) -> None:
        if data:
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._script.chunked else data)
