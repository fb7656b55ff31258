"""What the model is sent of the conversation."""

from typing import Any

from tests.integration.conftest import MEMORY_MESSAGES
from tests.support.clients import ChatClient
from tests.support.stack import Stack

SYSTEM = "Be a tester's model."


def contents(stack: Stack, text: str) -> list[str]:
    """What was sent upstream with this question."""
    return [message["content"] for message in stack.model.request(text).messages]


def ask(stack: Stack, client: ChatClient, conversation_id: str | None, **more: Any) -> tuple[str, str]:
    """(conversation, question) of a message that is answered by now."""
    text = stack.secret_text()
    answer = client.send(text, conversation_id, **more)
    client.wait_finished(answer["turn_id"])
    return answer["conversation_id"], text


def test_memory_switched_off_and_on_for_single_messages(stack: Stack) -> None:
    client = stack.client()
    conversation_id, first = ask(stack, client, None)
    _, second = ask(stack, client, conversation_id, memory=False)
    _, third = ask(stack, client, conversation_id)
    assert contents(stack, second) == [SYSTEM, second]
    assert contents(stack, third) == [
        *(SYSTEM, first, f"You said: {first}"),
        *(second, f"You said: {second}", third),
    ]
    saved = stack.assert_saved_as_shown(client, conversation_id)
    assert [message["text"] for message in saved[::2]] == [first, second, third]


def test_memory_switched_off_and_on_for_the_conversation(stack: Stack) -> None:
    client = stack.client()
    conversation_id, first = ask(stack, client, None)
    changed = client.do("configure_conversation", conversation_id=conversation_id, memory=False)
    assert changed["conversation"]["memory"] is False
    _, second = ask(stack, client, conversation_id)
    _, asked_for = ask(stack, client, conversation_id, memory=True)
    client.do("configure_conversation", conversation_id=conversation_id, memory=True)
    _, last = ask(stack, client, conversation_id)
    assert contents(stack, second) == [SYSTEM, second]
    assert contents(stack, asked_for) == [SYSTEM, first, f"You said: {first}", second, f"You said: {second}", asked_for]
    assert contents(stack, last)[-3:] == [asked_for, f"You said: {asked_for}", last]
    assert len(contents(stack, last)) == MEMORY_MESSAGES + 2
    assert len(stack.assert_saved_as_shown(client, conversation_id)) == 8


def test_only_the_window_is_sent(stack: Stack) -> None:
    client = stack.client()
    conversation_id, _ = ask(stack, client, None)
    texts = [ask(stack, client, conversation_id)[1] for _ in range(4)]
    assert contents(stack, texts[-1]) == [
        *(SYSTEM, texts[-3], f"You said: {texts[-3]}"),
        *(texts[-2], f"You said: {texts[-2]}", texts[-1]),
    ]
    assert len(stack.assert_saved_as_shown(client, conversation_id)) == 10


def test_a_system_prompt_of_its_own(stack: Stack) -> None:
    client = stack.client()
    conversation_id, _ = ask(stack, client, None)
    client.do("configure_conversation", conversation_id=conversation_id, system_prompt="Be a pirate.")
    _, second = ask(stack, client, conversation_id, memory=False)
    client.do("configure_conversation", conversation_id=conversation_id, system_prompt=None)
    _, third = ask(stack, client, conversation_id, memory=False)
    assert contents(stack, second) == ["Be a pirate.", second]
    assert contents(stack, third) == [SYSTEM, third]
