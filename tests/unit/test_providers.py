"""Providers, over real sockets, against the scripted server."""

import ipaddress
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from app.providers import exchange
from app.providers.base import Aborted, Api, ChatMessage, Piece, UpstreamError, Usage
from app.providers.failures import Failures, retry_after
from app.providers.openai_compatible import OpenAICompatible, StreamedCompletion
from app.providers.proxies import proxy_for
from app.providers.registry import Registry, UnknownModel, UnknownProvider, build_providers
from app.settings import ProviderConfig
from tests.support.upstream import (
    Drop,
    Event,
    Failure,
    Gate,
    Hold,
    Raw,
    Reasoning,
    Refusal,
    Request,
    Script,
    Stall,
    Upstream,
)

PATIENCE = 40.0
KEY = "sk-proj-AbCdEf0123456789AbCdEf"
APIS: tuple[Api, ...] = ("chat", "responses")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture(params=APIS)
def api(request: pytest.FixtureRequest) -> Api:
    chosen: Api = request.param
    return chosen


@pytest.fixture
def provider(upstream: Upstream, api: Api) -> Iterator[OpenAICompatible]:
    made = make(upstream.base_url, api)
    yield made
    made.close()


def make(
    base_url: str, api: Api = "chat", *, pace: float = 0.0, connect_timeout: float = 5.0, read_timeout: float = 60.0
) -> OpenAICompatible:
    config = ProviderConfig(name="scripted", base_url=base_url, api_key=KEY, models=("m",), api=api)
    return OpenAICompatible(config, connect_timeout=connect_timeout, read_timeout=read_timeout, pace=pace)


def ask(provider: OpenAICompatible, text: str = "hello") -> StreamedCompletion:
    return provider.complete("m", [ChatMessage("user", text)])


