"""Conversations taken out whole, put in again, and searched."""

import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from app.errors import NotFound
from app.ledger import NewTurn
from app.ledger.archive import EXCERPT_CHARS, Archive, Tree, excerpt
from app.ledger.keys import new_conversation_id
from app.ledger.models import Json
from app.turns.renewed import renewed
from tests.ledger.harness import NASTY, Lab


@pytest.fixture
def archive(lab: Lab, redis: Redis) -> Archive:
    return Archive(redis, lab.ledger)


def put_in(lab: Lab, tree: Tree) -> str:
    lab.clock.advance(1)
    settings = {name: tree.conversation[name] for name in ("title", "provider", "system_prompt", "created_at")}
    messages, head = renewed(tree.messages, tree.head)
    restored = lab.ledger.restore(lab.owner, new_conversation_id(lab.owner), messages, head, **settings)
    return str(restored["id"])


def shape(tree: Tree) -> tuple[list[Json], int | None]:
    """A tree without its ids."""
    places = {message["id"]: place for place, message in enumerate(tree.messages)}
    plain = [
        {**message, "id": places[message["id"]], "parent_id": places.get(message["parent_id"]), "turn_id": None}
        for message in tree.messages
    ]
    return plain, places.get(tree.head or "")


def branching(lab: Lab) -> str:
    """Two versions of a reply, two of a question; the first ones chosen."""
    conversation_id, turn_id = lab.conversation(text=NASTY[0])
    first = lab.answer(conversation_id, turn_id, NASTY[2])
    lab.exchange(conversation_id, "Two?", "Two.")
    again = lab.send(conversation_id, text="", again=first["id"]).answer
    lab.answer(conversation_id, again["turn_id"], NASTY[4])
    lab.exchange(conversation_id, "Other?", "Other.")
    lab.ledger.select(lab.owner, conversation_id, first["id"])
    return conversation_id


def test_out_and_in_again(lab: Lab, archive: Archive) -> None:
    conversation_id = branching(lab)
    lab.ledger.configure(lab.owner, conversation_id, {"title": "Kept", "provider": "q", "system_prompt": NASTY[5]})
    tree = archive.tree(lab.owner, conversation_id)
    assert [message["text"] for message in tree.branch()] == [NASTY[0], NASTY[2], "Two?", "Two."]
    copy = put_in(lab, tree)
    again = archive.tree(lab.owner, copy)
    assert shape(again) == shape(tree)
    for name in ("title", "provider", "system_prompt", "memory", "created_at", "message_count"):
        assert again.conversation[name] == tree.conversation[name]
    assert not {message["id"] for message in again.messages} & {message["id"] for message in tree.messages}
    questions = {message["id"]: message["turn_id"] for message in again.messages if message["role"] == "user"}
    replies = [message["turn_id"] for message in again.messages if message["role"] == "assistant"]
    assert len(set(replies)) == len(replies)
    assert set(questions.values()) < set(replies)
    shown = lab.ledger.history(lab.owner, copy, None, 50).items
    assert [message["text"] for message in shown] == [message["text"] for message in tree.branch()]
    assert [len(message["versions"]) for message in shown] == [1, 2, 1, 1]
    assert lab.ledger.conversations(lab.owner, None, 9).items[0]["id"] == copy
    assert set(lab.ttls(copy)) >= {"meta", "messages", "children", "listing"}
    assert -1 not in lab.ttls(copy).values()


def test_it_goes_on_like_any_other(lab: Lab, archive: Archive) -> None:
    copy = put_in(lab, archive.tree(lab.owner, branching(lab)))
    claim = lab.claim(copy, lab.send(copy, text="Three?").answer["turn_id"])
    assert [message["text"] for message in claim.history] == [NASTY[0], NASTY[2], "Two?", "Two."]
    lab.clock.advance(10_001)
    reply = lab.answer(copy, claim.turn_id, "Three.")
    lab.send(copy, text="", again=reply["id"])
    other = next(m for m in lab.messages(copy).values() if m["text"] == "Other.")
    lab.ledger.select(lab.owner, copy, other["id"])
    assert lab.ledger.history(lab.owner, copy, None, 1).items[0]["id"] == other["id"]


