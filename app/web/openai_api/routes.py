"""/v1"""

from flask import Blueprint, Response, g, jsonify, request

from app.errors import AppError
from app.services import WebServices
from app.web.identity import session_of
from app.web.openai_api.completions import add_completions
from app.web.openai_api.errors import Failed, as_error
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

    @v1.errorhandler(AppError)
    def app_error(exc: AppError) -> tuple[Response, int]:
        answer = jsonify({"error": as_error(exc)})
        if exc.retry_after is not None:
            answer.headers["Retry-After"] = str(max(1, round(exc.retry_after)))
        if isinstance(exc, Failed):
            answer.headers["X-Should-Retry"] = "false"
        return answer, exc.status

    @v1.get("/models")
    def list_models() -> Response:
        listed = [
            {"id": name, "object": "model", "created": 0, "owned_by": provider["name"]}
            for provider in services.registry.describe()
            for model in provider["models"]
            for name in (model, f"{provider['name']}/{model}")
        ]
        return jsonify({"object": "list", "data": list({model["id"]: model for model in listed}.values())})

    return v1
