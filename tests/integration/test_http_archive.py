"""Conversations searched, exported and imported over HTTP."""

import copy
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from tests.integration.test_http_turns import new_conversation, post
from tests.support.http_client import Api
from tests.support.stack import Stack
from tests.support.upstream import Reasoning, Script
from tests.support.view import Json

AT = "2026-01-31T12:00:00.000Z"


def exported(api: Api, conversation_id: str) -> Json:
    found: Json = api.get(f"/api/conversations/{conversation_id}/export")
    return found


def shape(export: Json) -> Json:
    """Without its ids."""
    places: dict[str | None, int | None] = {one["id"]: place for place, one in enumerate(export["messages"])}
    places[None] = None
    messages = [{**one, "id": places[one["id"]], "parent_id": places[one["parent_id"]]} for one in export["messages"]]
    return {**export, "messages": messages, "head": places[export["head"]]}


def branching(stack: Stack, api: Api) -> tuple[str, list[str]]:
    """Two versions of a reply, under two system prompts, of which the first is chosen; (conversation, its texts)."""
    conversation_id = new_conversation(api)
    text = stack.secret_text("Über “alles” 👋\n\n# and more")
    thought = stack.secret_text("Hm.")
    reply = stack.secret_text("First.")
    stack.model.answer(text, Script([Reasoning(thought), reply], usage=(3, 4)))
    first = post(api, conversation_id, text, wait=20).json()
    base = f"/api/conversations/{conversation_id}/messages"
    api("PATCH", f"/api/conversations/{conversation_id}", json={"system_prompt": "Be somebody else."})
    again = api("POST", f"{base}/{first['id']}/regenerate", json={"client_id": "again", "wait": 20})
    assert again.status_code == 200
    assert api("POST", f"{base}/{first['id']}/select").status_code == 200
    return conversation_id, [text, reply]


def test_out_and_in_again(stack: Stack) -> None:
    api = stack.api(stack.session())
    conversation_id, texts = branching(stack, api)
    export = exported(api, conversation_id)
    assert (export["format"], export["version"], len(export["messages"])) == ("parley.conversation", 1, 3)
    assert [one.get("system_prompt") for one in export["messages"]] == [None, None, "Be somebody else."]
    for who in (api, stack.api(stack.session(), web=1)):
        answer = who("POST", "/api/conversations/import", json=export)
        assert answer.status_code == 201
        imported = answer.json()
        assert imported["id"] != conversation_id
        assert imported == who.get(f"/api/conversations/{imported['id']}")
        assert shape(exported(who, imported["id"])) == shape(export)
        messages = who.messages(imported["id"])
        assert [message["text"] for message in messages] == texts
        assert messages[1]["versions"][0] == messages[1]["id"]
        assert len(messages[1]["versions"]) == 2
        assert imported["usage"] == {"input_tokens": 0, "output_tokens": 0}  # that was spent elsewhere
        # It goes on as if it had never been away.
        question = stack.secret_text()
        assert post(who, imported["id"], question, wait=20).status_code == 200
        sent = [message["content"] for message in stack.model.request(question).messages]
        assert sent[1:] == [*texts, question]


def test_what_has_neither_title_nor_messages_can_be_put_in_again(stack: Stack) -> None:
    api = stack.api(stack.session())
    made = api("POST", "/api/conversations", json={})
    export = exported(api, made.json()["id"])
    assert (export["conversation"]["title"], export["messages"]) == ("", [])
    answer = api("POST", "/api/conversations/import", json=export)
    assert answer.status_code == 201
    assert exported(api, answer.json()["id"]) == export


def test_to_be_read(stack: Stack) -> None:
    api = stack.api(stack.session())
    conversation_id, texts = branching(stack, api)
    api("PATCH", f"/api/conversations/{conversation_id}", json={"title": 'a/b "ü"\r\n..\\ 👋'})
    answer = api("GET", f"/api/conversations/{conversation_id}/export?format=md")
    assert answer.headers["Content-Type"] == "text/markdown; charset=utf-8"
    plain, _, encoded = answer.headers["Content-Disposition"].partition("; filename*=UTF-8''")
    assert plain == 'attachment; filename="a b u.md"'
    assert unquote(encoded) == "a b ü .. 👋.md"
    asked, said = api.messages(conversation_id)
    asked_on, said_on = asked["created_at"][:10], said["created_at"][:10]
    assert answer.text.startswith(f'# a/b "ü" ..\\ 👋\n\n## You · {asked_on} ')
    assert f"\n\n{texts[0]}\n\n## Assistant · {said['model']} · {said['provider']} · {said_on} " in answer.text
    assert answer.text.endswith(f" UTC\n\n{texts[1]}\n")


def test_an_export_that_is_none(stack: Stack) -> None:
    api = stack.api(stack.session())
    for kind in ("pdf", ""):
        answer = api("GET", f"/api/conversations/{new_conversation(api)}/export?format={kind}")
        assert (answer.status_code, answer.json()["error"]["field"]) == (400, "format")


