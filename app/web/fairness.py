"""One client does not keep a process to itself."""

import time
from collections.abc import Callable, Iterable
from typing import Any


class Fairness:
    """WSGI middleware: before each request others have their turn.

    A connection's next request may be here already. Reading it does not wait then, and neither may answering it: a
    client that sends one after the other without end would let nobody else in.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        time.sleep(0)
        return self._app(environ, start_response)
