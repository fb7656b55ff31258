"""Loads and runs the scripts in `lua/`."""

from collections.abc import Mapping, Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any

import orjson
from redis import Redis
from redis.exceptions import NoScriptError

_WHOLE = """local fixed = {{ {fixed} }}
{prelude}
{body}
"""
# A body becomes a function, so that what is to be published can be handed back beside what it returns.
_RELAYED = """local function run()
{body}
end
local result = run()
return {{ result or false, outbox }}
"""
# Of more than one conversation; they publish nothing.
_PLAIN = {"list", "sweep"}
# They run for every piece of a reply, and do without common.lua: most of the time of a script that does little goes
# into what stands before it, names of keys above all.
_LEAN = {"append", "note"}

Call = tuple[str, Sequence[str], Sequence[str | bytes | int | float]]


class Scripts:
    """Runs scripts by their digest, and loads them where the server does not know them (a restart, a fail-over)."""

    def __init__(self, redis: Redis, fixed: Mapping[str, str | int | bool]) -> None:
        """`fixed`: arguments that are the same for every call, in plain ASCII. With `relay` among them, scripts of one
        conversation return [their result, what is to be published: channel, message, channel, message …]."""
        self._redis = redis
        folder = files("app.ledger").joinpath("lua")
        bodies = {
            file.name.removesuffix(".lua"): file.read_text() for file in folder.iterdir() if file.name.endswith(".lua")
        }
        base, common = bodies.pop("base"), bodies.pop("common")
        named = ", ".join(f"{name} = {orjson.dumps(value).decode()}" for name, value in fixed.items())

        def whole(name: str, body: str) -> str:
            if name in _PLAIN:
                return body
            prelude = base if name in _LEAN else base + common
            return _WHOLE.format(
                fixed=named, prelude=prelude, body=_RELAYED.format(body=body) if fixed["relay"] else body
            )

        self._sources = {name: whole(name, body) for name, body in bodies.items()}
        self._digests = {name: sha1(text.encode()).hexdigest() for name, text in self._sources.items()}  # noqa: S324

    def run(self, name: str, keys: Sequence[str], args: Sequence[str | bytes | int | float]) -> Any:
        """Raises redis-py's errors."""
        try:
            return self._redis.evalsha(self._digests[name], len(keys), *keys, *args)
        except NoScriptError:
            return self._redis.eval(self._sources[name], len(keys), *keys, *args)

    def run_all(self, calls: Sequence[Call]) -> list[Any]:
        """All in one round trip. A call that failed has its exception in its place; connection errors are raised."""
        answers = self._send(calls)
        missing = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if missing:
            for name in {calls[index][0] for index in missing}:
                self._redis.script_load(self._sources[name])
            for index, answer in zip(missing, self._send([calls[index] for index in missing]), strict=True):
                answers[index] = answer
        return answers

    def _send(self, calls: Sequence[Call]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for name, keys, args in calls:
            pipeline.execute_command("EVALSHA", self._digests[name], len(keys), *keys, *args)
        return pipeline.execute(raise_on_error=False)
