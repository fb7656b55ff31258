"""How much one session and one address may have, on all processes together.

The stack stands behind a proxy (TRUSTED_PROXIES=1), so that each test can come from an address of its own.
"""

import itertools
import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import requests
from redis import Redis

from app.access.limits import IMPORT_BYTES, Bucket, Limits
from app.connections import connect
from app.errors import NotFound, RateLimited
from app.ledger.keys import new_conversation_id, new_id
from tests.support.clients import ChatClient, PythonClient, Refused
from tests.support.http_client import Api, Session
from tests.support.processes import eventually
from tests.support.raw_socket import RawSocket
from tests.support.redis_server import RedisServer
from tests.support.stack import Mode, Stack

TURNS, TURNS_IP, SESSIONS_IP, CONNECTIONS_IP, WINDOW = 3, 5, 8, 3, 10
EVENTS = 40
LIMITS = {
    "TRUSTED_PROXIES": "1",
    "RATE_LIMIT": f"{TURNS}/{WINDOW}seconds",
    "RATE_LIMIT_IP": f"{TURNS_IP}/{WINDOW}seconds",
    "RATE_LIMIT_SESSIONS": f"{SESSIONS_IP}/minute",
    "EVENT_RATE": f"{EVENTS}/20seconds",
    "MAX_CONNECTIONS_IP": str(CONNECTIONS_IP),
}
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def limited(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("limited"), webs=2, mode=mode, environ=LIMITS) as stack:
        yield stack


