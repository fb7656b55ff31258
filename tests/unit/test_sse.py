"""The decoder of event streams, and the reading of HTTP chunks below it."""

from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.providers import sse
from app.providers.chunks import Dechunker
from app.providers.sse import Event, SSEDecoder, SSEError

STREAM = (
    ": a comment\n\n"
    'data: {"text": "żółw 🐢"}\n\n'
    "event: named\nid: 7\nretry: 10\ndata: one\ndata:two\ndata\n\n"
    ":\n\n\n"
    "data:  a space of its own\n\n"
    "event: without data\n\n"
    "data: [DONE]\n\n"
)
EVENTS = [
    Event("", '{"text": "żółw 🐢"}'.encode()),
    Event("named", b"one\ntwo\n"),
    Event("", b" a space of its own"),
    Event("", b"[DONE]"),
]


def decode(*pieces: bytes) -> list[Event]:
    decoder = SSEDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_line_ending(newline: str) -> None:
    assert decode(STREAM.replace("\n", newline).encode()) == EVENTS


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_byte_at_a_time(newline: str) -> None:
    data = STREAM.replace("\n", newline).encode()
    assert decode(*(data[i : i + 1] for i in range(len(data)))) == EVENTS


@given(st.lists(st.integers(0, 10_000), max_size=12), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_cut_anywhere(places: list[int], newline: str, bom: bool) -> None:
    data = (b"\xef\xbb\xbf" if bom else b"") + STREAM.replace("\n", newline).encode()
    assert decode(*cut(data, places)) == EVENTS


def test_an_event_comes_as_soon_as_it_is_complete() -> None:
    decoder = SSEDecoder()
    assert list(decoder.feed(b"data: 1\n")) == []
    assert list(decoder.feed(b"\ndata: 2")) == [Event("", b"1")]
    assert list(decoder.feed(b"\r")) == []
    assert list(decoder.feed(b"\r")) == [Event("", b"2")]
    assert list(decoder.feed(b"\ndata: 3\n\n")) == [Event("", b"3")]


def test_the_last_event_may_lack_its_blank_line() -> None:
    decoder = SSEDecoder()
    assert list(decoder.feed(b"data: 1\n\ndata: 2\n")) == [Event("", b"1")]
    assert decoder.end() == Event("", b"2")
    assert decoder.end() is None


def test_an_endless_event_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    decoder = SSEDecoder()
    assert list(decoder.feed(b"x" * 1000)) == []
    with pytest.raises(SSEError):
        list(decoder.feed(b"x"))


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nTransfer-Encoding: Chunked\r\n\r\n"
CHUNKED = HEAD + b"3\r\nabc\r\n2;name=value\r\nde\r\n00A\r\n0\r\n\r\n12345\r\n1\r\n\r\r\n0\r\nsome: trailer\r\n\r\n"
BODY = b"abcde0\r\n\r\n12345\r"


def dechunk(*pieces: bytes) -> tuple[bytes, list[bytes], Dechunker]:
    """What the parser sees, and the contents that each piece brought."""
    dechunker = Dechunker()
    seen, contents = b"", []
    for piece in pieces:
        seen += dechunker.feed(piece)
        contents.append(dechunker.take())
    return seen, contents, dechunker


def parsed(seen: bytes) -> bool:
    """Whether h11 takes it for a whole response without contents. Raises what h11 raises."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("host", "there")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(seen)
    assert isinstance(connection.next_event(), h11.Response)
    return isinstance(connection.next_event(), h11.EndOfMessage)


@given(st.lists(st.integers(0, 10_000), max_size=12))
def test_the_contents_of_chunks_wherever_they_were_cut(places: list[int]) -> None:
    seen, contents, dechunker = dechunk(*cut(CHUNKED, places))
    assert b"".join(contents) == BODY
    assert parsed(seen)
    assert not dechunker.in_body


def test_chunks_a_byte_at_a_time() -> None:
    seen, contents, _ = dechunk(*(CHUNKED[i : i + 1] for i in range(len(CHUNKED))))
    assert b"".join(contents) == BODY
    assert parsed(seen)


def test_contents_come_as_soon_as_they_are_there() -> None:
    _, contents, dechunker = dechunk(HEAD, b"5\r\nab", b"c", b"de\r", b"\n1\r\nf\r\n1\r\ng")
    assert contents == [b"", b"ab", b"c", b"de", b"fg"]
    assert dechunker.in_body


def test_a_body_that_is_cut_short_is_no_whole_response() -> None:
    seen, _, dechunker = dechunk(CHUNKED[: -len(b"0\r\nsome: trailer\r\n\r\n")])
    assert dechunker.in_body
    assert not parsed(seen)


def test_the_head_may_follow_an_interim_response() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    seen, contents, _ = dechunk(interim + HEAD + b"1\r\na\r\n1\r\nb\r\n")
    assert (seen, contents) == (interim + HEAD, [b"ab"])


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n1\r\na\r\n1\r\nb\r\n",
        b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n",
        b"HTTP/1.1 200 OK\r\nx-transfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n",
        b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\n",
        HEAD + b"what is this?\r\n1\r\na\r\n",
        HEAD + b"-1\r\n",
        HEAD + b"z" * 2000,
        b"x" * 200_000,
        b"\n\n\n",
    ],
)
def test_what_is_not_understood_passes_unchanged(data: bytes) -> None:
    seen, contents, dechunker = dechunk(*cut(data, [10, 60, 90, 91]))
    assert (seen, b"".join(contents), dechunker.in_body) == (data, b"", False)


@pytest.mark.parametrize("bad", [b"1\r\naXX\r\n", b"1\r\na3\r\nabc\r\n0\r\n\r\n", b"1\r\na\r\nnonsense\r\n"])
def test_nonsense_after_good_chunks_is_left_for_the_parser_to_refuse(bad: bytes) -> None:
    seen, contents, _ = dechunk(HEAD + b"1\r\na\r\n" + bad)
    assert b"".join(contents) in {b"a", b"aa"}
    with pytest.raises(h11.RemoteProtocolError):
        parsed(seen)
