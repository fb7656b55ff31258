"""The providers of a stack, and what they answer."""

import json
from collections import defaultdict, deque
from typing import Self

from tests.support.host import HERE, Host
from tests.support.ports import ClosedPort
from tests.support.processes import PATIENCE
from tests.support.upstream import Request, Script, Upstream, echo

API_KEY = "sk-planted-0123456789abcdefghij"


class Model:
    """One scripted server behind the providers `chat` (the default) and `responses`; nobody is behind `dead`.

    What is asked decides what is answered, so that tests that use it at the same time do not meet.
    """

    def __init__(self, host: Host = HERE) -> None:
        self.upstream = Upstream(host=host)
        self.upstream.respond = self._respond
        self._closed = ClosedPort()
        self._scripts: dict[str, deque[Script]] = defaultdict(deque)
        # rpm, tpm of the provider `chat`
        self.rates: dict[str, int] = {}
        self._background: list[tuple[str, str, Script]] = []

    def start(self) -> Self:
        self.upstream.start()
        return self

    def stop(self) -> None:
        self.upstream.stop()
        self._closed.close()

    @property
    def providers(self) -> str:
        """For PROVIDERS."""
        shared = {"base_url": self.upstream.base_url, "api_key": API_KEY}
        return json.dumps(
            [
                {"name": "chat", "models": ["small", "large", "common"], "api": "chat", **shared, **self.rates},
                {"name": "responses", "models": ["thinker", "common", "chat/named"], "api": "responses", **shared},
                {"name": "dead", "models": ["none"], "base_url": f"http://127.0.0.1:{self._closed.number}/v1"},
            ]
        )

    def answer(self, text: str, *scripts: Script) -> None:
        """How this question is answered, the first time, the second …; after that it is echoed, as all others are."""
        self._scripts[text].extend(scripts)

    def answer_background(self, instruction: str, about: str, script: Script) -> None:
        """How it is answered, once, when it is told to do this with a conversation in which these words stand."""
        self._background.append((instruction, about, script))

    def background_requests(self, instruction: str, about: str) -> list[Request]:
        return [request for request in self.upstream.requests if _is_background(request, instruction, about)]

    def requests(self, text: str) -> list[Request]:
        """Those that asked this."""
        return [request for request in self.upstream.requests if request.last_user_text == text]

    def request(self, text: str, number: int = 1, timeout: float = PATIENCE) -> Request:
        """The one of that number, counted from 1, once it is there."""
        self.upstream.wait_until(lambda: len(self.requests(text)) >= number, timeout)
        return self.requests(text)[number - 1]

    def _respond(self, request: Request) -> Script:
        for one in self._background:
            instruction, about, script = one
            if _is_background(request, instruction, about):
                self._background.remove(one)
                return script
        scripts = self._scripts.get(request.last_user_text)
        return scripts.popleft() if scripts else echo(request)


def _is_background(request: Request, instruction: str, about: str) -> bool:
    return request.messages[0]["content"].startswith(instruction) and about in request.last_user_text
