"""Workers beside those of a stack, with settings of their own."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.processes import eventually
from tests.support.stack import Stack, Worker

CRASHING = "tests.support.crashing_worker"


@contextmanager
def sole_worker(stack: Stack, entry_point: str = "celery_worker", **environ: str) -> Iterator[Worker]:
    """Started as the Procfile has it, and alone with the work until the others are thawed.

    The others are frozen. What a frozen worker had asked the broker for has ended, unanswered, by the time this one is
    up: Celery asks for a second at a time.
    """
    for other in stack.workers:
        other.freeze()
    worker = _OtherWorker(stack, entry_point, environ)
    try:
        worker.start()
        eventually(worker.is_up, f"{worker.name} is up", 60)
        yield worker
    finally:
        worker.kill()
        thaw(stack)


def thaw(stack: Stack) -> None:
    """The workers of the stack go on."""
    for worker in stack.workers:
        worker.thaw()


class _OtherWorker(Worker):
    def __init__(self, stack: Stack, entry_point: str, environ: dict[str, str]) -> None:
        super().__init__(f"worker-{uuid.uuid4().hex[:6]}", {**stack.environ, **environ}, stack.folder)
        self._command = [part.replace("celery_worker", entry_point) for part in self._command]
