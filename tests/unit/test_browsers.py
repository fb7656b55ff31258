"""What every answer says to browsers, and what is believed of what they and proxies say."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.access.identity import Given
from app.access.proxy import ProxyIdentities
from app.services import build_web
from app.settings import ProviderConfig, Settings
from app.web.app import create_app
from app.web.headers import HSTS, SECURITY_HEADERS
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tests.unit.test_extension_points import NoHints

FRIEND = "https://friend.example.com"
FOREIGN = "https://foreign.example.com"


MakeApp = Callable[..., Flask]


@pytest.fixture(scope="module")
def make_app() -> MakeApp:
    """Without a Redis."""
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    provider = ProviderConfig(name="x", base_url="http://127.0.0.1:1/v1", models=("m",))

    def make(**settings: Any) -> Flask:
        return create_app(build_web(Settings(providers=(provider,), **{"redis_url": nowhere, **settings}), NoHints()))

    return make


def ask(app: Flask, method: str, path: str, *, peer: str = "192.0.2.1", **headers: str) -> TestResponse:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.test_client().open(
        path, method=method, headers=names, base_url="http://chat.example.com", environ_overrides={"REMOTE_ADDR": peer}
    )


# --- Headers ----------------------------------------------------------------------------------------------------------

ANSWERS = [
    ("GET", "/", 200),
    ("GET", "/healthz", 200),
    ("GET", "/readyz", 503),
    ("GET", "/static/missing.js", 404),
    ("GET", "/no/such/page", 404),
    ("POST", "/healthz", 405),
    ("GET", "/api/session", 401),
    ("POST", "/api/sessions", 400),
    ("GET", "/api/models", 401),
    ("GET", "/socket.io/", 400),
    ("GET", "/socket.io/?EIO=4&transport=polling", 400),
    ("GET", "/socket.io/?EIO=4&transport=websocket&sid=x", 400),
    ("PUT", "/socket.io/?EIO=4&transport=polling", 400),
]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_every_answer_has_the_headers(make_app: MakeApp, method: str, path: str, status: int) -> None:
    answer = ask(make_app(), method, path)
    assert answer.status_code == status
    for name, value in SECURITY_HEADERS:
        assert answer.headers.getlist(name) == [value]
    assert HSTS[0] not in answer.headers


def static_file(app: Flask) -> str:
    """One that the page names."""
    found = re.search(r'(?:href|src)="(/static/[^"]+)"', ask(app, "GET", "/").text)
    assert found
    return found[1]


def test_the_page_s_files_have_the_headers(make_app: MakeApp) -> None:
    app = make_app()
    answer = ask(app, "GET", static_file(app))
    assert answer.status_code == 200
    assert dict(SECURITY_HEADERS).items() <= dict(answer.headers).items()


def test_an_answer_while_redis_is_away_has_the_headers(make_app: MakeApp) -> None:
    answer = ask(make_app(), "GET", "/api/session", Authorization=f"Bearer {'x' * 43}")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert dict(SECURITY_HEADERS).items() <= dict(answer.headers).items()


def test_the_policy_lets_no_script_of_others_run() -> None:
    policy = dict(SECURITY_HEADERS)["Content-Security-Policy"]
    directives = dict(directive.partition(" ")[::2] for directive in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == "'self'"
    assert directives["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy
    assert "http" not in directives["img-src"]


def test_behind_tls_browsers_are_told_to_stay_there(make_app: MakeApp) -> None:
    app = make_app(trusted_proxies=1)
    for path in ("/", static_file(app), "/no/such/page", "/socket.io/"):
        assert ask(app, "GET", path, X_Forwarded_Proto="https").headers.getlist(HSTS[0]) == [HSTS[1]]
        assert HSTS[0] not in ask(app, "GET", path).headers


@pytest.mark.parametrize("proxies", [0, 1])
def test_forwarded_headers_are_believed_from_trusted_proxies_only(make_app: MakeApp, proxies: int) -> None:
    """The origin that a browser shows is its own only if the address that the proxy names is ours."""
    said = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "outside.example.com"}
    app = make_app(trusted_proxies=proxies)
    answer = ask(app, "GET", "/api/session", Origin="https://outside.example.com", **said)
    assert answer.status_code == (401 if proxies else 403)
    assert (HSTS[0] in answer.headers) is bool(proxies)


# --- Origins ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("origin", [FOREIGN, "null", "http://friend.example.com", f"{FRIEND}.evil.example"])
def test_pages_of_others_are_refused(make_app: MakeApp, method: str, origin: str) -> None:
    app = make_app(allowed_origins=(FRIEND,))
    answer = ask(app, method, "/api/conversations/x", Origin=origin, Authorization="Bearer x")
    assert answer.status_code == 403
    assert answer.json is not None
    assert answer.json["error"]["code"] == "unauthorized"
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("origin", [FRIEND, "http://chat.example.com"])
def test_pages_of_friends_may_read_the_answers(make_app: MakeApp, origin: str) -> None:
    app = make_app(allowed_origins=(FRIEND,))
    answer = ask(app, "GET", "/api/session", Origin=origin)
    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Origin" in answer.headers["Vary"]
    asked = {"Access_Control_Request_Method": "PATCH", "Access_Control_Request_Headers": "authorization"}
    before = ask(app, "OPTIONS", "/api/conversations/x", Origin=origin, **asked)
    assert before.status_code == 204
    assert "PATCH" in before.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in before.headers["Access-Control-Allow-Headers"]


def test_pages_of_friends_may_use_openais_sdk(make_app: MakeApp) -> None:
    """It sends headers of its own along, and keys of ours with a request that may be repeated."""
    app = make_app(allowed_origins=(FRIEND,))
    asked = "authorization,content-type,idempotency-key,x-stainless-lang,x-stainless-retry-count,x-forwarded-user"
    before = ask(app, "OPTIONS", "/v1/responses", Origin=FRIEND, Access_Control_Request_Headers=asked)
    allowed = before.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert set(asked.split(",")) - set(allowed) == {"x-forwarded-user"}


@pytest.mark.parametrize("path", ["/api/session", "/v1/models"])
def test_what_is_said_to_one_is_kept_by_no_cache(make_app: MakeApp, path: str) -> None:
    assert ask(make_app(), "GET", path).headers["Cache-Control"] == "no-store"


def test_all_origins_means_without_their_cookies(make_app: MakeApp) -> None:
    answer = ask(make_app(allowed_origins=("*",)), "GET", "/api/session", Origin=FOREIGN)
    assert answer.headers["Access-Control-Allow-Origin"] == FOREIGN
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_programs_send_no_origin(make_app: MakeApp) -> None:
    answer = ask(make_app(), "GET", "/api/session")
    assert answer.status_code == 401
    assert "Access-Control-Allow-Origin" not in answer.headers


# --- AUTH=proxy -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), aof=False) as server:
        yield server


def behind_proxy(make_app: MakeApp, **more: Any) -> Flask:
    return make_app(
        auth="proxy", auth_proxy_header="X-User", auth_proxy_addresses=("10.0.0.0/8", "2001:db8::1"), **more
    )


@pytest.mark.parametrize("peer", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"])
def test_who_the_proxy_names(make_app: MakeApp, redis: RedisServer, peer: str) -> None:
    app = behind_proxy(make_app, redis_url=redis.url)
    ada, again, bob = (ask(app, "GET", "/api/session", peer=peer, X_User=user) for user in ("ada", "ada ", "bob"))
    assert ada.json is not None
    assert bob.json is not None
    assert ada.status_code == 200
    assert ada.json["name"] == "ada"
    assert ada.json == again.json
    assert ada.json["session_id"] != bob.json["session_id"]


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::2", "::ffff:11.0.0.1", "", "no address"])
def test_what_others_say_of_themselves(make_app: MakeApp, peer: str) -> None:
    assert ask(behind_proxy(make_app), "GET", "/api/session", peer=peer, X_User="ada").status_code == 401


def test_a_forwarded_address_makes_nobody_a_proxy(make_app: MakeApp, redis: RedisServer) -> None:
    app = behind_proxy(make_app, redis_url=redis.url, trusted_proxies=1)
    answer = ask(app, "GET", "/api/session", peer="192.0.2.1", X_User="ada", X_Forwarded_For="10.1.2.3")
    assert answer.status_code == 401
    answer = ask(app, "GET", "/api/session", peer="10.1.2.3", X_User="ada", X_Forwarded_For="192.0.2.1")
    assert answer.status_code == 200


@pytest.mark.parametrize("headers", [{}, {"X_User": ""}, {"X_User": " "}, {"Authorization": "Bearer ada"}])
def test_nobody_behind_the_proxy(make_app: MakeApp, headers: dict[str, str]) -> None:
    assert ask(behind_proxy(make_app), "GET", "/api/session", peer="10.1.2.3", **headers).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": FOREIGN}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 400),
    ],
)
def test_a_foreign_page_changes_nothing_through_the_proxy(
    make_app: MakeApp, headers: dict[str, str], status: int
) -> None:
    """The proxy lets in by cookie, so the same proof is asked for. (400: sessions are not ended here.)"""
    app = behind_proxy(make_app)
    assert ask(app, "DELETE", "/api/session", peer="10.1.2.3", X_User="ada", **headers).status_code == status


def test_the_proxy_s_people_do_not_expire() -> None:
    identities = ProxyIdentities(header="X-User", addresses=["10.0.0.1"])
    session = identities.identify(Given(None, {}, {"X-User": "ada"}.get, "10.0.0.1"))
    assert session is not None
    assert identities.renew(session)
    assert identities.remaining([session])[0] > 10**9
    assert session.expires_at is None
