"""A short text from a model, all at once."""

import threading
from contextlib import closing

from app.providers.base import Completion


def ask(completion: Completion, *, seconds: float) -> str:
    """Raises UpstreamError, or Aborted after `seconds`."""
    timer = threading.Timer(seconds, completion.abort)
    timer.daemon = True
    timer.start()
    try:
        with closing(iter(completion)) as pieces:  # type: ignore[type-var]
            return "".join(piece.text for piece in pieces)
    finally:
        timer.cancel()
