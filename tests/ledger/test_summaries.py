"""Titles of a model's making, and summaries of what a window leaves out."""

import pytest

from app.ledger import Claimed, Finish
from app.ledger.keys import new_conversation_id
from app.ledger.models import Json
from app.memory.window import Window
from app.metrics import Metrics
from app.providers.registry import build_providers
from app.settings import ProviderConfig
from app.traces import make_traces
from app.turns.background import Background, BackgroundOptions
from tests.ledger.harness import Lab
from tests.support.upstream import Script, Upstream


def grow(lab: Lab, exchanges: int) -> tuple[str, list[str]]:
    """(conversation, ids of its replies)."""
    conversation_id, turn_id = lab.conversation(text="q0")
    replies = [lab.answer(conversation_id, turn_id, "a0")["id"]]
    replies += [lab.exchange(conversation_id, f"q{n}", f"a{n}")[1]["id"] for n in range(1, exchanges)]
    return conversation_id, replies


def next_claim(lab: Lab, conversation_id: str, max_messages: int = 4, max_bytes: int = 100_000) -> Claimed:
    turn_id = lab.send(conversation_id).answer["turn_id"]
    return lab.claim(conversation_id, turn_id, max_messages=max_messages, max_bytes=max_bytes)


def texts(claim: Claimed) -> list[str]:
    return [message["text"] for message in claim.history]


def test_a_history_that_fits_needs_none(lab: Lab) -> None:
    conversation_id, _ = grow(lab, 2)
    claim = next_claim(lab, conversation_id)
    assert (claim.summary, claim.overflows) == ("", False)


def test_one_that_does_not_fit_says_so(lab: Lab) -> None:
    conversation_id, _ = grow(lab, 3)
    claim = next_claim(lab, conversation_id)
    assert texts(claim) == ["q1", "a1", "q2", "a2"]
    assert (claim.summary, claim.overflows) == ("", True)


def test_one_that_has_too_many_bytes_says_so(lab: Lab) -> None:
    conversation_id, _ = grow(lab, 2)
    turn_id = lab.send(conversation_id).answer["turn_id"]
    assert lab.claim(conversation_id, turn_id, max_bytes=600).overflows


def test_a_summary_stands_for_what_it_speaks_for(lab: Lab) -> None:
    conversation_id, replies = grow(lab, 3)
    lab.ledger.summarize(conversation_id, replies[1], {"text": 'They counted "to" one 🐢.'})
    claim = next_claim(lab, conversation_id)
    assert texts(claim) == ["q2", "a2"]
    assert (claim.summary, claim.overflows) == ('They counted "to" one 🐢.', False)


def test_a_summary_right_before_the_window(lab: Lab) -> None:
    conversation_id, replies = grow(lab, 3)
    lab.ledger.summarize(conversation_id, replies[0], {"text": "Zero."})
    claim = next_claim(lab, conversation_id)
    assert texts(claim) == ["q1", "a1", "q2", "a2"]
    assert (claim.summary, claim.overflows) == ("Zero.", False)


def test_a_summary_that_lags_is_better_than_none(lab: Lab) -> None:
    conversation_id, replies = grow(lab, 4)
    lab.ledger.summarize(conversation_id, replies[0], {"text": "Zero."})
    claim = next_claim(lab, conversation_id)
    assert texts(claim) == ["q2", "a2", "q3", "a3"]
    assert (claim.summary, claim.overflows) == ("Zero.", True)


def test_the_newest_summary_counts(lab: Lab) -> None:
    conversation_id, replies = grow(lab, 3)
    lab.ledger.summarize(conversation_id, replies[0], {"text": "Zero."})
    lab.ledger.summarize(conversation_id, replies[1], {"text": "Zero and one."})
    assert next_claim(lab, conversation_id).summary == "Zero and one."


def test_a_summary_belongs_to_its_branch(lab: Lab) -> None:
    conversation_id, replies = grow(lab, 3)
    lab.ledger.summarize(conversation_id, replies[1], {"text": "Zero and one."})
    branch = lab.send(conversation_id, text="other", parent_id=replies[0]).answer
    claim = lab.claim(conversation_id, branch["turn_id"], max_messages=4)
    assert (texts(claim), claim.summary) == (["q0", "a0"], "")


