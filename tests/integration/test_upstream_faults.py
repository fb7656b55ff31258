"""A model provider that fails in every way: tried again before the first token, else failed with what had arrived."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.clients import ChatClient
from tests.support.stack import Mode, Stack
from tests.support.upstream import Drop, Failure, Raw, Script, Stall

HASTY = {
    "LLM_FIRST_TOKEN_TIMEOUT": "3",
    "LLM_IDLE_TIMEOUT": "3",
    "LLM_RETRIES": "1",
    "MAX_ACTIVE_TURNS": "1000",
    "RATE_LIMIT": "1000/minute",
}
JUNK = Raw(b"data: {this is no JSON\n\n")
EMPTY = Script([], finish=None)
HALF_A_CHARACTER = rb'{"error": {"message": "There is no \ud83d here."}}'
WAIT = 1  # seconds, of Retry-After


def limited(seconds: int) -> Script:
    return Script.error(429, "Rate limit reached.", headers={"retry-after": str(seconds)})


# Troubles that pass: the second request is answered.
PASSING = {
    "429 with Retry-After": limited(WAIT),
    "500": Script.error(500, "The server had an error."),
    "dropped before the first token": Script([Drop()]),
    "reset before the answer": Script(before_headers=[Drop(reset=True)]),
    "malformed from the start": Script([JUNK]),
    "an error from the start": Script([Failure("The model is overloaded.")]),
    "empty": EMPTY,
}
# What does not: (the answers, the text that is kept, the code, whether it was tried again).
LASTING: dict[str, tuple[list[Script], str, str, bool]] = {
    "429 that lasts": ([limited(WAIT), limited(WAIT)], "", "provider_rate_limited", True),
    "500 that lasts": ([Script.error(500), Script.error(500)], "", "provider_unavailable", True),
    "malformed again": ([Script([JUNK]), Script([JUNK])], "", "provider_stream", True),
    "empty again": ([EMPTY, EMPTY], "", "provider_empty", True),
    "429 for an hour": ([limited(3600)], "", "provider_rate_limited", False),
    "half a character": ([Script(status=400, body=HALF_A_CHARACTER)], "", "provider_rejected", False),
    "401": ([Script.error(401, "Incorrect API key.", code="invalid_api_key")], "", "provider_auth", False),
    "stall before the answer": ([Script(before_headers=[Stall()])], "", "provider_timeout", False),
    "stall before the first token": ([Script([Stall()])], "", "provider_timeout", False),
    "stall between tokens": ([Script(["Half ", Stall()])], "Half ", "provider_timeout", False),
    "dropped in mid-stream": ([Script(["Half ", Drop()])], "Half ", "provider_dropped", False),
    "malformed in mid-stream": ([Script(["Half ", JUNK, "and half."])], "Half ", "provider_stream", False),
    "an error in mid-stream": ([Script(["Half ", Failure("Out of memory.")])], "Half ", "provider_stream", False),
}


@dataclass(frozen=True)
class Asked:
    """What a stack was asked, all at once, so that all of it waits at the same time: case → (question, answer)."""

    stack: Stack
    client: ChatClient
    cases: dict[str, tuple[str, dict[str, Any]]]

    def events(self, case: str, kind: str) -> list[dict[str, Any]]:
        turn_id = self.cases[case][1]["turn_id"]
        return [event for event in self.client.received if event["type"] == kind and event["turn_id"] == turn_id]

    def assert_the_chat_goes_on(self, case: str) -> None:
        """The end came once, what is shown is saved, and the next message is answered."""
        conversation_id = self.cases[case][1]["conversation_id"]
        assert self.client.view(conversation_id).turns == {}
        text = self.stack.secret_text()
        following = self.client.send(text, conversation_id, provider="chat")
        reply = self.client.wait_finished(following["turn_id"])["message"]
        assert (reply["status"], reply["text"]) == ("done", f"You said: {text}")
        assert len(self.events(case, "turn.finished")) == 1
        assert len(self.stack.assert_saved_as_shown(self.client, conversation_id)) == 4
        assert self.client.gaps == 0


@pytest.fixture(scope="module")
def asked(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with Stack(tmp_path_factory.mktemp("upstream"), mode=mode, environ=HASTY) as stack:
        client, cases = stack.client(), {}
        answers = {case: [script] for case, script in PASSING.items()}
        answers |= {case: scripts for case, (scripts, *_) in LASTING.items()}
        for case, scripts in answers.items():
            text = stack.secret_text()
            stack.model.answer(text, *scripts)
            cases[case] = (text, client.send(text))
        text = stack.secret_text()
        cases["refused"] = (text, client.send(text, provider="dead"))
        yield Asked(stack, client, cases)


@pytest.mark.parametrize("case", PASSING)
def test_what_passes_is_tried_again(asked: Asked, case: str) -> None:
    text, answer = asked.cases[case]
    finished = asked.client.wait_finished(answer["turn_id"])
    assert (finished["status"], finished["message"]["text"]) == ("done", f"You said: {text}")
    assert "error" not in finished
    (retrying,) = asked.events(case, "turn.retrying")
    assert "chat" in retrying["reason"]  # says who failed, to a person
    assert retrying["delay"] == WAIT if case.startswith("429") else 0 < retrying["delay"] < 5
    assert len(asked.events(case, "turn.started")) == 1
    assert len(asked.stack.model.requests(text)) == 2
    asked.assert_the_chat_goes_on(case)


@pytest.mark.parametrize("case", LASTING)
def test_what_lasts_fails_and_keeps_what_had_arrived(asked: Asked, case: str) -> None:
    text, answer = asked.cases[case]
    scripts, kept, code, retried = LASTING[case]
    finished = asked.client.wait_finished(answer["turn_id"])
    assert (finished["status"], finished["error"]["code"]) == ("failed", code)
    assert len(finished["error"]["message"].split()) > 3
    assert (finished["message"]["status"], finished["message"]["text"]) == ("failed", kept)
    assert "".join(event["text"] for event in asked.events(case, "turn.delta")) == kept
    assert len(asked.events(case, "turn.retrying")) == int(retried)
    requests = asked.stack.model.requests(text)
    assert len(requests) == len(scripts)
    if "stall" in case:
        requests[0].wait_closed()
    asked.assert_the_chat_goes_on(case)


def test_a_refused_connection_is_tried_again_and_fails(asked: Asked) -> None:
    _, answer = asked.cases["refused"]
    finished = asked.client.wait_finished(answer["turn_id"])
    assert (finished["status"], finished["error"]["code"]) == ("failed", "provider_unreachable")
    assert "dead" in finished["error"]["message"]
    assert len(asked.events("refused", "turn.retrying")) == 1
    asked.assert_the_chat_goes_on("refused")


def test_the_words_of_a_silent_model(asked: Asked) -> None:
    """A person is told whether it never began or broke off."""
    said = {
        case: asked.client.wait_finished(asked.cases[case][1]["turn_id"])["error"]["message"]
        for case in ("stall before the first token", "stall between tokens")
    }
    assert "did not begin" in said["stall before the first token"]
    assert "fell silent" in said["stall between tokens"]
