"""Several providers, and their errors as a user sees them."""

from typing import Any

import pytest

from tests.support.model import API_KEY
from tests.support.stack import Stack
from tests.support.upstream import Drop, Script

MODELS = {
    "providers": [
        {"name": "chat", "models": ["small", "large", "common"], "default_model": "small", "api": "chat"},
        {
            "name": "responses",
            "models": ["thinker", "common", "chat/named"],
            "default_model": "thinker",
            "api": "responses",
        },
        {"name": "dead", "models": ["none"], "default_model": "none", "api": "chat"},
    ],
    "default": {"provider": "chat", "model": "small"},
}


def test_models_are_listed(stack: Stack) -> None:
    assert stack.api(stack.session()).get("/api/models") == MODELS


def test_switched_in_mid_chat_the_history_is_kept(stack: Stack) -> None:
    client = stack.client()
    texts = [stack.secret_text() for _ in range(4)]
    answer = client.send(texts[0])
    conversation_id = answer["conversation_id"]
    client.do("configure_conversation", conversation_id=conversation_id, provider="responses")
    client.wait_finished(answer["turn_id"])
    client.talk(texts[1], conversation_id)
    client.talk(texts[2], conversation_id, provider="chat", model="large")  # for this message only
    client.talk(texts[3], conversation_id)
    requests = [stack.model.request(text) for text in texts]
    assert [(request.api, request.model) for request in requests[1:]] == [
        ("responses", "thinker"),
        ("chat", "large"),
        ("responses", "thinker"),
    ]
    assert [message["content"] for message in requests[2].messages[1:]] == [
        *(texts[0], f"You said: {texts[0]}"),
        *(texts[1], f"You said: {texts[1]}", texts[2]),
    ]
    replies = stack.assert_saved_as_shown(client, conversation_id)[1::2]
    assert [(reply["provider"], reply["model"]) for reply in replies[1:]] == [
        ("responses", "thinker"),
        ("chat", "large"),
        ("responses", "thinker"),
    ]
    assert {request.headers["authorization"] for request in requests} == {f"Bearer {API_KEY}"}


def test_a_model_alone_finds_its_provider(stack: Stack) -> None:
    client = stack.client()
    reply = client.talk(stack.secret_text(), model="thinker")
    assert (reply["provider"], reply["model"]) == ("responses", "thinker")


def test_a_model_that_several_offer_is_asked_of_the_provider_chosen_for_the_conversation(stack: Stack) -> None:
    client = stack.client()
    conversation_id = client.send(stack.secret_text(), provider="responses")["conversation_id"]
    reply = client.talk(stack.secret_text(), conversation_id, model="common")
    assert (reply["provider"], reply["model"]) == ("responses", "common")


@pytest.mark.parametrize(
    ("choice", "field"),
    [
        ({"provider": "nobody"}, "provider"),
        ({"model": "nothing"}, "model"),
        ({"provider": "chat", "model": "thinker"}, "model"),
        ({"provider": "nobody", "model": "small"}, "provider"),
        ({"provider": ""}, "provider"),
        ({"model": "x" * 300}, "model"),
    ],
    ids=str,
)
def test_an_unknown_choice_is_refused(stack: Stack, choice: dict[str, Any], field: str) -> None:
    client = stack.client()
    first = client.send(stack.secret_text())
    conversation_id = first["conversation_id"]
    client.wait_finished(first["turn_id"])
    seq = client.view(conversation_id).seq
    for name, more in [
        ("send_message", {"text": "x", "client_id": "a"}),
        ("send_message", {"text": "x", "client_id": "b", "conversation_id": conversation_id}),
        ("configure_conversation", {"conversation_id": conversation_id}),
    ]:
        error = client.error(name, {**more, **choice})
        assert (error["code"], error["field"]) == ("invalid", field), name
    answer = stack.api(client.session)("PATCH", f"/api/conversations/{conversation_id}", json=choice)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)
    assert client.do("open_conversation", conversation_id=conversation_id)["seq"] == seq
    assert len(client.do("list_conversations")["conversations"]) == 1


