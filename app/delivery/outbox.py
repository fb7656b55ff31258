"""What is on its way to one client."""

import socket
import threading
from collections import deque
from contextlib import suppress
from typing import Any

from engineio.packet import Packet
from websockets.frames import Frame, Opcode

from app.logs import get_logger

# Bytes that may wait for a slow reader behind the frame that it is at, which may be a long conversation's snapshot. One
# that lets more come is cut off; it connects again and asks for the rest.
MOST_WAITING = 1_000_000
CLOSE = Frame(Opcode.CLOSE, b"").serialize(mask=False)


class Outbox:
    """Engine.IO's queue of one client, without the thread that usually empties it: whoever has something to send writes
    it, as long as the connection takes it at once. What it does not take waits, in order, for a thread that ends with
    the last of it.

    Relies on green threads: nothing else runs between two steps that do not block.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._waiting: deque[bytes] = deque()
        self._size = 0  # of what waits
        self._writing = False  # by a thread: nobody else may
        self._ended = False

    # --- What Engine.IO calls -----------------------------------------------------------------------------------------

    def put(self, packet: Packet | None) -> None:
        """None: nothing follows."""
        if packet is None:
            self.end()
        else:
            self.write(_frame_of(packet))

    def join(self) -> None:
        """Nothing has to be waited for."""

    # --- What our WebSocket calls -------------------------------------------------------------------------------------

    def open(self, connection: socket.socket) -> None:
        """What was put until now goes out first."""
        self._socket = connection
        waiting, self._waiting, self._size = self._waiting, deque(), 0
        for data in waiting:
            self.write(data)
        if self._ended:
            self._shut_down()

    def write(self, data: bytes) -> None:
        """Whole frames. Never blocks, and never fails: a broken connection is for its reader to notice."""
        if self._ended:
            return
        if self._socket is not None and not self._waiting:
            sent = self._write_now(data)
            if sent == len(data):
                return
            data = data[sent:]
        elif self._waiting and self._size - len(self._waiting[0]) > MOST_WAITING:
            get_logger(__name__).info("a client that does not read is cut off")
            self.cut()
            return
        self._waiting.append(data)
        self._size += len(data)
        if self._socket is not None and not self._writing:
            self._writing = True
            threading.Thread(target=self._write_waiting, args=(self._socket,), daemon=True).start()

    def end(self) -> None:
        """Closes the connection once everything is written."""
        if not self._ended:
            self.write(CLOSE)
            self._ended = True
            if not self._waiting:
                self._shut_down()

    def cut(self) -> None:
        """Ends the connection here and now, and with it a reader that is blocked on it."""
        self._ended = True
        self._waiting.clear()
        self._size = 0
        self._shut_down()

    # --- How ----------------------------------------------------------------------------------------------------------

    def _write_now(self, data: bytes) -> int:
        """How much of it the connection took."""
        assert self._socket is not None  # noqa: S101
        try:
            return self._socket.sendmsg((data,), (), socket.MSG_DONTWAIT)
        except (BlockingIOError, NotImplementedError):  # the latter over TLS
            return 0
        except OSError:
            self.cut()
            return len(data)

    def _write_waiting(self, connection: socket.socket) -> None:
        try:
            while self._waiting:
                data = self._waiting[0]
                connection.sendall(data)
                if self._waiting:  # it was not cut off meanwhile
                    self._waiting.popleft()
                    self._size -= len(data)
        except OSError:
            self.cut()
        self._writing = False
        if self._ended:
            self._shut_down()

    def _shut_down(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # it is closed, which is all that is wanted
                self._socket.shutdown(socket.SHUT_RDWR)


def _frame_of(packet: Any) -> bytes:
    """Made once for all the clients that a packet is for."""
    frame: bytes | None = getattr(packet, "frame", None)
    if frame is None:
        content = packet.encode()
        made = Frame(Opcode.TEXT, content.encode()) if isinstance(content, str) else Frame(Opcode.BINARY, content)
        frame = packet.frame = made.serialize(mask=False)
    return frame
