"""Errors in OpenAI's words."""

from app.errors import AppError
from app.ledger.models import Json


class Failed(AppError):
    """The model's error. SDKs repeat what fails with such a status, unless they are told not to."""

    code, status = "server_error", 502


def as_error(exc: AppError, path: str = "") -> Json:
    """`path`: of the request, whose fields are named as its interface does."""
    words = "input" if path.startswith("/v1/responses") else "messages"
    parameters = {"text": words, "messages": words, "system_prompt": "instructions"}
    kind = "server_error" if exc.status >= 500 else "invalid_request_error"
    param = parameters.get(exc.field, exc.field) if exc.field else None
    return {"message": exc.message, "type": kind, "param": param, "code": exc.code}
