"""An entry point for workers that kill themselves: `celery_worker`, over a ledger that ends the process at one step.

DIE is the step: `before` or `after`, and `claim`, `append 1` (the first piece of a reply), `append 2` … or `finish`.
After a step means that Redis has done it, and that this process will do nothing more with the answer.
"""

import os
import signal
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from app.ledger import Busy, Claimed, Finished, GivenUp, Gone, Ledger, Write

_FATAL = os.environ["DIE"]


class _FatalLedger(Ledger):
    def claim(self, *where: Any, **how: Any) -> Claimed | Busy | Gone | GivenUp:
        _pass("before", "claim")
        claim = super().claim(*where, **how)
        if isinstance(claim, Claimed):
            _pass("after", "claim")
        return claim

    def write(self, writes: Sequence[Write]) -> list[Finished | Exception]:
        _pass("before", *map(_step, writes))
        answers = super().write(writes)
        _pass("after", *map(_step, writes))
        return answers


def _step(write: Write) -> str:
    if write.finish is not None:
        return "finish"
    return f"append {write.chunk}" if write.text else "sign of life"


def _pass(when: str, *steps: str) -> None:
    if _FATAL in {f"{when} {step}" for step in steps}:
        os.kill(os.getpid(), signal.SIGKILL)


with patch("app.services.Ledger", _FatalLedger):
    from celery_worker import app  # noqa: F401 (Celery looks for it)
