"""A scripted server that speaks OpenAI's API over real sockets.

In a test process that is not monkey-patched:

    with Upstream() as upstream:
        gate = Gate()
        upstream.script(Script(["Hel", Hold(gate), "lo"]))
        ...                          # talk to upstream.base_url
        gate.wait_reached()          # the server has sent "Hel" and holds
        gate.open()
        assert upstream.wait_for_request(1).wait_ended().finished

What it answers: the scripts given to `script()`, in turn; else what `upstream.respond` returns for the request; else an
echo of the last user message. As a process, with a reply of that many tokens to every request:

    python -m tests.support.upstream --port 8100 --tokens 200 --rate 50
"""

from tests.support.upstream.request import Request
from tests.support.upstream.script import (
    Drop,
    Event,
    Failure,
    Finish,
    Gate,
    Hold,
    Pause,
    Raw,
    Reasoning,
    Refusal,
    Script,
    Stall,
    Step,
    words,
)
from tests.support.upstream.server import Upstream, echo

__all__ = [
    "Drop",
    "Event",
    "Failure",
    "Finish",
    "Gate",
    "Hold",
    "Pause",
    "Raw",
    "Reasoning",
    "Refusal",
    "Request",
    "Script",
    "Stall",
    "Step",
    "Upstream",
    "echo",
    "words",
]