def small() -> Json:
    user = {"id": "a", "parent_id": None, "role": "user", "text": "Hi", "created_at": AT}
    reply = {"id": "b", "parent_id": "a", "role": "assistant", "text": "Hello", "created_at": AT}
    return {
        "format": "parley.conversation",
        "version": 1,
        "conversation": {"title": "T", "created_at": AT},
        "messages": [user, reply],
        "head": "b",
    }


def of(field: str, **changes: Any) -> Callable[[Json], None]:
    return lambda export: export[field].update(changes)


def message(number: int, **changes: Any) -> Callable[[Json], None]:
    return lambda export: export["messages"][number].update(changes)


def whole(**changes: Any) -> Callable[[Json], None]:
    return lambda export: export.update(changes)


WRONG: list[tuple[Callable[[Json], None], str]] = [
    (whole(format="other"), "format"),
    (whole(version=2), "version"),
    (whole(version="1"), "version"),
    (whole(head="c"), "head"),
    (whole(head=None), "head"),
    (whole(head="a"), "head"),
    (whole(head=1), "head"),
    (whole(messages={}), "messages"),
    (whole(messages=[1]), "messages"),
    (whole(messages=[]), "head"),
    (whole(conversation=None), "conversation"),
    (of("conversation", title="x" * 201), "conversation"),
    (of("conversation", created_at="yesterday"), "conversation"),
    (of("conversation", created_at="0001-01-01T00:00:00+23:59"), "conversation"),
    (of("conversation", provider="nobody"), "provider"),
    (of("conversation", model="none of them"), "model"),
    (message(0, role="system"), "messages"),
    (message(0, text=None), "messages"),
    (message(0, text=" "), "messages"),
    (message(0, parent_id="b"), "messages"),
    (message(0, parent_id="a"), "messages"),
    (message(0, id=""), "messages"),
    (message(0, created_at="9" * 41), "messages"),
    (message(1, id="a"), "messages"),
    (message(1, parent_id="c"), "messages"),
    (message(1, parent_id=None), "messages"),
    (message(1, status="running"), "messages"),
    (message(1, usage={"input_tokens": -1}), "messages"),
    (message(1, usage={"output_tokens": 1.5}), "messages"),
    (message(1, error="x"), "messages"),
]


def test_what_is_no_conversation_makes_none(stack: Stack) -> None:
    api = stack.api(stack.session())
    for number, (spoil, field) in enumerate(WRONG):
        export = copy.deepcopy(small())
        spoil(export)
        answer = api("POST", "/api/conversations/import", json=export)
        assert answer.status_code == 400, (number, answer.text)
        assert (answer.json()["error"]["code"], answer.json()["error"]["field"]) == ("invalid", field), number
    export = small()
    export["messages"][0]["text"] = "x" * 5_001
    long = api("POST", "/api/conversations/import", json=export)
    assert (long.status_code, long.json()["error"]["code"]) == (413, "too_large")
    huge = api("POST", "/api/conversations/import", data=b" " * 16_000_001)
    assert (huge.status_code, huge.json()["error"]["code"]) == (413, "too_large")
    assert api.get("/api/conversations")["conversations"] == []
    # What later versions may add is no error.
    export = small()
    export["messages"][1]["mood"] = "fine"
    assert api("POST", "/api/conversations/import", json=export | {"made_by": "x"}).status_code == 201


def test_search(stack: Stack) -> None:
    api = stack.api(stack.session())
    word = stack.secret_text("Größe").upper()  # GRÖSSE …
    ids = []
    for text in (f"{'x ' * 60}{word}", "Something else", f"{word} first"):
        ids.append(new_conversation(api))
        post(api, ids[-1], text, wait=20)
    api("PATCH", f"/api/conversations/{ids[0]}", json={"title": "Untold"})
    found = api.get(f"/api/conversations?q={word.replace('SS', 'ß').lower()}")
    assert [one["id"] for one in found["conversations"]] == [ids[0], ids[2]]
    assert (found["more"], found["cursor"]) == (False, None)
    inside, titled = found["conversations"]
    assert titled["match"] is None
    assert inside["match"]["text"] == "…" + "x " * 30 + word
    assert inside["match"]["message_id"] in {message["id"] for message in api.messages(ids[0])}
    page = api.get(f"/api/conversations?q={word}&limit=1")
    assert (page["conversations"], page["more"]) == ([inside], True)
    assert api.get(f"/api/conversations?q={word}&limit=1&cursor={page['cursor']}")["conversations"] == [titled]
    assert stack.api(stack.session()).get(f"/api/conversations?q={word}")["conversations"] == []
    for query in ("q=", "q=%20", f"q={'x' * 201}", "q=x&limit=0", "q=x&cursor=1", "q=x&mode=all"):
        answer = api("GET", f"/api/conversations?{query}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid"), query


def test_what_a_session_has_used(stack: Stack) -> None:
    api = stack.api(stack.session())
    assert api.get("/api/session")["usage"] == {"input_tokens": 0, "output_tokens": 0}
    text = stack.secret_text()
    stack.model.answer(text, Script(["Hi"], usage=(30, 4)))
    post(api, new_conversation(api), text, wait=20)
    assert api.get("/api/session")["usage"] == {"input_tokens": 30, "output_tokens": 4}
