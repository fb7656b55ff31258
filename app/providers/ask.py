"""A short text from a model, all at once."""

import threading
from collections.abc import Sequence
from contextlib import closing

from app.providers.base import ChatMessage, Provider


def ask(provider: Provider, model: str, messages: Sequence[ChatMessage], *, seconds: float) -> str:
    """Raises UpstreamError, or Aborted after `seconds`."""
    completion = provider.complete(model, messages)
    timer = threading.Timer(seconds, completion.abort)
    timer.daemon = True
    timer.start()
    try:
        with closing(iter(completion)) as pieces:  # type: ignore[type-var]
            return "".join(piece.text for piece in pieces)
    finally:
        timer.cancel()
