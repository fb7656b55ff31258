"""The connection breaks before Redis hears of a call, or after it has done it: the client sends it once more."""

import pytest

from app.connections import connect
from app.errors import NotFound
from app.ledger import Finish, Finished, Ledger, NewTurn, Write
from app.ledger.keys import new_conversation_id
from tests.ledger.harness import Lab, make_ledger
from tests.support.proxy import Proxy


def test_accept(lab: Lab, faulty: Ledger) -> None:
    conversation_id = new_conversation_id(lab.owner, "x")
    answer = faulty.accept(lab.owner, conversation_id, NewTurn("Hello", "x"), create=True).answer
    assert lab.queue(conversation_id) == [answer["turn_id"]]
    assert list(lab.messages(conversation_id)) == [answer["message_id"]]


def test_create(lab: Lab, faulty: Ledger) -> None:
    conversation = faulty.create(lab.owner, title="New")
    assert lab.ledger.show(lab.owner, conversation["id"]) == conversation
    assert len(lab.ledger.conversations(lab.owner, None, 10).items) == 1


def test_configure(lab: Lab, faulty: Ledger) -> None:
    conversation_id, _ = lab.conversation()
    assert faulty.configure(lab.owner, conversation_id, {"title": "New"})["title"] == "New"


def test_clear(lab: Lab, faulty: Ledger) -> None:
    conversation_id, _ = lab.conversation()
    assert faulty.clear(lab.owner, conversation_id)["message_count"] == 0


def test_a_clear_spares_what_was_said_before_its_repetition(lab: Lab, proxy: Proxy) -> None:
    conversation_id, _ = lab.conversation()
    said: list[str] = []
    client = connect(proxy.url)
    proxy.meanwhile = lambda: said.append(lab.send(conversation_id).answer["turn_id"])
    proxy.cut_after = 1
    cleared = make_ledger(client, lab.clock).clear(lab.owner, conversation_id)
    assert len(said) == 1
    assert lab.queue(conversation_id) == said
    assert cleared["message_count"] == 1, "as it is by now"
    client.close()


def test_delete(lab: Lab, faulty: Ledger) -> None:
    conversation_id, _ = lab.conversation()
    faulty.clear(lab.owner, conversation_id, delete=True)
    with pytest.raises(NotFound):
        lab.ledger.show(lab.owner, conversation_id)


def test_stop(lab: Lab, faulty: Ledger) -> None:
    conversation_id, turn_id = lab.conversation()
    assert faulty.stop(lab.owner, conversation_id, turn_id)[0] == "stopped"
    assert len(lab.replies(conversation_id, turn_id)) == 1


def test_append(lab: Lab, faulty: Ledger) -> None:
    conversation_id, turn_id = lab.conversation()
    claim = lab.claim(conversation_id, turn_id)
    assert faulty.write([Write(claim, 1, "One")]) == [Finished("ok")]
    assert faulty.write([Write(claim, 2, ", two")]) == [Finished("ok")]
    stored: bytes = lab.redis.get(lab.key(conversation_id, "text"))  # type: ignore[assignment]
    assert stored == b"One, two"


def test_finish(lab: Lab, faulty: Ledger) -> None:
    """The worker must hear that its reply is saved, and which turn is next."""
    conversation_id, turn_id = lab.conversation()
    following = lab.send(conversation_id).answer["turn_id"]
    claim = lab.claim(conversation_id, turn_id)
    assert faulty.write([Write(claim, 1, "One", Finish("done"))]) == [Finished("ok", following)]
    assert lab.reply_to(conversation_id, turn_id)["text"] == "One"
