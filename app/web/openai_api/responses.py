"""/v1/responses"""

from collections.abc import Iterator

from flask import Blueprint, Response, g, request

from app.errors import Invalid
from app.ledger import Ledger, TurnState
from app.turns.chat import Chat
from app.web.event_stream import KEEP_ALIVE
from app.web.following import ends_a_turn, reply_within
from app.web.openai_api import said
from app.web.openai_api.asked import AskedResponse, talk_of
from app.web.openai_api.said import Handle
from app.web.openai_api.turns import LONGEST_WAIT, Turns, client_id, framed, parse_asked


def add_responses(v1: Blueprint, ledger: Ledger, chat: Chat, turns: Turns) -> None:
    @v1.post("/responses")
    def create_response() -> Response:
        asked = parse_asked(AskedResponse)
        talk = talk_of(asked.messages, asked.instructions or "")
        previous = Handle.of(asked.previous_response_id) if asked.previous_response_id else None
        place = (previous.conversation_id, client_id()) if previous else turns.new_place()
        if asked.background and not asked.stream:
            handle = turns.start(talk, asked, *place, previous)
            return turns.show(handle, asked.previous_response_id)
        follower = turns.follow(None if asked.stream else ends_a_turn, *place)
        try:
            handle = turns.start(talk, asked, *place, previous)
            if asked.stream:
                return turns.streamed(follower, handle, lambda changes: response_events(handle, changes, -1))
            reply_within(follower, ledger, g.session.id, handle.place, LONGEST_WAIT)
        except BaseException:
            follower.close()
            raise
        follower.close()
        return turns.show(handle, asked.previous_response_id)

    @v1.get("/responses/<response_id>")
    def get_response(response_id: str) -> Response:
        handle = Handle.of(response_id)
        if request.args.get("stream", "false").lower() != "true":
            return turns.show(handle)
        after = request.args.get("starting_after", "-1")
        if not after.removeprefix("-").isdecimal() or len(after) > 15:
            raise Invalid("starting_after must be a sequence number.", field="starting_after")
        follower = turns.follow(None, handle.conversation_id)
        return turns.streamed(follower, handle, lambda changes: response_events(handle, changes, int(after)))

    @v1.post("/responses/<response_id>/cancel")
    def cancel_response(response_id: str) -> Response:
        handle = Handle.of(response_id)
        chat.stop(g.session.id, handle.conversation_id, handle.turn_id)
        return turns.show(handle)


def response_events(handle: Handle, changes: Iterator[TurnState | None], seen: int) -> Iterator[bytes]:
    for state in changes:
        found = said.events(handle, state, seen) if state else []
        seen = found[-1]["sequence_number"] if found else seen
        yield b"".join(framed(event, event["type"]) for event in found) or KEEP_ALIVE