class Place:
    """An address, and who comes from there."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.address = f"192.0.2.{next(numbers)}"
        self.headers = {"X-Forwarded-For": self.address}

    def new_session(self) -> requests.Response:
        return Api(self.stack.webs[0].url)("POST", "/api/sessions", json={"name": "x"}, headers=self.headers)

    def session(self) -> Session:
        made = self.new_session().json()
        self.stack.secrets.add(made["token"])
        return Session(made["session_id"], made["token"])

    def client(self, session: Session | None = None, web: int = 0) -> ChatClient:
        client = self.stack.client(session or self.session(), web=web, connect=False)
        assert isinstance(client, PythonClient)
        return client.connect(headers=self.headers)

    def send_by_http(self, session: Session, conversation_id: str, web: int = 0) -> requests.Response:
        return self.stack.api(session, web)(
            "POST",
            f"/api/conversations/{conversation_id}/messages",
            json={"text": self.stack.secret_text(), "client_id": uuid.uuid4().hex},
            headers=self.headers,
        )


@pytest.fixture
def place(limited: Stack) -> Iterator[Place]:
    yield Place(limited)
    limited.close_clients()


def is_refusal(error: dict[str, Any], at_most: float) -> bool:
    return error["code"] == "rate_limited" and bool(0 < error["retry_after"] <= at_most)


def test_a_session_has_so_many_turns_on_all_processes_together(place: Place) -> None:
    session = place.session()
    here, there = place.client(session, 0), place.client(session, 1)
    first = here.send(place.stack.secret_text())
    conversation_id = first["conversation_id"]
    there.send(place.stack.secret_text(), conversation_id)
    assert place.send_by_http(session, conversation_id).status_code == 202
    message = {"text": "One more", "client_id": "one-more", "conversation_id": conversation_id}
    assert is_refusal(here.error("send_message", message), WINDOW)
    assert is_refusal(there.error("send_message", {"text": "New", "client_id": "new"}), WINDOW)
    refused = place.send_by_http(session, conversation_id, web=1)
    assert refused.status_code == 429
    assert is_refusal(refused.json()["error"], WINDOW)
    assert 1 <= int(refused.headers["Retry-After"]) <= WINDOW
    # Nothing else is refused, and in time the message is taken.
    assert [c["id"] for c in there.do("list_conversations")["conversations"]] == [conversation_id]
    eventually(lambda: here.ask("send_message", message)["ok"], "the message is taken", 3 * WINDOW)
    assert message["text"] in [m["text"] for m in place.stack.api(session).messages(conversation_id)]


def test_a_message_sent_again_is_neither_counted_nor_refused(place: Place) -> None:
    client = place.client()
    new = {"text": place.stack.secret_text(), "client_id": "first"}
    first = client.do("send_message", **new)
    more = {"text": place.stack.secret_text(), "client_id": "second", "conversation_id": first["conversation_id"]}
    second = client.do("send_message", **more)
    for _ in range(2 * TURNS):
        assert client.do("send_message", **new) == first
        assert client.do("send_message", **more) == second
    client.send(place.stack.secret_text(), first["conversation_id"])
    assert is_refusal(client.error("send_message", {"text": "x", "client_id": "third"}), WINDOW)
    assert client.do("send_message", **new) == first
    assert client.do("send_message", **more) == second


def test_a_message_that_is_refused_is_not_counted(place: Place) -> None:
    """Whatever it is refused for, over Socket.IO and HTTP."""
    session = place.session()
    client, api = place.client(session), place.stack.api(session)
    never = new_conversation_id("nobody")
    first = client.send(place.stack.secret_text())
    client.wait_finished(first["turn_id"])
    about = {"conversation_id": first["conversation_id"]}
    refusals = [
        ("send_message", {"text": "x" * 33_000}, "too_large"),
        ("send_message", {"text": "x", "conversation_id": never}, "not_found"),
        ("send_message", {"text": "x", "parent_id": "m1", **about}, "invalid"),
        ("send_message", {"text": "x", "provider": "nowhere"}, "invalid"),
        ("edit_message", {"text": "x", "message_id": "m1", **about}, "not_found"),
        ("regenerate", {"message_id": "m1", **about}, "not_found"),
    ]
    for event, payload, code in refusals:
        assert client.error(event, {"client_id": uuid.uuid4().hex, **payload})["code"] == code
    for path in (f"/api/conversations/{never}/messages", f"/api/conversations/{first['conversation_id']}/messages"):
        message = {"text": "x" * (1 if never in path else 33_000), "client_id": "x"}
        assert api("POST", path, json=message, headers=place.headers).status_code in {404, 413}
    asked = {"input": "x" * 33_000, "model": "small"}
    assert api("POST", "/v1/responses", json=asked, headers=place.headers).status_code == 413
    for _ in range(TURNS - 1):
        client.send(place.stack.secret_text())
    assert is_refusal(client.error("send_message", {"text": "x", "client_id": "last"}), WINDOW)


def test_answers_asked_for_again_are_turns(place: Place) -> None:
    client = place.client()
    first = client.send(place.stack.secret_text())
    reply = client.wait_finished(first["turn_id"])["message"]
    about = {"conversation_id": first["conversation_id"]}
    again = {**about, "message_id": reply["id"], "client_id": "again"}
    edited = {**about, "message_id": first["message_id"], "text": "Edited", "client_id": "edited"}
    answers = [client.do("regenerate", **again), client.do("edit_message", **edited)]
    for event, payload in (("regenerate", again), ("edit_message", edited)):
        assert is_refusal(client.error(event, {**payload, "client_id": "more"}), WINDOW)
    assert [client.do("regenerate", **again), client.do("edit_message", **edited)] == answers


def test_an_address_makes_and_imports_so_many_conversations_and_they_are_no_turns(place: Place) -> None:
    session = place.session()
    api = place.stack.api(session)
    said = {"id": "a", "parent_id": None, "role": "user", "text": "x", "created_at": "2026-01-31T12:00:00Z"}
    export = {
        "format": "parley.conversation",
        "version": 1,
        "conversation": {"created_at": said["created_at"]},
        "messages": [said],
        "head": "a",
    }

    def post(path: str, body: dict[str, Any]) -> requests.Response:
        return api("POST", path, json=body, headers=place.headers)

    ways = itertools.cycle([("/api/conversations", {}), ("/api/conversations/import", export)])
    taken = [post(*way).status_code for way in itertools.islice(ways, TURNS_IP)]
    assert taken == [201] * TURNS_IP
    for way in itertools.islice(ways, 2):
        answer = post(*way)
        assert answer.status_code == 429
        assert is_refusal(answer.json()["error"], WINDOW)
    # What is not understood is not counted, and says why.
    assert post("/api/conversations", {"memory": "much"}).status_code == 400
    place.client(session).send(place.stack.secret_text())


@pytest.mark.parametrize("chunked", [False, True])
def test_an_import_counts_by_its_size(place: Place, chunked: bool) -> None:
    """A large one as all that there may be, and then it is made."""
    api = place.stack.api(place.session())
    at = "2026-01-31T12:00:00Z"
    export = {
        "format": "parley.conversation",
        "version": 1,
        "conversation": {"created_at": at},
        "messages": [
            {"id": f"m{number}", "parent_id": None, "role": "user", "text": "x" * 30_000, "created_at": at}
            for number in range(2 * TURNS_IP * IMPORT_BYTES // 30_000)
        ],
        "head": "m0",
    }
    body = json.dumps(export).encode()

    def make() -> requests.Response:
        data = iter([body[:100], body[100:]]) if chunked else body
        return api("POST", "/api/conversations/import", data=data, headers=place.headers)

    assert make().status_code == 201
    assert is_refusal(make().json()["error"], WINDOW)
    assert is_refusal(api("POST", "/api/conversations", json={}, headers=place.headers).json()["error"], WINDOW)
    eventually(lambda: make().status_code == 201, "it is made once more", 3 * WINDOW)


def test_an_address_has_so_many_turns_whatever_the_session(place: Place) -> None:
    one, other = place.client(), place.client()
    for _ in range(TURNS):
        one.send(place.stack.secret_text())
    for _ in range(10):  # what is refused counts nowhere
        assert is_refusal(one.error("send_message", {"text": "x", "client_id": uuid.uuid4().hex}), WINDOW)
    for _ in range(TURNS_IP - TURNS):
        other.send(place.stack.secret_text())
    assert is_refusal(other.error("send_message", {"text": "x", "client_id": "last"}), WINDOW)
    elsewhere = Place(place.stack)
    elsewhere.client().send(place.stack.secret_text())


def test_an_address_makes_so_many_sessions(place: Place) -> None:
    assert [place.new_session().status_code for _ in range(SESSIONS_IP)] == [201] * SESSIONS_IP
    refused = place.new_session()
    assert refused.status_code == 429
    assert is_refusal(refused.json()["error"], 60)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert Place(place.stack).new_session().status_code == 201


def test_what_a_client_says_of_its_address_is_not_believed(place: Place) -> None:
    """The proxy adds the address that it saw; what stood there before is the client's own."""
    statuses = []
    for number in range(SESSIONS_IP + 1):
        headers = {"X-Forwarded-For": f"203.0.113.{number}, {place.headers['X-Forwarded-For']}"}
        answer = Api(place.stack.webs[0].url)("POST", "/api/sessions", json={"name": "x"}, headers=headers)
        statuses.append(answer.status_code)
    assert statuses == [201] * SESSIONS_IP + [429]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_behind_tls_the_cookie_is_for_tls_only(place: Place, scheme: str) -> None:
    headers = {**place.headers, "X-Forwarded-Proto": scheme}
    answer = Api(place.stack.webs[0].url)("POST", "/api/sessions", json={"name": "x"}, headers=headers)
    place.stack.secrets.add(answer.json()["token"])
    assert ("Secure" in answer.headers["Set-Cookie"].split("; ")) is (scheme == "https")


