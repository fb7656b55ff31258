"""The HTTP transport under the SDK: its calls can be aborted, and their bodies are read past the parser."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import httpcore2
import httpx2

from app.providers.exchange import Backend, Exchange, being_sent
from app.providers.proxies import as_proxy, proxy_for

_KEPT_CONNECTIONS = 100
_KEPT_SECONDS = 30.0


class _Connections:
    """Those of one transport: the one used last is used next.

    httpcore's pool makes them, but does not keep them: it looks at each one whenever a call begins or ends, which takes
    longer than all the rest of a call once there are hundreds.
    """

    def __init__(self, maker: httpcore2.ConnectionPool) -> None:
        self._maker = maker
        self._idle: deque[httpcore2.ConnectionInterface] = deque()
        # To look at an idle connection changes its socket for a moment, so that nobody may take it meanwhile.
        self._lock = threading.Lock()

    def take(self, origin: httpcore2.Origin) -> httpcore2.ConnectionInterface:
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if connection.can_handle_request(origin) and not connection.has_expired():
                    return connection
                connection.close()
        return self._maker.create_connection(origin)

    def give_back(self, connection: httpcore2.ConnectionInterface) -> None:
        if not connection.is_idle():
            connection.close()
            return
        with self._lock:
            self._idle.append(connection)
            while len(self._idle) > _KEPT_CONNECTIONS or (self._idle and self._idle[0].has_expired()):
                self._idle.popleft().close()

    def close(self) -> None:
        with self._lock:
            while self._idle:
                self._idle.pop().close()


class _Body(httpx2.SyncByteStream):
    """Of a chunked body the contents come straight from the connection, and its end through the parser, which then
    knows that the connection may be used again."""

    def __init__(self, stream: Iterable[bytes], exchange: Exchange | None, closed: Callable[[], None]) -> None:
        self._stream = stream
        self._closed = closed
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        with _in_the_words_of_httpx2():
            if self._exchange is not None:
                yield from self._exchange.contents()
            yield from self._stream

    def close(self) -> None:
        if self._exchange is not None:
            self._exchange.let_go()
        try:
            with _in_the_words_of_httpx2():
                if hasattr(self._stream, "close"):
                    self._stream.close()
        finally:
            self._closed()


class Transport(httpx2.BaseTransport):
    """For one base URL. No limit on connections: the caller's own concurrency is the limit.

    HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY are honoured for http and https proxies, read when this is made
    (SOCKS is not supported). An address on this machine is never asked of a proxy.
    """

    def __init__(self, base_url: str) -> None:
        secure = base_url.startswith("https:")
        proxy = proxy_for(base_url)
        self._connections = _Connections(
            httpcore2.ConnectionPool(
                ssl_context=httpcore2.default_ssl_context() if secure else None,
                proxy=as_proxy(proxy) if proxy else None,
                keepalive_expiry=_KEPT_SECONDS,
                network_backend=Backend(),
            )
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if not isinstance(request.stream, httpx2.SyncByteStream):
            raise TypeError("this transport takes synchronous requests")
        asked = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        connection = self._connections.take(asked.url.origin)
        try:
            with _in_the_words_of_httpx2():
                response = connection.handle_request(asked)
        except BaseException:
            connection.close()
            raise
        if not isinstance(response.stream, Iterable):
            raise TypeError("this transport gives synchronous responses")
        return httpx2.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response.stream, being_sent(), lambda: self._connections.give_back(connection)),
            extensions=response.extensions,
        )

    def close(self) -> None:
        self._connections.close()


@contextmanager
def _in_the_words_of_httpx2() -> Iterator[None]:
    """httpx2 names the network's failures as httpcore2 does."""
    try:
        yield
    except (
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.ProxyError,
        httpcore2.TimeoutException,
        httpcore2.UnsupportedProtocol,
    ) as error:
        known: type[httpx2.TransportError] = getattr(httpx2, type(error).__name__, httpx2.TransportError)
        raise known(str(error)) from error
