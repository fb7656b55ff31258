"""Names of keys and ids.

All keys of one owner's conversations share a hash tag, `{NN}`, one of PARTITIONS. A conversation's id begins with its
partition, so its keys follow from its id alone, and one script may touch the owner's listing as well.
"""

import hashlib
import secrets
import zlib
from base64 import b32encode

PARTITIONS = 16
# Each of a conversation's keys ends with one of these.
PARTS = ("meta", "queue", "turns", "messages", "children", "summaries", "text", "reasoning", "log")
_PARTITIONS = [f"{number:02d}" for number in range(PARTITIONS)]
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LETTERS = frozenset(_ALPHABET)
_LETTER_OF = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _ALPHABET.encode())


def partition_of(owner: str) -> str:
    return f"{zlib.crc32(owner.encode()) % PARTITIONS:02d}"


def partitions() -> list[str]:
    return list(_PARTITIONS)


def new_id(kind: str) -> str:
    """120 random bits behind one letter: `m…` a message, `t…` a turn, `s…` a session."""
    return kind + _encode(secrets.token_bytes(15))


def new_conversation_id(owner: str, client_id: str | None = None) -> str:
    """With a client_id, always the same one: a repeated first message finds the conversation that the first made."""
    if client_id is None:
        return partition_of(owner) + _encode(secrets.token_bytes(15))
    digest = hashlib.blake2b(f"{owner}\0{client_id}".encode(), digest_size=15, person=b"conversation").digest()
    return partition_of(owner) + _encode(digest)


def is_conversation_id(value: str) -> bool:
    return len(value) == 26 and value[:2] in _PARTITIONS and set(value[2:]) <= _LETTERS


def conversation_prefix(partition: str) -> str:
    return f"parley:{{{partition}}}:c:"


def conversation_keys(conversation_id: str) -> list[str]:
    """Those of this conversation alone, its `meta` first. base.lua makes the same names, and those of keys that it
    shares with others, from that one."""
    return [_part_key(conversation_id, part) for part in PARTS]


def sweep_keys(partition: str) -> list[str]:
    """Those of a partition, as sweep.lua has them. The last two are what an owner's keys begin with."""
    owners = (_owner_key(partition, kind) for kind in ("listing", "active"))
    shared = (_shared_key(partition, kind) for kind in ("due", "ready", "waiting", "expiry", "owners"))
    return [*shared, *owners]


def meta_key(conversation_id: str) -> str:
    return _part_key(conversation_id, "meta")


def turns_key(conversation_id: str) -> str:
    return _part_key(conversation_id, "turns")


def messages_key(conversation_id: str) -> str:
    return _part_key(conversation_id, "messages")


def children_key(conversation_id: str) -> str:
    return _part_key(conversation_id, "children")


def log_key(conversation_id: str) -> str:
    return _part_key(conversation_id, "log")


def due_key(partition: str) -> str:
    return _shared_key(partition, "due")


def waiting_key(partition: str) -> str:
    return _shared_key(partition, "waiting")


def ready_key(partition: str) -> str:
    return _shared_key(partition, "ready")


def counts_key(partition: str) -> str:
    return _shared_key(partition, "counts")


def owners_key(partition: str) -> str:
    return _shared_key(partition, "owners")


def listing_key(owner: str) -> str:
    return _owner_key(partition_of(owner), "listing", owner)


def usage_key(owner: str) -> str:
    return _owner_key(partition_of(owner), "usage", owner)


def active_key(owner: str) -> str:
    return _owner_key(partition_of(owner), "active", owner)


def _part_key(conversation_id: str, part: str) -> str:
    return f"{conversation_prefix(conversation_id[:2])}{conversation_id}:{part}"


def _shared_key(partition: str, kind: str) -> str:
    return f"parley:{{{partition}}}:{kind}"


def _owner_key(partition: str, kind: str, owner: str = "") -> str:
    return f"parley:{{{partition}}}:{kind}:{owner}"


def conversation_room(conversation_id: str) -> str:
    return f"c:{conversation_id}"


def room_conversation(room: str) -> str | None:
    return room[2:] if room.startswith("c:") else None


def owner_room(owner: str) -> str:
    return f"s:{owner}"


def _encode(data: bytes) -> str:
    """15 bytes as 24 characters."""
    return b32encode(data).translate(_LETTER_OF).decode()
