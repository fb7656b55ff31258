"""Other versions of messages and replies, with two tabs looking on."""

import uuid
from functools import partial
from typing import Any

import pytest

from tests.support.clients import ChatClient
from tests.support.http_client import Session
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Reasoning, Script


class Tabs:
    """Two of one session, at two web processes."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.session: Session = stack.session()
        self.one: ChatClient = stack.client(self.session)
        self.other: ChatClient = stack.client(self.session, web=1)
        self.id = ""

    def begin(self, *texts: str) -> None:
        for text in texts:
            self.one.talk(text, self.id or None)
            if not self.id:
                self.id = self.one.received[0]["conversation_id"]
                self.other.open(self.id)

    def ask(self, event: str, **more: Any) -> dict[str, Any]:
        return self.one.do(event, conversation_id=self.id, client_id=uuid.uuid4().hex, **more)

    def finish(self, answer: dict[str, Any]) -> dict[str, Any]:
        reply: dict[str, Any] = self.one.wait_finished(answer["turn_id"])["message"]
        return reply

    def texts(self) -> list[str]:
        """Of both tabs, once they show what is saved."""

        for client in (self.one, self.other):
            client.wait_for(partial(self._is_level, client), "the tab shows what is saved")
        return [message["text"] for message in self.one.view(self.id).messages]

    def _is_level(self, client: ChatClient) -> bool:
        return client.view(self.id).messages == self.stack.api(self.session).messages(self.id)


@pytest.fixture
def tabs(stack: Stack) -> Tabs:
    return Tabs(stack)


@pytest.fixture
def texts(stack: Stack) -> list[str]:
    return [stack.secret_text(about) for about in ("first", "second", "third")]


def test_regenerate(tabs: Tabs, texts: list[str]) -> None:
    stack = tabs.stack
    stack.model.answer(texts[0], Script(["One."]), Script(["Uno."]))
    tabs.begin(*texts[:2])
    first = tabs.one.view(tabs.id).messages[1]
    second = tabs.finish(tabs.ask("regenerate", message_id=first["id"]))
    assert second["versions"] == [first["id"], second["id"]]
    assert tabs.texts() == [texts[0], "Uno."]
    # What follows is asked with this branch as its history.
    tabs.one.talk(texts[2], tabs.id)
    assert [message["content"] for message in stack.model.request(texts[2]).messages[1:]] == [
        texts[0],
        "Uno.",
        texts[2],
    ]

    tabs.one.do("select_branch", conversation_id=tabs.id, message_id=first["id"])
    assert tabs.texts() == [texts[0], "One.", texts[1], f"You said: {texts[1]}"]
    tabs.other.do("select_branch", conversation_id=tabs.id, message_id=second["id"])
    assert tabs.texts() == [texts[0], "Uno.", texts[2], f"You said: {texts[2]}"]


def test_edit(tabs: Tabs, texts: list[str]) -> None:
    tabs.begin(*texts[:2])
    question = tabs.one.view(tabs.id).messages[2]
    edited = tabs.ask("edit_message", message_id=question["id"], text=texts[2])
    tabs.finish(edited)
    assert tabs.texts() == [texts[0], f"You said: {texts[0]}", texts[2], f"You said: {texts[2]}"]
    assert tabs.other.view(tabs.id).messages[2]["versions"] == [question["id"], edited["message_id"]]
    tabs.one.do("select_branch", conversation_id=tabs.id, message_id=question["id"])
    assert tabs.texts() == [texts[0], f"You said: {texts[0]}", texts[1], f"You said: {texts[1]}"]


def test_the_first_message_is_edited(tabs: Tabs, texts: list[str]) -> None:
    tabs.begin(texts[0])
    question = tabs.one.view(tabs.id).messages[0]
    tabs.finish(tabs.ask("edit_message", message_id=question["id"], text=texts[1]))
    assert tabs.texts() == [texts[1], f"You said: {texts[1]}"]


def test_a_failed_turn_is_tried_again_with_another_model(tabs: Tabs, texts: list[str]) -> None:
    tabs.stack.model.answer(texts[0], Script.error(401))
    tabs.begin(texts[0])
    failed = tabs.one.view(tabs.id).messages[1]
    assert failed["status"] == "failed"
    done = tabs.finish(tabs.ask("regenerate", message_id=failed["id"], provider="responses"))
    assert (done["status"], done["provider"]) == ("done", "responses")
    assert tabs.texts() == [texts[0], f"You said: {texts[0]}"]


def test_another_branch_is_looked_at_while_a_reply_runs(tabs: Tabs, texts: list[str]) -> None:
    tabs.begin(*texts[:2])
    first, gate = tabs.one.view(tabs.id).messages[1], Gate()
    tabs.stack.model.answer(texts[0], Script(["Slow", Hold(gate), "ly."]))
    running = tabs.ask("regenerate", message_id=first["id"])
    for tab in (tabs.one, tabs.other):
        tab.wait_text(tabs.id, running["turn_id"], "Slow")
    error = tabs.one.error(
        "regenerate",
        {
            "conversation_id": tabs.id,
            "message_id": tabs.one.view(tabs.id).turns[running["turn_id"]]["reply_id"],
            "client_id": "x",
        },
    )
    assert error["code"] == "conflict"
    tabs.one.do("select_branch", conversation_id=tabs.id, message_id=first["id"])
    assert tabs.texts()[2:] == [texts[1], f"You said: {texts[1]}"]
    gate.open()
    second = tabs.finish(running)
    assert tabs.texts()[2:] == [texts[1], f"You said: {texts[1]}"]
    assert tabs.one.view(tabs.id).messages[1]["versions"] == [first["id"], second["id"]]
    tabs.one.do("select_branch", conversation_id=tabs.id, message_id=second["id"])
    assert tabs.texts() == [texts[0], "Slowly."]


@pytest.mark.parametrize(
    ("event", "more", "code"),
    [
        ("regenerate", {"message_id": "question"}, "invalid"),
        ("regenerate", {"message_id": "elsewhere"}, "not_found"),
        ("regenerate", {}, "invalid"),
        ("edit_message", {"message_id": "reply", "text": "x"}, "invalid"),
        ("edit_message", {"message_id": "elsewhere", "text": "x"}, "not_found"),
        ("edit_message", {"message_id": "question", "text": " "}, "invalid"),
        ("edit_message", {"message_id": "question", "text": "x" * 32_001}, "too_large"),
        ("regenerate", {"message_id": "reply", "provider": "nobody"}, "invalid"),
        ("regenerate", {"message_id": "reply", "model": "nothing"}, "invalid"),
        ("select_branch", {"message_id": "elsewhere"}, "not_found"),
        ("configure_conversation", {"title": "x" * 201}, "invalid"),
        ("configure_conversation", {"provider": "nobody"}, "invalid"),
    ],
)
def test_bad_input_changes_nothing(tabs: Tabs, texts: list[str], event: str, more: dict[str, str], code: str) -> None:
    tabs.begin(texts[0])
    question, reply = tabs.one.view(tabs.id).messages
    elsewhere = tabs.stack.client().talk(texts[1])
    ids = {"question": question["id"], "reply": reply["id"], "elsewhere": elsewhere["id"]}
    payload: dict[str, Any] = {"conversation_id": tabs.id, **more}
    if event in {"regenerate", "edit_message"}:
        payload["client_id"] = "x"
    if "message_id" in more:
        payload["message_id"] = ids[more["message_id"]]
    before = tabs.one.view(tabs.id).seq
    assert tabs.one.error(event, payload)["code"] == code
    tabs.one.open(tabs.id)
    assert tabs.one.view(tabs.id).seq == before


def test_reasoning_is_streamed_saved_and_never_sent_back(tabs: Tabs, texts: list[str]) -> None:
    gate = Gate()
    tabs.stack.model.answer(texts[0], Script([Reasoning("A tortoise, "), Hold(gate), Reasoning("or not?"), "Yes."]))
    running = tabs.one.send(texts[0])
    tabs.id = running["conversation_id"]
    tabs.one.wait_event("turn.reasoning", turn_id=running["turn_id"])
    tabs.other.open(tabs.id)
    assert tabs.other.view(tabs.id).turns[running["turn_id"]]["reasoning"] == "A tortoise, "
    gate.open()
    reply = tabs.finish(running)
    assert (reply["reasoning"], reply["text"]) == ("A tortoise, or not?", "Yes.")
    assert tabs.texts() == [texts[0], "Yes."]
    tabs.begin(texts[1])
    assert [message["content"] for message in tabs.stack.model.request(texts[1]).messages[1:]] == [
        texts[0],
        "Yes.",
        texts[1],
    ]
