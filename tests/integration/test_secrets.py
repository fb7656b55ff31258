"""Logs hold no message, no token and no key, whatever happens and however much is logged; nor do Celery's messages, and
what clients are told of errors.

The fixture `stacks` looks through the logs of all tests once more at the end.
"""

import base64
import json
from pathlib import Path

import pytest

from tests.support.clients import Refused
from tests.support.http_client import Api, Session
from tests.support.model import API_KEY
from tests.support.processes import eventually
from tests.support.stack import SECRET_KEY, Mode, Stack
from tests.support.upstream import Drop, Failure, Raw, Script


def test_nothing_that_is_private_is_logged(stack: Stack) -> None:
    session = stack.session()
    client, api = stack.client(session), stack.api(session)
    text = stack.secret_text("Between you and me")
    private = text.rpartition(" ")[2]
    stack.model.answer(f"{text} 401", Script.error(401, f"Incorrect API key provided: {API_KEY}; {text}"))
    stack.model.answer(f"{text} 400", *[Script.error(400, f"{API_KEY} cannot do {text}")] * 2)
    stack.model.answer(f"{text} 500", *[Script.error(500, f"{API_KEY} failed at {text}")] * 2)
    stack.model.answer(f"{text} drop", Script([text, Drop(reset=True)]))
    stack.model.answer(f"{text} fail", Script([text, Failure(f"{API_KEY} {text}")]))
    stack.model.answer(f"{text} raw", *[Script([Raw(f"data: {{{text} {API_KEY}\n\n".encode())])] * 2)
    for case in ("ok", "401", "400", "500", "drop", "fail", "raw"):
        for provider in ("chat", "responses"):
            answer = client.send(f"{text} {case}", provider=provider)
            client.wait_finished(answer["turn_id"])
    client.do("configure_conversation", conversation_id=answer["conversation_id"], title=text, system_prompt=text)
    for name, payload in [
        ("send_message", {"text": text, "client_id": private + "!", private: text}),
        ("send_message", [text]),
        ("open_conversation", {"conversation_id": private}),
        (private, {"text": text}),
    ]:
        client.ask(name, payload)
    with stack.raw(session) as raw:
        for frame in (f'42["send_message",{{"text":"{text}', f"4{text}", f'451-["{text}"]'):
            raw.send(frame)
        raw.works()
    for body in (f'{{"text":"{text}', f'"{text}"', f'{{"text":"{text} \\ud800","client_id":"a"}}'):
        api("POST", f"/api/conversations/{answer['conversation_id']}/messages", data=body)
    running = client.send(f"{text} raw", provider="chat")
    client.do("stop_turn", conversation_id=running["conversation_id"], turn_id=running["turn_id"])
    client.disconnect()
    with pytest.raises(Refused):
        client.connect(auth={"token": session.token[:-1] + "%"})
    Api(stack.webs[0].url)("GET", "/api/session", headers={"Cookie": f"parley_session={session.token}; {text}"})
    told = str([event for event in client.received if event["type"] in {"turn.finished", "turn.retrying"}])
    assert "error" in told
    assert not any(secret in told for secret in (API_KEY, SECRET_KEY, session.token))
    rotated = api("POST", "/api/session/rotate").json()["token"]
    stack.secrets.add(rotated)
    fresh = stack.client(Session(session.id, rotated))
    fresh.talk(stack.secret_text())  # whoever logs late has done so by now
    assert any(stack.logs().values())
    assert stack.leaks() == []


def test_celery_s_messages_name_a_turn_and_nothing_else(mode: Mode, tmp_path: Path) -> None:
    """Flower shows a task's arguments."""
    with Stack(tmp_path, workers=0, mode=mode) as stack:
        text = stack.secret_text()
        session = stack.session(name=text[:40])
        answer = stack.client(session).send(text)
        (message,) = eventually(lambda: stack.redis.client.lrange("replies", 0, -1), "the hint is sent")
        task = json.loads(message)
        arguments, named, _ = json.loads(base64.b64decode(task.pop("body")))
        assert (arguments, named) == ([answer["conversation_id"], answer["turn_id"]], {})
        assert not any(secret in json.dumps(task) for secret in (*stack.secrets, session.id, text[:40]))
        assert stack.leaks() == []
