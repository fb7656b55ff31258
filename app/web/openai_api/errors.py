"""Errors in OpenAI's words."""

from app.errors import AppError
from app.ledger.models import Json

# What a field is called there.
PARAMETERS = {"text": "messages", "system_prompt": "instructions"}


class Failed(AppError):
    """The model's error. SDKs repeat what fails with such a status, unless they are told not to."""

    code, status = "server_error", 502


def as_error(exc: AppError) -> Json:
    kind = "server_error" if exc.status >= 500 else "invalid_request_error"
    param = PARAMETERS.get(exc.field, exc.field) if exc.field else None
    return {"message": exc.message, "type": kind, "param": param, "code": exc.code}
