"""What no well-behaved client sends: it is answered with the contract's error, and changes nothing."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.integration.conftest import MAX_MESSAGE_CHARS
from tests.support.clients import ChatClient
from tests.support.processes import eventually
from tests.support.raw_socket import RawSocket
from tests.support.stack import Stack, Web

# What each event needs, given a conversation of the session.
EVENTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "open_conversation": lambda known: {"conversation_id": known},
    "close_conversation": lambda known: {"conversation_id": known},
    "send_message": lambda known: {"conversation_id": known, "text": "x", "client_id": uuid.uuid4().hex},
    "stop_turn": lambda known: {"conversation_id": known, "turn_id": "t" + "0" * 24},
    "configure_conversation": lambda known: {"conversation_id": known, "title": "x"},
    "clear_conversation": lambda known: {"conversation_id": known},
    "delete_conversation": lambda known: {"conversation_id": known},
    "list_conversations": lambda known: {},
}
OPTIONAL: dict[str, tuple[str, ...]] = {
    "open_conversation": ("after", "epoch"),
    "send_message": ("parent_id", "memory", "provider", "model"),
    "configure_conversation": ("memory", "provider", "model", "system_prompt"),
    "list_conversations": ("cursor", "limit"),
}
NESTED: Any = []
for _ in range(200):
    NESTED = [NESTED]
ILL_TYPED: list[Any] = [7, -1.5, True, [], ["x"], {}, {"a": 1}, NESTED, 1e300, b"binary", {"_placeholder": True}]
NUMBERS = [-1, 2**70, -(2**70)]
RIGHT: dict[str, type] = {"memory": bool, "limit": int, "after": int}
# Values of the right type that are no id, title, provider …
ODD_TEXTS = [
    "",
    " ",
    "x" * 100_000,
    "\0",
    "é",
    "\u202e",
    "../../etc",
    "*",
    "{00}",
    "\u0660\u0661" + "0" * 24,
    "²³" + "0" * 24,
]


class Scene:
    """A session with one finished exchange, and the means to see that nothing happened to it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.client = stack.client()
        self.api = stack.api(self.client.session)
        self.text = stack.secret_text()
        answer = self.client.send(self.text)
        self.client.wait_finished(answer["turn_id"])
        self.conversation_id: str = answer["conversation_id"]
        self.turn_id: str = answer["turn_id"]
        self._before = self._state()
        self._heard = len(self.client.received)

    def _state(self) -> Any:
        conversations = self.api.get("/api/conversations")
        answer = self.client.do("open_conversation", conversation_id=self.conversation_id)
        return conversations, answer

    def assert_untouched(self) -> None:
        assert self.client.disconnects == []
        assert self._state() == self._before
        assert len(self.client.received) == self._heard
        assert self.client.talk(self.stack.secret_text(), self.conversation_id)["status"] == "done"


@pytest.fixture
def scene(stack: Stack) -> Scene:
    return Scene(stack)


def errors(client: ChatClient, name: str, payloads: list[tuple[Any, ...]]) -> dict[str, Any]:
    """What each of them was answered, by a short form of it."""
    posted = [(payload, client.post(name, *payload)) for payload in payloads]
    return {f"{index}: {payload!r:.80}": answer.wait() for index, (payload, answer) in enumerate(posted)}


def not_refused(answers: dict[str, Any], codes: set[str]) -> dict[str, Any]:
    """The answers that are not the contract's error."""

    def is_right(answer: Any) -> bool:
        if not isinstance(answer, dict) or answer.get("ok") is not False or set(answer) != {"ok", "error"}:
            return False
        error = answer["error"]
        return error.get("code") in codes and isinstance(error.get("message"), str) and bool(error["message"])

    return {key: answer for key, answer in answers.items() if not is_right(answer)}


