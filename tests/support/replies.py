"""Replies that wait for the test."""

from tests.support.clients import ChatClient
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Script


def begun(stack: Stack, client: ChatClient) -> tuple[str, str, str, Gate]:
    """(conversation, turn, question, gate) of a reply that has said “Half ” and holds."""
    text, gate = stack.secret_text(), Gate()
    stack.model.answer(text, Script(["Half ", Hold(gate), "and half."]))
    answer = client.send(text)
    client.wait_text(answer["conversation_id"], answer["turn_id"], "Half ")
    return answer["conversation_id"], answer["turn_id"], text, gate
