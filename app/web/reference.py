"""The documents of both interfaces, for programs and for people."""

from functools import cache
from typing import Any

import orjson
from flask import Blueprint, Response, render_template

from app.web import asyncapi, openapi
from app.web.assets import Assets

_openapi = cache(openapi.document)
_asyncapi = cache(asyncapi.document)


def make_reference(assets: Assets) -> Blueprint:
    reference = Blueprint("reference", __name__, url_prefix="/api")

    @reference.get("/openapi.json")
    def show_openapi() -> Response:
        return _json(_openapi())

    @reference.get("/asyncapi.json")
    def show_asyncapi() -> Response:
        return _json(_asyncapi())

    @reference.get("/docs")
    def show_docs() -> str:
        http, sockets = _openapi(), _asyncapi()
        return render_template(
            "reference.html",
            asset=assets.url,
            paths=http["paths"],
            operations=sockets["operations"],
            messages=sockets["components"]["messages"],
            schemas=dict(sorted({**sockets["components"]["schemas"], **http["components"]["schemas"]}.items())),
        )

    return reference


def _json(document: dict[str, Any]) -> Response:
    return Response(orjson.dumps(document), mimetype="application/json")
