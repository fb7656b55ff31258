"""Everything that imports the OpenAI SDK.

Imported on first use: it takes most of a second and 50 MB, and the web tier never calls a model.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
from openai import APIResponse, OpenAI

from app.logs import bound
from app.providers.base import Api, ChatMessage, UpstreamError
from app.providers.failures import Failures
from app.providers.transport import Transport
from app.traces import carried

# A compressing proxy would hold text back until it has enough of it.
_HEADERS = {"Accept-Encoding": "identity"}


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
        # The SDK imports these when they are first asked for.
        self._responses = self._sdk.responses.with_streaming_response
        self._chat = self._sdk.chat.completions.with_streaming_response

    def open(self, model: str, messages: Sequence[ChatMessage]) -> AbstractContextManager[APIResponse[Any]]:
        """The response to a streaming request, which is sent on entering.

        What is said goes through `extra_body`, which the SDK puts into the body as it is: otherwise it looks for files
        in every message, which takes longer than all the rest of a short reply.
        """
        if self._api == "responses":
            system = "\n\n".join(message.text for message in messages if message.role == "system")
            return self._responses.create(
                model=model,
                instructions=system or openai.omit,
                store=False,
                stream=True,
                extra_headers=_headers(),
                extra_body={"input": _said(message for message in messages if message.role != "system")},
            )
        return self._chat.create(
            model=model,
            messages=[],
            stream=True,
            stream_options={"include_usage": True},
            extra_headers=_headers(),
            extra_body={"messages": _said(messages)},
        )

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