@pytest.mark.parametrize("name", EVENTS)
def test_payloads_that_are_no_object(scene: Scene, name: str) -> None:
    payloads: list[tuple[Any, ...]] = [(value,) for value in [None, "text", *ILL_TYPED] if not isinstance(value, dict)]
    payloads += [(EVENTS[name](scene.conversation_id), {}), (EVENTS[name](scene.conversation_id), None, 3), ([], [])]
    if name != "list_conversations":  # which needs nothing
        payloads += [(), ({},)]
    answers = errors(scene.client, name, payloads)
    assert not_refused(answers, {"invalid"}) == {}
    scene.assert_untouched()


@pytest.mark.parametrize("name", EVENTS)
def test_fields_that_are_missing_unknown_or_of_a_wrong_type(scene: Scene, name: str) -> None:
    whole = EVENTS[name](scene.conversation_id)
    cases: list[tuple[str, Any]] = [(field, {k: v for k, v in whole.items() if k != field}) for field in whole]
    if name == "send_message":
        cases = [case for case in cases if case[0] != "conversation_id"]  # it may be absent
    if name == "configure_conversation":
        cases = [case for case in cases if case[0] != "title"]
    cases += [(field, {**whole, field: 1}) for field in ("surplus", "owner", "__class__", "", "ok")]
    optional = OPTIONAL.get(name, ())
    for field in (*whole, *optional):
        for value in ILL_TYPED:
            if RIGHT.get(field) is not type(value):
                cases.append((field, {**whole, field: value}))
    cases += [
        (field, {**whole, field: None}) for field in whole if (name, field) != ("send_message", "conversation_id")
    ]
    cases += [
        (field, {**whole, field: value}) for field in ("after", "limit") for value in NUMBERS if field in optional
    ]
    answers = errors(scene.client, name, [(payload,) for _, payload in cases])
    assert not_refused(answers, {"invalid"}) == {}
    fields = [answer["error"].get("field") for answer in answers.values()]
    binary = [any(isinstance(value, bytes) for value in payload.values()) for _, payload in cases]
    wrong = [
        (expected, field, key)
        for (expected, _), field, key, is_binary in zip(cases, fields, answers, binary, strict=True)
        if field != expected and not is_binary  # a binary event is refused as a whole
    ]
    assert wrong == []
    scene.assert_untouched()


@pytest.mark.parametrize("name", [name for name in EVENTS if name != "list_conversations"])
def test_ids_that_do_not_exist(scene: Scene, name: str) -> None:
    payloads = [
        ({**EVENTS[name](scene.conversation_id), "conversation_id": value},)
        for value in [*ODD_TEXTS, scene.conversation_id.upper(), scene.conversation_id[:-1], scene.turn_id, "0" * 26]
    ]
    answers = errors(scene.client, name, payloads)
    # To close what is not open changes nothing, so it may be agreed to.
    if name == "close_conversation":
        answers = {key: answer for key, answer in answers.items() if answer != {"ok": True}}
    assert not_refused(answers, {"invalid", "not_found"}) == {}
    scene.assert_untouched()


