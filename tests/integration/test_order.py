"""Order, and sending the same thing more than once."""

import threading
import uuid

import pytest

from tests.support.clients import Kind
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Script


@pytest.mark.parametrize("kind", ["python", "npm"])
def test_quick_sends_are_taken_and_answered_in_order(stack: Stack, kind: Kind) -> None:
    client = stack.client(kind=kind)
    conversation_id = client.send(stack.secret_text("begin"))["conversation_id"]
    texts = [stack.secret_text(f"number {number}") for number in range(15)]
    posted = [
        client.post("send_message", {"text": text, "client_id": uuid.uuid4().hex, "conversation_id": conversation_id})
        for text in texts
    ]
    answers = [one.wait() for one in posted]
    assert [answer["ok"] for answer in answers] == [True] * 15, answers
    for answer in answers:
        client.wait_finished(answer["turn_id"])
    saved = stack.assert_saved_as_shown(client, conversation_id)
    assert [message["text"] for message in saved[2::2]] == texts
    assert [message["text"] for message in saved[3::2]] == [f"You said: {text}" for text in texts]
    assert [answer["seq"] for answer in answers] == sorted(answer["seq"] for answer in answers)
    finished = [event["turn_id"] for event in client.received if event["type"] == "turn.finished"]
    assert finished[1:] == [answer["turn_id"] for answer in answers]
    assert client.gaps == 0


def test_a_conversation_answers_one_at_a_time(stack: Stack) -> None:
    first, second, gate = stack.secret_text(), stack.secret_text(), Gate()
    stack.model.answer(first, Script(["Slow", Hold(gate), "ly."]))
    client = stack.client()
    one = client.send(first)
    conversation_id = one["conversation_id"]
    client.wait_text(conversation_id, one["turn_id"], "Slow")
    two = client.send(second, conversation_id)
    assert two["position"] == 1
    turns = client.do("open_conversation", conversation_id=conversation_id)["snapshot"]["turns"]
    assert [(turn["turn_id"], turn["status"]) for turn in turns] == [
        (one["turn_id"], "running"),
        (two["turn_id"], "waiting"),
    ]
    gate.open()
    client.wait_finished(two["turn_id"])
    kinds = [(event["type"], event["turn_id"]) for event in client.received if event["type"].startswith("turn.")]
    assert kinds.index(("turn.finished", one["turn_id"])) < kinds.index(("turn.started", two["turn_id"]))
    sent = stack.model.request(second).messages
    assert [message["content"] for message in sent[1:]] == [first, "Slowly.", second]


def test_the_history_goes_upstream_in_order(stack: Stack) -> None:
    client = stack.client()
    first, second = stack.secret_text(), stack.secret_text()
    for provider in ("chat", "responses"):
        conversation_id = client.send(first, provider=provider)["conversation_id"]
        answer = client.send(second, conversation_id, provider=provider)
        client.wait_finished(answer["turn_id"])
        request = stack.model.requests(second)[-1]
        assert request.api == provider
        assert [(message["role"], message["content"]) for message in request.messages] == [
            ("system", "Be a tester's model."),
            ("user", first),
            ("assistant", f"You said: {first}"),
            ("user", second),
        ]


@pytest.mark.parametrize("new", [True, False], ids=["new conversation", "existing conversation"])
def test_the_same_client_id_again_changes_nothing(stack: Stack, new: bool) -> None:
    session = stack.session()
    client, elsewhere = stack.client(session), stack.client(session, web=1)
    conversation_id = None if new else client.send(stack.secret_text())["conversation_id"]
    text, client_id = stack.secret_text(), uuid.uuid4().hex
    answer = client.send(text, conversation_id, client_id=client_id)
    in_flight = elsewhere.send(text, conversation_id, client_id=client_id)
    client.wait_finished(answer["turn_id"])
    afterwards = client.send(text, conversation_id, client_id=client_id)
    other_web = elsewhere.send(text, conversation_id, client_id=client_id)
    other_text = elsewhere.send(stack.secret_text(), conversation_id, client_id=client_id)
    client.disconnect()
    client.connect(stack.webs[1].url)
    reconnected = client.send(text, conversation_id, client_id=client_id)
    assert [in_flight, afterwards, other_web, other_text, reconnected] == [answer] * 5

    client.open(answer["conversation_id"])
    saved = stack.assert_saved_as_shown(client, answer["conversation_id"])
    assert [message["text"] for message in saved[-2:]] == [text, f"You said: {text}"]
    assert len(saved) == (2 if new else 4)
    assert len(client.do("list_conversations")["conversations"]) == 1
    assert len(stack.model.requests(text)) == 1


def test_a_client_id_counts_for_its_own_conversation_and_session_only(stack: Stack) -> None:
    client, stranger = stack.client(), stack.client()
    client_id = uuid.uuid4().hex
    mine = client.send(stack.secret_text(), client_id=client_id)
    theirs = stranger.send(stack.secret_text(), client_id=client_id)
    other = client.send(stack.secret_text())["conversation_id"]
    in_other = client.send(stack.secret_text(), other, client_id=client_id)
    assert len({mine["conversation_id"], theirs["conversation_id"], in_other["conversation_id"]}) == 3
    assert len({mine["turn_id"], theirs["turn_id"], in_other["turn_id"]}) == 3


def test_the_same_message_from_all_sides_at_once_is_one(stack: Stack) -> None:
    session = stack.session()
    clients = [stack.client(session, web=number % 2) for number in range(6)]
    payload = {"text": stack.secret_text(), "client_id": uuid.uuid4().hex}
    barrier = threading.Barrier(len(clients))
    answers = []

    def send(number: int) -> None:
        barrier.wait()
        answers.append(clients[number].ask("send_message", payload))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(len(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [answers[0]] * 6
    conversation_id = answers[0]["conversation_id"]
    for client in clients:
        client.open(conversation_id)  # some sent what was accepted already, and have missed how it began
        client.wait_reply(conversation_id, answers[0]["turn_id"])
        stack.assert_saved_as_shown(client, conversation_id)
    assert len(stack.model.requests(payload["text"])) == 1


def test_a_full_queue_refuses_and_keeps_what_it_has(stack: Stack) -> None:
    first, gate = stack.secret_text(), Gate()
    stack.model.answer(first, Script([Hold(gate), "At last."]))
    client = stack.client()
    answer = client.send(first)
    conversation_id = answer["conversation_id"]
    client.wait_event("turn.started")
    accepted = [client.send(f"waiting {number}", conversation_id)["turn_id"] for number in range(20)]
    client_id = uuid.uuid4().hex
    refused = {"text": "one too many", "client_id": client_id, "conversation_id": conversation_id}
    error = client.error("send_message", refused)
    assert error["code"] == "queue_full"
    assert error["retry_after"] > 0
    gate.open()
    for turn_id in accepted:
        client.wait_finished(turn_id)
    assert len(stack.assert_saved_as_shown(client, conversation_id)) == 42
    assert client.do("send_message", **refused)["position"] == 0  # nothing of the refusal is remembered
