"""What an owner may do with conversations, beyond what the ledger does by itself: checked, and work started."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.errors import Busy, Invalid, NotFound, TooLarge
from app.ledger import Ledger, NewTurn
from app.ledger.keys import new_conversation_id
from app.ledger.models import Json
from app.logs import get_logger
from app.memory.window import estimate_tokens
from app.providers.registry import Registry, UnknownModel, UnknownProvider
from app.traces import asked_by
from app.turns.backlog import Backlog
from app.turns.renewed import renewed
from app.turns.starts import Starts


class Chat:
    def __init__(
        self,
        ledger: Ledger,
        registry: Registry,
        starts: Starts,
        backlog: Backlog,
        *,
        max_message_chars: int,
        max_message_tokens: int,
    ) -> None:
        self._ledger = ledger
        self._registry = registry
        self._starts = starts
        self._backlog = backlog
        self._max_message_chars = max_message_chars
        self._max_message_tokens = max_message_tokens
        self._log = get_logger(__name__)

    def conversation_for(self, owner: str, conversation_id: str | None, client_id: str) -> str:
        """Where a message goes: the conversation named, or the new one that this client_id always makes."""
        return conversation_id or new_conversation_id(owner, client_id)

    def check(self, turn: NewTurn) -> None:
        """What can be said of its words before anything is done. Raises Invalid or TooLarge."""
        if turn.again is None:
            self._check_text(turn.text, "text")
        self._check_size(turn.system_prompt or "", "system_prompt")

    def check_room(self, owner: str, conversation_id: str) -> None:
        """Before a conversation is made for a message: raises Busy if that would not be taken. One that is there may
        have taken it already."""
        if self._backlog.is_full():
            try:
                self._ledger.show(owner, conversation_id)
            except NotFound:
                raise Busy(retry_after=self._backlog.retry_after()) from None

    def send(self, owner: str, conversation_id: str | None, turn: NewTurn) -> Json:
        """Returns the acknowledgement, once the turn is in the ledger. Raises AppErrors."""
        self.check(turn)
        if turn.model and not turn.provider:
            current = self._ledger.show(owner, conversation_id)["provider"] if conversation_id else None
            turn = replace(turn, provider=self._provider_of(turn.model, prefer=current))
        self._check_choice(turn.provider, turn.model)
        turn = replace(turn, asked_by=asked_by())
        target = self.conversation_for(owner, conversation_id, turn.client_id)
        try:
            accepted = self._ledger.accept(
                owner,
                target,
                turn,
                create=conversation_id is None,
                full=self._backlog.is_full(),
                pace=self._backlog.pace(),
            )
        except Busy as exc:
            exc.retry_after = self._backlog.retry_after()
            raise
        self._backlog.add()
        self._starts.start(target, accepted.start, accepted.rank)
        self._log.info("turn accepted", conversation_id=target, turn_id=accepted.answer["turn_id"])
        return accepted.answer

    def stop(self, owner: str, conversation_id: str, turn_id: str) -> Json:
        status, next_turn = self._ledger.stop(owner, conversation_id, turn_id)
        self._starts.start(conversation_id, next_turn)
        return {"status": status}

    def turns(self, owner: str, conversation_id: str) -> list[Json]:
        """Those that are not over: {turn_id, status, position, wait?}."""
        return self._backlog.turns(owner, conversation_id)

    def create(self, owner: str, settings: Mapping[str, Any]) -> Json:
        """`settings`: any of title, memory, provider, model, system_prompt."""
        return self._ledger.create(owner, **self._checked(settings))

    def restore(
        self,
        owner: str,
        settings: Mapping[str, Any],
        messages: Sequence[Json],
        head: str | None,
        key: str | None = None,
    ) -> Json:
        """A conversation that was had before, under new ids; with a `key` the same one each time.

        `settings`: as for `create`, and created_at. `messages`: parents before children; `head` is one of them.
        """
        chosen = self._checked(settings)
        for message in messages:
            if message["role"] == "user":
                self._check_text(message["text"], "messages")
        planted, leaf = renewed(messages, head)
        return self._ledger.restore(owner, new_conversation_id(owner, key), planted, leaf, **chosen)

    def configure(self, owner: str, conversation_id: str, changes: Mapping[str, Any]) -> Json:
        """`changes`: as for `create`. Takes effect with the next turn that starts."""
        changed = self._checked(changes, lambda: self._ledger.show(owner, conversation_id)["provider"])
        if "provider" in changed:
            # A model belongs to its provider: with another one, the old choice means nothing.
            changed.setdefault("model", None)
        return self._ledger.configure(owner, conversation_id, changed)

    def _checked(self, settings: Mapping[str, Any], current: Callable[[], str | None] = lambda: None) -> dict[str, Any]:
        """With the provider of a model that is named alone: the `current` one's, if it has it."""
        chosen = dict(settings)
        if chosen.get("model") and not chosen.get("provider"):
            chosen["provider"] = self._provider_of(chosen["model"], prefer=current())
        self._check_choice(chosen.get("provider"), chosen.get("model"))
        self._check_size(chosen.get("system_prompt") or "", "system_prompt")
        return chosen

    def _check_text(self, text: str, field: str) -> None:
        if not text.strip():
            raise Invalid(f"{field} must not be empty.", field=field)
        if len(text) > self._max_message_chars:
            raise TooLarge(
                f"The message has {len(text):,} characters; at most {self._max_message_chars:,} are taken.",
                field=field,
            )
        self._check_size(text, field)

    def _check_size(self, text: str, field: str) -> None:
        """A model is sent the whole of it, whatever the window."""
        if (tokens := estimate_tokens(text)) > self._max_message_tokens:
            raise TooLarge(
                f"This is about {tokens:,} tokens; a model is sent at most {self._max_message_tokens:,} at a time.",
                field=field,
            )

    def _provider_of(self, model: str, prefer: str | None) -> str:
        preferred = self._registry.get(prefer) if prefer else None
        if preferred and model in preferred.models:
            return preferred.name
        try:
            return self._registry.choose(None, model)[0].name
        except UnknownModel as exc:
            raise Invalid(str(exc), field="model") from None

    def _check_choice(self, provider: str | None, model: str | None) -> None:
        try:
            self._registry.choose(provider, model)
        except UnknownProvider as exc:
            raise Invalid(str(exc), field="provider") from None
        except UnknownModel as exc:
            raise Invalid(str(exc), field="model") from None
