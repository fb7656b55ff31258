"""Names of keys and ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ledger import keys

ALPHABET = set("0123456789abcdefghjkmnpqrstvwxyz")


def test_ids_are_random_and_plain() -> None:
    made = {keys.new_id("m") for _ in range(1000)}
    assert len(made) == 1000
    assert all(one[0] == "m" and len(one) == 25 and set(one[1:]) <= ALPHABET for one in made)


@given(st.binary(min_size=15, max_size=15), st.binary(min_size=15, max_size=15))
def test_no_bit_of_an_id_is_lost(one: bytes, other: bytes) -> None:
    assert (keys._encode(one) == keys._encode(other)) == (one == other)


@given(owner=st.text(), client_id=st.text(alphabet=st.characters(codec="ascii"), min_size=1))
def test_a_first_message_always_makes_the_same_conversation(owner: str, client_id: str) -> None:
    made = keys.new_conversation_id(owner, client_id)
    assert made == keys.new_conversation_id(owner, client_id)
    assert keys.is_conversation_id(made)
    assert made[:2] == keys.partition_of(owner)
    assert made != keys.new_conversation_id(owner, client_id + "x")
    assert made != keys.new_conversation_id(owner + "x", client_id)


def test_owner_and_client_id_do_not_run_together() -> None:
    assert keys.new_conversation_id("ab", "c")[2:] != keys.new_conversation_id("a", "bc")[2:]


def test_without_a_client_id_a_new_one_each_time() -> None:
    made = {keys.new_conversation_id("alice") for _ in range(100)}
    assert len(made) == 100
    assert all(map(keys.is_conversation_id, made))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        "00" + "a" * 23,
        "00" + "a" * 25,
        "16" + "a" * 24,
        "99" + "a" * 24,
        "-1" + "a" * 24,
        "0x" + "a" * 24,
        "00" + "A" * 24,
        "00" + "a" * 23 + "}",
        "00" + "a" * 23 + "\n",
        "00" + "i" * 24,
        "²²" + "a" * 24,
        "\u0660\u0661" + "a" * 24,
    ],
)
def test_what_is_no_conversation_id(value: str) -> None:
    assert not keys.is_conversation_id(value)


@given(st.text(max_size=30))
def test_anything_may_be_asked(value: str) -> None:
    assert isinstance(keys.is_conversation_id(value), bool)


def test_all_keys_of_an_owner_share_a_hash_slot() -> None:
    conversation_id = keys.new_conversation_id("alice")
    names = [*keys.conversation_keys(conversation_id), keys.listing_key("alice"), keys.log_key(conversation_id)]
    assert {name[name.index("{") + 1 : name.index("}")] for name in names} == {keys.partition_of("alice")}
    assert keys.conversation_keys(conversation_id)[0].startswith(keys.conversation_prefix(conversation_id[:2]))


def test_partitions() -> None:
    assert keys.partitions() == [f"{number:02d}" for number in range(16)]
    assert {keys.partition_of(f"owner-{number}") for number in range(1000)} == set(keys.partitions())


def test_rooms() -> None:
    conversation_id = keys.new_conversation_id("alice")
    assert keys.room_conversation(keys.conversation_room(conversation_id)) == conversation_id
    assert keys.room_conversation(keys.owner_room("alice")) is None
    assert keys.room_conversation("sid") is None