@pytest.mark.parametrize("event", ["list_conversations", "no_such_event"])
def test_a_connection_has_so_many_events_and_survives_more(place: Place, event: str) -> None:
    client = place.client()
    answers = [answer.wait() for answer in [client.post(event, {}) for _ in range(10 * EVENTS)]]
    refused = [answer["error"] for answer in answers if not answer["ok"] and answer["error"]["code"] == "rate_limited"]
    assert len(answers) - len(refused) >= EVENTS
    assert len(refused) >= EVENTS
    assert all(is_refusal(error, 1) for error in refused)
    eventually(lambda: client.ask("list_conversations", {})["ok"], "it is heard again")
    assert client.disconnects == []


def test_an_address_has_so_many_connections(place: Place) -> None:
    session = place.session()
    clients = [place.client(session, web=number % 2) for number in range(CONNECTIONS_IP)]
    for web in (0, 1):
        with pytest.raises(Refused) as refused:
            place.client(session, web)
        assert is_refusal(refused.value.data, 60)
    assert Place(place.stack).client(session).do("list_conversations")
    clients[0].disconnect()

    def connects() -> bool:
        try:
            place.client(session, 1)
        except Refused:
            return False
        return True

    eventually(connects, "another one is let in")


def test_a_process_that_is_told_to_end_gives_its_connections_places_back(place: Place) -> None:
    session, stack = place.session(), place.stack
    with ExitStack() as opened:

        def connects(web: int) -> RawSocket:
            socket = opened.enter_context(RawSocket(stack.webs[web].url, headers=place.headers))
            return socket.log_in(session.token)

        for _ in range(CONNECTIONS_IP):
            connects(0)
        places = f"parley:connections:{place.address}"
        assert stack.redis.client.zcard(places) == CONNECTIONS_IP
        try:
            stack.webs[0].stop(40)
            assert stack.redis.client.zcard(places) == 0
            for _ in range(CONNECTIONS_IP):
                assert connects(1).works()
        finally:
            stack.repair()


