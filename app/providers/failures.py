"""What can go wrong with a provider, in words for the person who waits for the reply."""

import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from app.providers.base import UpstreamError

MAX_WORDS = 300

_SECRETS = re.compile(
    r"\b(?:sk|rk|pk|hf|gsk|xai)[-_](?=[\w*.-]*[\dA-Z*])[\w*.-]{6,}"
    r"|\b[Bb]earer\s+[\w*.~+/=-]{6,}"
    r"|\bey[\w-]{10,}\.[\w-]{10,}\.[\w-]*"
)
_RETRYABLE_STATUSES = frozenset({408, 409, 429})
_AUTH_CODES = ("invalid_api_key", "authentication", "unauthorized", "permission")
_FINAL_CODES = (
    "invalid",
    "policy",
    "quota",
    "content_filter",
    "context_length",
    "not_found",
    "unsupported",
    *_AUTH_CODES,
)


class Failures:
    """Makes the errors of one provider. What the provider said itself is shortened and stripped of secrets."""

    def __init__(self, name: str, api_key: str) -> None:
        self._who = f"The model provider “{name}”"
        self._api_key = api_key

    def unreachable(self, detail: str = "") -> UpstreamError:
        return self._make("provider_unreachable", f"{self._who} could not be reached.", True, detail=detail)

    def silent(self, detail: str = "") -> UpstreamError:
        return self._make("provider_unavailable", f"{self._who} did not answer in time.", True, detail=detail)

    def dropped(self, detail: str = "") -> UpstreamError:
        return self._make(
            "provider_dropped",
            f"The connection to {self._who[0].lower()}{self._who[1:]} broke off.",
            True,
            detail=detail,
        )

    def garbled(self, detail: str) -> UpstreamError:
        return self._make(
            "provider_stream", f"{self._who} sent something that could not be understood.", True, detail=detail
        )

    def not_a_stream(self, content_type: str) -> UpstreamError:
        message = f"{self._who} did not answer with a stream of text. Its address or its settings may be wrong."
        return self._make("provider_stream", message, detail=content_type)

    def empty(self, reason: str | None) -> UpstreamError:
        why = {
            "length": "used up its tokens before it wrote any text",
            "content_filter": "filtered the whole reply out",
        }.get(reason or "", "sent an empty reply")
        return self._make("provider_empty", f"{self._who} {why}.", retryable=reason is None)

    def reported(self, error: object) -> UpstreamError:
        """An error that came inside the stream."""
        code, words = describe(error)
        if code in {"401", "403"} or any(part in code for part in _AUTH_CODES):
            return self._auth(code)
        final = any(part in code for part in _FINAL_CODES) or (
            re.fullmatch(r"4[0-9]{2}", code) and int(code) not in _RETRYABLE_STATUSES
        )
        message = self._said("reported an error", words)
        return self._make("provider_stream", message, not final, detail=code)

    def status(self, status: int, body: object, headers: Mapping[str, str], model: str) -> UpstreamError:
        """An HTTP status other than 2xx."""
        code, words = describe(body)
        detail = f"HTTP {status} {code}".rstrip()
        if status in {401, 403}:
            return self._auth(detail)
        if status == 404 or code == "model_not_found":
            message = f"{self._who} does not offer the model “{model}”, or its address is wrong."
            return self._make("provider_model", message, detail=detail)
        if status == 429 and "quota" in code:
            message = f"The account at {self._who[0].lower()}{self._who[1:]} has no credit left."
            return self._make("provider_rate_limited", message, detail=detail)
        wait = retry_after(headers)
        if status == 429:
            message = f"{self._who} is limiting requests just now. Please try again in a moment."
            return self._make("provider_rate_limited", message, True, wait, detail)
        if status >= 500 or status in _RETRYABLE_STATUSES:
            message = f"{self._who} is unavailable just now (status {status}). Please try again in a moment."
            return self._make("provider_unavailable", message, True, wait, detail)
        return self._make("provider_rejected", self._said("rejected the request", words), detail=detail)

    def _auth(self, detail: str) -> UpstreamError:
        # Never with the provider's own words: they quote the key.
        return self._make("provider_auth", f"{self._who} did not accept this server's API key.", detail=detail)

    def _said(self, what: str, words: str) -> str:
        words = self._clean(words)
        return f"{self._who} {what}: {words}" if words else f"{self._who} {what}."

    def _make(
        self, code: str, message: str, retryable: bool = False, wait: float | None = None, detail: str = ""
    ) -> UpstreamError:
        return UpstreamError(code, message, retryable=retryable, retry_after=wait, detail=self._clean(detail))

    def _clean(self, words: str) -> str:
        if len(self._api_key) >= 8:
            words = words.replace(self._api_key, "[redacted]")
        # The SDK takes half a character out of JSON where orjson would refuse it; the ledger cannot store one.
        words = words[: 4 * MAX_WORDS].encode(errors="replace").decode()
        words = " ".join(_SECRETS.sub("[redacted]", words).split())
        return words if len(words) <= MAX_WORDS else words[: MAX_WORDS - 1] + "…"


def describe(error: object) -> tuple[str, str]:
    """Code and words of an error object, in the several shapes that compatible servers give it."""
    while isinstance(error, Mapping) and isinstance(inner := error.get("error"), (Mapping, str)):
        error = inner
    if isinstance(error, Mapping):
        words = next((text for key in ("message", "detail") if isinstance(text := error.get(key), str)), "")
        for key in ("code", "type"):
            if isinstance(code := error.get(key), (str, int)) and code not in {"", "error"}:
                return str(code).lower(), words
        return "", words
    if isinstance(error, str) and not error.lstrip().startswith("<"):  # a page is for browsers
        return "", error
    return "", ""


def retry_after(headers: Mapping[str, Any]) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `Retry-After` (a number or a date)."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name) or "") / unit
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after") or "").timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
