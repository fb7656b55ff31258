"""A user's connection, in the words of each of those that are compared; as cheap as it can be, so that little of the
machine goes to it.
"""

import asyncio
import base64
import json
import os
import re
import time
import uuid
import zlib
from typing import Any
from urllib.parse import urlsplit

from bench.upstream import TOKEN, age, now

PATIENCE = 180.0


class Client(asyncio.Protocol):
    """One connection of one user. `asked` is when it last asked something."""

    def __init__(self, url: str) -> None:
        self.host, self.port = urlsplit(url).hostname or "", urlsplit(url).port or 80
        self.tokens = 0
        self.events = 0
        self.pings = 0
        self.refused = 0
        self.delays: list[int] = []
        self.asked = self.first = 0.0
        self.open = False
        self.finished: asyncio.Future[None] | None = None
        self._received = b""
        self._transport: asyncio.Transport

    async def connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self, self.host, self.port)

    async def ask(self, text: str) -> None:
        """Returns when the reply is over."""
        self.finished = asyncio.get_running_loop().create_future()
        self.asked, self.first = time.perf_counter(), 0.0
        await self.send_question(text)
        await self.finished

    async def send_question(self, text: str) -> None:
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.open = True

    def connection_lost(self, _exc: Exception | None) -> None:
        self.open = False
        if self.finished is not None and not self.finished.done():
            self.finished.set_exception(ConnectionError("the connection ended before the reply"))

    def count(self, data: bytes) -> None:
        stamps = TOKEN.findall(data)
        if not stamps:
            return
        if not self.first:
            self.first = time.perf_counter() - self.asked
        at = now()
        self.tokens += len(stamps)
        self.events += 1
        self.delays += [age(int(stamp), at) for stamp in stamps]

    def finish(self) -> None:
        if self.finished is not None and not self.finished.done():
            self.finished.set_result(None)