def said(pieces: Iterable[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def outcome(completion: StreamedCompletion) -> tuple[str, UpstreamError]:
    """The text that came before the error, and the error."""
    reader = Reader(completion).join()
    error = reader.error
    assert isinstance(error, UpstreamError), error
    assert KEY not in f"{error!r} {error}"
    return reader.text, error


class Reader:
    """Reads a completion in a thread of its own."""

    def __init__(self, completion: StreamedCompletion) -> None:
        self.text = ""
        self.error: Exception | None = None
        self._completion = completion
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def wait_for(self, text: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.text == text or self.error, PATIENCE), self.text
        assert self.text == text

    def join(self) -> "Reader":
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the reader did not come back"
        return self

    def _read(self) -> None:
        try:
            for piece in self._completion:
                with self._changed:
                    self.text += piece.text
                    self._changed.notify_all()
        except Exception as error:  # the test looks at it
            with self._changed:
                self.error = error
                self._changed.notify_all()


# Good replies


def test_a_reply_with_its_usage(upstream: Upstream, provider: OpenAICompatible) -> None:
    upstream.script(Script(["Hel", "lo ", "żółw 🐢"], usage=(3, 5)))
    completion = ask(provider)
    assert completion.usage is None
    assert said(completion) == "Hello żółw 🐢"
    assert completion.usage == Usage(3, 5)
    with pytest.raises(RuntimeError):
        iter(completion)


def test_nothing_is_sent_before_the_first_next(upstream: Upstream, provider: OpenAICompatible) -> None:
    iter(ask(provider, "never read"))
    assert said(ask(provider, "read")) == "You said: read"
    assert [request.last_user_text for request in upstream.requests] == ["read"]


def test_what_is_sent(upstream: Upstream, provider: OpenAICompatible, api: Api) -> None:
    messages = [
        ChatMessage("system", "Be brief."),
        ChatMessage("user", "One?"),
        ChatMessage("assistant", "Two."),
        ChatMessage("user", "Three?"),
    ]
    assert list(provider.complete("some-model", messages))
    request = upstream.requests[0]
    said = [{"role": message.role, "content": message.text} for message in messages]
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["accept-encoding"] == "identity"
    expected = (
        {"messages": said, "stream_options": {"include_usage": True}}
        if api == "chat"
        else {"instructions": "Be brief.", "input": said[1:], "store": False}
    )
    assert request.body == {"model": "some-model", "stream": True, **expected}


def test_responses_without_a_system_prompt_have_no_instructions(upstream: Upstream) -> None:
    assert list(ask(make(upstream.base_url, "responses")))
    assert "instructions" not in upstream.requests[0].body


def test_no_key_and_no_organization_of_somebody_else(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    config = ProviderConfig(name="local", base_url=upstream.base_url, api_key="", models=("m",), api="chat")
    assert list(ask(OpenAICompatible(config)))
    headers = upstream.requests[0].headers
    assert headers["authorization"] == "Bearer none"
    assert not [name for name in headers if name in {"openai-organization", "openai-project"}]


@pytest.mark.parametrize(
    "script",
    [
        Script(["żó", "łw ", "🐢"], newline="\r\n"),
        Script(["żó", "łw ", "🐢"], newline="\r"),
        Script(["żó", "łw ", "🐢"], split=1),
        Script(["żó", "łw ", "🐢"], split=7, newline="\r\n"),
        Script(["żó", "łw ", "🐢"], chunked=False),
        Script([Raw(b": ping\n\n"), "żółw", Raw(b": ping\n\n"), " 🐢"]),
        Script([Reasoning("Hm. A tortoise."), "żółw 🐢"]),
        Script([Event({"type": "response.of.the.future", "choices": []}), "żółw 🐢"]),
        Script([Event({"type": ["of", "the", "future"], "choices": [{}]}), "żółw 🐢"]),
        Script(["żółw", Refusal(" 🐢")]),
        Script(["żółw 🐢"], done=False),
        Script(["żółw 🐢"], finish="length"),
        Script(["żółw 🐢"], finish="content_filter"),
    ],
    ids=lambda script: re.sub(r"\W+", "-", repr(script))[:60],
)
def test_replies_in_odd_forms(upstream: Upstream, provider: OpenAICompatible, script: Script) -> None:
    upstream.script(script)
    completion = ask(provider)
    assert said(completion) == "żółw 🐢"
    assert completion.usage == Usage(7, 11)


@pytest.mark.parametrize("usage", [None, (True, 1), (1, -1), (1, 10**18)], ids=repr)
def test_usage_is_optional_and_nonsense_is_none(
    upstream: Upstream, provider: OpenAICompatible, usage: tuple[int, int] | None
) -> None:
    upstream.script(Script(["a"], usage=usage))
    completion = ask(provider)
    assert list(completion) == [Piece("a")]
    assert completion.usage is None


def test_chat_that_ends_with_done_only(upstream: Upstream) -> None:
    upstream.script(Script(["a"], finish=None))
    assert list(ask(make(upstream.base_url))) == [Piece("a")]


def test_chat_with_text_parts_and_text_in_the_last_chunk(upstream: Upstream) -> None:
    parts = [{"type": "thinking", "text": "hm"}, {"type": "text", "text": "a"}]
    last = {"choices": [{"delta": {"content": "b"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": "?"}}
    upstream.script(Script([Event({"choices": [{"delta": {"content": parts}}]}), Event(last)], finish=None, done=False))
    assert said(ask(make(upstream.base_url))) == "ab"


def test_an_end_without_a_known_reason(upstream: Upstream) -> None:
    last = {"choices": [{"delta": {"content": "a"}, "finish_reason": ["length"]}]}
    upstream.script(Script([Event(last)], finish=None, done=False))
    completion = ask(make(upstream.base_url))
    assert said(completion) == "a"
    assert completion.finish_reason is None


def test_the_last_event_without_its_blank_line(upstream: Upstream) -> None:
    upstream.script(Script(["a", Raw(b"data: [DONE]")], finish=None, done=False))
    assert said(ask(make(upstream.base_url))) == "a"


def test_a_break_after_the_end_of_the_text_is_no_failure(upstream: Upstream, provider: OpenAICompatible) -> None:
    end = {"choices": [{"delta": {}, "finish_reason": "stop"}], "type": "response.completed", "response": {}}
    upstream.script(Script(["a", Event(end), Drop()]))
    assert said(ask(provider)) == "a"


def test_a_server_that_does_not_close_after_the_end(
    upstream: Upstream, provider: OpenAICompatible, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "TAIL_SECONDS", 0.05)
    upstream.script(Script(["a"], last_chunk=False))
    assert said(ask(provider)) == "a"
    upstream.requests[0].wait_closed()


def test_a_reader_that_loses_interest_closes_the_connection(upstream: Upstream, provider: OpenAICompatible) -> None:
    upstream.script(Script(["a", Stall()]))
    pieces = iter(ask(provider))
    assert next(pieces) == Piece("a")
    pieces.close()
    upstream.requests[0].wait_closed()


def half(text: bytes, *, reasoning: bytes = b"") -> Raw:
    """An event of either API with these halves of characters, escaped."""
    kind = b"reasoning_text" if reasoning else b"output_text"
    return Raw(
        b'data: {"type": "response.%s.delta", "delta": "%s", "choices": [{"delta": {"content": "%s", '
        b'"reasoning_content": "%s"}}]}\n\n' % (kind, text or reasoning, text, reasoning)
    )


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        (["ok ", half(rb"\ud83d"), half(rb"\ude00")], "ok 😀"),
        ([half(rb"\ud83d"), half(rb"\ude00!\ud83d"), half(b""), half(rb"\udc22"), " ok"], "😀!🐢 ok"),
        ([half(rb"\ud83d"), half(b"", reasoning=rb"\ud83d"), half(rb"\ude00")], "😀"),
        ([half(rb"\ud83d"), " ok"], "\ufffd ok"),
        (["ok ", half(rb"\ude00"), half(rb"\ud83d")], "ok \ufffd\ufffd"),
        ([half(rb"\ud83d")], "\ufffd"),
    ],
    ids=ascii,
)
def test_characters_cut_in_half(
    upstream: Upstream, provider: OpenAICompatible, steps: list[str | Raw], text: str
) -> None:
    upstream.script(Script(steps))
    completion = ask(provider)
    assert said(completion) == text
    assert completion.usage == Usage(7, 11)


def test_thoughts_with_characters_cut_in_half(upstream: Upstream, provider: OpenAICompatible) -> None:
    upstream.script(Script([half(b"", reasoning=rb"\ud83d"), "ok", half(b"", reasoning=rb"\ude00"), "."]))
    pieces = list(ask(provider))
    assert said(pieces) == "ok."
    assert "".join(piece.reasoning for piece in pieces) == "😀"


# Errors


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (401, "provider_auth", False),
        (403, "provider_auth", False),
        (404, "provider_model", False),
        (400, "provider_rejected", False),
        (422, "provider_rejected", False),
        (408, "provider_unavailable", True),
        (409, "provider_unavailable", True),
        (429, "provider_rate_limited", True),
        (500, "provider_unavailable", True),
        (503, "provider_unavailable", True),
        (529, "provider_unavailable", True),
    ],
)
def test_statuses(upstream: Upstream, provider: OpenAICompatible, status: int, code: str, retryable: bool) -> None:
    upstream.script(Script.error(status, f"Words with {KEY}.", headers={"retry-after": "7"}))
    text, error = outcome(ask(provider))
    assert (text, error.code, error.retryable) == ("", code, retryable)
    assert error.retry_after == (7.0 if retryable else None)
    assert "“scripted”" in error.message
    assert ("Words with [redacted]." in error.message) == (code == "provider_rejected")
    assert len(upstream.requests) == 1  # the caller retries, nobody else


def test_the_words_of_the_common_errors(upstream: Upstream) -> None:
    provider = make(upstream.base_url)
    upstream.script(Script.error(401, "bad key"), Script.error(404), Script.error(429, code="insufficient_quota"))
    assert outcome(ask(provider))[1].message == ("The model provider “scripted” did not accept this server's API key.")
    assert "the model “m”" in outcome(ask(provider))[1].message
    quota = outcome(ask(provider))[1]
    assert (quota.code, quota.retryable) == ("provider_rate_limited", False)


def test_words_are_shortened(upstream: Upstream, provider: OpenAICompatible) -> None:
    upstream.script(Script.error(400, "no \n" * 1000))
    message = outcome(ask(provider))[1].message
    assert len(message) < 400
    assert message.endswith("no no…")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": "model is loading"}, "model is loading"),
        ({"detail": "no such field"}, "no such field"),
        ({"object": "error", "message": "too long", "code": 400}, "too long"),
        (b"<html><h1>Oh</h1></html>", ""),
        (b"plain words", "plain words"),
        ({"error": {"message": "a code that is none", "code": ["x"], "type": {}}}, "a code that is none"),
        (b'{"error": {"message": "half a \\ud83d character"}}', "half a ? character"),
        ([1, 2], ""),
        (b"", ""),
    ],
)
def test_error_bodies_of_other_servers(upstream: Upstream, body: object, words: str) -> None:
    upstream.script(Script(status=400, body=body))
    message = outcome(ask(make(upstream.base_url)))[1].message
    assert message == "The model provider “scripted” rejected the request" + (f": {words}" if words else ".")


def test_secrets_are_redacted() -> None:
    failures = Failures("p", "a-key-without-a-prefix")
    said = "For sk-learn: a-key-without-a-prefix sk-proj-abc***xyz123 hf_AbCdEfGh, Bearer abc.def-123456"
    message = failures.status(400, {"message": said}, {}, "m").message
    assert message.endswith(": For sk-learn: [redacted] [redacted] [redacted], [redacted]")


def test_retry_after() -> None:
    assert retry_after({"retry-after": "2.5"}) == 2.5
    assert retry_after({"retry-after-ms": "1500", "retry-after": "9"}) == 1.5
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 50 < (retry_after({"retry-after": date}) or 0) <= 60
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    for nothing in ({}, {"retry-after": "soon"}, {"retry-after": "-1"}, {"retry-after": "nan"}):
        assert retry_after(nothing) is None


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}/v1", "http://nowhere.invalid/v1", "https://127.0.0.1:{up}/v1"]
)
def test_unreachable(upstream: Upstream, url: str) -> None:
    up = upstream.base_url.split(":")[2].split("/")[0]
    text, error = outcome(ask(make(url.format(port=closed_port(), up=up), connect_timeout=0.3)))
    assert (text, error.code, error.retryable) == ("", "provider_unreachable", True)
    assert error.detail