# --- The counting itself ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with RedisServer(tmp_path_factory.mktemp("counting"), aof=False) as server:
        client = connect(server.url)
        yield client
        client.close()


def limits_of(redis: Redis, *, turns: str = "100/minute", turns_ip: str = "100/minute", lease: float = 45) -> Limits:
    return Limits(
        redis, turns=turns, turns_ip=turns_ip, sessions_ip="100/minute", connections_ip=2, lease_seconds=lease
    )


def taken(limits: Limits, owner: str, address: str) -> bool:
    try:
        with limits.turn(owner, address, new_conversation_id(owner), new_id("c")):
            return True
    except RateLimited:
        return False


def clock_of(redis: Redis) -> float:
    seconds, microseconds = redis.time()
    return float(seconds + microseconds / 1e6)


def test_a_window_moves(redis: Redis) -> None:
    """In any stretch of a window's length, no more than the limit; not twice as many around a boundary."""
    limits, owner, address = limits_of(redis, turns="4/1second"), new_id("s"), new_id("a")
    times = []

    def take() -> bool:
        before = clock_of(redis)
        if taken(limits, owner, address):
            times.append((before, clock_of(redis)))
        return len(times) >= 12

    eventually(take, "twelve turns are taken")
    assert all(later[1] - earlier[0] >= 0.99 for earlier, later in zip(times, times[4:], strict=False))


def test_several_rates_hold_together(redis: Redis) -> None:
    limits, owner = limits_of(redis, turns="3/second;5/hour"), new_id("s")
    count = itertools.count()
    eventually(lambda: taken(limits, owner, new_id("a")) and next(count) == 4, "five turns are taken")
    with pytest.raises(RateLimited) as refused, limits.turn(owner, new_id("a"), new_conversation_id(owner), "x"):
        pass
    assert refused.value.retry_after is not None
    assert 3000 < refused.value.retry_after <= 3600
    assert "in 60 minutes" in refused.value.message


def test_what_is_taken_at_the_same_moment_is_counted_once_each(redis: Redis) -> None:
    limits, owner, address = limits_of(redis, turns="100/minute", turns_ip="10/minute"), new_id("s"), new_id("a")
    with ThreadPoolExecutor(16) as threads:
        results = list(threads.map(lambda _: taken(limits, owner, address), range(64)))
    assert results.count(True) == 10


def imported(limits: Limits, address: str, size: int) -> bool:
    try:
        limits.conversation(address, size)
    except RateLimited:
        return False
    return True


