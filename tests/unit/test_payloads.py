"""What clients may send."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from app.errors import Invalid
from app.ledger import NewTurn
from app.web import payloads
from app.web.archive import Export
from app.web.openai_api.asked import AskedCompletion, AskedResponse
from app.web.payloads import parse

MESSAGE = {"text": "Hello", "client_id": "x"}


def refused(model: type[payloads.Payload], *sent: Any) -> str | None:
    with pytest.raises(Invalid) as error:
        parse(model, *sent)
    assert error.value.message
    return error.value.field


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        (AskedCompletion, {"messages": [{"role": "user", "content": [1] * 5_000}]}),
        (AskedCompletion, {"messages": [{"role": "user", "content": [1] * 50}] * 1_500}),
        (AskedResponse, {"input": [{"role": "user", "content": [{}] * 50}] * 1_500}),
        (Export, {"format": "parley.conversation", "version": 1, "messages": [{}] * 5_000}),
    ],
)
def test_very_many_mistakes_cost_no_more_than_some(model: type[BaseModel], sent: dict[str, Any]) -> None:
    """A description is made of each that is found, before the first is told."""
    with pytest.raises(ValidationError) as error:
        model.model_validate(sent)
    assert error.value.error_count() < 20


def test_very_many_fields_are_none_of_ours() -> None:
    assert refused(payloads.SendMessage, {f"field{number}": 1 for number in range(10_000)}) is None


def test_a_message() -> None:
    sent = parse(payloads.SendMessage, {**MESSAGE, "conversation_id": "c", "memory": False, "model": "m"})
    assert sent.conversation_id == "c"
    assert sent.turn() == NewTurn("Hello", "x", memory=False, model="m")
    assert parse(payloads.SendMessage, MESSAGE).turn() == NewTurn("Hello", "x")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"text": None}, "text"),
        ({"text": 1}, "text"),
        ({"text": ["x"]}, "text"),
        ({"text": "\ud800"}, "text"),
        ({"client_id": ""}, "client_id"),
        ({"client_id": "x" * 65}, "client_id"),
        ({"client_id": "a b"}, "client_id"),
        ({"client_id": "a\n"}, "client_id"),
        ({"client_id": "ä"}, "client_id"),
        ({"client_id": 1}, "client_id"),
        ({"client_id": None}, "client_id"),
        ({"parent_id": ""}, "parent_id"),
        ({"parent_id": "x" * 65}, "parent_id"),
        ({"memory": "true"}, "memory"),
        ({"memory": 1}, "memory"),
        ({"provider": ""}, "provider"),
        ({"model": "x" * 201}, "model"),
        ({"conversation_id": 7}, "conversation_id"),
        ({"conversation_id": "x" * 65}, "conversation_id"),
        ({"surplus": 1}, "surplus"),
        ({"x" * 500: 1}, "x" * 64),
    ],
)
def test_no_such_message(change: dict[str, Any], field: str) -> None:
    assert refused(payloads.SendMessage, {**MESSAGE, **change}) == field


@pytest.mark.parametrize("missing", ["text", "client_id"])
def test_what_a_message_needs(missing: str) -> None:
    assert refused(payloads.SendMessage, {name: value for name, value in MESSAGE.items() if name != missing}) == missing


@pytest.mark.parametrize("client_id", ["x", "A-z_09", "x" * 64])
def test_client_ids(client_id: str) -> None:
    assert parse(payloads.SendMessage, {**MESSAGE, "client_id": client_id}).client_id == client_id


@pytest.mark.parametrize("sent", [("x",), (None,), ([],), (1,), ({}, {}), (MESSAGE, "more")])
def test_one_object(sent: tuple[Any, ...]) -> None:
    assert refused(payloads.SendMessage, *sent) is None


def test_nothing_counts_as_an_empty_object() -> None:
    assert parse(payloads.ListConversations) == payloads.ListConversations()
    assert refused(payloads.ConversationRef) == "conversation_id"


def test_what_it_says_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(Invalid) as error:
        parse(payloads.SendMessage, {**MESSAGE, "memory": "a secret"})
    assert "secret" not in error.value.message


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"after": -1}, "after"),
        ({"after": 2**53 + 1}, "after"),
        ({"after": 1.5}, "after"),
        ({"after": "1"}, "after"),
        ({"after": True}, "after"),
        ({"epoch": 1}, "epoch"),
        ({"epoch": "x" * 65}, "epoch"),
    ],
)
def test_no_such_position(sent: dict[str, Any], field: str) -> None:
    assert refused(payloads.OpenConversation, {"conversation_id": "c", **sent}) == field


def test_positions() -> None:
    asked = parse(payloads.OpenConversation, {"conversation_id": "c", "after": 0, "epoch": "e"})
    assert (asked.after, asked.epoch) == (0, "e")
    asked = parse(payloads.OpenConversation, {"conversation_id": "c", "after": None, "epoch": None})
    assert (asked.after, asked.epoch) == (None, None)


def test_a_turn_to_stop() -> None:
    assert parse(payloads.StopTurn, {"conversation_id": "c", "turn_id": "t"}).turn_id == "t"
    assert refused(payloads.StopTurn, {"conversation_id": "c"}) == "turn_id"
    assert refused(payloads.StopTurn, {"conversation_id": "c", "turn_id": ""}) == "turn_id"


def test_settings_are_those_given() -> None:
    sent = {"title": "  A title ", "provider": None}
    assert parse(payloads.Settings, sent).given() == {"title": "A title", "provider": None}
    assert parse(payloads.ConfigureConversation, {"conversation_id": "c", "memory": False}).given() == {"memory": False}
    assert parse(payloads.Settings, {}).given() == {}


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "   "}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": None}, "title"),
        ({"title": "\udfff"}, "title"),
        ({"memory": None}, "memory"),
        ({"provider": ""}, "provider"),
        ({"system_prompt": "x" * 32_001}, "system_prompt"),
        ({"owner": "bob"}, "owner"),
    ],
)
def test_no_such_settings(sent: dict[str, Any], field: str) -> None:
    assert refused(payloads.Settings, sent) == field


@pytest.mark.parametrize(
    "cursor", ["x", "1-", "-" + "a" * 26, "1" * 17 + "-" + "a" * 26, "1-" + "A" * 26, "1-" + "a" * 26 + "\n"]
)
def test_no_such_cursor(cursor: str) -> None:
    assert refused(payloads.ListConversations, {"cursor": cursor}) == "cursor"


def test_a_place_within_a_search() -> None:
    place = "1-" + "a" * 26
    for scan in ("", "-0", f"-{2**63 - 1}"):
        assert parse(payloads.SearchConversations, {"q": "x", "cursor": place + scan}).cursor == place + scan
    for scan in ("-", "-x", f"-{2**64}", "-" + "9" * 20, "-1-1"):
        assert refused(payloads.SearchConversations, {"q": "x", "cursor": place + scan}) == "cursor"


@pytest.mark.parametrize("limit", [0, 101, "5", 1.0, None])
def test_no_such_limit(limit: Any) -> None:
    assert refused(payloads.ListConversations, {"limit": limit}) == "limit"
