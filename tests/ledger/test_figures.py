"""What the ledger counts for those who watch it."""

from app.ledger import Claimed, Finish, Tail
from tests.ledger.harness import LEASE, Lab


def test_an_empty_ledger(lab: Lab) -> None:
    figures = lab.ledger.figures()
    assert (figures.running, figures.waiting, figures.oldest) == (0, 0, 0.0)
    assert (figures.turns, figures.others) == ({}, {})


def test_a_turn_waits_then_runs_then_is_over(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    lab.clock.advance(1500)
    lab.conversation(text="Another one")
    lab.clock.advance(1500)
    figures = lab.ledger.figures()
    assert (figures.running, figures.waiting, figures.oldest) == (0, 2, 3.0)

    claim = lab.claim(conversation_id, turn_id)
    assert claim.waited == 3000
    figures = lab.ledger.figures()
    assert (figures.running, figures.waiting, figures.oldest) == (1, 1, 1.5)

    lab.write(claim, 1, "Hi", Finish("done"))
    figures = lab.ledger.figures()
    assert (figures.running, figures.waiting) == (0, 1)
    assert figures.turns == {("done", "p"): 1}


def test_what_waits_behind_a_running_turn_waits_for_no_worker(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    claim = lab.claim(conversation_id, turn_id)
    second = lab.send(conversation_id, "And then?").answer["turn_id"]
    assert (lab.ledger.figures().running, lab.ledger.figures().waiting) == (1, 0)
    lab.clock.advance(5000)
    lab.write(claim, 1, "Hi", Finish("done"))
    lab.clock.advance(200)
    assert (lab.ledger.figures().running, lab.ledger.figures().waiting) == (0, 1)
    assert lab.claim(conversation_id, second).waited == 200


def test_a_turn_whose_worker_is_gone_waits_again(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    first = lab.claim(conversation_id, turn_id)
    lab.clock.advance(LEASE + 500)
    lab.ledger.sweep()
    lab.clock.advance(700)
    figures = lab.ledger.figures()
    assert (figures.running, figures.waiting, figures.oldest) == (0, 1, 0.7)

    lab.write(first, 1, "Still here")  # it was only asleep
    assert (lab.ledger.figures().running, lab.ledger.figures().waiting) == (1, 0)
    lab.clock.advance(LEASE)
    heir = lab.claim(conversation_id, turn_id)
    lab.write(first, 2, "late")
    assert (heir.attempt, lab.ledger.figures().others) == (2, {"takeovers": 1, "refused": 1})


def test_ends_are_counted_once(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation()
    for _ in range(2):
        lab.ledger.stop(lab.owner, conversation_id, turn_id)
    other, running = lab.conversation()
    claim = lab.claim(other, running)
    for _ in range(2):
        lab.write(claim, 1, "Hi", Finish("failed", error={"code": "c", "message": "m"}))
    third, _ = lab.conversation()
    lab.ledger.clear(lab.owner, third, delete=True)
    figures = lab.ledger.figures()
    assert figures.turns == {("stopped", ""): 2, ("failed", "p"): 1}
    assert (figures.running, figures.waiting) == (0, 0)


def test_duplicates_and_resumes(lab: Lab) -> None:
    conversation_id, turn_id = lab.conversation(client_id="same")
    lab.send(conversation_id, client_id="same")
    assert isinstance(lab.claim(conversation_id, turn_id), Claimed)
    lab.ledger.open(lab.owner, conversation_id)  # a first look is no resumption
    opened = lab.ledger.open(lab.owner, conversation_id, 1, lab.meta(conversation_id)["epoch"])
    assert isinstance(opened, Tail)
    lab.ledger.open(lab.owner, conversation_id, 1, "another")
    assert lab.ledger.figures().others == {"duplicates": 1, "resumes:tail": 1, "resumes:snapshot": 1}