def test_a_connection_that_is_never_accepted() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.socket() as taking_the_place:
            taking_the_place.connect(full.getsockname())
            error = outcome(ask(make(f"http://127.0.0.1:{full.getsockname()[1]}", connect_timeout=0.2)))[1]
    assert (error.code, error.retryable) == ("provider_unreachable", True)


def test_silence_instead_of_an_answer_ends_with_the_read_timeout(upstream: Upstream, api: Api) -> None:
    provider = make(upstream.base_url, api, read_timeout=0.2)
    upstream.script(Script(before_headers=[Stall()]))
    text, error = outcome(ask(provider))
    assert (text, error.code, error.retryable) == ("", "provider_unavailable", True)


@pytest.mark.parametrize("reset", [True, False])
def test_dropped(upstream: Upstream, provider: OpenAICompatible, reset: bool) -> None:
    gate = Gate()
    upstream.script(
        Script(before_headers=[Drop(reset)]),
        Script([Drop(reset)]),
        Script(["a", "b", Hold(gate), Drop(reset)]),
    )
    for _ in range(2):
        text, error = outcome(ask(provider))
        assert (text, error.code, error.retryable) == ("", "provider_dropped", True)
    reader = Reader(ask(provider))
    reader.wait_for("ab")
    gate.open()
    error_in_mid_stream = reader.join().error
    assert isinstance(error_in_mid_stream, UpstreamError)
    assert (error_in_mid_stream.code, error_in_mid_stream.retryable) == ("provider_dropped", False)


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("cut", [b"", b'data: {"choi', b"data: "])
def test_an_end_without_a_terminal_event(
    upstream: Upstream, provider: OpenAICompatible, chunked: bool, cut: bytes
) -> None:
    upstream.script(Script(["a", Raw(cut)], finish=None, done=False, chunked=chunked))
    text, error = outcome(ask(provider))
    assert (text, error.code, error.retryable) == ("a", "provider_dropped", False)