@pytest.mark.parametrize("name", [name for name in EVENTS if name not in {"list_conversations", "close_conversation"}])
def test_a_conversation_of_another_session_is_one_that_never_was(scene: Scene, name: str) -> None:
    stranger = scene.stack.client()
    payload = EVENTS[name](scene.conversation_id)
    if name == "stop_turn":
        payload["turn_id"] = scene.turn_id
    theirs = stranger.ask(name, payload)
    missing = scene.conversation_id[:2] + "0" * 24
    never = stranger.ask(name, {**payload, "conversation_id": missing})
    assert theirs == never
    assert theirs["error"]["code"] == "not_found"
    assert set(theirs["error"]) == {"code", "message"}
    assert stranger.do("list_conversations")["conversations"] == []
    scene.assert_untouched()
    assert stranger.received == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("GET", "/messages"),
        ("POST", "/messages"),
        ("POST", "/clear"),
        ("POST", "/turns/{turn_id}/stop"),
    ],
)
def test_http_shows_nothing_of_another_session(scene: Scene, method: str, path: str) -> None:
    stranger = scene.stack.api(scene.stack.session())
    body = {"text": "x", "client_id": "a"} if path == "/messages" else {"title": "x"}
    options = {"json": body} if method in {"POST", "PATCH"} else {}
    answers = [
        stranger(method, f"/api/conversations/{one}{path.format(turn_id=scene.turn_id)}", **options)
        for one in (scene.conversation_id, scene.conversation_id[:2] + "0" * 24, "²³" + "0" * 24, "%00", "a" * 500)
    ]
    assert [answer.status_code for answer in answers] == [404] * 5
    assert {json.dumps(answer.json()) for answer in answers[:2]} == {json.dumps(answers[0].json())}
    assert answers[0].json()["error"]["code"] == "not_found"
    scene.assert_untouched()


TEXTS: list[tuple[str, str]] = [
    ("", "invalid"),
    (" \n\t ", "invalid"),
    ("\u00a0\u2003", "invalid"),
    ("x" * (MAX_MESSAGE_CHARS + 1), "too_large"),
    ("👋" * (MAX_MESSAGE_CHARS + 1), "too_large"),
    ("x" * 900_000, "too_large"),
]


