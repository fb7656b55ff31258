"""Conversations taken out and put in again."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Literal
from urllib.parse import quote

import orjson
from flask import Blueprint, Response, g, jsonify, request
from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from app.clock import iso
from app.errors import Invalid
from app.ledger.archive import Tree
from app.services import WebServices
from app.web.identity import address_of
from app.web.payloads import MAX_TITLE_CHARS, MessageId, Name, Payload, Prompt, Text, parse, storable
from app.web.requests import json_body

FORMAT = "parley.conversation"
MAX_IMPORT_BYTES = 16_000_000
MAX_IMPORT_MESSAGES = 10_000
MAX_NAME_CHARS = 80


def _as_utc(text: str) -> str:
    """As the ledger writes times. A ValueError if it is none."""
    time = datetime.fromisoformat(text)
    try:
        return iso(round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000))
    except OverflowError:
        raise ValueError("not a year that there is") from None


Time = Annotated[str, StringConstraints(min_length=10, max_length=40), AfterValidator(_as_utc)]
Label = Annotated[str, StringConstraints(max_length=200)]


class Lenient(Payload):
    """What later versions add is left out rather than refused."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class ExportedUsage(Lenient):
    input_tokens: int = Field(0, ge=0, le=10**12)
    output_tokens: int = Field(0, ge=0, le=10**12)
    cost: float | None = Field(None, ge=0, le=10**9)
    estimated: bool = False


class ExportedError(Lenient):
    code: Label
    message: Text


class ExportedMessage(Lenient):
    """`status`, and what follows it, is for replies."""

    id: MessageId
    parent_id: MessageId | None
    role: Literal["user", "assistant"]
    text: Text
    created_at: Time
    status: Literal["done", "stopped", "failed"] = "done"
    provider: Name | None = None
    model: Name | None = None
    memory: bool | None = None
    usage: ExportedUsage | None = None
    error: ExportedError | None = None
    finish_reason: Literal["length", "content_filter"] | None = None
    system_prompt: Prompt | None = None
    reasoning: Text | None = None


class ExportedConversation(Lenient):
    title: Annotated[str, StringConstraints(max_length=MAX_TITLE_CHARS), AfterValidator(storable)] = ""
    memory: bool = True
    provider: Name | None = None
    model: Name | None = None
    system_prompt: Prompt | None = None
    created_at: Time


class Export(Lenient):
    """A conversation as a file. `messages`: a tree, parents before children, the versions of one in order; `head`: the
    last message of the chosen branch."""

    format: Literal["parley.conversation"]
    version: Literal[1]
    conversation: ExportedConversation
    messages: Annotated[list[ExportedMessage], Field(max_length=MAX_IMPORT_MESSAGES, fail_fast=True)]
    head: MessageId | None


def add_archive(api: Blueprint, services: WebServices) -> None:
    @api.get("/conversations/<conversation_id>/export")
    def export_conversation(conversation_id: str) -> Response:
        kind = request.args.get("format", "json")
        if kind not in {"json", "md"}:
            raise Invalid("format must be md or json.", field="format")
        tree = services.archive.tree(g.session.id, conversation_id)
        body, mimetype = (as_markdown(tree), "text/markdown") if kind == "md" else (as_json(tree), "application/json")
        response = Response(body, mimetype=mimetype)
        response.headers["Content-Disposition"] = attachment(tree.conversation["title"], kind)
        return response

    @api.post("/conversations/import")
    def import_conversation() -> tuple[Response, int]:
        request.max_content_length = MAX_IMPORT_BYTES
        # Of a body that comes in chunks nobody knows before it has been read.
        services.limits.conversation(address_of(request), request.content_length or len(request.get_data()))
        given = parse(Export, json_body())
        check_tree(given)
        settings = given.conversation.model_dump()
        messages = [one.model_dump(exclude_unset=True) | {"status": one.status} for one in given.messages]
        return jsonify(services.chat.restore(g.session.id, settings, messages, given.head)), 201


def as_json(tree: Tree) -> bytes:
    """Ids of turns and what can be told from the tree are left out."""
    conversation = {name: tree.conversation[name] for name in ExportedConversation.model_fields}
    messages = [
        {name: message[name] for name in ExportedMessage.model_fields if name in message} for message in tree.messages
    ]
    return orjson.dumps(
        {"format": FORMAT, "version": 1, "conversation": conversation, "messages": messages, "head": tree.head}
    )


def as_markdown(tree: Tree) -> str:
    """The chosen branch, to be read."""
    parts = [f"# {_one_line(tree.conversation['title']) or 'Conversation'}"]
    for message in tree.branch():
        time = message["created_at"][:16].replace("T", " ") + " UTC"
        if message["role"] == "user":
            parts += [f"## You · {time}", message["text"]]
        else:
            by = " · ".join(name for name in (message["model"], message["provider"]) if name)
            parts += [f"## Assistant · {by + ' · ' if by else ''}{time}", message["text"]]
            if message["status"] != "done":
                parts.append(f"*({message['status']})*")
    return "\n\n".join(part for part in parts if part) + "\n"


def attachment(title: str, extension: str) -> str:
    """A file name that is safe wherever it is saved, in ASCII and as it should be (RFC 6266)."""
    name = re.sub(r'[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069<>:"/\\|?*%;]+', " ", title)
    name = " ".join(name.split())[:MAX_NAME_CHARS].strip(". ") or "conversation"
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().strip(". ") or "conversation"
    return f"attachment; filename=\"{plain}.{extension}\"; filename*=UTF-8''{quote(name, safe='')}.{extension}"


def check_tree(given: Export) -> None:
    """Raises Invalid."""
    roles: dict[str | None, str] = {None: "assistant"}
    for number, message in enumerate(given.messages):
        place = f"messages[{number}]"
        if message.id in roles:
            raise Invalid(f"{place}: there are two messages with this id.", field="messages")
        if message.parent_id not in roles:
            raise Invalid(f"{place}: parent_id must be a message before it, or null.", field="messages")
        if message.role == "assistant" and roles[message.parent_id] != "user":
            raise Invalid(f"{place}: a reply must follow a message of the user.", field="messages")
        roles[message.id] = message.role
    if given.head is None and given.messages:
        raise Invalid("head must be the last message of the chosen branch.", field="head")
    if given.head not in roles:
        raise Invalid("head must be one of the messages.", field="head")
    if given.head in {message.parent_id for message in given.messages} and given.messages:
        raise Invalid("head must be a message that none follows.", field="head")


def _one_line(text: str) -> str:
    return " ".join(text.split())
