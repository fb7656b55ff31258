"""What the two APIs send."""

from typing import Any, Protocol

from tests.support.upstream.request import Request
from tests.support.upstream.script import Script


class Stream(Protocol):
    """What one of the two APIs puts into its stream."""

    def start(self, request: Request) -> list[dict[str, Any]]: ...
    def token(self, text: str) -> dict[str, Any]: ...
    def reasoning(self, text: str) -> dict[str, Any]: ...
    def refusal(self, text: str) -> dict[str, Any]: ...
    def failure(self, message: str, code: str) -> dict[str, Any]: ...
    def end(self, request: Request, script: Script) -> list[dict[str, Any]]: ...


class Chat:
    def start(self, request: Request) -> list[dict[str, Any]]:
        return [self._chunk({"role": "assistant", "content": ""})]

    def token(self, text: str) -> dict[str, Any]:
        return self._chunk({"content": text})

    def reasoning(self, text: str) -> dict[str, Any]:
        return self._chunk({"reasoning_content": text})

    def refusal(self, text: str) -> dict[str, Any]:
        return self._chunk({"refusal": text})

    def failure(self, message: str, code: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": code, "code": code}}

    def end(self, request: Request, script: Script) -> list[dict[str, Any]]:
        if not script.finish:
            return []
        chunks = [self._chunk({}, script.finish)]
        if script.usage and (request.body.get("stream_options") or {}).get("include_usage"):
            chunks.append({**self._chunk({}), "choices": [], "usage": chat_usage(script.usage)})
        return chunks

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}


class Responses:
    def __init__(self) -> None:
        self._sequence = 0

    def start(self, request: Request) -> list[dict[str, Any]]:
        response = {"id": "resp_1", "object": "response", "status": "in_progress", "model": request.model, "output": []}
        return [
            self._event("response.created", response=response),
            self._event("response.in_progress", response=response),
        ]

    def token(self, text: str) -> dict[str, Any]:
        return self._event("response.output_text.delta", item_id="msg_1", output_index=0, content_index=0, delta=text)

    def reasoning(self, text: str) -> dict[str, Any]:
        return self._event("response.reasoning_summary_text.delta", item_id="rs_1", output_index=0, delta=text)

    def refusal(self, text: str) -> dict[str, Any]:
        return self._event("response.refusal.delta", item_id="msg_1", output_index=0, content_index=0, delta=text)

    def failure(self, message: str, code: str) -> dict[str, Any]:
        response = {"id": "resp_1", "status": "failed", "error": {"code": code, "message": message}}
        return self._event("response.failed", response=response)

    def end(self, request: Request, script: Script) -> list[dict[str, Any]]:
        if not script.finish:
            return []
        response = responses_body(request, script)
        return [self._event(f"response.{response['status']}", response=response)]

    def _event(self, kind: str, **data: Any) -> dict[str, Any]:
        self._sequence += 1
        return {"type": kind, "sequence_number": self._sequence, **data}


def chat_usage(usage: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}


def responses_body(request: Request, script: Script) -> dict[str, Any]:
    text = "".join(step for step in script.steps if isinstance(step, str))
    why = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(script.finish or "")
    content = [{"type": "output_text", "text": text, "annotations": []}]
    usage = script.usage and {
        "input_tokens": script.usage[0],
        "output_tokens": script.usage[1],
        "total_tokens": sum(script.usage),
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 0,
        "status": "incomplete" if why else "completed",
        "incomplete_details": {"reason": why} if why else None,
        "model": request.model,
        "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}],
        "usage": usage,
    }


def chat_body(request: Request, script: Script) -> dict[str, Any]:
    text = "".join(step for step in script.steps if isinstance(step, str))
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": request.model,
        "choices": [{"index": 0, "message": message, "finish_reason": script.finish}],
        "usage": script.usage and chat_usage(script.usage),
    }
