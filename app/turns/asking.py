"""The span of one request to a provider, by OpenTelemetry's conventions for generative AI."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.providers.base import Aborted, Completion
from app.traces import Traces


@contextmanager
def asking(traces: Traces, provider: str, model: str, completion: Completion) -> Iterator[None]:
    """While the completion is read."""
    aborted = None
    with traces.span(f"chat {model}", "client") as span:
        span.note({"gen_ai.operation.name": "chat", "gen_ai.provider.name": provider, "gen_ai.request.model": model})
        try:
            yield
        except Aborted as exc:  # which is no failure
            aborted = exc
        if usage := completion.usage:
            span.note(
                {"gen_ai.usage.input_tokens": usage.input_tokens, "gen_ai.usage.output_tokens": usage.output_tokens}
            )
    if aborted:
        raise aborted
