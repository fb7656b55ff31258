"""What workers do: answer turns, and make titles and summaries."""

import secrets
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256

import orjson

from app.ledger.calls import Calls, new_epoch, oldest_first
from app.ledger.models import Busy, Claimed, Finished, GivenUp, Gone, Json, Write, Written
from app.ledger.relay import Publication

MAX_ATTEMPTS = 3
# A summary that has not come by then has failed, and may be tried again.
RESERVE_MS = 120_000
GAVE_UP = {
    "code": "worker_lost",
    "message": "The worker writing this reply was lost, several times over. What had arrived is kept; try again.",
}


class WorkerCalls(Calls):
    def claim(
        self,
        conversation_id: str,
        turn_id: str,
        *,
        default_provider: str,
        default_models: dict[str, str],
        max_messages: int,
        max_bytes: int,
        had: Claimed | None = None,
    ) -> Claimed | Busy | Gone | GivenUp:
        """The right to answer a turn until the lease ends, and up to `max_messages` of history in `max_bytes`.

        `had`: the claim of a worker whose write was refused, and who would write all of its text again.
        """
        result = self._run(
            "claim",
            conversation_id,
            {
                "turn_id": turn_id,
                # One made again has a fence of its own for good, so that it may be repeated if its answers are lost.
                "fence": _after(had.fence) if had else secrets.token_hex(8),
                "had": had.fence if had else None,
                "had_attempt": had.attempt if had else None,
                "wrote": {"provider": had.provider, "model": had.model} if had else None,
                "new_epoch": new_epoch(),
                "max_attempts": MAX_ATTEMPTS,
                "max_active": self._options.max_active,
                "gave_up": orjson.dumps(GAVE_UP).decode(),
                "defaults": {"provider": default_provider, "models": default_models},
                "window": {"messages": max_messages, "bytes": max_bytes},
            },
        )
        match result:
            case [b"claimed", facts, question, *history]:
                return Claimed(
                    conversation_id=conversation_id,
                    turn_id=turn_id,
                    question=orjson.loads(question),
                    history=oldest_first(history),
                    **orjson.loads(facts),
                )
            case [b"given_up", following]:
                return GivenUp(following.decode() or None)
            case [b"busy"]:
                return Busy()
            case [_, status]:
                return Gone(status.decode() or None)
            case _:
                raise AssertionError(f"claim.lua answered {result!r}")

    def write(self, writes: Sequence[Write]) -> list[Finished | Exception]:
        """Pieces of many replies in one round trip. An entry that failed alone has its exception in its place."""
        calls = [self._call(*_write_call(write)) for write in writes]
        answers: list[Finished | Exception] = []
        outbox: list[Publication] = []
        for write, answer in zip(writes, self._scripts.run_all(calls), strict=True):
            if isinstance(answer, Exception):
                answers.append(answer)
                continue
            result = self._result(answer, write.claim.conversation_id, outbox)
            written, following = (result[0], result[1:]) if isinstance(result, list) else (result, [])
            answers.append(Finished(written.decode(), following[0].decode() or None if following else None))
        self._pass_on(outbox)
        return answers

    def rank(self, conversation_id: str) -> int:
        """How many other conversations of its owner have turns that are not over. Who has fewer is served first."""
        return int(self._run("rank", conversation_id, {}))

    def note(self, claim: Claimed, kind: str, body: Json) -> Written:
        """An event of a running turn without text."""
        extra = b"," + orjson.dumps({"turn_id": claim.turn_id, **body})[1:-1]
        written: bytes = self._run("note", claim.conversation_id, {"fence": claim.fence, "kind": kind}, extra)
        return written.decode()  # type: ignore[return-value]

    def entitle(self, conversation_id: str, title: str) -> None:
        """A model's title, unless the conversation has got another one meanwhile. Empty: no more is to be asked for."""
        self._run("entitle", conversation_id, {"title": title})

    def branch(
        self, conversation_id: str, reply_id: str, *, max_messages: int, max_bytes: int, reserve: bool = False
    ) -> tuple[str, list[Json]]:
        """What a model would be sent of the branch that ends with this reply: a summary, maybe empty, and the messages
        since, oldest first. Nothing if the reply is gone or, with `reserve`, if somebody is about to sum it up."""
        window = {"messages": max_messages, "bytes": max_bytes}
        arguments = {"reply_id": reply_id, "window": window, "reserve": RESERVE_MS if reserve else 0}
        summary, *messages = self._run("branch", conversation_id, arguments) or [b""]
        return summary.decode(), oldest_first(messages)

    def summarize(self, conversation_id: str, reply_id: str, summary: Json) -> None:
        """`summary`: {text, provider, model} of the branch up to and with this reply."""
        self._run("summarize", conversation_id, {"reply_id": reply_id}, orjson.dumps(summary))

    def release(self, claim: Claimed) -> Written:
        """Gives a turn back, for another worker to answer."""
        written: bytes = self._run("release", claim.conversation_id, {"turn_id": claim.turn_id, "fence": claim.fence})
        return written.decode()  # type: ignore[return-value]


def _after(fence: str) -> str:
    return sha256(fence.encode()).hexdigest()[:16]


def _utf8(text: str) -> bytes:
    """A model may send half a character; what cannot be stored must not keep the rest from being written."""
    return text.encode(errors="replace")


def _write_call(write: Write) -> tuple[str, str, Json, bytes, bytes]:
    claim, finish = write.claim, write.finish
    named: Json = {"turn_id": claim.turn_id, "fence": claim.fence, "chunk": write.chunk}
    if write.prompt:
        named["prompt"] = {name: value for name, value in asdict(write.prompt).items() if value is not None}
    piece = _utf8(write.text), _utf8(write.reasoning)
    if finish is None:
        return "append", claim.conversation_id, named, *piece
    named |= {
        "status": finish.status,
        "usage": orjson.dumps(finish.usage).decode(),
        "error": orjson.dumps(finish.error).decode() if finish.error else "",
        "finish_reason": finish.finish_reason,
    }
    return "finish", claim.conversation_id, named, *piece
