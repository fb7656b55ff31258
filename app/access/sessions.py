"""Sessions: whoever holds a token. The token is stored only as a keyed hash."""

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass

from redis import Redis

from app.errors import Invalid
from app.ledger.keys import new_id
from app.ledger.ledger import iso

MAX_NAME_CHARS = 80
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Session:
    """`id` is what owns conversations. Times are ISO 8601."""

    id: str
    name: str
    created_at: str
    expires_at: str


class Sessions:
    """Every method is one round trip and raises redis-py's errors."""

    def __init__(self, redis: Redis, *, secret: str, ttl_seconds: int) -> None:
        self._redis = redis
        self._secret = secret.encode()
        self._ttl = ttl_seconds

    def create(self, name: object) -> tuple[str, Session]:
        """(token, session). Raises Invalid for a name that is empty, too long or no text."""
        if not isinstance(name, str) or not (name := name.strip()):
            raise Invalid("name must be a text that is not empty.", field="name")
        if len(name) > MAX_NAME_CHARS:
            raise Invalid(f"name must have at most {MAX_NAME_CHARS} characters.", field="name")
        token = secrets.token_urlsafe(32)
        now = int(time.time() * 1000)
        session = Session(new_id("s"), name, iso(now), self._expiry(now))
        pipeline = self._redis.pipeline()
        fields = ("id", session.id, "name", session.name, "created_at", session.created_at)
        pipeline.hset(self._key(token), items=list(fields))
        pipeline.expire(self._key(token), self._ttl)
        pipeline.execute()
        return token, session

    def find(self, token: object) -> Session | None:
        """The live session of a token, whose life this prolongs."""
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            return None
        pipeline = self._redis.pipeline()
        pipeline.hgetall(self._key(token))
        pipeline.expire(self._key(token), self._ttl)
        found, _ = pipeline.execute()
        if not found:
            return None
        fields = {name.decode(): value.decode() for name, value in found.items()}
        return Session(**fields, expires_at=self._expiry(int(time.time() * 1000)))

    def end(self, token: str) -> None:
        self._redis.delete(self._key(token))

    def _expiry(self, now: int) -> str:
        return iso(now + self._ttl * 1000)

    def _key(self, token: str) -> str:
        return "parley:session:" + hmac.new(self._secret, token.encode(), hashlib.sha256).hexdigest()
