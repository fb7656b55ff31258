"""Makes one HTTP chunk of all the chunks that arrived together.

Model servers send every token as an HTTP chunk of its own, and httpcore parses each of them in Python (about 60 µs).
Re-framing what one read brought costs 1 µs a chunk, and the parser above then works once for each read.
"""

import re

_HEAD_END = b"\r\n\r\n"
_MAX_HEAD = 128 * 1024
_MAX_SIZE_LINE = 1024
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[^\r\n]*)?[ \t]*\r\n")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*\bchunked[ \t]*\r\n", re.IGNORECASE)


class ChunkMerger:
    """Follows the bytes of one HTTP/1.1 response. Whatever it does not understand passes unchanged, for the real
    parser to judge."""

    def __init__(self) -> None:
        self._step = self._head
        self._held = b""  # of the head: what was passed on already; of the body: an unfinished size line
        self._left = 0  # bytes of the current chunk that are still to come
        self._closing = False  # the line ending after a chunk's data is still to come

    def feed(self, data: bytes) -> bytes:
        """What to pass on for `data`: maybe nothing yet."""
        return self._step(data)

    def _plain(self, data: bytes) -> bytes:
        return data

    def _give_up(self, rest: bytes) -> bytes:
        self._step = self._plain
        self._held = b""
        return rest

    def _head(self, data: bytes) -> bytes:
        seen = self._held + data
        end = seen.find(_HEAD_END)
        if end < 0:
            if len(seen) > _MAX_HEAD:
                return self._give_up(data)
            self._held = seen
            return data
        end += len(_HEAD_END)
        head, rest = seen[:end], seen[end:]
        passed = data[: len(data) - len(rest)]
        self._held = b""
        if head.startswith(b"HTTP/1.1 1"):  # 100 Continue and its like: the response itself follows
            return passed + self._head(rest)
        self._step = self._body if head.startswith(b"HTTP/1.1 ") and _CHUNKED.search(head) else self._plain
        return passed + (self._step(rest) if rest else b"")

    def _body(self, data: bytes) -> bytes:
        if self._held:
            data = self._held + data
            self._held = b""
        if not self._left and not self._closing:
            line = _SIZE_LINE.match(data)
            if line and line.end() + int(line[1], 16) + 2 == len(data) and data.endswith(b"\r\n"):
                return data  # one whole chunk: nothing to merge
        parts: list[bytes] = []
        rest = self._split(data, parts)
        body = b"".join(parts)
        return (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + rest

    def _split(self, data: bytes, parts: list[bytes]) -> bytes:
        """Put the chunks' contents into `parts`; return what is to be passed on unchanged after them."""
        at, end = 0, len(data)
        while at < end:
            if self._left:
                part = data[at : at + self._left]
                parts.append(part)
                at += len(part)
                self._left -= len(part)
                self._closing = not self._left
            elif self._closing:
                if data[at : at + 2] == b"\r\n":
                    at += 2
                    self._closing = False
                else:
                    return self._keep(data[at:]) if data[at:] == b"\r" else self._give_up(data[at:])
            else:
                line = _SIZE_LINE.match(data, at)
                if line is None:
                    rest = data[at:]
                    unfinished = b"\n" not in rest and len(rest) <= _MAX_SIZE_LINE
                    return self._keep(rest) if unfinished else self._give_up(rest)
                self._left = int(line[1], 16)
                if not self._left:  # the last chunk: trailers may follow
                    return self._give_up(data[at:])
                at = line.end()
        return b""

    def _keep(self, rest: bytes) -> bytes:
        self._held = rest
        return b""
