"""Spares a provider that is down, and those who wait for it."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.providers.base import UpstreamError

# It is down after so many failures in a row over so many seconds. Then one request at a time tries it, so often.
FAILURES = 20
SPAN_SECONDS = 10.0
PAUSE_SECONDS = 5.0
# What speaks for a provider that is down, not for a request that it does not like.
_SYMPTOMS = frozenset({"provider_unreachable", "provider_unavailable", "provider_timeout"})


@dataclass(slots=True)
class _Record:
    failures: int = 0
    since: float = 0.0
    next_try: float = 0.0
    last: UpstreamError | None = None


class Breaker:
    """What one process knows of its providers."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: dict[str, _Record] = {}
        self._lock = threading.Lock()

    def check(self, provider: str) -> None:
        """Before a provider is asked. Raises the last error, final, while it is down."""
        with self._lock:
            record = self._records.get(provider)
            now = self._clock()
            if record is None or record.last is None or not self._is_down(record):
                return
            if now >= record.next_try:
                record.next_try = now + PAUSE_SECONDS
                return
            wait = math.ceil(record.next_try - now)
            words = (
                f"{record.last.message} It has failed {record.failures} times in a row and is left alone for {wait} s."
            )
            raise UpstreamError(record.last.code, words, detail="breaker open")

    def failed(self, provider: str, error: UpstreamError) -> None:
        if error.code not in _SYMPTOMS:
            return
        with self._lock:
            record = self._records.setdefault(provider, _Record(since=self._clock()))
            record.failures += 1
            record.last = error

    def answered(self, provider: str) -> None:
        """It has sent something."""
        with self._lock:
            self._records.pop(provider, None)

    def _is_down(self, record: _Record) -> bool:
        return record.failures >= FAILURES and self._clock() - record.since >= SPAN_SECONDS
