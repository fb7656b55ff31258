"""The chat page, its files, and the health checks."""

from functools import cache
from pathlib import Path

from flask import Blueprint, Response, abort, jsonify, render_template, request

from app.connections import UNREACHABLE
from app.services import WebServices
from app.web.assets import ASK_FIRST, Asset, Assets


def make_pages(services: WebServices, static: Path) -> Blueprint:
    pages = Blueprint("pages", __name__)
    assets = Assets(static)

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
    def readyz() -> tuple[Response, int]:
        """200 once Redis can be reached and takes writes; that no worker has been seen is a warning, not a reason to
        stop serving."""
        providers = [provider["name"] for provider in services.registry.describe()]
        trouble = "unreachable"
        try:
            workers = services.presence.count()
            trouble = "refuses writes"
            services.presence.check_writable()
        except UNREACHABLE:
            return jsonify({"status": "unavailable", "redis": trouble, "providers": providers}), 503
        warnings = [] if workers else ["No worker has been seen for 15 seconds: messages wait until one runs."]
        return jsonify(
            {"status": "ok", "redis": "ok", "workers": workers, "providers": providers, "warnings": warnings}
        ), 200

    return pages
