"""AUTH=jwt. A person is whom a token of their identity provider names; nothing is stored here."""

import hashlib
import time
from collections.abc import Sequence
from typing import Any

import jwt

from app.access.identity import MAX_NAME_CHARS, Given, Session, owner_of
from app.clock import iso
from app.errors import Unavailable
from app.logs import get_logger

MAX_TOKEN_CHARS = 16_384
CLOCK_SKEW = 10
FETCH_TIMEOUT = 5
# Keys that the issuer has withdrawn count this much longer.
KEYS_LIFETIME = 300


class JwtIdentities:
    """`key` is the issuer's, or None: then keys are fetched from `jwks_url`."""

    def __init__(
        self,
        *,
        issuer: str,
        audience: Sequence[str],
        algorithms: Sequence[str],
        key: str | None = None,
        jwks_url: str = "",
        cookie: str = "",
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._algorithms = algorithms
        self._key = key
        self._keys = jwt.PyJWKClient(jwks_url, lifespan=KEYS_LIFETIME, timeout=FETCH_TIMEOUT) if key is None else None
        self._cookie = cookie
        self._log = get_logger(__name__)

    def identify(self, given: Given) -> Session | None:
        """One person is the same session on all devices. Raises Unavailable when the keys cannot be fetched."""
        ambient = given.token is None
        token = given.cookies.get(self._cookie) if ambient else given.token
        if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN_CHARS:
            return None
        try:
            claims = self._verified(token)
        except jwt.PyJWKClientConnectionError as exc:
            self._log.warning("the issuer's keys cannot be fetched", error=str(exc))
            raise Unavailable("The server cannot reach its identity provider. Try again in a moment.") from None
        except (jwt.PyJWTError, ValueError):
            return None
        return Session(
            id=owner_of(self._issuer, claims["sub"]),
            name=_name_in(claims)[:MAX_NAME_CHARS],
            credential=hashlib.sha256(token.encode()).hexdigest(),
            created_at=iso(int(claims["iat"] * 1000)) if "iat" in claims else None,
            expires=float(claims["exp"]),
            ambient=ambient,
        )

    def renew(self, session: Session) -> bool:
        return _left(session) > 0

    def remaining(self, sessions: Sequence[Session]) -> list[float]:
        return [_left(session) for session in sessions]

    def _verified(self, token: str) -> dict[str, Any]:
        key = self._keys.get_signing_key_from_jwt(token) if self._keys else self._key
        assert key is not None  # noqa: S101
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=self._algorithms,
            issuer=self._issuer,
            audience=self._audience,
            leeway=CLOCK_SKEW,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        if not claims["sub"].strip():
            raise jwt.InvalidTokenError("an empty sub names nobody")
        return claims


def _left(session: Session) -> float:
    assert session.expires is not None  # noqa: S101
    return max(0.0, session.expires + CLOCK_SKEW - time.time())


def _name_in(claims: dict[str, Any]) -> str:
    said = [claims.get(claim) for claim in ("name", "preferred_username", "email", "sub")]
    return next(name for name in said if isinstance(name, str) and name.strip())