FINAL = Script.error(401, f"Incorrect API key provided: {API_KEY}.", code="invalid_api_key")
BROKEN = Script.error(500, "The server had an error.")
LIMITED = Script.error(429, "Rate limit reached.", code="rate_limit_exceeded", headers={"retry-after-ms": "50"})


@pytest.mark.parametrize("provider", ["chat", "responses"])
@pytest.mark.parametrize(
    ("scripts", "retried", "code"),
    [
        ([FINAL], False, "provider_auth"),
        ([BROKEN, BROKEN], True, "provider_unavailable"),
        ([LIMITED, LIMITED], True, "provider_rate_limited"),
        ([Script(before_headers=[Drop(reset=True)])] * 2, True, "provider_dropped"),
        ([Script([Drop()])] * 2, True, "provider_dropped"),
    ],
    ids=["401", "500", "429", "reset before the answer", "dropped before the first token"],
)
def test_an_upstream_error_fails_the_turn_and_the_chat_goes_on(
    stack: Stack, provider: str, scripts: list[Script], retried: bool, code: str
) -> None:
    text = stack.secret_text()
    stack.model.answer(text, *scripts)
    client = stack.client()
    answer = client.send(text, provider=provider)
    finished = client.wait_finished(answer["turn_id"])
    assert finished["status"] == finished["message"]["status"] == "failed"
    assert finished["message"]["text"] == ""
    error = finished["error"]
    assert error["code"] == code
    assert provider in error["message"]  # says who failed, to a person
    assert API_KEY not in str(client.received)
    assert "Traceback" not in error["message"]
    assert len(stack.model.requests(text)) == len(scripts)
    retrying = [event for event in client.received if event["type"] == "turn.retrying"]
    assert len(retrying) == int(retried)
    assert all(event["reason"] and event["delay"] >= 0 and event["turn_id"] == answer["turn_id"] for event in retrying)

    conversation_id = answer["conversation_id"]
    again = client.talk(stack.secret_text(), conversation_id)
    assert again["status"] == "done"
    stack.assert_saved_as_shown(client, conversation_id)
    assert client.gaps == 0


@pytest.mark.parametrize("first", [BROKEN, LIMITED], ids=["500", "429"])
def test_a_retry_that_succeeds_is_a_reply_like_any_other(stack: Stack, first: Script) -> None:
    text = stack.secret_text()
    stack.model.answer(text, first)
    client = stack.client()
    reply = client.talk(text)
    assert (reply["status"], reply["text"]) == ("done", f"You said: {text}")
    kinds = [event["type"] for event in client.received]
    assert kinds.count("turn.retrying") == 1
    assert kinds.count("turn.finished") == 1


def test_a_provider_that_nobody_is_behind(stack: Stack) -> None:
    client = stack.client()
    answer = client.send(stack.secret_text(), provider="dead")
    finished = client.wait_finished(answer["turn_id"])
    assert (finished["status"], finished["error"]["code"]) == ("failed", "provider_unreachable")
    client.wait_for(lambda: client.activity[-1]["state"] == "failed", "the list shows that it failed")
    text = stack.secret_text()
    assert client.talk(text, answer["conversation_id"], provider="chat")["text"] == f"You said: {text}"


@pytest.mark.parametrize("provider", ["chat", "responses"])
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
def test_a_reply_dropped_in_mid_stream_keeps_what_arrived(stack: Stack, provider: str, reset: bool) -> None:
    text = stack.secret_text()
    stack.model.answer(text, Script(["Half a ", "reply", Drop(reset=reset)]))
    client = stack.client()
    answer = client.send(text, provider=provider)
    finished = client.wait_finished(answer["turn_id"])
    assert (finished["status"], finished["error"]["code"]) == ("failed", "provider_dropped")
    shown = "".join(event["text"] for event in client.received if event["type"] == "turn.delta")
    assert finished["message"]["text"] == shown
    if not reset:  # a reset may overtake what was sent before it
        assert shown == "Half a reply"
    assert len(stack.model.requests(text)) == 1  # what was shown is not written again
    stack.assert_saved_as_shown(client, answer["conversation_id"])
