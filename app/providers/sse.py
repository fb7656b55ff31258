"""A decoder for server-sent events that takes bytes as they come off the wire."""

from typing import NamedTuple

MAX_EVENT_BYTES = 16 * 1024 * 1024


class Event(NamedTuple):
    name: str
    data: bytes


class SSEError(ValueError):
    """What arrives is no event stream."""


class SSEDecoder:
    """Bytes in, whole events out, wherever the bytes were cut (in a line ending, in a UTF-8 sequence).

    Lines may end in LF, CRLF or CR. `id:` and `retry:` are ignored: nothing here reconnects.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._started = False
        self._after_cr = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. Raises SSEError."""
        self._buffer += self._normalise(data)
        if not self._started:
            if len(self._buffer) < 3 and b"\xef\xbb\xbf".startswith(self._buffer):
                return []
            self._started = True
            self._buffer = self._buffer.removeprefix(b"\xef\xbb\xbf")
        *blocks, self._buffer = self._buffer.split(b"\n\n")
        if len(self._buffer) > MAX_EVENT_BYTES:
            raise SSEError("an event is too large")
        return [event for block in blocks if (event := _parse(block)) is not None]

    def end(self) -> Event | None:
        """The last event, if the stream ended without the blank line that should have followed it."""
        block, self._buffer = self._buffer, b""
        return _parse(block)

    def _normalise(self, data: bytes) -> bytes:
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data


def _parse(block: bytes) -> Event | None:
    if block.startswith(b"data: ") and b"\n" not in block:
        return Event("", block[6:])
    name = ""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ").decode("utf-8", "replace")
    return Event(name, b"\n".join(data)) if data else None