def test_a_conversation_counts_by_its_size_at_most_as_often_as_there_may_be_any(redis: Redis) -> None:
    limits, address = limits_of(redis, turns_ip="10/minute;20/hour"), new_id("a")
    sizes = [3 * IMPORT_BYTES, 6 * IMPORT_BYTES, 5 * IMPORT_BYTES, 0]
    assert [imported(limits, address, size) for size in sizes] == [True, False, True, False]
    assert redis.llen(f"parley:limit:conversations-ip:60:{address}") == 10
    large = new_id("a")
    assert [imported(limits, large, size) for size in (1_000 * IMPORT_BYTES, 0)] == [True, False]
    counted = [redis.llen(f"parley:limit:conversations-ip:{seconds}:{large}") for seconds in (60, 3600)]
    assert counted == [10, 20]


def test_a_large_conversation_waits_until_there_is_room_for_all_of_it(redis: Redis) -> None:
    limits, address = limits_of(redis, turns_ip="4/2seconds"), new_id("a")
    assert imported(limits, address, 0)
    before = clock_of(redis)
    assert imported(limits, address, 2 * IMPORT_BYTES)
    eventually(lambda: imported(limits, address, 2 * IMPORT_BYTES), "there is room for three again")
    assert clock_of(redis) - before >= 1.99


def test_what_is_given_back_is_one_s_own(redis: Redis) -> None:
    limits, owner, address = limits_of(redis, turns="3/minute"), new_id("s"), new_id("a")
    assert taken(limits, owner, address)
    for _ in range(5):
        with suppress(NotFound), limits.turn(owner, address, new_conversation_id(owner), "x"):
            assert redis.llen(f"parley:limit:turns:60:{owner}") == 2
            raise NotFound
    assert [taken(limits, owner, address) for _ in range(3)] == [True, True, False]
    assert redis.llen(f"parley:limit:turns-ip:60:{address}") == 3


def test_windows_leave_nothing_behind(redis: Redis) -> None:
    limits, owner, address = limits_of(redis, turns="5/3seconds", turns_ip="5/3seconds"), new_id("s"), new_id("a")
    for _ in range(5):
        assert taken(limits, owner, address)
    keys = [key for key in redis.keys("parley:limit:*") if owner.encode() in key or address.encode() in key]
    assert len(keys) == 2
    eventually(lambda: not redis.exists(*keys), "they are gone")


def test_a_clock_that_is_set_back_keeps_nobody_waiting(redis: Redis) -> None:
    limits, owner = limits_of(redis, turns="2/minute"), new_id("s")
    redis.lpush(f"parley:limit:turns:60:{owner}", *[round(clock_of(redis) * 1000) + 3_600_000] * 2)
    assert [taken(limits, owner, new_id("a")) for _ in range(3)] == [True, True, False]


def test_connections_of_a_process_that_died_are_forgotten(redis: Redis) -> None:
    limits, address = limits_of(redis, lease=3), new_id("a")
    limits.connect(address, "dead")
    limits.connect(address, "alive")

    def admitted() -> bool:
        limits.renew([(address, "alive")])
        try:
            limits.connect(address, "new")
        except RateLimited:
            return False
        return True

    assert not admitted()
    eventually(admitted, "the place of the dead one is free")
    assert redis.zscore(f"parley:connections:{address}", "alive") is not None
    limits.release([(address, "alive"), (address, "new")])
    assert not redis.exists(f"parley:connections:{address}")


def test_a_bucket_fills_again() -> None:
    bucket = Bucket.of("4/2seconds")
    assert [bucket.take(100.0) for _ in range(4)] == [0, 0, 0, 0]
    assert bucket.take(100.0) == pytest.approx(0.5)
    assert bucket.take(100.4) == pytest.approx(0.1)
    assert bucket.take(100.5) == 0
    assert bucket.take(100.5) == pytest.approx(0.5)
    assert [bucket.take(1000.0) for _ in range(4)] == [0, 0, 0, 0]
    assert bucket.take(1000.0) > 0
