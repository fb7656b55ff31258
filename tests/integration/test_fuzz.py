"""Whatever is sent, a connection is answered and stays up, HTTP has no 5xx, and the process does not grow."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.test_matrix import ABOUT_ONE, ABOUT_ONESELF, ROUTES_ABOUT_ONE, ROUTES_ABOUT_ONESELF
from tests.support.http_client import Session
from tests.support.raw_socket import RawSocket
from tests.support.stack import Stack, Web

GROWTH_BYTES = 40_000_000
CODES = {"invalid", "not_found", "too_large", "queue_full", "conflict", "rate_limited"}
many = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


# --- Values -----------------------------------------------------------------------------------------------------------

texts = st.one_of(
    st.text(max_size=80),
    st.text(st.characters(categories=["Cc", "Cs", "Cf", "Co", "Nd", "Mn"]), max_size=20),
    st.sampled_from(["", "\0", "\ud800", "x" * 70_000, "👩‍👩‍👧" * 2_000, "__proto__", "{00}", "*", "../../etc"]),
)
numbers = st.one_of(
    st.integers(), st.integers(-(2**80), 2**80), st.floats(), st.sampled_from([0, -1, 2**53, 2**63, 1e308])
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
fields = st.sampled_from(
    [
        *("conversation_id", "text", "client_id", "parent_id", "message_id", "turn_id", "memory", "provider", "model"),
        *("title", "system_prompt", "after", "epoch", "cursor", "limit", "name", "_placeholder", "num"),
    ]
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.one_of(fields, texts), inner, max_size=5),
        st.sampled_from([20, 200, 600]).map(nested),
    ),
    max_leaves=12,
)
ids = st.sampled_from(["00" + "0" * 24, "15" + "z" * 24, "99" + "0" * 24, "t" + "0" * 24])
payloads = st.dictionaries(fields, st.one_of(scalars, ids, values), max_size=8)


def as_json(value: Any) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        return "[" * 3_000 + "]" * 3_000


def memory_of(web: Web) -> int:
    """In bytes, of gunicorn and its worker."""
    pages = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            columns = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(columns[2]) == web.group:
            pages += int(columns[21])
    return pages * 4096


# --- Socket.IO --------------------------------------------------------------------------------------------------------

names = st.one_of(st.sampled_from([*ABOUT_ONE, *ABOUT_ONESELF]), texts)
arguments = st.one_of(st.tuples(payloads), st.tuples(values), st.lists(values, max_size=3))
events = st.tuples(names, arguments).map(lambda event: as_json([event[0], *event[1]]))
# After the packet's type: not connected to any meaning.
rubbish = st.one_of(
    st.tuples(st.sampled_from("2356"), texts.map(lambda text: text.encode(errors="ignore").decode())).map("4".join),
    st.tuples(st.integers(0, 9), st.one_of(events, values.map(as_json))).map(lambda parts: f"45{parts[0]}-{parts[1]}"),
    st.tuples(st.integers(0, 9), values.map(as_json)).map(lambda parts: f"43{parts[0]}{parts[1]}"),
    st.binary(max_size=2_000),
    st.just(b"x" * 300_000),
)
frames = st.lists(st.one_of(events, events, rubbish.map(lambda frame: (frame,))), min_size=1, max_size=12)


def is_answer(answer: Any) -> bool:
    if not isinstance(answer, dict):
        return False
    if answer.get("ok") is True:
        return True
    error = answer.get("error", {})
    return set(answer) == {"ok", "error"} and error.get("code") in CODES and isinstance(error.get("message"), str)


def fuzz_socket(raw: RawSocket, examples: int) -> None:
    @settings(many, max_examples=examples)
    @given(frames)
    def every_event_is_answered(sent: list[str | tuple[str | bytes]]) -> None:
        asked = []
        for number, frame in enumerate(sent, start=1):
            if isinstance(frame, str):
                raw.send(f"42{number}{frame}")
                asked.append(number)
            else:
                raw.send(frame[0])
        for number in asked:
            answer = raw.answer_to(number)
            assert is_answer(answer), answer
        assert raw.works()

    every_event_is_answered()


def test_whatever_is_sent_over_a_socket(stack: Stack) -> None:
    with stack.raw(stack.session()) as raw:
        fuzz_socket(raw, 30)
        before = memory_of(stack.webs[0])
        fuzz_socket(raw, 150)
        assert memory_of(stack.webs[0]) < before + GROWTH_BYTES


# --- HTTP -------------------------------------------------------------------------------------------------------------

KNOWN = sorted({route.split(" ")[1] for route in [*ROUTES_ABOUT_ONE, *ROUTES_ABOUT_ONESELF]})
# With a right token these would end the session that the rest is asked with.
ENDINGS = {("DELETE", "/api/session"), ("POST", "/api/session/rotate")}
plain = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=40).map(str.strip)
parts = st.one_of(ids, st.text(max_size=20, alphabet=st.characters(exclude_categories=["Cs"])))
methods = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
queries = st.dictionaries(
    st.sampled_from(["limit", "cursor", "before", "after", "wait", "format", "q"]), parts, max_size=3
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.one_of(st.just("application/json"), plain),
        "Authorization": st.one_of(plain, plain.map("Bearer {}".format)),
        "Cookie": st.one_of(plain, plain.map("parley_session={}".format)),
        "Origin": plain,
        "Accept": plain,
        "If-None-Match": plain,
        "If-Modified-Since": plain,
        "Range": plain,
        "Last-Event-ID": plain,
        "X-Forwarded-For": plain,
        "X-Forwarded-Proto": plain,
        "Sec-Fetch-Site": plain,
    },
)
bodies = st.one_of(payloads.map(as_json).map(str.encode), values.map(as_json).map(str.encode), st.binary(max_size=500))


def fuzz_http(url: str, session: Session, examples: int) -> None:
    http = requests.Session()

    @settings(many, max_examples=examples)
    @given(methods, st.sampled_from([*KNOWN, "/", "/static/<x>", "/api/<x>", "/<x>"]), parts, queries, headers, bodies)
    def no_answer_is_an_error_of_ours(
        method: str, template: str, part: str, query: dict[str, str], head: dict[str, str], body: bytes
    ) -> None:
        path = "/".join(quote(part, safe="") if "<" in piece else piece for piece in template.split("/"))
        sent = {name: value.encode("latin-1") for name, value in head.items()}
        if "Authorization" not in sent and (method, path) not in ENDINGS:
            sent["Authorization"] = f"Bearer {session.token}".encode()
        http.cookies.clear()
        with http.request(
            method, url + path, params=query, headers=sent, data=body, timeout=20, stream=True, allow_redirects=False
        ) as answer:
            assert answer.status_code < 500, answer.text
            if template.startswith("/api/") and answer.status_code >= 400 and method != "HEAD":
                error = answer.json()["error"]
                assert isinstance(error["code"], str)
                assert error["message"]

    no_answer_is_an_error_of_ours()


def test_whatever_is_sent_over_http(stack: Stack) -> None:
    session = stack.session()
    url = stack.webs[0].url
    fuzz_http(url, session, 60)
    before = memory_of(stack.webs[0])
    fuzz_http(url, session, 300)
    assert memory_of(stack.webs[0]) < before + GROWTH_BYTES
    assert stack.api(session).get("/api/session")["session_id"] == session.id
