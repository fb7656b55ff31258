"""Times, as milliseconds since the epoch and as the contract writes them."""

import time
from datetime import UTC, datetime


def system_clock() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def iso(ms: int) -> str:
    """2026-01-31T12:00:00.123Z"""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
