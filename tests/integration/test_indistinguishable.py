"""What is another's and what never was cost the same: as many commands in Redis, the same and as long, whatever is
asked. Clocks say less: what they show of a difference depends on the machine and the hour."""

from collections.abc import Iterator

import pytest
from flask import Flask
from redis import Redis

from app.services import build_web
from app.settings import ProviderConfig, Settings
from app.web.app import create_app
from tests.integration.test_matrix import ROUTES_ABOUT_ONE, Ids, path_of
from tests.support.redis_server import RedisServer

# Follows a conversation through its channel, whosoever it is, and then asks for it as the others do.
FOLLOWING = {"GET /api/conversations/<conversation_id>/events"}


class Unheard:
    """Nobody works here."""

    def reply(self, *_: object) -> None: ...

    def title(self, *_: object) -> None: ...

    def summary(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), aof=False) as server:
        yield server


@pytest.fixture(scope="module")
def app(redis: RedisServer) -> Flask:
    """Nothing else asks this Redis anything."""
    provider = ProviderConfig(name="x", base_url="http://127.0.0.1:1/v1", models=("m",))
    settings = Settings(
        redis_url=redis.url, providers=(provider,), rate_limit="1000/minute", rate_limit_ip="1000/minute"
    )
    return create_app(build_web(settings, Unheard()))


class Watch:
    """What Redis is told, by clients and by scripts."""

    def __init__(self, redis: RedisServer) -> None:
        self._redis = redis.client
        self._monitor = Redis.from_url(redis.url).monitor()

    def __enter__(self) -> "Watch":
        self._monitor.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._monitor.connection.disconnect()

    def take(self) -> list[tuple[str, str, int]]:
        """(by whom, command, its length) of each since the last call."""
        self._redis.echo("so far")
        taken: list[tuple[str, str, int]] = []
        while True:
            told = self._monitor.next_command()
            if told["command"] == "ECHO so far":
                return taken
            name = told["command"].split(" ")[0].upper()
            taken.append((told["client_type"], name, len(told["command"])))


def sign_in(app: Flask) -> dict[str, str]:
    token = app.test_client().post("/api/sessions", json={"name": "x"}).get_json()["token"]
    return {"Authorization": f"Bearer {token}"}


def exchange(app: Flask, owner: dict[str, str]) -> Ids:
    """One that waits for its answer."""
    client = app.test_client()
    conversation_id = client.post("/api/conversations", json={}, headers=owner).get_json()["id"]
    message = {"text": "Hello", "client_id": "a"}
    answer = client.post(f"/api/conversations/{conversation_id}/messages", json=message, headers=owner).get_json()
    return Ids(conversation_id, answer["turn_id"], answer["message_id"], answer["message_id"])


@pytest.mark.parametrize("route", sorted(ROUTES_ABOUT_ONE.keys() - FOLLOWING))
def test_what_is_anothers_costs_what_never_was(app: Flask, redis: RedisServer, route: str) -> None:
    owner, other = sign_in(app), sign_in(app)
    ids = exchange(app, owner)
    never = Ids(ids.conversation[:2] + "0" * 24, "t" + "0" * 24, "m" + "0" * 24, "m" + "1" * 24)
    body, _ = ROUTES_ABOUT_ONE[route]
    costs: dict[Ids, list[list[tuple[str, str, int]]]] = {never: [], ids: []}
    with Watch(redis) as watch:
        for asked in (never, ids) * 5:
            method, path = path_of(route, asked)
            watch.take()
            answer = app.test_client().open(path, method=method, json=body(), headers=other)
            assert answer.status_code == 404, answer.text
            costs[asked].append(watch.take())
    # What is done now and then, whoever asks (scripts are loaded, figures looked at), is not done all five times.
    of_never, of_anothers = (min(found, key=len) for found in costs.values())
    assert any(by == "lua" for by, _, _ in of_anothers)
    assert of_anothers == of_never
