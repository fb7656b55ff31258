"""What the server says, as its documents describe it. Tests hold the server to it; nothing is checked at run time."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

State = Literal["idle", "waiting", "running", "failed"]
Status = Literal["done", "stopped", "failed"]


class Said(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Error(Said):
    code: str
    message: str
    field: str | None = None
    retry_after: float | None = Field(None, description="Seconds.")


class ErrorAnswer(Said):
    error: Error


class OpenAIError(Said):
    message: str
    type: str
    param: str | None
    code: str


class OpenAIErrorAnswer(Said):
    """As OpenAI's SDKs read it."""

    error: OpenAIError


class TurnError(Said):
    code: str
    message: str


class Usage(Said):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = Field(None, description="In USD, where the operator has set prices.")
    estimated: bool | None = Field(None, description="The provider did not say.")


class Conversation(Said):
    id: str
    title: str
    memory: bool
    provider: str | None
    model: str | None
    system_prompt: str | None
    created_at: str
    updated_at: str
    state: State
    message_count: int
    head: str | None = Field(description="The last message of the chosen branch, maybe a reply that is still to come.")
    usage: Usage


class Message(Said):
    """A message of the user or, with `status` and what follows it, a saved reply."""

    id: str
    parent_id: str | None
    role: Literal["user", "assistant"]
    text: str
    created_at: str
    turn_id: str
    versions: list[str] = Field(description="All messages that follow the same one, this one included.")
    status: Status | None = None
    provider: str | None = None
    model: str | None = None
    memory: bool | None = None
    attempt: int | None = Field(None, description="Of a reply that was begun more than once.")
    usage: Usage | None = None
    error: TurnError | None = None
    finish_reason: Literal["length", "content_filter"] | None = Field(
        None, description="Of a reply that is done, but shorter than the model wanted."
    )
    system_prompt: str | None = Field(
        None, description="The conversation's own when this was asked, or this answer's; absent: the server's."
    )
    reasoning: str | None = None


class OpenTurn(Said):
    turn_id: str
    message_id: str
    reply_id: str
    status: Literal["waiting", "running"]
    attempt: int
    provider: str | None = None
    model: str | None = None
    text: str
    reasoning: str


class Snapshot(Said):
    conversation: Conversation
    messages: list[Message]
    more: bool
    turns: list[OpenTurn]


class Accepted(Said):
    """A message that will be answered."""

    conversation_id: str
    message_id: str
    turn_id: str
    seq: int
    epoch: str
    position: int = Field(description="Turns before it in this conversation.")
    wait: int | None = Field(None, description="Seconds until it is likely to begin, if it cannot at once.")


class QueuedTurn(Said):
    turn_id: str
    status: Literal["waiting", "running"]
    position: int = Field(description="Turns before it in this conversation.")
    wait: int | None = Field(
        None,
        description="Seconds until it is likely to begin, by what turns have taken lately; absent if nobody knows.",
    )


class Queued(Said):
    turns: list[QueuedTurn]


class TurnStatus(Said):
    status: Status


class Session(Said):
    session_id: str
    name: str
    created_at: str | None
    expires_at: str | None


class ShownSession(Session):
    usage: Usage


class NewSession(Session):
    token: str


class Provider(Said):
    name: str
    models: list[str]
    default_model: str
    api: str


class Choice(Said):
    provider: str
    model: str


class Models(Said):
    providers: list[Provider]
    default: Choice


class Match(Said):
    message_id: str
    text: str = Field(description="Some of it, around the place.")


class Found(Conversation):
    match: Match | None = Field(None, description="With `q` only; null if it is the title that matches.")


class Conversations(Said):
    conversations: list[Found]
    more: bool
    cursor: str | None


class Messages(Said):
    messages: list[Message]
    more: bool


class Health(Said):
    status: Literal["ok"]


class Readiness(BaseModel):
    status: Literal["ok"]
    redis: Literal["ok", "refuses writes"]
    providers: list[str]


class Unreadiness(ErrorAnswer):
    status: Literal["unavailable"]
    redis: Literal["unreachable"]
    providers: list[str]


# --- Socket.IO --------------------------------------------------------------------------------------------------------


class Refusal(Said):
    ok: Literal[False]
    error: Error


class Done(Said):
    ok: Literal[True]


class Opened(Done):
    """Either `events`, all after the client's position, or a `snapshot`."""

    epoch: str
    seq: int
    events: list["Event"] | None = None
    snapshot: Snapshot | None = None


class Taken(Done, Accepted):
    pass


class Waiting(Done, Queued):
    pass


class Stopped(Done, TurnStatus):
    pass


class OneConversation(Done):
    conversation: Conversation


class ManyConversations(Done):
    conversations: list[Conversation]
    cursor: str | None = None


class Happened(Said):
    """`seq` grows by one with each event of a conversation."""

    seq: int
    epoch: str
    conversation_id: str
    at: str


class MessageCreated(Happened):
    type: Literal["message.created"]
    message: Message


class TurnQueued(Happened):
    type: Literal["turn.queued"]
    turn_id: str
    message_id: str
    reply_id: str
    position: int


class TurnStarted(Happened):
    """From attempt 2 on: what was streamed before is superseded."""

    type: Literal["turn.started"]
    turn_id: str
    attempt: int
    provider: str
    model: str


class TurnReasoning(Happened):
    type: Literal["turn.reasoning"]
    turn_id: str
    text: str


class TurnDelta(Happened):
    type: Literal["turn.delta"]
    turn_id: str
    text: str


class TurnRetrying(Happened):
    type: Literal["turn.retrying"]
    turn_id: str
    reason: str
    delay: float


class TurnFinished(Happened):
    type: Literal["turn.finished"]
    turn_id: str
    status: Status
    message: Message | None
    usage: Usage | None
    error: TurnError | None = None


class ConversationUpdated(Happened):
    """With `head` another branch has been chosen."""

    type: Literal["conversation.updated"]
    conversation: Conversation
    head: str | None = None


class ConversationCleared(Happened):
    type: Literal["conversation.cleared"]
    conversation: Conversation


class ConversationDeleted(Happened):
    type: Literal["conversation.deleted"]
    conversation: Conversation | None


Event = Annotated[
    MessageCreated
    | TurnQueued
    | TurnStarted
    | TurnReasoning
    | TurnDelta
    | TurnRetrying
    | TurnFinished
    | ConversationUpdated
    | ConversationCleared
    | ConversationDeleted,
    Field(discriminator="type"),
]


class Activity(Said):
    """A hint for lists."""

    conversation_id: str
    title: str
    state: State | Literal["deleted"]
    updated_at: str


class SessionEnded(Said):
    reason: Literal["ended", "rotated", "expired"]
    message: str


def schemas(types: list[Any]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """(schema of each type, what they refer to)."""
    inputs = [(index, "validation", TypeAdapter(one)) for index, one in enumerate(types)]
    found, shared = TypeAdapter.json_schemas(inputs, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    return {types[index]: schema for (index, _), schema in found.items()}, shared.get("$defs", {})