@pytest.mark.parametrize(("text", "code"), TEXTS, ids=[f"{text!r:.12}… of {len(text)}" for text, _ in TEXTS])
def test_texts_that_are_empty_or_too_long(scene: Scene, text: str, code: str) -> None:
    for more in ({}, {"conversation_id": scene.conversation_id}):
        error = scene.client.error("send_message", {"text": text, "client_id": "a", **more})
        assert error["code"] == code
        assert error["field"] == "text"
    body = {"text": text, "client_id": "a"}
    answer = scene.api("POST", f"/api/conversations/{scene.conversation_id}/messages", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == ({"invalid": 400, "too_large": 413}[code], code)
    scene.assert_untouched()


@pytest.mark.parametrize(
    "text",
    [
        "x" * MAX_MESSAGE_CHARS,
        "👋" * MAX_MESSAGE_CHARS,
        "\0",
        "\ufeffa",
        "\u202etxt.exe",
        'a"]}\\',
        "{{x}} %s <b>",
        "\u2028\x7f/",
    ],
    ids=lambda text: f"{text!r:.12} of {len(text)}",
)
def test_texts_that_are_merely_unusual_are_taken(stack: Stack, text: str) -> None:
    client = stack.client()
    reply = client.talk(text)
    assert reply["text"] == f"You said: {text}"
    assert client.received[0]["message"]["text"] == text
    conversation_id = client.received[0]["conversation_id"]
    stack.assert_saved_as_shown(client, conversation_id)
    assert client.do("open_conversation", conversation_id=conversation_id)["snapshot"]["messages"][0]["text"] == text


@pytest.mark.parametrize(
    "client_id",
    ["", " ", "a b", "a" * 65, "ä", "a\n", "a/b", "\u0663", "{}", "a.b"],
    ids=lambda value: f"{value!r:.12}",
)
def test_bad_client_ids(scene: Scene, client_id: str) -> None:
    for more in ({}, {"conversation_id": scene.conversation_id}):
        error = scene.client.error("send_message", {"text": "x", "client_id": client_id, **more})
        assert (error["code"], error["field"]) == ("invalid", "client_id")
    scene.assert_untouched()


@pytest.mark.parametrize("client_id", ["a", "0" * 64, "-_-", "constructor"])
def test_good_client_ids(stack: Stack, client_id: str) -> None:
    assert stack.client().send("x", client_id=client_id)["seq"] == 2


def test_parents_that_are_no_reply_of_the_conversation(scene: Scene) -> None:
    other = scene.client.send(scene.stack.secret_text())
    scene.client.wait_finished(other["turn_id"])
    reply_elsewhere = scene.api.messages(other["conversation_id"])[1]["id"]
    question = scene.api.messages(scene.conversation_id)[0]["id"]
    for parent in ("m" + "0" * 24, question, reply_elsewhere, scene.turn_id, "x"):
        error = scene.client.error(
            "send_message",
            {"text": "x", "client_id": "a", "conversation_id": scene.conversation_id, "parent_id": parent},
        )
        assert (error["code"], error["field"]) == ("invalid", "parent_id"), parent
    assert (
        scene.client.error("send_message", {"text": "x", "client_id": "a", "parent_id": question})["code"] == "invalid"
    )
    assert len(scene.api.messages(scene.conversation_id)) == 2
    assert len(scene.client.do("list_conversations")["conversations"]) == 2


@pytest.mark.parametrize(
    "name", ["connect", "disconnect", "message", "", "*", "connect_error", "json", "__init__", "_connect"]
)
def test_events_that_do_not_exist(scene: Scene, name: str) -> None:
    for payload in ((), ({},), ({"token": "x"},), ("x", "y"), (None,)):
        with RawSocket(scene.client.url).log_in(scene.client.session.token) as raw:
            assert raw.ask(name, *payload)["error"]["code"] == "invalid"
            assert raw.works()
    scene.assert_untouched()


# --- Below the events -------------------------------------------------------------------------------------------------

FRAMES: list[str | bytes] = [
    '42["send_message"',
    "42{}",
    "42",
    "42[]",
    "42null",
    '42"send_message"',
    "42[1,2]",
    '42[null,{"text":"x"}]',
    '42[["send_message"],{}]',
    '42[{"name":"send_message"}]',
    '4299999999999999["x"]',
    '42-1["list_conversations",{}]',
    "42" + "9" * 200 + '["x"]',
    "421[NaN]",
    '421["send_message",{"text":"\\ud800","client_id":"a"}]',
    '421["send_message",{"text":"\\udc00\\ud800","client_id":"a"}]',
    '421["\\ud800",{}]',
    "421" + "[" * 50_000,
    "421" + "[" * 50_000 + "]" * 50_000,
    '421["send_message",' + '{"a":' * 20_000 + "1" + "}" * 20_000 + "]",
    '42/nowhere,1["send_message",{}]',
    '42/,1["send_message"]',
    "42/" + "a" * 5_000,
    '451-["x",{"_placeholder":true,"num":0}]',
    '451-7["send_message",{"text":{"_placeholder":true,"num":0},"client_id":"a"}]',
    '45999999999-["x"]',
    "45-",
    "451-",
    "45",
    '461-["x"]',
    "43",
    "43[]",
    '430["x"]',
    "43999[{}]",
    "43{}",
    "44",
    '44{"message":"x"}',
    "46",
    "47",
    "48[]",
    "49",
    "4",
    "4x",
    "4\0",
    "4-1",
    "4²",
    "40/nowhere,",
    "41/nowhere,",
    b"",
    b"\x00\x01\xff",
    b"42" + b'["send_message",{}]',
    b"4",
]
ENGINE_FRAMES: list[str] = [
    "",
    "x",
    "9",
    "7abc",
    "3",
    "3probe",
    "2probe",
    "5",
    "6",
    "0",
    '0{"sid":"x"}',
    "bAAAA",
    "b!",
    "-1",
    "é",
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: f"{frame!r:.40} of {len(frame)}")
def test_malformed_socketio_frames_do_not_end_the_connection(stack: Stack, frame: str | bytes) -> None:
    session = stack.session()
    with stack.raw(session) as raw:
        raw.send(frame)
        assert raw.works()
        raw.send(frame)
        assert raw.works()
        assert raw.ask("list_conversations", {})["conversations"] == []
        answer = raw.ask("send_message", {"text": "x", "client_id": "good"})
        assert answer["ok"] is True


@pytest.mark.parametrize("frame", ENGINE_FRAMES, ids=lambda frame: f"{frame!r}")
def test_malformed_engineio_frames_do_not_end_the_connection(stack: Stack, frame: str) -> None:
    with stack.raw(stack.session()) as raw:
        raw.send(frame)
        assert raw.works()


@pytest.mark.parametrize(
    "frame",
    [
        '421["send_message",[]',
        '421["no_such_event"]',
        '421{"a":1}',
        "421[7]",
        '451-1["x",{"_placeholder":true,"num":0}]',
    ],
)
def test_malformed_events_that_ask_for_an_answer_get_the_error(stack: Stack, frame: str) -> None:
    with stack.raw(stack.session()) as raw:
        raw.send(frame)
        assert raw.answer_to(1)["error"]["code"] == "invalid"


def test_all_malformed_frames_at_once(stack: Stack) -> None:
    with stack.raw(stack.session()) as raw:
        for frame in FRAMES:
            raw.send(frame)
        assert raw.works()


def test_events_before_the_connection_is_let_in(stack: Stack) -> None:
    session = stack.session()
    with RawSocket(stack.webs[0].url) as raw:
        raw.send('421["list_conversations",{}]')
        raw.send('422["send_message",{"text":"x","client_id":"a"}]')
        raw.log_in(session.token)
        assert raw.works()
        assert raw.ask("list_conversations", {})["conversations"] == []


def test_a_second_connect_packet_takes_nobody_elses_place(stack: Stack) -> None:
    session, other = stack.session(), stack.session()
    with stack.raw(session) as raw:
        answer = raw.ask("send_message", {"text": "x", "client_id": "mine"})
        raw.send("40" + json.dumps({"token": other.token}))
        raw.send("40" + json.dumps({"token": "forged"}))
        conversations = raw.ask("list_conversations", {}).get("conversations", [])
        assert [c["id"] for c in conversations] in ([], [answer["conversation_id"]])
    assert stack.client(other).do("list_conversations")["conversations"] == []
    (kept,) = stack.client(session).do("list_conversations")["conversations"]
    assert kept["id"] == answer["conversation_id"]


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
def test_half_an_upgrade_is_none(stack: Stack, connection: str) -> None:
    """As of a proxy that was told half of what it needs."""
    url = f"{stack.webs[0].url}/socket.io/?EIO=4&transport=websocket"
    answer = requests.get(url, headers={"Upgrade": "websocket", "Connection": connection}, timeout=20)
    assert (answer.status_code, answer.json()) == (400, "Invalid websocket upgrade")


def test_a_connection_on_which_nobody_logs_in_is_closed(stack: Stack) -> None:
    """Also by a process that nobody else has found yet."""
    web = Web("web-alone", stack.environ, stack.folder)
    web.start()
    try:
        eventually(web.is_up, "it is up", 60)
        with RawSocket(web.url) as stranger:
            stranger.receive_until_closed()
    finally:
        web.kill()


# --- HTTP -------------------------------------------------------------------------------------------------------------

BODIES: list[bytes] = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"7",
    b'"x"',
    b'{"text":',
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"text":7,"client_id":"a","name":7,"title":7}',
    b'{"text":"x","client_id":"a","name":"x","title":"x","surplus":1}',
    b'{"text":null,"client_id":null,"name":null,"title":null}',
    b'{"text":"\\ud800","client_id":"a"}',
    b'{"title":"\\ud800"}',
    b'{"name":"\\ud800"}',
    b'{"name":""}',
    b'{"name":"' + b"x" * 81 + b'"}',
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: f"{body!r:.40} of {len(body)}")
@pytest.mark.parametrize("path", ["sessions", "conversations", "conversations/{}/messages", "conversations/{}"])
def test_bad_bodies(stack: Stack, path: str, body: bytes) -> None:
    session = stack.session()
    api = stack.api(session)
    known = api("POST", "/api/conversations", json={}).json()
    before = api.get("/api/conversations")
    method = "PATCH" if path == "conversations/{}" else "POST"
    answer = api(method, f"/api/{path.format(known['id'])}", data=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid")
    assert api.get("/api/conversations") == before


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=101",
        "limit=x",
        "limit=",
        "limit=1e3",
        "limit=٣",
        "limit=0000000011000",
        "limit=%00",
    ],
)
@pytest.mark.parametrize("path", ["/api/conversations", "/api/conversations/{}/messages"])
def test_bad_limits(stack: Stack, path: str, query: str) -> None:
    api = stack.api(stack.session())
    known = api("POST", "/api/conversations", json={}).json()["id"]
    answer = api("GET", f"{path.format(known)}?{query}")
    assert (answer.status_code, answer.json()["error"].get("field")) == (400, "limit")


