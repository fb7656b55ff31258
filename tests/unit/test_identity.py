"""Where browsers may come from, and who is asking."""

from dataclasses import replace
from typing import Any

import pytest
from flask import Flask, Request, request

from app.access.identity import Given, Session
from app.access.sessions import COOKIE
from app.errors import Forbidden, Unauthorized
from app.web.identity import address_of, bearer_token, session_of
from app.web.origins import Origins

ALICE = Session("s1", "Alice", "hash", "2026-01-31T12:00:00.000Z", 1772452800.0)


class OneSession:
    """The only one there is: of the token `good`."""

    def identify(self, given: Given) -> Session | None:
        ambient = given.token is None
        token = given.cookies.get(COOKIE) if ambient else given.token
        return replace(ALICE, ambient=ambient) if token == "good" else None


def environ(host: str, scheme: str = "https") -> dict[str, Any]:
    return {"wsgi.url_scheme": scheme, "HTTP_HOST": host}


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "allowed"),
    [
        ("https://chat.example.com", "chat.example.com", "https", True),
        ("https://chat.example.com", "chat.example.com:443", "https", True),
        ("https://chat.example.com:8443", "chat.example.com:8443", "https", True),
        ("http://localhost:8000", "localhost:8000", "http", True),
        ("http://localhost", "localhost:80", "http", True),
        ("http://[::1]:8000", "[::1]:8000", "http", True),
        ("http://[::1]", "[::1]:80", "http", True),
        ("http://[::80]", "[::80]", "http", True),
        ("http://chat.example.com", "chat.example.com", "https", False),
        ("https://chat.example.com", "chat.example.com", "http", False),
        ("https://chat.example.com:444", "chat.example.com", "https", False),
        ("https://chat.example.com", "chat.example.com:80", "https", False),
        ("https://evil.example", "chat.example.com", "https", False),
        ("https://chat.example.com.evil.example", "chat.example.com", "https", False),
        ("https://sub.chat.example.com", "chat.example.com", "https", False),
        ("null", "chat.example.com", "https", False),
        ("", "chat.example.com", "https", False),
        ("https://chat.example.com", "chat.example.com:99999", "https", False),
        ("https://chat.example.com", "chat.example.com:port", "https", False),
        ("https://chat.example.com", "[::1", "https", False),
    ],
)
def test_the_pages_own_origin(origin: str, host: str, scheme: str, allowed: bool) -> None:
    assert Origins(()).allow(origin, environ(host, scheme)) is allowed


def test_origins_that_the_operator_lists() -> None:
    origins = Origins(("https://friend.example",))
    assert origins.allow("https://friend.example", environ("chat.example.com"))
    assert origins.allow("https://chat.example.com", environ("chat.example.com"))
    assert not origins.allow("http://friend.example", environ("chat.example.com"))
    assert Origins(("*",)).allow("https://anything.example", environ("chat.example.com"))


def test_all_origins_may_come_but_are_not_vouched_for() -> None:
    origins = Origins(("*", "https://friend.example"))
    assert origins.vouch("https://friend.example", environ("chat.example.com"))
    assert origins.vouch("https://chat.example.com", environ("chat.example.com"))
    assert not origins.vouch("https://anything.example", environ("chat.example.com"))
    assert not origins.vouch("*", environ("chat.example.com"))


def asked(method: str = "GET", **headers: str) -> Request:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    with Flask(__name__).test_request_context("/", method=method, base_url="https://chat.example.com", headers=names):
        return request._get_current_object()  # type: ignore[attr-defined, no-any-return]


def who(asked: Request, *allowed: str) -> str:
    return session_of(asked, OneSession(), Origins(allowed)).id  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer good", "good"),
        ("bearer  good ", "good"),
        ("Basic good", None),
        ("good", None),
        ("", None),
        ("Bearer", ""),
    ],
)
def test_bearer_tokens(header: str, token: str | None) -> None:
    assert bearer_token(asked(Authorization=header)) == token
    assert bearer_token(asked()) is None


def test_a_bearer_token_counts_from_anywhere() -> None:
    assert who(asked("POST", Authorization="Bearer good", Origin="https://evil.example")) == "s1"


def test_a_bearer_token_goes_before_the_cookie() -> None:
    with pytest.raises(Unauthorized):
        who(asked(Authorization="Bearer bad", Cookie=f"{COOKIE}=good"))


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer bad"}, {"Cookie": f"{COOKIE}=bad"}, {"Cookie": f"{COOKIE}="}]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nobody(headers: dict[str, str], method: str) -> None:
    with pytest.raises(Unauthorized):
        who(asked(method, Sec_Fetch_Site="same-origin", **headers))


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_by_cookie(method: str) -> None:
    assert who(asked(method, Cookie=f"{COOKIE}=good", Origin="https://evil.example")) == "s1"


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Origin": "https://chat.example.com"}, True),
        ({"Origin": "https://friend.example"}, True),
        ({"Sec_Fetch_Site": "same-origin"}, True),
        ({}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec_Fetch_Site": "cross-site"}, False),
        ({"Sec_Fetch_Site": "same-site"}, False),
        ({"Sec_Fetch_Site": "none"}, False),
        ({"Origin": "https://evil.example", "Sec_Fetch_Site": "same-origin"}, False),
    ],
)
def test_changing_by_cookie(method: str, headers: dict[str, str], allowed: bool) -> None:
    change = asked(method, Cookie=f"{COOKIE}=good", **headers)
    if allowed:
        assert who(change, "https://friend.example") == "s1"
    else:
        with pytest.raises(Forbidden):
            who(change, "https://friend.example")


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("", "unknown"),
        ("unix:", "unknown"),
    ],
)
def test_whose_limits_count(remote: str, address: str) -> None:
    with Flask(__name__).test_request_context("/", environ_overrides={"REMOTE_ADDR": remote}):
        assert address_of(request) == address