def test_what_a_summary_has_yet_to_take_in(lab: Lab) -> None:
    conversation_id, replies = grow(lab, 4)
    summary, messages = lab.ledger.branch(conversation_id, replies[3], max_messages=100, max_bytes=100_000)
    assert (summary, len(messages)) == ("", 8)
    assert messages[-1]["id"] == replies[3]
    lab.ledger.summarize(conversation_id, replies[1], {"text": "Zero and one."})
    summary, messages = lab.ledger.branch(conversation_id, replies[3], max_messages=100, max_bytes=100_000)
    assert summary == "Zero and one."
    assert [message["text"] for message in messages] == ["q2", "a2", "q3", "a3"]


def test_one_at_a_time_sums_up(lab: Lab) -> None:
    conversation_id, replies = grow(lab, 2)

    def reserve() -> bool:
        _, messages = lab.ledger.branch(conversation_id, replies[1], max_messages=9, max_bytes=9_999, reserve=True)
        return bool(messages)

    assert [reserve(), reserve()] == [True, False]
    lab.ledger.summarize(conversation_id, replies[0], {"text": "Zero."})
    assert [reserve(), reserve()] == [True, False]
    lab.clock.advance(130_000)
    assert reserve(), "the one who had it has failed"


def put_in(lab: Lab, exchanges: int) -> tuple[str, str]:
    """(conversation, id of its last reply) of one with as much as `grow` would give it."""
    messages: list[Json] = []
    for number in range(exchanges):
        parent = messages[-1]["id"] if messages else None
        question = {"id": f"q{number}", "parent_id": parent, "role": "user", "text": f"q{number}"}
        reply = {"id": f"a{number}", "parent_id": f"q{number}", "role": "assistant", "text": f"a{number}"}
        messages += [question, reply | {"status": "done", "provider": "p", "model": "p-1"}]
    conversation_id, head = new_conversation_id(lab.owner), messages[-1]["id"]
    lab.ledger.restore(lab.owner, conversation_id, messages, head, title="Long", created_at="x")
    return conversation_id, head