@pytest.mark.parametrize(
    "junk",
    [
        b"data: {oh no}\n\n",
        b"data: [1]\n\n",
        b'data: ["\\ud83d"]\n\n',
        b'data: {"a": "\xff"}\n\n',
        b'data: {"a": ' + b"[" * 100_000 + b"\n\n",
    ],
    ids=lambda junk: repr(junk[:30]),
)
def test_malformed_events(upstream: Upstream, provider: OpenAICompatible, junk: bytes) -> None:
    upstream.script(Script([Raw(junk), "a"]), Script(["a", Raw(junk), "b"]))
    text, error = outcome(ask(provider))
    assert (text, error.code, error.retryable) == ("", "provider_stream", True)
    text, error = outcome(ask(provider))
    assert (text, error.code, error.retryable) == ("a", "provider_stream", False)


def test_errors_inside_the_stream(upstream: Upstream, provider: OpenAICompatible) -> None:
    upstream.script(
        Script([Failure(f"It broke, {KEY}.")]),
        Script(["a", Failure("It broke.")]),
        Script([Failure("No.", "invalid_prompt")]),
        Script([Failure(f"Bad key {KEY}", "invalid_api_key")]),
    )
    text, error = outcome(ask(provider))
    assert (text, error.code, error.retryable) == ("", "provider_stream", True)
    assert error.message == "The model provider “scripted” reported an error: It broke, [redacted]."
    text, error = outcome(ask(provider))
    assert (text, error.code, error.retryable) == ("a", "provider_stream", False)
    assert outcome(ask(provider))[1].retryable is False
    error = outcome(ask(provider))[1]
    assert (error.code, error.retryable) == ("provider_auth", False)