@pytest.mark.parametrize("before", ["", "x", "m" + "0" * 24, "%00", "²", "x" * 500])
def test_bad_positions(stack: Stack, before: str) -> None:
    client = stack.client()
    client.talk(stack.secret_text())
    path = f"/api/conversations/{client.received[0]['conversation_id']}/messages?before={before}"
    answer = stack.api(client.session)("GET", path)
    assert (answer.status_code, answer.json()["error"].get("field")) == (400, "before")


@pytest.mark.parametrize(
    "cursor", ["", "x", "0", "-", "1-", "1-x", "99999999999999999-" + "0" * 26, "1-" + "²" * 26, "nan-" + "0" * 26]
)
def test_bad_cursors(stack: Stack, cursor: str) -> None:
    client = stack.client()
    error = client.error("list_conversations", {"cursor": cursor})
    assert (error["code"], error["field"]) == ("invalid", "cursor")
    answer = stack.api(client.session)("GET", "/api/conversations", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "cursor")


@pytest.mark.parametrize("place", ["x", "-1", "1-1", "99999999999999999999"])
def test_bad_cursors_of_a_search(stack: Stack, place: str) -> None:
    api = stack.api(stack.session())
    conversation_id = api("POST", "/api/conversations", json={}).json()["id"]
    answer = api("GET", "/api/conversations", params={"q": "x", "cursor": f"1-{conversation_id}-{place}"})
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "cursor")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/nothing", 404),
        ("GET", "/nothing", 404),
        ("POST", "/api/models", 405),
        ("PUT", "/api/conversations", 405),
        ("GET", "/api/conversations/%ff", 404),
        ("GET", "/static/../wsgi.py", 404),
        ("GET", "/static/%2e%2e/wsgi.py", 404),
        ("GET", "/static/..%2f..%2fwsgi.py", 404),
    ],
)
def test_addresses_that_do_not_exist(stack: Stack, method: str, path: str, status: int) -> None:
    answer = stack.api(stack.session())(method, path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message"}


def test_a_body_that_is_too_large(stack: Stack) -> None:
    api = stack.api(stack.session())
    known = api("POST", "/api/conversations", json={}).json()["id"]
    answer = api("POST", f"/api/conversations/{known}/messages", json={"text": "x" * 2_000_000, "client_id": "a"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_a_body_in_chunks_is_a_body_like_any_other(stack: Stack) -> None:
    """Programs that do not know its length beforehand send it so."""
    api = stack.api(stack.session())
    made = api("POST", "/api/conversations", data=iter([b'{"title":', b'"In chunks"}']))
    assert (made.status_code, made.json()["title"]) == (201, "In chunks")
    for path, size in [("/api/conversations", 3), ("/api/conversations/import", 20)]:
        answer = api("POST", path, data=iter([b'{"title":"', *[b"x" * 1_000_000] * size, b'"}']))
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert api("POST", "/api/conversations", data=iter([])).status_code == 400
