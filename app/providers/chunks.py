"""Takes chunked bodies apart below the HTTP parser.

Model servers send every token as an HTTP chunk of its own, and httpcore parses each of them in Python (about 60 µs).
Here it costs 1 µs a chunk, and what a chunked body contains goes past the parser to whoever reads the body.
"""

import re

_HEAD_END = b"\r\n\r\n"
_MAX_HEAD = 128 * 1024
_MAX_SIZE_LINE = 1024
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[^\r\n]*)?[ \t]*\r\n")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
# The parser above takes no size line that begins with it.
_NO_SIZE_LINE = b"?"


class Dechunker:
    """Follows the bytes of one HTTP/1.1 response. The parser is to see its head, and of a chunked body the last chunk
    and what follows it; so to the parser such a body is empty. Whatever this does not understand passes unchanged, for
    the parser to judge."""

    def __init__(self) -> None:
        self.in_body = False  # more of a chunked body's contents may come
        self._step = self._head
        self._held = b""  # of the head: what was passed on already; of the body: an unfinished size line
        self._contents: list[bytes] = []
        self._left = 0  # bytes of the current chunk that are still to come
        self._closing = False  # the line ending after a chunk's data is still to come

    def feed(self, data: bytes) -> bytes:
        """What the parser is to see of `data`: maybe nothing yet."""
        return self._step(data)

    def take(self) -> bytes:
        """The contents that have come since the last time."""
        contents, self._contents = self._contents, []
        return contents[0] if len(contents) == 1 else b"".join(contents)

    def _plain(self, data: bytes) -> bytes:
        return data

    def _pass_on(self, rest: bytes) -> bytes:
        self.in_body = False
        self._step = self._plain
        self._held = b""
        return rest

    def _head(self, data: bytes) -> bytes:
        seen = self._held + data
        end = seen.find(_HEAD_END)
        if end < 0:
            if len(seen) > _MAX_HEAD:
                return self._pass_on(data)
            self._held = seen
            return data
        end += len(_HEAD_END)
        head, rest = seen[:end], seen[end:]
        passed = data[: len(data) - len(rest)]
        self._held = b""
        if head.startswith(b"HTTP/1.1 1"):  # 100 Continue and its like: the response itself follows
            return passed + self._head(rest)
        # Only a chunked body that may be there (204 and 304 have none) and is nothing but chunked.
        self.in_body = bool(
            head.startswith(b"HTTP/1.1 ")
            and not head.startswith((b"HTTP/1.1 204", b"HTTP/1.1 304"))
            and _CHUNKED.search(head)
            and head.lower().count(b"\r\ntransfer-encoding:") == 1
        )
        self._step = self._body if self.in_body else self._plain
        return passed + (self._step(rest) if rest else b"")

    def _body(self, data: bytes) -> bytes:
        if self._held:
            data = self._held + data
            self._held = b""
        at, end = 0, len(data)
        while at < end:
            if self._left:
                part = data[at : at + self._left]
                self._contents.append(part)
                at += len(part)
                self._left -= len(part)
                self._closing = not self._left
            elif self._closing:
                if data.startswith(b"\r\n", at):
                    at += 2
                    self._closing = False
                else:
                    rest = data[at:]
                    return self._keep(rest) if rest == b"\r" else self._pass_on(_NO_SIZE_LINE + rest)
            else:
                line = _SIZE_LINE.match(data, at)
                if line is None:
                    rest = data[at:]
                    unfinished = b"\n" not in rest and len(rest) <= _MAX_SIZE_LINE
                    return self._keep(rest) if unfinished else self._pass_on(rest)
                self._left = int(line[1], 16)
                if not self._left:  # the last chunk: trailers may follow
                    return self._pass_on(data[at:])
                at, after = line.end(), line.end() + self._left
                if data.startswith(b"\r\n", after):  # all of it is here
                    self._contents.append(data[at:after])
                    self._left = 0
                    at = after + 2
        return b""

    def _keep(self, rest: bytes) -> bytes:
        self._held = rest
        return b""
