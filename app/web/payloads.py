"""What clients may send: one model for each Socket.IO event, shared with HTTP where both take the same."""

from typing import Annotated, Any, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from app.errors import Invalid
from app.ledger import NewTurn

MAX_TITLE_CHARS = 200
MAX_PAGE = 100
# More than any of them has: an error for each of very many unknown ones would be made before the first is told.
MAX_FIELDS = 100

ConversationId = Annotated[str, StringConstraints(max_length=64)]
MessageId = Annotated[str, StringConstraints(min_length=1, max_length=64)]
ClientId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TITLE_CHARS)]
Prompt = Annotated[str, StringConstraints(max_length=32_000)]


class Payload(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ConversationRef(Payload):
    conversation_id: ConversationId


class OpenConversation(ConversationRef):
    after: int | None = Field(None, ge=0, le=2**53)
    epoch: Annotated[str, StringConstraints(max_length=64)] | None = None


def storable(text: str) -> str:
    text.encode()  # a lone surrogate, which JSON can spell, is a ValueError
    return text


Text = Annotated[str, AfterValidator(storable)]


class Asked(Payload):
    """What every turn may be asked with."""

    client_id: ClientId
    memory: bool | None = None
    provider: Name | None = None
    model: Name | None = None

    def _turn(
        self, text: str = "", *, parent_id: str | None = None, edited: str | None = None, again: str | None = None
    ) -> NewTurn:
        return NewTurn(
            text, self.client_id, parent_id, edited, again, memory=self.memory, provider=self.provider, model=self.model
        )


class Message(Asked):
    text: Text
    parent_id: MessageId | None = None

    def turn(self) -> NewTurn:
        return self._turn(self.text, parent_id=self.parent_id)


class SendMessage(Message):
    conversation_id: ConversationId | None = None


class Waiting(Payload):
    """Over HTTP: how many seconds the answer may wait for the reply."""

    wait: float = Field(0, ge=0, le=60)


class PostMessage(Message, Waiting):
    pass


class Regenerate(Asked):
    conversation_id: ConversationId
    message_id: MessageId

    def turn(self) -> NewTurn:
        return self._turn(again=self.message_id)


class EditMessage(Asked):
    conversation_id: ConversationId
    message_id: MessageId
    text: Text

    def turn(self) -> NewTurn:
        return self._turn(self.text, edited=self.message_id)


class PostRegenerate(Regenerate, Waiting):
    pass


class PostEdit(EditMessage, Waiting):
    pass


class SelectBranch(ConversationRef):
    message_id: MessageId


class StopTurn(ConversationRef):
    turn_id: MessageId


class Settings(Payload):
    """Settings of a conversation. A null provider, model or system prompt sets back to the default."""

    title: Title = ""
    memory: bool = True
    provider: Name | None = None
    model: Name | None = None
    system_prompt: Prompt | None = None

    def given(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in Settings.model_fields if name in self.model_fields_set}


class ConfigureConversation(Settings):
    conversation_id: ConversationId


class ListConversations(Payload):
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,16}-[0-9a-z]{26}$")] | None = None
    limit: int = Field(50, ge=1, le=MAX_PAGE)


class SearchConversations(Payload):
    q: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,16}-[0-9a-z]{26}(-[0-9]{1,19})?$")] | None = None
    limit: int = Field(50, ge=1, le=MAX_PAGE)


P = TypeVar("P", bound=Payload)


def json_object(body: bytes) -> dict[str, Any]:
    """A request's body. Raises Invalid."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise Invalid("Send one JSON object.")
    return found


def parse(model: type[P], *arguments: Any) -> P:
    """The one JSON object that was sent; nothing counts as an empty one. Raises Invalid naming the first bad field."""
    data, *surplus = arguments or ({},)
    if surplus or not isinstance(data, dict):
        raise Invalid("Send one JSON object.")
    if len(data) > MAX_FIELDS:
        raise Invalid(f"An object of at most {MAX_FIELDS} fields is taken.")
    try:
        return model.model_validate(data)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        field = str(first["loc"][0])[:64] if first["loc"] else None
        # (pydantic names the members of a union in between, such as `list[Part]`.)
        place = ".".join(part for part in map(str, first["loc"]) if "[" not in part)[:200]
        raise Invalid(f"{place}: {first['msg']}" if field else first["msg"], field=field) from None
