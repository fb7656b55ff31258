"""Traces through OpenTelemetry, where it is installed (requirements-otel.txt) and OTEL_* says where spans go.

Else nothing of it is imported, and a span is nothing. Spans hold ids, names and figures, never text.
"""

import atexit
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, Protocol

from app.logs import bound, get_logger

if TYPE_CHECKING:
    from opentelemetry.trace import Span as Recorded
    from opentelemetry.trace import StatusCode

Kind = Literal["server", "consumer", "client"]
Value = str | int | float | None

# Of the time that a platform leaves a process to end.
CLOSE_SECONDS = 2.0

_carried: ContextVar[Mapping[str, str]] = ContextVar("carried")


def carried() -> Mapping[str, str]:
    """The headers (W3C Trace Context) that make what is called a part of the current span; none without traces."""
    return _carried.get({})


def asked_by() -> dict[str, str]:
    """What goes along with work that is left to another process: these headers, and the request's id for its logs."""
    request_id = bound("request_id")
    return {"request_id": request_id, **carried()} if request_id else dict(carried())


def request_of(asked_by: Mapping[str, str]) -> dict[str, str]:
    """Of these, what is to be logged."""
    return {name: asked_by[name] for name in ("request_id",) if name in asked_by}


class Span(Protocol):
    def note(self, attributes: Mapping[str, Value], /) -> None:
        """What has become known of it."""

    def fail(self, code: str, /) -> None:
        """What it stands for has failed."""


class Traces(Protocol):
    """Of one process, built in app/services.py and handed down."""

    def span(self, name: str, kind: Kind, parent: Mapping[str, str] | None = None, /) -> AbstractContextManager[Span]:
        """The current one while it is open. `parent`: headers that were carried here, from whomever; without, the
        current span is its parent."""


def make_traces(service: str) -> Traces:
    """As the environment says. To be called after fork: it starts a thread."""
    if not _wanted(os.environ):
        return _NoTraces()
    try:
        return _OpenTelemetry(service)
    except ImportError as exc:
        words = "no traces: OTEL_* asks for them, but requirements-otel.txt is not installed"
        get_logger(__name__).warning(words, missing=exc.name)
        return _NoTraces()


def _wanted(environ: Mapping[str, str]) -> bool:
    return (
        bool(environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
        and environ.get("OTEL_SDK_DISABLED", "").lower() != "true"
        and environ.get("OTEL_TRACES_EXPORTER", "otlp") in {"", "otlp"}
    )


class _NoSpan(Span):
    def note(self, _attributes: Mapping[str, Value], /) -> None:
        pass

    def fail(self, _code: str, /) -> None:
        pass


class _NoTraces(Traces):
    def __init__(self) -> None:
        self._nothing = nullcontext(_NoSpan())

    def span(
        self, _name: str, _kind: Kind, _parent: Mapping[str, str] | None = None, /
    ) -> AbstractContextManager[Span]:
        return self._nothing


class _OpenTelemetry(Traces):
    """OTLP over HTTP; sampler, headers, batches and so on are the SDK's business, and so are their OTEL_* variables."""

    def __init__(self, service: str) -> None:
        from opentelemetry import trace  # noqa: PLC0415 (an extra)
        from opentelemetry.context import Context  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        resource = Resource.create()
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: service}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("parley")
        self._format = TraceContextTextMapPropagator()
        self._trace, self._empty = trace, Context()
        atexit.register(self._close)

    @contextmanager
    def span(self, name: str, kind: Kind, parent: Mapping[str, str] | None = None, /) -> Iterator[Span]:
        # The SDK's own current span is not used: there is one way of carrying, within a process and between them.
        context = self._format.extract(carried() if parent is None else parent, self._empty)
        recorded = self._tracer.start_span(name, context, self._trace.SpanKind[kind.upper()])
        headers: dict[str, str] = {}
        self._format.inject(headers, self._trace.set_span_in_context(recorded, context))
        before = _carried.set(headers)
        span = _Recorded(recorded, self._trace.StatusCode.ERROR)
        try:
            yield span
        except Exception as exc:
            span.fail(getattr(exc, "code", type(exc).__name__))
            raise
        finally:
            _carried.reset(before)
            recorded.end()

    def _close(self) -> None:
        """Sends what has not been sent; but a collector that is away does not keep the process from ending."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)


class _Recorded(Span):
    def __init__(self, span: "Recorded", failed: "StatusCode") -> None:
        self._span = span
        self._failed = failed

    def note(self, attributes: Mapping[str, Value], /) -> None:
        for name, value in attributes.items():
            if value is not None:
                self._span.set_attribute(name, value)

    def fail(self, code: str, /) -> None:
        self._span.set_status(self._failed)
        self._span.set_attribute("error.type", code)
