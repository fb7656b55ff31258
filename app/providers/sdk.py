"""Everything that imports the OpenAI SDK.

Imported on first use: it takes most of a second and 50 MB, and the web tier never calls a model.
"""

from collections.abc import Iterable, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2
import openai
import orjson
from openai import OpenAI

from app.logs import bound
from app.providers.base import Api, ChatMessage, UpstreamError
from app.providers.failures import Failures
from app.providers.transport import Transport
from app.traces import carried

# A compressing proxy would hold text back until it has enough of it.
_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}


class Client:
    """One provider's SDK client, shared by all its calls."""

    def __init__(self, base_url: str, api_key: str, api: Api, connect_timeout: float, read_timeout: float) -> None:
        timeout = httpx2.Timeout(read_timeout, connect=connect_timeout)
        self._sdk = OpenAI(
            base_url=base_url,
            api_key=api_key or "none",  # the SDK refuses an empty one
            max_retries=0,  # the caller retries: people are to see it
            timeout=timeout,
            http_client=httpx2.Client(
                transport=Transport(base_url), timeout=timeout, follow_redirects=True, trust_env=False
            ),
        )
        host = urlsplit(base_url).hostname or ""
        if host != "api.openai.com" and not host.endswith(".openai.com"):
            # The SDK takes these from the environment; they are nobody else's business.
            self._sdk.organization = self._sdk.project = None
        self._api = api

    def send(self, model: str, messages: Sequence[ChatMessage]) -> httpx2.Response:
        """A streaming request; its response is the caller's to close.

        Through the SDK's method for any path: those of the endpoints look at each of some forty parameters and at
        every message, and wrap the response, which takes longer than all the rest of a short reply.
        """
        body: dict[str, Any]
        if self._api == "responses":
            path = "/responses"
            system = "\n\n".join(message.text for message in messages if message.role == "system")
            said = [message for message in messages if message.role != "system"]
            body = {"model": model, "input": _said(said), "store": False, "stream": True}
            if system:
                body["instructions"] = system
        else:
            path = "/chat/completions"
            options = {"include_usage": True}
            body = {"model": model, "messages": _said(messages), "stream": True, "stream_options": options}
        response = self._sdk.post(
            path,
            cast_to=httpx2.Response,
            content=orjson.dumps(body),
            options={"headers": _headers()},
            stream=True,
            stream_cls=openai.Stream[Any],
        )
        return cast("httpx2.Response", response)  # which `cast_to` means, whatever the types say

    def close(self) -> None:
        self._sdk.close()


def _headers() -> dict[str, str]:
    """OpenAI logs the id that it is given under this name, so that one can ask them about a turn."""
    turn_id = bound("turn_id")
    return {**_HEADERS, **carried(), **({"X-Client-Request-Id": turn_id} if turn_id else {})}


def _said(messages: Iterable[ChatMessage]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.text} for message in messages]


def explain(error: Exception, failures: Failures, model: str) -> UpstreamError | None:
    """The error of ours for one of the SDK's or of the network's; None for a bug."""
    if isinstance(error, openai.APIStatusError):
        return failures.status(error.status_code, error.body, error.response.headers, model)
    if isinstance(error, openai.APIConnectionError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    detail = f"{type(error).__name__}: {error}"
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError, httpx2.UnsupportedProtocol)):
        return failures.unreachable(detail)
    if isinstance(error, (httpx2.TimeoutException, openai.APITimeoutError)):
        return failures.silent(detail)
    if isinstance(error, (httpx2.RequestError, httpx2.StreamError)):
        return failures.dropped(detail)
    if isinstance(error, (openai.OpenAIError, httpx2.InvalidURL, OSError)):
        return failures.unreachable(detail)
    return None
