"""The documents name everything there is, and nothing else."""

import re
from typing import Any

import pytest
from pydantic import TypeAdapter

from app.web import asyncapi, openapi, schemas
from tests.integration.test_matrix import NOT_ASKED, make_app
from tests.support.processes import ROOT


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


def resolve(document: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        document = document[part]
    return document


@pytest.mark.parametrize("document", [openapi.document(), asyncapi.document()], ids=["openapi", "asyncapi"])
def test_nothing_is_referred_to_that_is_not_there(document: Any) -> None:
    assert references(document)
    for reference in references(document):
        assert resolve(document, reference)


def test_every_route() -> None:
    routes = {
        f"{method} {rule.rule.replace('<path:', '<').replace('<', '{').replace('>', '}')}"
        for rule in make_app().url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith("/static/") and rule.endpoint != "pages.page"
    }
    assert routes == openapi.OPERATIONS.keys()


def test_every_event() -> None:
    handlers = set(make_app().extensions["socketio"].server.handlers["/"])
    assert handlers - NOT_ASKED == asyncapi.REQUESTS.keys()
    sources = [path.read_text() for path in (ROOT / "app").rglob("*") if path.suffix in {".lua", ".py"}]
    emitted = {
        name for text in sources for name in re.findall(r"(?:emit|note)\((?:[\w.]+, )?['\"](\w+\.\w+)['\"]", text)
    }
    events = TypeAdapter(schemas.Event).json_schema()["discriminator"]["mapping"]
    assert emitted == events.keys()


def test_what_is_in_the_path_is_not_in_the_body() -> None:
    document = openapi.document()
    body = document["components"]["schemas"]["PostEdit"]
    assert body["properties"].keys() == {"text", "client_id", "memory", "provider", "model", "wait"}
    assert body["required"] == ["client_id", "text"]
