"""POST /v1/chat/completions"""

from collections.abc import Iterator

from flask import Blueprint, Response, g, jsonify

from app.errors import Unavailable
from app.ledger import Ledger, TurnState
from app.ledger.models import Json
from app.web.event_stream import KEEP_ALIVE
from app.web.following import ends_a_turn, reply_within
from app.web.openai_api import said
from app.web.openai_api.asked import AskedCompletion, talk_of
from app.web.openai_api.errors import Failed, as_error
from app.web.openai_api.said import Handle
from app.web.openai_api.turns import LONGEST_WAIT, Turns, framed, parse_asked


def add_completions(v1: Blueprint, ledger: Ledger, turns: Turns) -> None:
    @v1.post("/chat/completions")
    def create_completion() -> Response:
        asked = parse_asked(AskedCompletion)
        talk = talk_of(asked.messages)
        follower = turns.follow(None if asked.stream else ends_a_turn, *(place := turns.new_place()))
        try:
            handle = turns.start(talk, asked, *place)
            if asked.stream:
                with_usage = bool(asked.stream_options and asked.stream_options.include_usage)
                return turns.streamed(follower, handle, lambda changes: completion_chunks(handle, changes, with_usage))
            reply = reply_within(follower, ledger, g.session.id, handle.place, LONGEST_WAIT)
        except BaseException:
            follower.close()
            raise
        follower.close()
        if reply is None:
            raise Unavailable("The server is restarting. The reply goes on and is saved.")
        if reply["status"] == "failed":
            raise Failed(reply["error"]["message"])
        return jsonify(said.completion(handle, reply))


def completion_chunks(handle: Handle, changes: Iterator[TurnState | None], with_usage: bool) -> Iterator[bytes]:
    """What was sent cannot be taken back: an attempt that begins with other words ends the stream with an error. Other
    thoughts follow those before."""
    sent = thought = ""
    begun = over = False
    for state in changes:
        if state is None:
            yield KEEP_ALIVE
            continue
        over = state.over
        text = said.text_of(state)
        model = (state.reply or state.origin).get("model") or ""
        pieces = []
        reasoning = said.reasoning_of(state)
        if not reasoning.startswith(thought[: len(reasoning)]):
            thought = ""
        if len(reasoning) > len(thought):
            role = {} if begun else {"role": "assistant"}
            begun = True
            delta = {**role, "reasoning_content": reasoning[len(thought) :]}
            pieces.append(framed(said.chunk(handle, model, delta)))
            thought = reasoning
        if state.over and state.status == "failed":
            pieces.append(_error((state.reply or {})["error"]["message"]))
        elif not text.startswith(sent[: len(text)]) or (state.over and len(text) < len(sent)):
            yield _error("The reply was begun anew, with other words. Ask again.")
            return
        elif len(text) > len(sent):
            role = {} if begun else {"role": "assistant"}
            begun = True
            pieces.append(framed(said.chunk(handle, model, {**role, "content": text[len(sent) :]})))
            sent = text
        if state.over and state.status != "failed":
            pieces += _ending(handle, state.reply or {}, model, with_usage)
        yield b"".join(pieces) or KEEP_ALIVE
    if not over:
        # SDKs take a stream that just ends for a whole one.
        yield _error("The stream was ended before the reply was. Ask again.")


def _ending(handle: Handle, reply: Json, model: str, with_usage: bool) -> Iterator[bytes]:
    yield framed(said.chunk(handle, model, {}, said.finish_reason_of(reply)))
    if with_usage and reply.get("usage"):
        yield framed(said.chunk(handle, model, {}, usage=reply["usage"]))
    yield b"data: [DONE]\n\n"


def _error(message: str) -> bytes:
    return framed({"error": as_error(Failed(message))})
