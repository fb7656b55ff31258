"""Any endpoint that speaks OpenAI's API: OpenAI, Ollama, Hugging Face's router, llama.cpp, vLLM …"""

import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import httpx2
import orjson

from app.providers.base import Aborted, Api, ChatMessage, Piece, UpstreamError, Usage
from app.providers.dialects import DONE, ChatReader, Reader, ResponsesReader
from app.providers.exchange import Exchange
from app.providers.failures import Failures
from app.providers.pace import Pace
from app.providers.sse import Event, SSEDecoder, SSEError

if TYPE_CHECKING:
    from app.providers.sdk import Client
    from app.settings import ProviderConfig


class OpenAICompatible:
    """One provider. The HTTP client is made by the first call, after fork."""

    def __init__(
        self, config: "ProviderConfig", *, connect_timeout: float = 5.0, read_timeout: float = 600.0, pace: float = 0.03
    ) -> None:
        """`read_timeout` ends the wait for an answer's headers; how long its text may take is for the caller to say,
        through `abort()`.
        `pace` is the least time between two reads of one reply, in seconds; it stretches when the process is busy."""
        self.name = config.name
        self.models = config.models
        self.api: Api = config.api
        self.failures = Failures(config.name, config.api_key)
        self.pace = Pace(pace) if pace else None
        self._config = config
        self._timeouts = (connect_timeout, read_timeout)
        self._client: Client | None = None
        self._lock = threading.Lock()

    def complete(self, model: str, messages: Sequence[ChatMessage]) -> "StreamedCompletion":
        return StreamedCompletion(self, model, messages)

    def warm_up(self) -> None:
        """Import the SDK and build the client, which takes about a second. No network."""
        self.client()

    def client(self) -> "Client":
        with self._lock:
            if self._client is None:
                from app.providers.sdk import Client  # noqa: PLC0415 - see there

                config = self._config
                self._client = Client(config.base_url, config.api_key, config.api, *self._timeouts)
            return self._client

    def reader(self) -> Reader:
        return ResponsesReader(self.failures) if self.api == "responses" else ChatReader(self.failures)

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()


class StreamedCompletion:
    """One reply, read straight from the bytes of its event stream: the SDK's typed events cost twice the CPU."""

    def __init__(self, provider: OpenAICompatible, model: str, messages: Sequence[ChatMessage]) -> None:
        self._provider = provider
        self._model = model
        self._messages = messages
        self._exchange = Exchange(provider.pace)
        self._reader = provider.reader()
        self._started = False
        self._yielded = False
        self._said = False

    @property
    def usage(self) -> Usage | None:
        return self._reader.usage

    @property
    def finish_reason(self) -> str | None:
        return self._reader.reason

    @property
    def reads(self) -> int:
        """How often the network was read."""
        return self._exchange.reads

    def abort(self) -> None:
        self._exchange.abort()

    def __iter__(self) -> Generator[Piece, None, None]:
        if self._started:
            raise RuntimeError("a completion is read once")
        self._started = True
        return self._pieces()

    def _pieces(self) -> Generator[Piece, None, None]:
        try:
            with closing(self._read()) as pieces:
                for piece in pieces:
                    self._exchange.check()
                    if piece:
                        self._yielded = True
                        self._said = self._said or bool(piece.text)
                        yield piece
                        self._exchange.slow_down()
            self._exchange.check()
        except Exception as error:
            problem = self._problem(error)
            if problem is error:
                raise
            raise problem from None  # what caused it may quote secrets
        if not self._said:
            raise self._problem(self._provider.failures.empty(self._reader.reason))

    def _problem(self, error: Exception) -> Exception:
        if self._exchange.aborted:
            return Aborted()
        if not isinstance(error, UpstreamError):
            from app.providers.sdk import explain  # noqa: PLC0415 - see there

            known = explain(error, self._provider.failures, self._model)
            if known is None:
                return error
            error = known
        error.retryable = error.retryable and not self._yielded
        return error

    def _read(self) -> Generator[Piece, None, None]:
        client = self._provider.client()
        with self._exchange.sending():
            response = client.send(self._model, self._messages)
        with closing(response):
            kind = response.headers.get("content-type", "")
            if kind.startswith(("application/json", "text/html")):
                raise self._not_a_stream(response, kind)
            # httpx2's own iterators cost more than reading; they are for a server that compresses unasked.
            stream = response.iter_bytes() if "content-encoding" in response.headers else response.stream
            yield from self._decode(stream)  # type: ignore[arg-type]  # a synchronous client's is a synchronous one

    def _decode(self, stream: Iterable[bytes]) -> Iterator[Piece]:
        """What each part of the stream carries, maybe nothing."""
        reader, decoder = self._reader, SSEDecoder()
        try:
            for part in stream:
                piece, problem = self._piece_of(decoder.feed(part))
                yield piece
                if problem is not None:
                    raise problem
                if reader.complete:
                    self._exchange.finish()
        except SSEError as error:
            raise self._provider.failures.garbled(str(error)) from None
        except (httpx2.HTTPError, httpx2.StreamError):
            if not reader.complete:
                raise
        last = decoder.end()
        if last is not None and _is_whole(last):
            piece, problem = self._piece_of([last])
            yield piece
            if problem is not None:
                raise problem
        yield reader.rest()
        if not reader.complete:
            raise self._provider.failures.dropped("the stream ended early")

    def _piece_of(self, events: Sequence[Event]) -> tuple[Piece, UpstreamError | None]:
        """What these events carry, and what is wrong with the first bad one; what came before it counts."""
        found: list[Piece] = []
        problem: UpstreamError | None = None
        reader = self._reader
        try:
            for event in events:
                if not reader.ended:
                    found.append(reader.read(event))  # noqa: PERF401 (those before a bad one are kept)
        except UpstreamError as error:
            problem = error
        return Piece("".join([one.text for one in found]), "".join([one.reasoning for one in found])), problem

    def _not_a_stream(self, response: httpx2.Response, kind: str) -> UpstreamError:
        if kind.startswith("application/json"):
            with suppress(orjson.JSONDecodeError):
                body = orjson.loads(response.read())
                if isinstance(body, dict) and body.get("error"):
                    return self._provider.failures.reported(body)
        return self._provider.failures.not_a_stream(kind)


def _is_whole(event: Event) -> bool:
    """Whether this event, which nothing followed, was not cut short."""
    if event.data == DONE:
        return True
    try:
        orjson.loads(event.data)
    except orjson.JSONDecodeError:
        return False
    return True