@pytest.mark.parametrize(
    ("api", "data"),
    [
        ("responses", {"type": "error", "code": "server_error", "message": "It broke.", "param": None}),
        ("responses", {"type": "error", "error": {"type": "server_error", "message": "It broke."}}),
        ("responses", {"error": {"type": "server_error", "message": "It broke."}}),
        ("chat", {"error": {"type": "server_error", "message": "It broke."}}),
        ("chat", {"error": {"code": 502, "message": "It broke."}}),
        ("chat", {"error": "It broke."}),
        ("chat", {"error": {"code": ["x"], "type": {}, "message": "It broke."}}),
        ("chat", {"error": {"code": "4" * 5000, "message": "It broke."}}),
        ("responses", {"type": "error", "code": {}, "message": "It broke."}),
    ],
)
def test_the_shapes_of_such_errors(upstream: Upstream, api: Api, data: dict[str, object]) -> None:
    upstream.script(Script([Event(data)]))
    error = outcome(ask(make(upstream.base_url, api)))[1]
    assert (error.code, error.retryable) == ("provider_stream", True)
    assert error.message.endswith(": It broke.")


def test_an_error_within_errors() -> None:
    error: object = {"code": "server_error", "message": "It broke."}
    for _ in range(10_000):
        error = {"error": error}
    assert Failures("p", "").reported(error).message.endswith(": It broke.")


@pytest.mark.parametrize(("finish", "retryable"), [("stop", True), ("length", False), ("content_filter", False)])
def test_empty(upstream: Upstream, provider: OpenAICompatible, finish: str, retryable: bool) -> None:
    upstream.script(Script([], finish=finish))  # type: ignore[arg-type]
    text, error = outcome(ask(provider))
    assert (text, error.code, error.retryable) == ("", "provider_empty", retryable)


def test_nothing_but_thoughts(upstream: Upstream, provider: OpenAICompatible) -> None:
    """They have been shown, so they are not asked for again."""
    upstream.script(Script([Reasoning("hm")]))
    text, error = outcome(ask(provider))
    assert (text, error.code, error.retryable) == ("", "provider_empty", False)


def test_reasoning_is_told_from_text(upstream: Upstream, provider: OpenAICompatible) -> None:
    upstream.script(Script([Reasoning("A tort"), Reasoning("oise? "), "Yes", Reasoning("Or no."), "."]))
    pieces = list(ask(provider))
    assert said(pieces) == "Yes."
    assert "".join(piece.reasoning for piece in pieces) == "A tortoise? Or no."


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"<html></html>", "text/html", "did not answer with a stream"),
        ({"choices": []}, "application/json", "did not answer with a stream"),
        ({"error": {"message": "It broke."}}, "application/json; charset=utf-8", "reported an error: It broke."),
    ],
)
def test_an_answer_that_is_no_stream(upstream: Upstream, api: Api, body: object, kind: str, words: str) -> None:
    upstream.script(Script(body=body, headers={"content-type": kind}))
    error = outcome(ask(make(upstream.base_url, api)))[1]
    assert error.code == "provider_stream"
    assert words in error.message


# Abort


def test_abort_before_the_first_next_sends_nothing(upstream: Upstream, provider: OpenAICompatible) -> None:
    completion = ask(provider)
    completion.abort()
    completion.abort()
    with pytest.raises(Aborted):
        next(iter(completion))
    assert upstream.requests == []
    assert upstream.connections == 0


