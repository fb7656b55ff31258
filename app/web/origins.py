"""Where browsers may come from."""

import re
from typing import Any

from flask import Blueprint, Response, request

from app.errors import Forbidden

# What a page elsewhere may send us, once its origin is allowed; and what OpenAI's SDK sends along from there.
HEADERS = ("Authorization", "Content-Type", "Last-Event-ID", "Idempotency-Key", "X-Request-ID", "traceparent")
SDK_HEADERS = re.compile(r"x-stainless-[a-z-]{1,40}|openai-[a-z]{1,40}")
SHARED = {
    "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE",
    "Access-Control-Expose-Headers": "Retry-After, X-Request-ID, Content-Disposition",
    "Access-Control-Max-Age": "600",
}


class Origins:
    """The page's own origin, and those that the operator lists; `*` lists all, but vouches for none."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = allowed

    def allow(self, origin: str, environ: dict[str, Any]) -> bool:
        return "*" in self._allowed or self.vouch(origin, environ)

    def vouch(self, origin: str, environ: dict[str, Any]) -> bool:
        """Whether what a browser sends along with this origin's requests (cookies) may be acted upon."""
        return origin == own_origin(environ) or (origin != "*" and origin in self._allowed)


def own_origin(environ: dict[str, Any]) -> str:
    scheme = environ["wsgi.url_scheme"]
    host = environ.get("HTTP_HOST", "")
    default_port = ":443" if scheme == "https" else ":80"
    return f"{scheme}://{host.removesuffix(default_port)}"


def guard_origins(api: Blueprint, origins: Origins) -> None:
    """Refuses foreign pages, and tells browsers which others may read the answers."""

    @api.before_request
    def refuse_foreign() -> Response | None:
        origin = request.headers.get("Origin")
        if origin is None:
            return None
        if not origins.allow(origin, request.environ):
            raise Forbidden("Pages of this origin may not use this server. ALLOWED_ORIGINS lists those that may.")
        return Response(status=204) if request.method == "OPTIONS" else None

    @api.after_request
    def share(response: Response) -> Response:
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin is not None and origins.allow(origin, request.environ):
            response.headers.update(SHARED)
            response.headers["Access-Control-Allow-Headers"] = ", ".join([*HEADERS, *_of_the_sdk()])
            response.headers["Access-Control-Allow-Origin"] = origin
            if origins.vouch(origin, request.environ):
                response.headers["Access-Control-Allow-Credentials"] = "true"
        return response


def _of_the_sdk() -> list[str]:
    """Those of its own headers that it asks for; which they are changes with its versions."""
    asked = request.headers.get("Access-Control-Request-Headers", "").lower().split(",")
    return [name for part in asked if SDK_HEADERS.fullmatch(name := part.strip())]
