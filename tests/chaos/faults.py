"""What is done to a running system: one thing at a time, each of them repaired before the next."""

import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from celery import Celery
from redis import Redis
from redis.exceptions import RedisError

from tasks.celery_app import QUEUE, REPLY
from tests.chaos.history import Fault
from tests.chaos.upstream import Sayings, Trouble
from tests.support.processes import eventually
from tests.support.stack import Part, Stack

LEASE_SECONDS = 2.0
START_PATIENCE = 90
# How long a worker or web process may take to leave after SIGTERM, as platforms have it.
TERM_PATIENCE = 30


class Faults:
    """`running`: (conversation, turn) of turns that are not over."""

    def __init__(
        self, stack: Stack, sayings: Sayings, rng: random.Random, running: Callable[[], list[tuple[str, str]]]
    ) -> None:
        self.injected: list[Fault] = []
        self._stack = stack
        self._sayings = sayings
        self._rng = rng
        self._running = running
        self._on = threading.Event()
        self._deck: list[Callable[[], None]] = []
        self._celery = Celery("chaos", broker=stack.redis.url)

    @property
    def on(self) -> bool:
        return self._on.is_set()

    def inject(self) -> None:
        """Another one; each kind comes once before any comes again. Returns when it is over and all is up."""
        if not self._deck:
            self._deck = [
                self.kill_worker,
                self.freeze_worker,
                self.terminate_worker,
                self.kill_web,
                self.kill_redis,
                self.freeze_redis,
                self.cut_subscribers,
                self.repeat_hints,
                self.steal_hints,
                lambda: self.trouble("refusing"),
                lambda: self.trouble("dropping"),
                lambda: self.trouble("stalling"),
                lambda: self.trouble("empty"),
            ]
            self._rng.shuffle(self._deck)
        self._deck.pop()()

    def inject_last(self) -> None:
        """One by which clients may miss something, when soon nothing more will come that would show them the gap."""
        last: list[Callable[[], None]] = [
            self.kill_web,
            self.kill_redis,
            self.kill_worker,
            lambda: self.cut_subscribers(5),
        ]
        self._rng.choice(last)()

    @contextmanager
    def _fault(self, kind: str, *, worker: bool = False) -> Iterator[None]:
        alone = worker and len(self._stack.workers) < 2
        fault = Fault(kind, time.time(), worker=worker, alone=alone)
        self.injected.append(fault)
        self._on.set()
        try:
            yield
        finally:
            fault.until = time.time()
            self._on.clear()

    # --- Workers ----------------------------------------------------------------------------------------------------

    def kill_worker(self) -> None:
        worker = self._rng.choice(self._stack.workers)
        with self._fault("worker killed", worker=True):
            worker.kill()
            self._pause(0, 1.5)
            self._start(worker)

    def freeze_worker(self) -> None:
        worker = self._rng.choice(self._stack.workers)
        with self._fault("worker frozen", worker=True):
            worker.freeze()
            self._pause(LEASE_SECONDS + 1, LEASE_SECONDS + 3)
            worker.thaw()

    def terminate_worker(self) -> None:
        worker = self._rng.choice(self._stack.workers)
        with self._fault("worker terminated", worker=True):
            worker.signal(signal.SIGTERM)
            try:
                worker.wait(TERM_PATIENCE)
            except subprocess.TimeoutExpired:
                self.injected[-1].kind = "worker terminated, then killed"
            worker.kill()
            self._start(worker)

    def _start(self, part: Part) -> None:
        part.start()
        eventually(part.is_up, f"{part.name} is up", START_PATIENCE)

    # --- Web and Redis ----------------------------------------------------------------------------------------------

    def kill_web(self) -> None:
        web = self._rng.choice(self._stack.webs)
        with self._fault("web killed"):
            web.kill()
            self._pause(0, 1.5)
            self._start(web)

    def kill_redis(self) -> None:
        with self._fault("redis killed"):
            self._stack.redis.kill()
            self._pause(0.1, 3)
            self._stack.redis.start()

    def freeze_redis(self) -> None:
        with self._fault("redis frozen"):
            self._stack.redis.process.freeze()
            self._pause(0.5, LEASE_SECONDS + 2)
            self._stack.redis.process.thaw()

    def cut_subscribers(self, seconds: float = 1.5) -> None:
        """Again and again, so that some of what is published meanwhile reaches nobody."""
        deadline = time.monotonic() + seconds
        with self._fault("subscribers cut"):
            while time.monotonic() < deadline:
                self._stack.redis.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                self._pause(0.02, 0.3)

    # --- Hints ------------------------------------------------------------------------------------------------------

    def repeat_hints(self) -> None:
        with self._fault("hints repeated"):
            for conversation_id, turn_id in self._running():
                for _ in range(5):
                    self._celery.send_task(REPLY, args=(conversation_id, turn_id), queue=QUEUE)

    def steal_hints(self) -> None:
        """More hands than the workers have take them off the broker's list, for a while."""
        enough = threading.Event()
        thieves = [threading.Thread(target=self._steal, args=(enough,), daemon=True) for _ in range(6)]
        with self._fault("hints lost"):
            for thief in thieves:
                thief.start()
            self._pause(1, 2.5)
            enough.set()
            for thief in thieves:
                thief.join()

    def _steal(self, enough: threading.Event) -> None:
        with Redis.from_url(self._stack.redis.url) as client:
            while not enough.is_set():
                try:
                    client.brpop([QUEUE], timeout=0.2)
                except RedisError:
                    enough.wait(0.1)

    # --- The model --------------------------------------------------------------------------------------------------

    def trouble(self, what: Trouble) -> None:
        with self._fault(f"upstream {what}"):
            self._sayings.trouble = what
            self._pause(1.5, 3)
            self._sayings.trouble = None

    def _pause(self, least: float, most: float) -> None:
        time.sleep(self._rng.uniform(least, most))