def test_abort_during_the_connect(upstream: Upstream, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = make(upstream.base_url, api)
    completion = ask(provider)
    connect = socket.create_connection

    def aborted_meanwhile(*args: object, **kwargs: object) -> socket.socket:
        completion.abort()
        return connect(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "create_connection", aborted_meanwhile)
    with pytest.raises(Aborted):
        list(completion)
    upstream.wait_until(lambda: upstream.connections == 0)
    assert upstream.requests == []


def test_abort_before_the_headers(upstream: Upstream, provider: OpenAICompatible) -> None:
    upstream.script(Script(before_headers=[Stall()]))
    completion = ask(provider)
    reader = Reader(completion)
    request = upstream.wait_for_request()
    completion.abort()
    assert isinstance(reader.join().error, Aborted)
    request.wait_closed()


def test_abort_before_the_first_token(upstream: Upstream, provider: OpenAICompatible) -> None:
    gate = Gate()
    upstream.script(Script([Reasoning("hm"), Hold(gate), "a"]))
    completion = ask(provider)
    reader = Reader(completion)
    gate.wait_reached()
    completion.abort()
    assert isinstance(reader.join().error, Aborted)
    upstream.requests[0].wait_closed()


@pytest.mark.parametrize("pace", [0.0, 60.0])
def test_abort_in_mid_stream(upstream: Upstream, api: Api, pace: float) -> None:
    upstream.script(Script(["a", Stall()]))
    completion = ask(make(upstream.base_url, api, pace=pace))
    reader = Reader(completion)
    reader.wait_for("a")
    completion.abort()
    assert isinstance(reader.join().error, Aborted)
    assert reader.text == "a"
    upstream.requests[0].wait_closed()


def test_abort_between_two_pieces(upstream: Upstream, provider: OpenAICompatible) -> None:
    upstream.script(Script(["a", Stall()]))
    completion = ask(provider)
    pieces = iter(completion)
    assert next(pieces) == Piece("a")
    completion.abort()
    upstream.requests[0].wait_closed()  # though nobody reads
    with pytest.raises(Aborted):
        next(pieces)


def test_abort_while_an_error_is_being_read(upstream: Upstream, provider: OpenAICompatible) -> None:
    gate = Gate()
    upstream.script(Script([Raw(b"It bro"), Hold(gate)], status=500))
    completion = ask(provider)
    reader = Reader(completion)
    gate.wait_reached()
    completion.abort()
    assert isinstance(reader.join().error, Aborted)
    upstream.requests[0].wait_closed()


def test_abort_after_the_end_leaves_the_next_call_alone(upstream: Upstream, provider: OpenAICompatible) -> None:
    first = ask(provider, "one")
    assert said(first) == "You said: one"
    gate = Gate()
    upstream.script(Script(["a", Hold(gate), "b"]))
    reader = Reader(ask(provider, "two"))
    reader.wait_for("a")
    first.abort()
    gate.open()
    assert reader.join().error is None
    assert reader.text == "ab"
    assert [request.connection for request in upstream.requests] == [1, 1]


def test_a_kept_connection_can_be_aborted_and_is_not_used_again(upstream: Upstream, provider: OpenAICompatible) -> None:
    upstream.script(Script(["a"]), Script(before_headers=[Stall()]), Script(["c"]))
    assert list(ask(provider))
    completion = ask(provider)
    reader = Reader(completion)
    upstream.wait_for_request(2)
    completion.abort()
    assert isinstance(reader.join().error, Aborted)
    assert said(ask(provider)) == "c"
    assert [request.connection for request in upstream.requests] == [1, 1, 2]


def test_a_kept_connection_that_the_server_closed_is_replaced(upstream: Upstream, provider: OpenAICompatible) -> None:
    assert list(ask(provider))
    upstream.stop()
    upstream.start()
    assert list(ask(provider))


def test_aborts_from_many_threads_at_any_moment(upstream: Upstream, provider: OpenAICompatible) -> None:
    upstream.respond = lambda request: Script.of_tokens(50)
    for round_ in range(40):
        completion = ask(provider)
        before = len(upstream.requests)
        reader = Reader(completion)
        if round_ % 2:
            upstream.wait_for_request(before + 1)
        aborts = [threading.Thread(target=completion.abort) for _ in range(3)]
        for abort in aborts:
            abort.start()
        for abort in aborts:
            abort.join(PATIENCE)
        assert reader.join().error is None or isinstance(reader.error, Aborted)
    assert said(ask(provider)) == " token" * 50


# Pace and concurrency


def test_paced_reads_let_tokens_gather(upstream: Upstream, api: Api) -> None:
    gate = Gate()
    upstream.script(Script(["first", Hold(gate), *["x"] * 500]))
    completion = ask(make(upstream.base_url, api, pace=0.3))
    pieces = iter(completion)
    assert next(pieces) == Piece("first")
    gate.open()
    rest = list(pieces)
    assert said(rest) == "x" * 500
    assert len(rest) <= 20  # 500 tokens, each an HTTP chunk of its own
    assert completion.reads <= 30


def test_unpaced_reads_take_what_is_there(upstream: Upstream, api: Api) -> None:
    gates = [Gate(), Gate()]
    upstream.script(Script(["a", Hold(gates[0]), "b", Hold(gates[1]), "c"]))
    pieces = iter(ask(make(upstream.base_url, api)))
    assert next(pieces) == Piece("a")
    gates[0].open()
    assert next(pieces) == Piece("b")
    gates[1].open()
    assert list(pieces) == [Piece("c")]


def test_a_hundred_replies_at_once(upstream: Upstream, provider: OpenAICompatible) -> None:
    gate = Gate()
    upstream.respond = lambda request: Script([request.last_user_text, Hold(gate), "."])
    readers = [Reader(ask(provider, str(number))) for number in range(100)]
    gate.wait_reached(100)  # all of them are open at the same time
    gate.open()
    assert [reader.join().text for reader in readers] == [f"{number}." for number in range(100)]
    assert all(reader.error is None for reader in readers)


@pytest.mark.parametrize(("mode", "api"), [("gevent", "chat"), ("eventlet", "responses")])
def test_in_a_patched_process(upstream: Upstream, api: Api, mode: str) -> None:
    run_in_a_patched_process(upstream, api, mode)


@pytest.mark.parametrize(("mode", "api"), [("gevent", "responses"), ("eventlet", "chat")])
def test_in_a_patched_process_over_tls(secure: Upstream, api: Api, mode: str) -> None:
    run_in_a_patched_process(secure, api, mode)


def run_in_a_patched_process(upstream: Upstream, api: Api, mode: str) -> None:
    never = Gate()
    answers: dict[str, Callable[[], Script]] = {
        "hold in mid-stream": lambda: Script(["ab", Hold(never)]),
        "hold before headers": lambda: Script(before_headers=[Hold(never)]),
        "stream": lambda: Script.of_tokens(20, rate=200),
        "hello": lambda: Script(["Hi."]),
        "hello again": lambda: Script(["Hi again."]),
    }
    seen: dict[str, Request] = {}

    def respond(request: Request) -> Script:
        seen[request.last_user_text] = request
        return answers[request.last_user_text]()

    upstream.respond = respond
    with (
        socket.create_server(("127.0.0.1", 0)) as signals,
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.support.provider_child"),
                *(mode, upstream.base_url, api, str(signals.getsockname()[1])),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child,
    ):
        try:
            never.wait_reached(2, 30)  # the second reply holds before its headers
            signals.settimeout(PATIENCE)
            signal, _ = signals.accept()
            with signal:
                signal.send(b"!")
                out, err = child.communicate(timeout=30)
        finally:
            child.kill()
    assert child.returncode == 0, err
    assert out.splitlines() == [mode, "Hi.", *[" token" * 20] * 20, "Hi again."]
    assert seen["hold in mid-stream"].closed_early
    assert seen["hold before headers"].closed_early


# TLS and proxies


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Upstream(tls=context) as server:
        yield server


def test_tls_streams_keeps_and_aborts(secure: Upstream) -> None:
    provider = make(secure.base_url)
    assert said(ask(provider, "one")) == "You said: one"
    secure.script(Script(["a", Stall()]))
    completion = ask(provider)
    reader = Reader(completion)
    reader.wait_for("a")
    completion.abort()
    assert isinstance(reader.join().error, Aborted)
    secure.requests[1].wait_closed()
    assert [request.connection for request in secure.requests] == [1, 1]


def test_tls_records_gather_under_a_pace(secure: Upstream) -> None:
    gate = Gate()
    secure.script(Script(["first", Hold(gate), *["x"] * 300]))  # a record each: 300 reads, were they not gathered
    completion = ask(make(secure.base_url, pace=0.2))
    pieces = iter(completion)
    assert next(pieces) == Piece("first")
    gate.open()
    rest = list(pieces)
    assert said(rest) == "x" * 300
    assert len(rest) <= 20


def test_abort_during_the_tls_handshake() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        completion = ask(make(f"https://127.0.0.1:{listening.getsockname()[1]}/v1"))
        reader = Reader(completion)
        accepted, _ = listening.accept()
        with accepted:
            accepted.settimeout(PATIENCE)
            assert accepted.recv(1)  # the client has begun its handshake
            completion.abort()
            assert isinstance(reader.join().error, Aborted)


def test_a_certificate_that_is_not_trusted(secure: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    error = outcome(ask(make(secure.base_url)))[1]
    assert (error.code, error.retryable) == ("provider_unreachable", True)


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def test_which_proxy(no_proxies: pytest.MonkeyPatch) -> None:
    assert proxy_for("https://api.example.com/v1") is None
    no_proxies.setenv("HTTPS_PROXY", "http://secure-proxy:1")
    no_proxies.setenv("ALL_PROXY", "proxy:2")
    no_proxies.setenv("NO_PROXY", "example.org")
    assert proxy_for("https://api.example.com/v1") == "http://secure-proxy:1"
    assert proxy_for("http://api.example.com/v1") == "http://proxy:2"
    assert proxy_for("https://api.example.org/v1") is None
    for here in ("localhost", str(ipaddress.ip_address("127.0.0.2")), "[::1]"):
        assert proxy_for(f"https://{here}:8000/v1") is None
    no_proxies.setenv("HTTPS_PROXY", "socks5://proxy:3")
    assert proxy_for("https://api.example.com/v1") is None


def test_through_a_proxy(upstream: Upstream, api: Api, no_proxies: pytest.MonkeyPatch) -> None:
    # For a plain http address a proxy gets the ordinary request, with the whole address in its first line.
    no_proxies.setenv("HTTP_PROXY", upstream.base_url.removesuffix("/v1").replace("://", "://user:secret@"))
    provider = make("http://models.invalid/v1", api)
    upstream.script(Script(["a"]), Script(["a", Stall()]))
    assert said(ask(provider)) == "a"
    request = upstream.requests[0]
    assert request.path.startswith("http://models.invalid/v1/")
    assert request.headers["proxy-authorization"].startswith("Basic ")
    completion = ask(provider)
    reader = Reader(completion)
    reader.wait_for("a")
    completion.abort()
    assert isinstance(reader.join().error, Aborted)
    upstream.requests[1].wait_closed()


# The registry


def config(name: str, *models: str, api: Api = "chat") -> ProviderConfig:
    return ProviderConfig(name=name, base_url="http://127.0.0.1:1/v1", models=models, api=api)


@pytest.fixture
def registry() -> Registry:
    return build_providers([config("two", "c", api="responses"), config("one", "a", "b")])


def test_choosing(registry: Registry) -> None:
    one, two = registry.get("one"), registry.get("two")
    assert one is not None
    assert registry.get("three") is None
    assert registry.default is two
    assert registry.choose(None, None) == (two, "c")
    assert registry.choose("one", None) == (one, "a")
    assert registry.choose("one", "b") == (one, "b")
    assert registry.choose(None, "b") == (one, "b")


def test_choosing_what_does_not_exist(registry: Registry) -> None:
    with pytest.raises(UnknownProvider):
        registry.choose("three", None)
    with pytest.raises(UnknownModel):
        registry.choose("one", "c")
    with pytest.raises(UnknownModel):
        registry.choose(None, "d")
    with pytest.raises(ValueError, match="no model provider"):
        build_providers([])


def test_describing(registry: Registry) -> None:
    assert registry.describe() == [
        {"name": "two", "models": ["c"], "default_model": "c", "api": "responses"},
        {"name": "one", "models": ["a", "b"], "default_model": "a", "api": "chat"},
    ]


def test_the_sdk_is_imported_by_the_first_call_only() -> None:
    code = (
        "import sys; from app.providers.registry import build_providers; from app.settings import ProviderConfig;"
        "r = build_providers([ProviderConfig(name='p', base_url='http://127.0.0.1:1', models=('m',), api='chat')]);"
        "r.describe(); assert 'openai' not in sys.modules; r.warm_up(); assert 'openai' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
