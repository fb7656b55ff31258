"""The chat page, its files, and the health checks."""

from functools import cache

from flask import Blueprint, Response, abort, jsonify, render_template, request

from app.connections import UNREACHABLE
from app.errors import Unavailable
from app.services import WebServices
from app.web.assets import ASK_FIRST, Asset, Assets


def make_pages(services: WebServices, assets: Assets) -> Blueprint:
    pages = Blueprint("pages", __name__)

    @cache
    def rendered() -> Asset:
        """The same for everybody; what it shows comes over Socket.IO."""
        html = render_template("index.html", asset=assets.url, limit=services.settings.max_message_chars)
        return Asset(html.encode(), "text/html; charset=utf-8")

    @pages.get("/")
    @pages.get("/c/<_conversation_id>")
    def page(_conversation_id: str = "") -> Response:
        return rendered().response(request, ASK_FIRST)

    @pages.get("/static/<version>/<path:name>")
    def static_file(version: str, name: str) -> Response:
        asset = assets.find(name)
        if asset is None:
            abort(404)
        return asset.response(request, assets.cache_of(version))

    @pages.get("/healthz")
    def healthz() -> Response:
        return jsonify({"status": "ok"})

    @pages.get("/readyz")
    def readyz() -> tuple[Response, int, dict[str, str]]:
        """200 once Redis can be reached. That it takes no writes, or that no worker has been seen, is a warning: what
        has been said can still be read, and no other web process would do better."""
        providers = [provider["name"] for provider in services.registry.describe()]
        try:
            workers = services.presence.count()
        except UNREACHABLE:
            error = Unavailable()
            state = {"status": "unavailable", "redis": "unreachable", "providers": providers}
            return jsonify({**state, "error": error.as_dict()}), error.status, {"Retry-After": str(error.retry_after)}
        warnings = []
        writable = services.presence.is_writable()
        if not writable:  # nothing can be said of workers then: they cannot show themselves
            warnings.append(
                "Redis refuses writes (it is full, or a replica): messages are refused until it takes them."
            )
        elif not workers:
            warnings.append("No worker has been seen for 15 seconds: messages wait until one runs.")
        found = jsonify(
            {
                "status": "ok",
                "redis": "ok" if writable else "refuses writes",
                "workers": workers,
                "providers": providers,
                "warnings": warnings,
            }
        )
        return found, 200, {}

    return pages
