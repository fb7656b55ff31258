"""What a client may be told: one exception class for each error code of the contract."""

from typing import Any


class AppError(Exception):
    """An error that is an answer. Nothing was changed when one is raised.

    `retry_after` is in seconds; `field` names the offending input.
    """

    code = "internal"
    status = 500

    def __init__(self, message: str, *, field: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after = retry_after

    def as_dict(self) -> dict[str, Any]:
        """`{"code", "message"}`, with `field` and `retry_after` where they are known."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.field is not None:
            error["field"] = self.field
        if self.retry_after is not None:
            error["retry_after"] = self.retry_after
        return error


class Unauthorized(AppError):
    code, status = "unauthorized", 401

    def __init__(self, message: str = "There is no live session for this token. Get a new one.") -> None:
        super().__init__(message)


class Forbidden(AppError):
    code, status = "unauthorized", 403


class NotFound(AppError):
    code, status = "not_found", 404

    def __init__(self, message: str = "There is no such conversation.") -> None:
        super().__init__(message)


class Invalid(AppError):
    code, status = "invalid", 400


class Conflict(AppError):
    code, status = "conflict", 409


class TooLarge(AppError):
    code, status = "too_large", 413


class RateLimited(AppError):
    code, status = "rate_limited", 429


class QueueFull(AppError):
    code, status = "queue_full", 429


class Busy(AppError):
    code, status = "busy", 503

    def __init__(self, *, retry_after: float | None = None) -> None:
        super().__init__("Too many messages are waiting to be answered. Try again in a while.", retry_after=retry_after)


class Unavailable(AppError):
    code, status = "unavailable", 503

    def __init__(self, message: str = "The server cannot reach its database. Try again in a moment.") -> None:
        super().__init__(message, retry_after=1)


class Internal(AppError):
    def __init__(self) -> None:
        super().__init__("Something went wrong on the server. It has been logged.")
