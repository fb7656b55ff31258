"""The server keeps to its documents."""

import re

import requests
from pydantic import TypeAdapter

from app.web import asyncapi, schemas
from app.web.headers import CONTENT_SECURITY_POLICY
from tests.integration.test_http_turns import new_conversation, post, stream
from tests.support.event_stream import finished
from tests.support.stack import Stack
from tests.support.upstream import Reasoning, Script


def test_what_is_said_is_as_described(stack: Stack) -> None:
    session = stack.session()
    api, client = stack.api(session), stack.client(session)
    text = stack.secret_text()
    stack.model.answer(text, Script([Reasoning("Hm."), "Hi"], finish="length"))
    conversation_id = new_conversation(api)
    base = f"/api/conversations/{conversation_id}"
    opened = client.ask("open_conversation", {"conversation_id": conversation_id})
    TypeAdapter(schemas.Opened).validate_python(opened)
    with stream(api, conversation_id) as reader:
        reader.next()
        TypeAdapter(schemas.Accepted).validate_python(post(api, conversation_id, text).json())
        sent = reader.until(finished)
    reply = post(api, conversation_id, stack.secret_text(), wait=20).json()
    failed = post(api, conversation_id, stack.secret_text(), wait=20, provider="dead").json()
    assert failed["status"] == "failed"
    for message in (reply, failed):
        TypeAdapter(schemas.Message).validate_python(message)
    client.do("configure_conversation", conversation_id=conversation_id, title="T")
    client.do("select_branch", conversation_id=conversation_id, message_id=reply["id"])
    for name, asked in (
        ("open_conversation", {"conversation_id": conversation_id}),
        ("list_conversations", {}),
        ("clear_conversation", {"conversation_id": conversation_id}),
    ):
        TypeAdapter(asyncapi.REQUESTS[name][1]).validate_python(client.ask(name, asked))
    TypeAdapter(schemas.Refusal).validate_python(client.ask("open_conversation", {"conversation_id": "x"}))
    for path, kind in (
        ("/api/session", schemas.ShownSession),
        ("/api/models", schemas.Models),
        ("/api/conversations", schemas.Conversations),
        ("/api/conversations?q=T", schemas.Conversations),
        (base, schemas.Conversation),
        (f"{base}/messages", schemas.Messages),
        ("/healthz", schemas.Health),
        ("/readyz", schemas.Readiness),
    ):
        TypeAdapter(kind).validate_python(api.get(path))
    client.do("delete_conversation", conversation_id=conversation_id)
    client.wait_event("conversation.deleted")
    for event in [*(one.data for one in sent), *client.received]:
        TypeAdapter(schemas.Event).validate_python(event)
    for hint in client.activity:
        TypeAdapter(schemas.Activity).validate_python(hint)
    assert {"turn.reasoning", "turn.delta", "conversation.cleared"} <= {event["type"] for event in client.received}


def test_they_can_be_read(stack: Stack) -> None:
    url = stack.webs[0].url
    assert requests.get(f"{url}/api/openapi.json", timeout=20).json()["openapi"] == "3.1.0"
    assert requests.get(f"{url}/api/asyncapi.json", timeout=20).json()["asyncapi"] == "3.0.0"
    page = requests.get(f"{url}/api/docs", timeout=20)
    assert page.status_code == 200
    assert page.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert "<script" not in page.text
    assert " style=" not in page.text
    for said in ("POST /api/conversations/{conversation_id}/messages", "open_conversation", "TurnFinished", "PostEdit"):
        assert said in page.text
    for path in re.findall(r'<link rel="[^"]*"[^>]* href="([^"]+)"', page.text):
        assert requests.get(url + path, timeout=20).status_code == 200