class FastAPI(Client):
    async def send_question(self, text: str) -> None:
        body = json.dumps({"text": text}).encode()
        self._tail = b""
        self._transport.write(
            b"POST /chat HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )

    def data_received(self, data: bytes) -> None:
        # What was read may end within a token.
        data = self._tail + data
        cut = data.rfind(b"\n") + 1
        self._tail = data[cut:]
        self.count(data[:cut])
        if b"data: [DONE]\n" in data[:cut]:
            self.finish()


class SocketIO(Client):
    """`acks` are by the number of the packet."""

    path = "/socket.io/"

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._handler = self._on_head
        self._acks: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._inflate: Any = None
        self._ready: asyncio.Future[None]

    async def connect(self) -> None:
        self._ready = asyncio.get_running_loop().create_future()
        await super().connect()
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"GET {self.path}?EIO=4&transport=websocket HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
        head += "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"  # as browsers do
        head += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        self._transport.write(f"{head}Sec-WebSocket-Key: {key}\r\n\r\n".encode())
        await asyncio.wait_for(self._ready, PATIENCE)

    def credentials(self) -> Any:
        return {}

    async def call(self, event: str, data: Any) -> Any:
        self._number += 1
        answer = self._acks[self._number] = asyncio.get_running_loop().create_future()
        self.emit(event, data, str(self._number))
        return await asyncio.wait_for(answer, PATIENCE)

    def emit(self, event: str, data: Any, number: str = "") -> None:
        self.send(f"42{number}{json.dumps([event, data])}".encode())

    def send(self, payload: bytes, opcode: int = 1) -> None:
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        # A mask of zeros leaves the payload as it is.
        self._transport.write(bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._handler()

    def _on_head(self) -> None:
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if found:
            if b" 101 " not in head.split(b"\r\n", 1)[0]:
                self._ready.set_exception(ConnectionError(head.decode()))
                return
            self._received = rest
            self._handler = self._on_frames
            self._on_frames()

    def _on_frames(self) -> None:
        buffer, at = self._received, 0
        while len(buffer) - at >= 2:
            size, start = buffer[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, start = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 10
            if len(buffer) < start + size:
                break
            payload = buffer[start : start + size]
            self._on_frame(buffer[at] & 15, self._inflated(payload) if buffer[at] & 0x40 else payload)
            at = start + size
        self._received = buffer[at:]

    def _inflated(self, payload: bytes) -> bytes:
        if self._inflate is None:
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        inflated: bytes = self._inflate.decompress(payload + b"\x00\x00\xff\xff")
        return inflated

    def _on_frame(self, opcode: int, payload: bytes) -> None:
        if opcode == 9:
            self.send(payload, 10)
        elif payload == b"2":
            self.pings += 1
            self.send(b"3")
        elif payload[:1] == b"0":
            self.send(b"40" + json.dumps(self.credentials()).encode())
        elif payload[:2] == b"40":
            self._ready.set_result(None)
        elif payload[:2] == b"44":
            self._ready.set_exception(ConnectionError(payload.decode()))
        elif payload[:2] == b"43":
            number, _, answer = payload[2:].partition(b"[")
            self._acks.pop(int(number)).set_result(json.loads(answer[:-1]))
        elif payload[:2] == b"42":
            self.on_event(payload)

    def on_event(self, payload: bytes) -> None:
        raise NotImplementedError


class Parley(SocketIO):
    token: str
    conversation_id: str | None = None

    async def connect(self) -> None:
        self.token = await _new_session(self.host, self.port)
        await super().connect()

    def credentials(self) -> Any:
        return {"token": self.token}

    async def send_question(self, text: str) -> None:
        message = {"text": text, "client_id": uuid.uuid4().hex}
        if self.conversation_id is not None:
            message["conversation_id"] = self.conversation_id
        # As the protocol asks of clients: repeated until it is accepted.
        while not (answer := await self.call("send_message", message))["ok"]:
            self.refused += 1
            if "retry_after" not in answer["error"]:
                raise ConnectionError(str(answer))
            await asyncio.sleep(answer["error"]["retry_after"])
        self.conversation_id = answer["conversation_id"]
        self.turn_id = answer["turn_id"]

    async def join(self, _room: str) -> list[str]:
        """Asks without waiting for a reply: [conversation, turn]."""
        await self.send_question("Wait.")
        return [str(self.conversation_id), self.turn_id]

    def on_event(self, payload: bytes) -> None:
        if b'"type":"turn.delta"' in payload:
            self.count(payload)
        elif b'"type":"turn.finished"' in payload:
            self.finish()


class Stock(SocketIO):
    async def send_question(self, text: str) -> None:
        await self.call("send_message", {"text": text})

    async def join(self, room: str) -> list[str]:
        await self.call("join", room)
        return [room]

    def on_event(self, payload: bytes) -> None:
        if payload.startswith(b'42["token"'):
            self.count(payload)
        elif payload.startswith(b'42["done"'):
            self.finish()


class Chainlit(SocketIO):
    path = "/ws/socket.io/"

    async def connect(self) -> None:
        await super().connect()
        self.send(b'42["connection_successful"]')

    def credentials(self) -> Any:
        session = {"sessionId": str(uuid.uuid4()), "clientType": "webapp", "userEnv": "{}"}
        return {**session, "chatProfile": None, "threadId": None}

    async def send_question(self, text: str) -> None:
        message = {"id": str(uuid.uuid4()), "threadId": "", "name": "user", "type": "user_message", "output": text}
        message["createdAt"] = "2026-01-01T00:00:00.000Z"
        self.emit("client_message", {"message": message, "fileReferences": []})

    def on_event(self, payload: bytes) -> None:
        if payload.startswith((b'42["stream_token"', b'42["stream_start"')):
            self.count(payload)
        elif payload.startswith(b'42["task_end"') and self.first:
            self.finish()


async def _new_session(host: str, port: int) -> str:
    body = b'{"name":"bench"}'
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(
        b"POST /api/sessions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    answer = await reader.read()
    writer.close()
    found = re.search(rb'"token": ?"([^"]+)"', answer)
    if found is None:
        raise ConnectionError(answer.decode())
    return found[1].decode()


KINDS: dict[str, type[Client]] = {"parley": Parley, "stock": Stock, "chainlit": Chainlit, "fastapi": FastAPI}
