"""What is asked of a model beside the replies: titles and summaries. Neither delays a reply, and each may fail."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from app.ledger import Ledger
from app.logs import get_logger
from app.memory import summary
from app.memory.titles import request as title_request
from app.memory.titles import title_in
from app.memory.window import Window, exchanges
from app.metrics import Metrics
from app.providers.ask import ask
from app.providers.base import Aborted, ChatMessage, UpstreamError
from app.providers.registry import Registry
from app.traces import Traces, request_of
from app.turns.asking import asking

TITLE_SECONDS = 30.0
SUMMARY_SECONDS = 90.0
# How far back a summary reaches when a conversation has never had one; or twice the window, if that is more: it must
# reach all that a conversation which has just outgrown the window has.
MAX_MESSAGES = 400


@dataclass(frozen=True, slots=True)
class BackgroundOptions:
    """Models for titles and summaries: None for none, empty for the one that wrote the reply."""

    window: Window
    title_model: str | None
    summary_model: str | None


class Background:
    def __init__(
        self, ledger: Ledger, registry: Registry, options: BackgroundOptions, metrics: Metrics, traces: Traces
    ) -> None:
        self._ledger = ledger
        self._registry = registry
        self._options = options
        self._metrics = metrics
        self._traces = traces
        self._log = get_logger(__name__)

    @property
    def titles(self) -> bool:
        return self._options.title_model is not None

    @property
    def summaries(self) -> bool:
        return self._options.summary_model is not None

    def title(self, conversation_id: str, reply_id: str, asked_by: Mapping[str, str]) -> str:
        """Returns how it went."""
        with self._about("title", conversation_id, asked_by):
            _, messages = self._ledger.branch(
                conversation_id, reply_id, max_messages=2, max_bytes=self._options.window.max_bytes
            )
            known = exchanges(messages)
            if not known:
                return "nothing to do"
            made = self._ask(title_request(known[-1]), messages[-1], self._options.title_model or "", TITLE_SECONDS)
            if made is None:
                return "failed"
            self._ledger.entitle(conversation_id, title_in(made))
            return "done"

    def summary(self, conversation_id: str, reply_id: str, asked_by: Mapping[str, str]) -> str:
        """Sums up what the window has no room for. Returns how it went."""
        window = self._options.window
        with self._about("summary", conversation_id, asked_by):
            outcome = "nothing to do"
            while True:
                so_far, messages = self._ledger.branch(
                    conversation_id,
                    reply_id,
                    max_messages=max(MAX_MESSAGES, 2 * window.max_messages),
                    max_bytes=window.max_bytes * 20,
                    reserve=outcome != "done",
                )
                old = summary.to_sum_up(exchanges(messages), window)
                if not old:
                    return outcome
                made = self._ask(
                    summary.request(so_far, old, window),
                    messages[-1],
                    self._options.summary_model or "",
                    SUMMARY_SECONDS,
                )
                if not made or not made.strip():
                    return "failed"
                text = made.strip()[: summary.MAX_CHARS]
                self._ledger.summarize(conversation_id, old[-1].reply_id, {"text": text})
                outcome = "done"

    @contextmanager
    def _about(self, task: str, conversation_id: str, asked_by: Mapping[str, str]) -> Iterator[None]:
        with (
            structlog.contextvars.bound_contextvars(conversation_id=conversation_id, **request_of(asked_by)),
            self._traces.span(f"task {task}", "consumer", asked_by) as span,
        ):
            span.note({"messaging.system": "celery", "gen_ai.conversation.id": conversation_id})
            yield

    def _ask(self, messages: list[ChatMessage], reply: dict[str, str], model: str, seconds: float) -> str | None:
        """`model`: empty for the one that wrote `reply`."""
        try:
            provider, chosen = (
                self._registry.find(model) if model else self._registry.choose(reply["provider"], reply["model"])
            )
        except LookupError as exc:
            self._log.warning("no title or summary", error=str(exc))
            return None
        try:
            completion = provider.complete(chosen, messages)
            with asking(self._traces, provider.name, chosen, completion):
                return ask(completion, seconds=seconds)
        except Aborted:
            code = "provider_timeout"
            self._log.warning("title or summary took too long", seconds=seconds)
        except UpstreamError as exc:
            code = exc.code
            self._log.warning("no title or summary", code=code, detail=exc.detail)
        self._metrics.upstream_errors.labels(provider.name, code).inc()
        return None
