"""AUTH=anonymous. A session is whoever holds its token, which is stored only as a keyed hash."""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace

from redis import Redis

from app.access.identity import MAX_NAME_CHARS, Given, Session
from app.clock import iso, system_clock
from app.errors import Invalid, Unauthorized
from app.ledger.keys import new_id

COOKIE = "parley_session"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")

# May be run again when its answer was lost: the second time finds it done.
_ROTATE = """
if redis.call('EXISTS', KEYS[2]) == 0 then
  if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
  redis.call('RENAME', KEYS[1], KEYS[2])
end
redis.call('EXPIRE', KEYS[2], ARGV[1])
return 1
"""
# Of many at once: as so many commands they would cost several times as much.
_REMAINING = """
local left = {}
for i, key in ipairs(KEYS) do left[i] = redis.call('PTTL', key) end
return left
"""


class Sessions:
    """Every method is one round trip and raises redis-py's errors."""

    def __init__(self, redis: Redis, *, secret: str, ttl_seconds: int) -> None:
        self._redis = redis
        self._secret = secret.encode()
        self._ttl = ttl_seconds
        self._rotate = redis.register_script(_ROTATE)
        self._remaining = redis.register_script(_REMAINING)

    def create(self, name: object) -> tuple[str, Session]:
        """(token, session). Raises Invalid for a name that is empty, too long or no text."""
        if not isinstance(name, str) or not (name := name.strip()):
            raise Invalid("name must be a text that is not empty.", field="name")
        if len(name) > MAX_NAME_CHARS:
            raise Invalid(f"name must have at most {MAX_NAME_CHARS} characters.", field="name")
        token = secrets.token_urlsafe(32)
        created_at = iso(system_clock())
        session = Session(new_id("s"), name, self._hash(token), created_at, self._expiry())
        pipeline = self._redis.pipeline()
        fields = ("id", session.id, "name", session.name, "created_at", created_at)
        pipeline.hset(_key(session.credential), items=list(fields))
        pipeline.expire(_key(session.credential), self._ttl)
        pipeline.execute()
        return token, session

    def identify(self, given: Given) -> Session | None:
        """The live session of a token, whose life this prolongs."""
        ambient = given.token is None
        token = given.cookies.get(COOKIE) if ambient else given.token
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            return None
        credential = self._hash(token)
        pipeline = self._redis.pipeline()
        pipeline.hgetall(_key(credential))
        pipeline.expire(_key(credential), self._ttl)
        found, _ = pipeline.execute()
        if not found:
            return None
        fields = {name.decode(): value.decode() for name, value in found.items()}
        return Session(**fields, credential=credential, expires=self._expiry(), ambient=ambient)

    def renew(self, session: Session) -> bool:
        return bool(self._redis.expire(_key(session.credential), self._ttl))

    def remaining(self, sessions: Sequence[Session]) -> list[float]:
        left = self._remaining([_key(session.credential) for session in sessions])
        return [max(0.0, milliseconds / 1000) for milliseconds in left]

    def rotate(self, session: Session) -> tuple[str, Session]:
        """(token, session): the same one under another token; the old token is dead. Raises Unauthorized."""
        token = secrets.token_urlsafe(32)
        credential = self._hash(token)
        if not self._rotate([_key(session.credential), _key(credential)], [self._ttl]):
            raise Unauthorized
        return token, replace(session, credential=credential, expires=self._expiry())

    def end(self, session: Session) -> None:
        self._redis.delete(_key(session.credential))

    def _expiry(self) -> float:
        return time.time() + self._ttl

    def _hash(self, token: str) -> str:
        return hmac.new(self._secret, token.encode(), hashlib.sha256).hexdigest()


def _key(credential: str) -> str:
    return f"parley:session:{credential}"
