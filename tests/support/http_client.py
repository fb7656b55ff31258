"""The HTTP interface, as a program uses it."""

from dataclasses import dataclass
from typing import Any

import requests

from tests.support.processes import PATIENCE


@dataclass(frozen=True)
class Session:
    id: str
    token: str


class Api:
    """`token` is sent as a bearer, if there is one; cookies are neither kept nor sent."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token is not None else {}

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {**self._headers, **options.pop("headers", {})}
        return requests.request(method, self.url + path, headers=headers, timeout=PATIENCE, **options)

    def get(self, path: str) -> Any:
        """The JSON of a 200."""
        answer = self("GET", path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    def messages(self, conversation_id: str) -> list[dict[str, Any]]:
        """The chosen branch as it is saved."""
        page = self.get(f"/api/conversations/{conversation_id}/messages?limit=100")
        assert page["more"] is False
        return list(page["messages"])