@pytest.mark.parametrize("max_messages", [20, 400, 600, 1000])
def test_the_first_summary_begins_with_the_first_exchange_however_large_the_window(lab: Lab, max_messages: int) -> None:
    window = Window(max_messages, 8000)
    conversation_id, reply_id = put_in(lab, max_messages // 2 + 1)
    claim = next_claim(lab, conversation_id, max_messages, window.max_bytes)
    assert (len(claim.history), claim.summary, claim.overflows) == (max_messages, "", True)
    with Upstream() as upstream:
        upstream.respond = lambda request: Script(["They counted."])
        providers = build_providers([ProviderConfig(name="p", base_url=upstream.base_url, models=("p-1",))])
        options = BackgroundOptions(window, title_model=None, summary_model="")
        background = Background(lab.ledger, providers, options, Metrics(), make_traces("test"))
        assert background.summary(conversation_id, reply_id, {}) == "done"
        [request] = upstream.requests
    assert request.last_user_text.startswith("user: q0\n\nassistant: a0\n\nuser: q1\n")
    lab.write(claim, 1, "Yes.", Finish("done"))
    claim = next_claim(lab, conversation_id, max_messages, window.max_bytes)
    assert (claim.summary, claim.overflows) == ("They counted.", False)
    assert len(claim.history) == max_messages // 2 + 2


def test_what_is_cleared_is_not_remembered(lab: Lab) -> None:
    conversation_id, replies = grow(lab, 3)
    lab.ledger.summarize(conversation_id, replies[1], {"text": "Zero and one."})
    lab.ledger.clear(lab.owner, conversation_id)
    lab.ledger.summarize(conversation_id, replies[1], {"text": "Too late."})
    assert not lab.redis.exists(lab.key(conversation_id, "summaries"))
    assert lab.ledger.branch(conversation_id, replies[2], max_messages=9, max_bytes=9_999) == ("", [])


@pytest.mark.parametrize("deleted", [True, False])
def test_what_comes_after_the_end_leaves_nothing(lab: Lab, deleted: bool) -> None:
    conversation_id, replies = grow(lab, 1)
    if deleted:
        lab.ledger.clear(lab.owner, conversation_id, delete=True)
    else:
        lab.redis.flushall()
    before = lab.dump(conversation_id)
    lab.ledger.summarize(conversation_id, replies[0], {"text": "Too late."})
    lab.ledger.entitle(conversation_id, "Too late")
    lab.ledger.branch(conversation_id, replies[0], max_messages=9, max_bytes=9_999, reserve=True)
    assert lab.dump(conversation_id) == before


def test_thoughts_are_no_history(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    claim = lab.claim(conversation_id, turn_id)
    thought = 'Hm, "reasoning":"x", is it?'
    lab.write(claim, 1, ',"reasoning":"no', reasoning=thought)
    lab.write(claim, 2, ".")
    lab.ledger.stop(lab.owner, conversation_id, turn_id)
    assert lab.reply_to(conversation_id, turn_id)["reasoning"] == thought
    [_, reply] = next_claim(lab, conversation_id).history
    assert reply["text"] == ',"reasoning":"no.'
    assert "reasoning" not in reply


def test_a_reply_says_under_which_instructions_it_was_given(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    assert "system_prompt" not in lab.answer(conversation_id, turn_id)
    lab.ledger.configure(lab.owner, conversation_id, {"system_prompt": 'Be "brief".'})
    turn_id = lab.send(conversation_id).answer["turn_id"]
    claim = lab.claim(conversation_id, turn_id)
    lab.ledger.configure(lab.owner, conversation_id, {"system_prompt": "Ramble."})
    lab.write(claim, 1, "Yes.", Finish("done"), reasoning="Hm.")
    reply = lab.reply_to(conversation_id, turn_id)
    assert (reply["system_prompt"], reply["reasoning"]) == ('Be "brief".', "Hm.")
    [*_, told] = next_claim(lab, conversation_id).history
    assert told["text"] == "Yes."
    assert "system_prompt" not in told


def test_a_title_for_one_that_goes_by_its_first_words(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation(text="What is a tortoise?")
    assert lab.claim(conversation_id, turn_id).untitled
    lab.tap.take()
    lab.ledger.entitle(conversation_id, "Tortoises")
    [event] = lab.tap.events(conversation_id)
    assert (event["type"], event["conversation"]["title"]) == ("conversation.updated", "Tortoises")
    assert lab.ledger.show(lab.owner, conversation_id)["title"] == "Tortoises"
    lab.ledger.entitle(conversation_id, "Turtles")
    assert lab.ledger.show(lab.owner, conversation_id)["title"] == "Tortoises"
    assert not next_claim_after(lab, conversation_id, turn_id).untitled


def next_claim_after(lab: Lab, conversation_id: str, turn_id: str) -> Claimed:
    lab.ledger.stop(lab.owner, conversation_id, turn_id)
    return next_claim(lab, conversation_id)


def test_a_model_that_makes_no_title_is_not_asked_again(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation(text="What is a tortoise?")
    lab.tap.take()
    lab.ledger.entitle(conversation_id, "")
    assert lab.tap.take() == []
    assert lab.ledger.show(lab.owner, conversation_id)["title"] == "What is a tortoise?"
    assert not next_claim_after(lab, conversation_id, turn_id).untitled


def test_an_owners_own_title_stays(lab: Lab) -> None:
    conversation_id, _ = lab.conversation()
    lab.ledger.configure(lab.owner, conversation_id, {"title": "Mine"})
    lab.ledger.entitle(conversation_id, "Other")
    assert lab.ledger.show(lab.owner, conversation_id)["title"] == "Mine"
    created = lab.ledger.create(lab.owner, title="Mine, too")["id"]
    lab.send(created)
    lab.ledger.entitle(created, "Other")
    assert lab.ledger.show(lab.owner, created)["title"] == "Mine, too"
