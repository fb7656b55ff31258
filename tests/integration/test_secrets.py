"""Logs hold no message, no token and no key, whatever happens and however much is logged.

The fixture `stacks` looks through the logs of all tests once more at the end.
"""

import pytest

from tests.support.clients import Refused
from tests.support.http_client import Api
from tests.support.model import API_KEY
from tests.support.stack import Stack
from tests.support.upstream import Drop, Failure, Raw, Script


def test_nothing_that_is_private_is_logged(either: Stack) -> None:
    session = either.session()
    client, api = either.client(session), either.api(session)
    text = either.secret_text("Between you and me")
    private = text.rpartition(" ")[2]
    either.model.answer(f"{text} 401", Script.error(401, f"Incorrect API key provided: {API_KEY}; {text}"))
    either.model.answer(f"{text} 400", *[Script.error(400, f"{API_KEY} cannot do {text}")] * 2)
    either.model.answer(f"{text} 500", *[Script.error(500, f"{API_KEY} failed at {text}")] * 2)
    either.model.answer(f"{text} drop", Script([text, Drop(reset=True)]))
    either.model.answer(f"{text} fail", Script([text, Failure(f"{API_KEY} {text}")]))
    either.model.answer(f"{text} raw", *[Script([Raw(f"data: {{{text} {API_KEY}\n\n".encode())])] * 2)
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
    with either.raw(session) as raw:
        for frame in (f'42["send_message",{{"text":"{text}', f"4{text}", f'451-["{text}"]'):
            raw.send(frame)
        raw.works()
    for body in (f'{{"text":"{text}', f'"{text}"', f'{{"text":"{text} \\ud800","client_id":"a"}}'):
        api("POST", f"/api/conversations/{answer['conversation_id']}/messages", data=body)
    client.disconnect()
    with pytest.raises(Refused):
        client.connect(auth={"token": session.token[:-1] + "%"})
    Api(either.webs[0].url)("GET", "/api/session", headers={"Cookie": f"parley_session={session.token}; {text}"})
    fresh = either.client(session)
    fresh.talk(either.secret_text())  # whoever logs late has done so by now
    assert any(either.logs().values())
    assert either.leaks() == []