def test_what_is_chosen_first_of_all_expires_like_the_rest(lab: Lab, archive: Archive) -> None:
    copy = put_in(lab, archive.tree(lab.owner, branching(lab)))
    other = next(m for m in lab.messages(copy).values() if m["text"] == "Other.")
    lab.ledger.select(lab.owner, copy, other["id"])
    ttls = lab.ttls(copy)
    assert "log" in ttls
    assert -1 not in ttls.values()


def test_many_messages(lab: Lab, archive: Archive) -> None:
    messages: list[Json] = []
    for number in range(3_000):
        parent = messages[-1]["id"] if messages else None
        at = {"id": f"m{number}", "parent_id": parent, "text": f"{number}", "created_at": "2026-01-31T12:00:00.000Z"}
        messages.append(at | ({"role": "assistant", "status": "done"} if number % 2 else {"role": "user"}))
    copy = put_in(
        lab, Tree({"title": "Long", "provider": None, "system_prompt": None, "created_at": "x"}, messages, "m2999")
    )
    tree = archive.tree(lab.owner, copy)
    assert [message["text"] for message in tree.branch()] == [message["text"] for message in messages]


def test_put_in_once(lab: Lab, archive: Archive) -> None:
    tree = archive.tree(lab.owner, branching(lab))
    conversation_id = new_conversation_id(lab.owner, "key")
    messages, head = renewed(tree.messages, tree.head)
    first = lab.ledger.restore(lab.owner, conversation_id, messages, head, title="One")
    before = lab.dump(conversation_id)
    assert lab.ledger.restore(lab.owner, conversation_id, [], "", title="Two") == first
    assert lab.dump(conversation_id) == before
    with pytest.raises(NotFound):
        lab.ledger.restore("bob", conversation_id, [], "", title="Two")


def test_an_empty_one(lab: Lab, archive: Archive) -> None:
    created = lab.ledger.create(lab.owner, title="Nothing")
    tree = archive.tree(lab.owner, created["id"])
    assert (tree.messages, tree.head, tree.branch()) == ([], None, [])
    copy = put_in(lab, tree)
    assert lab.ledger.show(lab.owner, copy)["head"] is None
    assert lab.exchange(copy)[0]["parent_id"] is None


def test_while_replies_are_to_come(lab: Lab, archive: Archive) -> None:
    conversation_id, turn_id = lab.conversation(text="One?")
    reply = lab.answer(conversation_id, turn_id, "One.")
    lab.send(conversation_id, text="Two?")
    lab.send(conversation_id, text="Three?")
    tree = archive.tree(lab.owner, conversation_id)
    assert [message["text"] for message in tree.branch()] == ["One?", "One.", "Two?"]
    assert len(tree.messages) == 3
    copy = put_in(lab, tree)
    lab.exchange(copy, "And?", "So.")
    # Where another version is to come, the branch ends with what there is.
    lab.ledger.accept(lab.owner, conversation_id, NewTurn("", "again", again=reply["id"]), create=False)
    assert archive.tree(lab.owner, conversation_id).branch()[-1]["text"] == "Two?"


def test_not_for_others(lab: Lab, archive: Archive) -> None:
    conversation_id = branching(lab)
    with pytest.raises(NotFound):
        archive.tree("bob", conversation_id)
    assert archive.search("bob", "two", None, 10).items == []


def found(archive: Archive, lab: Lab, words: str, limit: int = 10) -> list[Json]:
    page = archive.search(lab.owner, words, None, limit)
    items = page.items
    while page.more:
        page = archive.search(lab.owner, words, page.cursor, limit)
        items += page.items
    return items


