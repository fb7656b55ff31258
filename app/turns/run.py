"""Answers one turn: claim, ask the provider, pass its text on, save."""

import random
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass

import structlog

from app.access.budget import Budget
from app.connections import UNREACHABLE
from app.errors import AppError
from app.ledger import Busy, Claimed, Finish, GivenUp, Gone, Ledger, Prompt
from app.logs import get_logger
from app.memory.window import Sent, Window
from app.metrics import Metrics
from app.providers.base import Aborted, ChatMessage, Completion, Provider, UpstreamError
from app.providers.breaker import Breaker
from app.providers.prices import usage_of
from app.providers.registry import Registry, UnknownModel, UnknownProvider
from app.settings import Price
from app.traces import Traces, request_of
from app.turns.asking import asking
from app.turns.hints import Hints
from app.turns.pump import Pump
from app.turns.reply import Reply, Timeouts
from app.turns.starts import Starts

# A provider that asks for a longer pause than this is taken at its word: the turn fails and says so.
LONGEST_RETRY_DELAY = 30.0
FIRST_RETRY_DELAY = 0.5


@dataclass(frozen=True, slots=True)
class RunOptions:
    system_prompt: str
    window: Window
    timeouts: Timeouts
    retries: int
    prices: Mapping[str, Price]
    titles: bool
    summaries: bool


