"""GET /metrics: all of Parley, whichever web process is asked."""

import hmac
from collections.abc import Iterator
from ipaddress import ip_address

from flask import Blueprint, Response, request
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from app.connections import UNREACHABLE
from app.errors import Forbidden, Unauthorized
from app.ledger import Figures
from app.ledger.tally import WORKER_SLOTS
from app.services import WebServices
from app.web.identity import bearer_token

GAUGES = {
    "connections": "Open Socket.IO connections, and requests that follow a conversation.",
    WORKER_SLOTS: "Replies that the workers together can carry at a time.",
}


def make_metrics(services: WebServices) -> Blueprint:
    metrics = Blueprint("metrics", __name__)
    token = services.settings.metrics_token.get_secret_value()

    @metrics.get("/metrics")
    def show() -> Response:
        if token:
            given = bearer_token(request) or ""
            if not hmac.compare_digest(given.encode(), token.encode()):
                raise Unauthorized("Send METRICS_TOKEN as a bearer token.")
        elif not _is_from_here():
            raise Forbidden("Without METRICS_TOKEN this answers its own machine only.")
        registry = CollectorRegistry()
        registry.register(_Everything(services))
        response = Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)
        response.headers["Cache-Control"] = "no-store"
        return response

    return metrics


def _is_from_here() -> bool:
    """Whether nobody passed this on: a proxy on this machine connects from a loopback address as well."""
    peer = request.environ.get("werkzeug.proxy_fix.orig", request.environ).get("REMOTE_ADDR", "")
    passed_on = any(name in request.headers for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded"))
    return _is_loopback(peer) and not passed_on


def _is_loopback(address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback


class _Everything(Collector):
    def __init__(self, services: WebServices) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        services = self._services
        try:
            services.tally.push()  # so that what this process did is in it
            families = [
                *_of_ledger(services.ledger.figures()),
                GaugeMetricFamily("parley_workers", "Workers seen in the last 15 seconds.", services.presence.count()),
                *self._of_processes(),
            ]
            reachable = 1
        except UNREACHABLE:
            families, reachable = [], 0
        yield GaugeMetricFamily("parley_redis_up", "Whether the ledger can be reached; if not, this is all.", reachable)
        yield from families

    def _of_processes(self) -> Iterator[Metric]:
        said = self._services.tally.gauges()
        for name, words in GAUGES.items():
            yield GaugeMetricFamily(f"parley_{name}", words, said.get(name, 0))
        families = {
            family.name: Metric(family.name, family.documentation, family.type)
            for family in self._services.metrics.families()
        }
        for sample in self._services.tally.sums():
            name = sample.name
            for ending in ("_total", "_bucket", "_sum", "_count"):
                name = name.removesuffix(ending)
            if name in families:  # an older version may have counted other things
                families[name].samples.append(sample)
        for family in families.values():
            family.samples.sort(key=_in_order)
            yield family


def _of_ledger(figures: Figures) -> Iterator[Metric]:
    yield GaugeMetricFamily("parley_turns_active", "Replies being written.", figures.running)
    yield GaugeMetricFamily(
        "parley_turns_waiting",
        "Turns that a free worker could take now; not those behind another one.",
        figures.waiting,
    )
    yield GaugeMetricFamily("parley_oldest_waiting_seconds", "How long the first of them has waited.", figures.oldest)
    turns = CounterMetricFamily("parley_turns", "Turns that ended.", labels=["status", "provider"])
    for (status, provider), number in sorted(figures.turns.items()):
        turns.add_metric([status, provider], number)
    yield turns
    resumes = CounterMetricFamily("parley_resumes", "Clients that came back and were brought level.", labels=["by"])
    for by in ("tail", "snapshot"):
        resumes.add_metric([by], figures.others.get(f"resumes:{by}", 0))
    yield resumes
    for name, counted, words in (
        ("takeovers", "takeovers", "Turns that another worker went on with."),
        ("duplicates", "duplicates", "Messages sent again that had been accepted before."),
        ("refused_writes", "refused", "Writes of workers whose turn was over or somebody else's."),
    ):
        yield CounterMetricFamily(f"parley_{name}", words, figures.others.get(counted, 0))


def _in_order(sample: Sample) -> tuple[object, ...]:
    """Buckets of one histogram belong together, in growing order."""
    labels = sample.labels
    rest = sorted((key, value) for key, value in labels.items() if key != "le")
    return rest, sample.name, float(labels.get("le", "0").replace("+Inf", "inf"))
