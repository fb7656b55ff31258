"""What replies use, and how it adds up."""

import pytest

from app.errors import NotFound
from app.ledger import Claimed, Finish, Prompt
from app.ledger.keys import usage_key
from app.ledger.models import Json
from app.memory.window import estimate_tokens
from tests.ledger.harness import NASTY, Lab

NONE = {"input_tokens": 0, "output_tokens": 0}


def running(lab: Lab, conversation_id: str | None = None) -> Claimed:
    answer = lab.send(conversation_id).answer
    return lab.claim(answer["conversation_id"], answer["turn_id"])


def usage(lab: Lab, conversation_id: str) -> Json:
    shown: Json = lab.ledger.show(lab.owner, conversation_id)["usage"]
    [listed] = [one for one in lab.ledger.conversations(lab.owner, None, 10).items if one["id"] == conversation_id]
    assert listed["usage"] == shown
    return shown


def test_it_adds_up(lab: Lab) -> None:
    first = running(lab)
    assert usage(lab, first.conversation_id) == NONE
    lab.write(first, 1, "Hi", Finish("done", usage={"input_tokens": 10, "output_tokens": 5, "cost": 0.25}))
    second = running(lab, first.conversation_id)
    lab.write(second, 1, "Hi", Finish("failed", usage={"input_tokens": 1, "output_tokens": 2, "cost": 0.5}))
    assert usage(lab, first.conversation_id) == {"input_tokens": 11, "output_tokens": 7, "cost": 0.75}
    elsewhere = running(lab)
    lab.write(elsewhere, 1, "Hi", Finish("done", usage={"input_tokens": 100, "output_tokens": 100}))
    assert usage(lab, elsewhere.conversation_id) == {"input_tokens": 100, "output_tokens": 100}
    assert lab.ledger.usage(lab.owner) == {"input_tokens": 111, "output_tokens": 107, "cost": 0.75}
    assert lab.ledger.usage("bob") == NONE


def test_a_repeated_finish_counts_once(lab: Lab) -> None:
    claim = running(lab)
    for _ in range(2):
        lab.write(claim, 1, "Hi", Finish("done", usage={"input_tokens": 10, "output_tokens": 5}))
    assert usage(lab, claim.conversation_id) == {"input_tokens": 10, "output_tokens": 5}


@pytest.mark.parametrize("text", ["a", "Hello, world", "żółw", "日本語 🐢", *NASTY])
def test_a_stopped_reply_is_estimated(lab: Lab, text: str) -> None:
    claim = running(lab)
    lab.write(claim, 1, text, prompt=Prompt(40))
    lab.ledger.stop(lab.owner, claim.conversation_id, claim.turn_id)
    expected = {"input_tokens": 40, "output_tokens": estimate_tokens(text), "estimated": True}
    assert lab.reply_to(claim.conversation_id, claim.turn_id)["usage"] == expected
    assert lab.logged(claim.conversation_id)[-1]["usage"] == expected
    del expected["estimated"]
    assert usage(lab, claim.conversation_id) == expected


def test_an_estimate_has_a_price(lab: Lab) -> None:
    claim = running(lab)
    lab.write(claim, 1, "a" * 400, reasoning="b" * 400, prompt=Prompt(1000, input_price=2, output_price=10))
    lab.ledger.stop(lab.owner, claim.conversation_id, claim.turn_id)
    found = lab.reply_to(claim.conversation_id, claim.turn_id)["usage"]
    assert found == {"input_tokens": 1000, "output_tokens": 200, "cost": 0.004, "estimated": True}


def test_a_provider_that_does_not_say_is_estimated(lab: Lab) -> None:
    claim = running(lab)
    lab.write(claim, 1, "abcd", Finish("done"), prompt=Prompt(3))
    said = lab.reply_to(claim.conversation_id, claim.turn_id)
    assert said["usage"] == {"input_tokens": 3, "output_tokens": 1, "estimated": True}


def test_nothing_came_nothing_is_counted(lab: Lab) -> None:
    claim = running(lab)
    lab.ledger.stop(lab.owner, claim.conversation_id, claim.turn_id)
    assert lab.reply_to(claim.conversation_id, claim.turn_id)["usage"] is None
    assert usage(lab, claim.conversation_id) == NONE


def test_another_attempt_is_estimated_by_its_own_prompt(lab: Lab) -> None:
    claim = running(lab)
    lab.write(claim, 1, "abcdefgh", prompt=Prompt(10))
    lab.clock.advance(20_000)
    second = lab.claim(claim.conversation_id, claim.turn_id)
    lab.ledger.stop(lab.owner, claim.conversation_id, second.turn_id)
    assert lab.reply_to(claim.conversation_id, claim.turn_id)["usage"] is None


def test_a_deleted_conversation_was_used_all_the_same(lab: Lab) -> None:
    claim = running(lab)
    lab.write(claim, 1, "Hi", Finish("done", usage={"input_tokens": 10, "output_tokens": 5}))
    lab.ledger.clear(lab.owner, claim.conversation_id, delete=True)
    with pytest.raises(NotFound):
        lab.ledger.show(lab.owner, claim.conversation_id)
    assert lab.ledger.usage(lab.owner) == {"input_tokens": 10, "output_tokens": 5}
    assert int(lab.redis.pttl(usage_key(lab.owner))) > 0