class Runner:
    """Carries any number of turns at once, one in each calling thread (greenlet)."""

    def __init__(
        self,
        ledger: Ledger,
        registry: Registry,
        pump: Pump,
        hints: Hints,
        options: RunOptions,
        budget: Budget,
        metrics: Metrics,
        traces: Traces,
    ) -> None:
        self._ledger = ledger
        self._registry = registry
        self._pump = pump
        self._hints = hints
        self._starts = Starts(ledger, hints)
        self._options = options
        self._budget = budget
        self._breaker = Breaker(time.monotonic)
        self._metrics = metrics
        self._traces = traces
        self._log = get_logger(__name__)

    def run(self, conversation_id: str, turn_id: str) -> str:
        """Returns how it went: done, failed, or why it was dropped; or why there was nothing to do.

        Raises redis-py's errors if the ledger cannot be reached to claim the turn; the sweep finds it again.
        """
        with structlog.contextvars.bound_contextvars(conversation_id=conversation_id, turn_id=turn_id):
            if self._pump.draining:
                # No new hint: the consumer that is going may take it along. Another worker's sweep finds the turn.
                return "left to others"
            claim = self._claim(conversation_id, turn_id)
            match claim:
                case Claimed():
                    return self._traced(claim)
                case GivenUp(next_turn):
                    self._log.error("turn given up: its workers were lost")
                    self._starts.start(conversation_id, next_turn)
                    return "failed"
                case Busy():
                    return "busy"
                case Gone():
                    return "gone"

    def _claim(self, conversation_id: str, turn_id: str, had: Claimed | None = None) -> Claimed | Busy | Gone | GivenUp:
        try:
            return self._ledger.claim(
                conversation_id,
                turn_id,
                default_provider=self._registry.default.name,
                default_models={one["name"]: one["default_model"] for one in self._registry.describe()},
                max_messages=self._options.window.max_messages,
                max_bytes=self._options.window.max_bytes,
                had=had,
            )
        except AppError:
            return Gone()

    def _traced(self, claim: Claimed) -> str:
        with (
            structlog.contextvars.bound_contextvars(**request_of(claim.asked_by)),
            self._traces.span("task reply", "consumer", claim.asked_by) as span,
        ):
            outcome = self._answer(claim)
            span.note(
                {
                    "messaging.system": "celery",
                    "gen_ai.conversation.id": claim.conversation_id,
                    "parley.turn_id": claim.turn_id,
                    "parley.attempt": claim.attempt,
                    "parley.queued": claim.waited / 1000,
                    "parley.outcome": outcome,
                }
            )
            if outcome == "failed":
                span.fail(outcome)
        return outcome

    def _answer(self, claim: Claimed) -> str:
        began = time.monotonic()
        self._metrics.queued.observe(claim.waited / 1000)
        reply = Reply(
            claim,
            self._options.timeouts,
            time.monotonic,
            lambda had: self._claim(claim.conversation_id, claim.turn_id, had),
        )
        sent = self._options.window.build(
            claim.system_prompt or self._options.system_prompt,
            claim.summary if claim.memory else "",
            claim.history if claim.memory else [],
            claim.question["text"],
        )
        self._pump.add(reply)
        try:
            finish = self._ask(claim, reply, sent)
            if finish is not None:
                reply.end(finish)
                self._pump.wake(reply)
            next_turn = reply.wait_until_over()
        finally:
            self._pump.discard(reply)
        outcome = reply.dropped or (finish.status if finish else "lost")
        self._report(reply, outcome, finish, sent.tokens, time.monotonic() - began)
        self._starts.start(claim.conversation_id, next_turn)
        if outcome == "done":
            if claim.untitled and self._options.titles:
                self._hints.title(claim.conversation_id, claim.reply_id)
            if (claim.overflows or sent.left_out) and self._options.summaries:
                self._hints.summary(claim.conversation_id, claim.reply_id)
        return outcome

    def _report(self, reply: Reply, outcome: str, finish: Finish | None, estimate: int, seconds: float) -> None:
        """The one line on a turn (or on this worker's part of it), and the same as metrics."""
        claim, first = reply.claim, reply.first_token
        usage = finish.usage if finish and finish.usage else {}
        tokens = usage.get("output_tokens")
        self._log.info(
            "turn over",
            outcome=outcome,
            attempt=claim.attempt,
            provider=claim.provider,
            model=claim.model,
            queued=round(claim.waited / 1000, 3),
            first_token=first and round(first, 3),
            seconds=round(seconds, 3),
            tokens=tokens,
            # What the window took the prompt for, and what it was.
            estimated_prompt_tokens=estimate,
            prompt_tokens=usage.get("input_tokens"),
            flushes=reply.flushes,
            error=finish.error["code"] if finish and finish.error else None,
        )
        self._metrics.turn_seconds.labels(claim.provider).observe(seconds)
        if first is not None:
            self._metrics.first_token.labels(claim.provider).observe(first)
            if tokens and outcome == "done" and seconds > first:
                self._metrics.token_rate.labels(claim.provider).observe(tokens / (seconds - first))

    def _ask(self, claim: Claimed, reply: Reply, sent: Sent) -> Finish | None:
        """How the reply ends, or None if it is no longer this worker's."""
        try:
            provider, model = self._registry.choose(claim.provider, claim.model)
        except (UnknownProvider, UnknownModel) as exc:
            return _failed("provider_unknown", f"{exc} Choose another one for this conversation.")
        price = self._options.prices.get(model)
        reply.ask(Prompt(sent.tokens, price.input, price.output) if price else Prompt(sent.tokens))
        try:
            return self._stream(provider, model, sent.messages, sent.tokens, reply)
        except Aborted:
            return None
        except UpstreamError as exc:
            self._log.warning("provider failed", code=exc.code, detail=exc.detail)
            return _failed(exc.code, exc.message)
        except Exception:
            self._log.exception("reply failed")
            return _failed("internal", "Something went wrong while writing this reply. It has been logged.")

    def _stream(self, provider: Provider, model: str, messages: list[ChatMessage], tokens: int, reply: Reply) -> Finish:
        for attempt in range(self._options.retries + 1):
            self._breaker.check(provider.name)
            self._wait_for_budget(provider.name, tokens, reply)
            completion = provider.complete(model, messages)
            try:
                with asking(self._traces, provider.name, model, completion):
                    self._read(completion, reply, provider.name)
            except UpstreamError as exc:
                self._breaker.failed(provider.name, exc)
                self._metrics.upstream_errors.labels(provider.name, exc.code).inc()
                delay = exc.retry_after if exc.retry_after is not None else _backoff(attempt)
                if not exc.retryable or attempt == self._options.retries or delay > LONGEST_RETRY_DELAY:
                    raise
                self._log.info("provider failed, trying again", code=exc.code, delay=round(delay, 3), detail=exc.detail)
                self._pause(reply, exc.message, delay)
            else:
                break
        usage = completion.usage
        if usage:
            with suppress(*UNREACHABLE):
                self._budget.spend(provider.name, usage.output_tokens)
        return Finish(
            "done",
            usage=usage_of(self._options.prices, model, usage.input_tokens, usage.output_tokens) if usage else None,
            finish_reason=completion.finish_reason,
        )

    def _wait_for_budget(self, provider: str, tokens: int, reply: Reply) -> None:
        with suppress(*UNREACHABLE):
            while delay := self._budget.take(provider, tokens):
                self._pause(reply, f"The model provider “{provider}” takes no more for a moment.", delay)

    def _pause(self, reply: Reply, reason: str, delay: float) -> None:
        """Says so. Raises Aborted, or what the deadlines found wrong."""
        # If the note cannot be written, only the note is missing.
        with suppress(*UNREACHABLE):
            self._ledger.note(reply.claim, "turn.retrying", {"reason": reason, "delay": round(delay, 3)})
        if reply.wait(delay):
            raise reply.stop_listening() or Aborted from None

    def _read(self, completion: Completion, reply: Reply, provider: str) -> None:
        reply.listen_to(completion)
        try:
            with closing(iter(completion)) as pieces:  # type: ignore[type-var]
                for piece in pieces:
                    if not reply.heard:
                        self._breaker.answered(provider)
                    reply.feed(piece)
                    self._pump.wake(reply)
        except Aborted:
            if problem := reply.stop_listening():
                raise problem from None
            raise
        finally:
            reply.stop_listening()


def _backoff(attempt: int) -> float:
    return FIRST_RETRY_DELAY * float(2**attempt) * random.uniform(0.75, 1.25)  # noqa: S311


def _failed(code: str, message: str) -> Finish:
    return Finish("failed", error={"code": code, "message": message})
