"""/v1"""

from flask import Blueprint, Response, g, jsonify, request

from app.errors import NotFound
from app.ledger.models import Json
from app.services import WebServices
from app.web.identity import session_of
from app.web.openai_api.completions import add_completions
from app.web.openai_api.responses import add_responses
from app.web.openai_api.turns import Turns
from app.web.origins import Origins, guard_origins


def make_openai_api(services: WebServices, origins: Origins) -> Blueprint:
    v1 = Blueprint("v1", __name__, url_prefix="/v1")
    turns = Turns(services)
    guard_origins(v1, origins)
    add_completions(v1, services.ledger, turns)
    add_responses(v1, services.ledger, services.chat, turns)

    @v1.before_request
    def authenticate() -> None:
        g.session = session_of(request, services.identities, origins)

    @v1.get("/models")
    def list_models() -> Response:
        return jsonify({"object": "list", "data": list(models().values())})

    @v1.get("/models/<path:name>")
    def show_model(name: str) -> Response:
        if name not in (known := models()):
            raise NotFound(f"There is no model {name[:100]!r} here.")
        return jsonify(known[name])

    def models() -> dict[str, Json]:
        return {
            name: {"id": name, "object": "model", "created": 0, "owned_by": provider["name"]}
            for provider in services.registry.describe()
            for model in provider["models"]
            for name in (model, f"{provider['name']}/{model}")
        }

    return v1