def test_search(lab: Lab, archive: Archive) -> None:
    ids = []
    for text in ("Die STRASSE ist lang", "nothing", "A street, i.e. a Straße", "last"):
        conversation_id, turn_id = lab.conversation(text=text)
        lab.answer(conversation_id, turn_id, "x" * 500 + " Straßen " + "y" * 500 if text == "last" else "yes")
        ids.append(conversation_id)
        lab.clock.advance(1)
    lab.ledger.configure(lab.owner, ids[1], {"title": "Zur Strasse"})
    items = found(archive, lab, "STRASSE")
    assert [item["id"] for item in items] == [ids[1], ids[3], ids[2], ids[0]]
    titled, reply, street, shouted = (item["match"] for item in items)
    assert titled is None
    assert (street, shouted) == (None, None), "the title is the first words"
    assert reply["text"] == "…" + "x" * 59 + " Straßen " + "y" * 58 + "…"
    assert lab.messages(ids[3])[reply["message_id"]]["role"] == "assistant"
    assert found(archive, lab, "STRASSE", 1) == items
    assert {**items[0], "match": 0} == {**lab.ledger.show(lab.owner, ids[1]), "match": 0}
    assert found(archive, lab, "nowhere") == []


def test_one_call_looks_through_so_much(lab: Lab, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.ledger.archive.MAX_SEARCHED_BYTES", 20_000)
    monkeypatch.setattr("app.ledger.archive.BATCH", 10)
    ids = []
    for number in range(3):
        conversation_id, turn_id = lab.conversation(text=f"Conversation {number}")
        lab.answer(conversation_id, turn_id)
        for _ in range(60):
            lab.exchange(conversation_id, "y" * 100, "z" * 100)
        ids.append(conversation_id)
        lab.clock.advance(1)
    lab.exchange(ids[0], "the needle", "ok")
    lab.clock.advance(1)
    lab.exchange(ids[1], "ok", "a NEEDLE")
    page = archive.search(lab.owner, "nowhere", None, 10)
    pages = 1
    while page.more:
        assert page.items == []
        page = archive.search(lab.owner, "nowhere", page.cursor, 10)
        pages += 1
    assert pages > 3
    assert [item["id"] for item in found(archive, lab, "needle")] == [ids[1], ids[0]]


@pytest.mark.parametrize(
    ("text", "wanted", "shown"),
    [
        ("abc", "b", "abc"),
        ("ßß" * 40 + "x", "x", "…" + "ß" * 60 + "x"),
        ("ß", "s", "ß"),
        ("İstanbul" * 20, "stanbul", ("İstanbul" * 20)[: 8 + 60] + "…"),
    ],
)
def test_excerpts(text: str, wanted: str, shown: str) -> None:
    assert excerpt(text, wanted) == shown


def plain_excerpt(text: str, wanted: str) -> str:
    """By what it means: where each character of the casefolded text comes from."""
    origins = [position for position, character in enumerate(text) for _ in character.casefold()]
    start = text.casefold().index(wanted)
    begin = max(0, origins[start] - EXCERPT_CHARS)
    stop = origins[start + len(wanted) - 1] + 1 + EXCERPT_CHARS
    return ("…" if begin else "") + text[begin:stop] + ("…" if stop < len(text) else "")


LETTERS = st.text("aAsSßẞİi\u0307ﬃ😀 ", min_size=1, max_size=4)


@given(st.lists(st.tuples(LETTERS, st.integers(1, 5_000)), min_size=1, max_size=4), st.data())
def test_excerpts_of_whatever_comes(parts: list[tuple[str, int]], data: st.DataObject) -> None:
    text = "".join(letters * times for letters, times in parts)
    folded = text.casefold()
    start = data.draw(st.integers(0, len(folded) - 1))
    wanted = folded[start : start + data.draw(st.integers(1, 100))]
    assert excerpt(text, wanted) == plain_excerpt(text, wanted)


@pytest.mark.parametrize("before", ["a", "ß", "ßa😀İ"])
def test_a_long_text_is_not_gone_through_character_by_character(before: str) -> None:
    text = before * (1_000_000 // len(before)) + "zzz"
    calls: Counter[str] = Counter()
    profiler = sys.getprofile()
    sys.setprofile(lambda frame, event, argument: calls.update([event]))
    try:
        shown = excerpt(text, "zzz")
    finally:
        sys.setprofile(profiler)
    assert shown == plain_excerpt(text, "zzz")
    assert 0 < calls["c_call"] < 50_000
