"""Every route of the OpenAPI document, asked with what the document allows and with what it does not: no answer is an
error of ours, and each is one that the document knows."""

import uuid
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from app.web.openapi import document
from tests.integration.test_fuzz import ENDINGS
from tests.support.http_client import Session
from tests.support.stack import Stack

EXAMPLES = 6
CHECKS: list[CheckFunction] = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
# Answers that have no end; test_whatever_is_sent_over_http asks for them.
ENDLESS = {("GET", "/api/conversations/{conversation_id}/events")}
API = schemathesis.openapi.from_dict(document())
OPERATIONS = {
    (operation.method.upper(), operation.path): operation
    for operation in (found.ok() for found in API.get_all_operations() if isinstance(found, Ok))
}
briefly = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def ask_with(operation: Any, kind: GenerationMode) -> bool:
    """Whether there is anything about it that could be wrong."""
    parts = (operation.path_parameters, operation.query, operation.body)
    return kind is GenerationMode.POSITIVE or any(len(part) for part in parts)


ASKED = [
    pytest.param(method, path, kind, id=f"{method} {path} {kind.value}")
    for (method, path), operation in sorted(OPERATIONS.items())
    for kind in GenerationMode
    if (method, path) not in ENDLESS and ask_with(operation, kind)
]


def path_parameters(path: str, stack: Stack, session: Session) -> dict[str, str] | None:
    """Of a conversation that is there, with an answered message."""
    api = stack.api(session)
    conversation_id = api("POST", "/api/conversations", json={}).json()["id"]
    message = {"text": "Hello", "client_id": uuid.uuid4().hex, "wait": 20}
    reply = api("POST", f"/api/conversations/{conversation_id}/messages", json=message).json()
    there = {"message": reply["parent_id"], "reply": reply["id"], "turn": reply["turn_id"]}
    named = {"conversation": conversation_id, **there}
    return {f"{name}_id": value for name, value in named.items() if f"{{{name}_id}}" in path} or None


def test_all_routes_are_asked() -> None:
    assert len(OPERATIONS) == sum(len(methods) for methods in document()["paths"].values())


@pytest.mark.parametrize(("method", "path", "kind"), ASKED)
def test_every_answer_is_as_the_document_says(stack: Stack, method: str, path: str, kind: GenerationMode) -> None:
    session = stack.session()
    url = stack.webs[0].url
    there = path_parameters(path, stack, session) if "{conversation_id}" in path else None
    for given_path in [None, there] if there else [None]:

        @briefly
        @given(OPERATIONS[method, path].as_strategy(generation_mode=kind, path_parameters=given_path))
        def is_as_it_says(case: Any) -> None:
            asking = stack.session() if (method, path) in ENDINGS else session
            if isinstance(case.body, dict) and isinstance(case.body.get("wait"), float):
                case.body["wait"] = min(case.body["wait"], 2.0)
            answer = case.call(base_url=url, headers={"Authorization": f"Bearer {asking.token}"}, timeout=20)
            if path.startswith("/api/session") and answer.status_code in {200, 201} and method == "POST":
                stack.secrets.add(answer.json()["token"])
            case.validate_response(answer, checks=CHECKS)

        is_as_it_says()
    assert stack.api(session).get("/api/session")["session_id"] == session.id
