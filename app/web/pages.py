"""The chat page and the health checks."""

from flask import Blueprint, Response, jsonify, render_template

from app.connections import UNREACHABLE
from app.services import WebServices


def make_pages(services: WebServices) -> Blueprint:
    pages = Blueprint("pages", __name__)

    @pages.get("/")
    @pages.get("/c/<_conversation_id>")
    def page(_conversation_id: str = "") -> str:
        """The same for everybody; what it shows comes over Socket.IO."""
        return render_template("index.html")

    @pages.get("/healthz")
    def healthz() -> Response:
        return jsonify({"status": "ok"})

    @pages.get("/readyz")
    def readyz() -> tuple[Response, int]:
        """200 once Redis can be reached; that no worker has been seen is a warning, not a reason to stop serving."""
        providers = [provider["name"] for provider in services.registry.describe()]
        try:
            workers = services.presence.count()
        except UNREACHABLE:
            return jsonify({"status": "unavailable", "redis": "unreachable", "providers": providers}), 503
        warnings = [] if workers else ["No worker has been seen for 15 seconds: messages wait until one runs."]
        return jsonify(
            {"status": "ok", "redis": "ok", "workers": workers, "providers": providers, "warnings": warnings}
        ), 200

    return pages
