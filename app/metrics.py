"""What this process measures. Names and labels are documented in docs/metrics.md; labels hold no ids and no text.

Everything here is counted in memory; app/ledger/tally.py adds up the counts of all processes.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_RATES = (1, 2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 300, 500)
_CHARS = (1, 4, 16, 64, 256, 1024, 4096, 16384)


class Metrics:
    """One for each process, built in app/services.py and handed down. A change takes a few microseconds."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.queued = Histogram(
            "parley_queue_seconds",
            "How long a turn was ready before a worker took it.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.first_token = Histogram(
            "parley_first_token_seconds",
            "From asking the provider to the first of its text or reasoning.",
            ["provider"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.token_rate = Histogram(
            "parley_tokens_per_second",
            "Output tokens per second after the first, where the provider says its usage.",
            ["provider"],
            buckets=_RATES,
            registry=registry,
        )
        self.turn_seconds = Histogram(
            "parley_turn_seconds",
            "From a worker's taking a turn to its end.",
            ["provider"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.flush_chars = Histogram(
            "parley_flush_chars", "Characters written to the ledger at a time.", buckets=_CHARS, registry=registry
        )
        self.upstream_errors = Counter(
            "parley_upstream_errors",
            "Requests to a provider that failed, those that were tried again included.",
            ["provider", "code"],
            registry=registry,
        )
        self.gaps = Counter(
            "parley_gaps",
            "Conversations opened again on a connection that had them: events were missed.",
            registry=registry,
        )

    def families(self) -> Iterable[Metric]:
        return self._registry.collect()

    def samples(self) -> Iterable[Sample]:
        """All are sums, so they may be added up over processes."""
        for family in self.families():
            yield from (sample for sample in family.samples if not sample.name.endswith("_created"))
