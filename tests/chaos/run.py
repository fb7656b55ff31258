"""A run: everything is started, broken for a while, left in peace until it is well, and judged."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.chaos.checker import Report, check
from tests.chaos.client import ChaosClient
from tests.chaos.driver import Driver, Surroundings
from tests.chaos.faults import LEASE_SECONDS, Faults
from tests.chaos.history import History, Json
from tests.chaos.upstream import Sayings
from tests.support.processes import eventually
from tests.support.stack import Mode, Stack

ENVIRON = {
    "LEASE_SECONDS": str(LEASE_SECONDS),
    "SWEEP_SECONDS": "0.5",
    "LLM_FIRST_TOKEN_TIMEOUT": "3",
    "LLM_IDLE_TIMEOUT": "1.5",
    # Nobody here is a person.
    "RATE_LIMIT": "1000000/minute",
    "RATE_LIMIT_IP": "1000000/minute",
    "MAX_ACTIVE_TURNS": "10000",
}
# What is not well after this will not get well.
HEALING_SECONDS = 90


@dataclass(frozen=True)
class Plan:
    """`turns` ends the run early, once so many messages were sent."""

    seed: int = 1
    seconds: float = 30
    conversations: int = 12
    mode: Mode = "gevent"
    turns: int | None = None


def run(plan: Plan, folder: Path, say: Callable[[str], None] = lambda _line: None) -> tuple[History, Report]:
    with Stack(folder, webs=2, workers=2, mode=plan.mode, environ=ENVIRON) as stack:
        return Run(plan, stack, say).run()


class Run:
    def __init__(self, plan: Plan, stack: Stack, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._stack = stack
        self._say = say
        rng = random.Random(plan.seed)
        self._sayings = Sayings(rng.randrange(2**32))
        stack.model.upstream.respond = self._sayings.respond
        self._faults = Faults(stack, self._sayings, random.Random(rng.randrange(2**32)), self._running)
        self._around = Surroundings(
            urls=[web.url for web in stack.webs],
            fault_is_on=lambda: self._faults.on,
            turns_left=lambda: plan.turns is None or self._sent() < plan.turns,
        )
        self._rng = rng
        sessions = [stack.session(f"Person {number}", web=number % 2) for number in range(3)]
        self._drivers = [
            Driver(number, rng.randrange(2**32), sessions[number % 3], self._around, watched=number % 3 == 0)
            for number in range(plan.conversations)
        ]

    def run(self) -> tuple[History, Report]:
        try:
            for driver in self._drivers:
                driver.start()
            self._break_things()
            self._around.over.set()
            self._faults.inject_last()
            self._say(f"{self._faults.injected[-1].kind}, the last one; waiting until all is well")
            history = self._heal()
        finally:
            self._around.over.set()
            self._around.given_up.set()
            for client in self._clients():
                client.close()
        return history, check(history)

    # --- Breaking ---------------------------------------------------------------------------------------------------

    def _break_things(self) -> None:
        eventually(lambda: self._ended() >= len(self._drivers), "replies come before anything is broken", 60)
        deadline = time.monotonic() + self._plan.seconds
        while time.monotonic() < deadline and self._around.turns_left():
            self._faults.inject()
            fault = self._faults.injected[-1]
            self._say(f"{fault.kind} for {fault.until - fault.at:.1f} s; {self._sent()} turns, {self._ended()} ended")
            self._calm()

    def _calm(self) -> None:
        """Until work goes on: some more replies have ended."""
        wanted = self._ended() + len(self._drivers) // 2
        deadline = time.monotonic() + 15
        while self._ended() < wanted and time.monotonic() < deadline and self._around.turns_left():
            time.sleep(0.1)
        time.sleep(self._rng.uniform(0.2, 1.0))

    # --- Healing ----------------------------------------------------------------------------------------------------

    def _heal(self) -> History:
        self._stack.repair()
        deadline = time.monotonic() + HEALING_SECONDS
        for driver in self._drivers:
            driver.join(max(0.0, deadline - time.monotonic()))
        self._around.given_up.set()
        for driver in self._drivers:
            driver.join()
        history = self._collect()
        while not (check(history).good or time.monotonic() > deadline):
            time.sleep(1)
            history = self._collect()
        return history

    def _collect(self) -> History:
        history = History(said=self._sayings.said(), faults=self._faults.injected)
        for driver in self._drivers:
            name = driver.conversation_id or f"conversation {driver.number}"
            for send in driver.sends:
                send.conversation = name
            history.sends += driver.sends
            history.stops += driver.stops
            history.refusals += driver.refusals
            history.saved[name] = self._saved(driver) if driver.conversation_id else []
            history.shown += [client.shown(name) for client in driver.clients]
        return history

    def _saved(self, driver: Driver) -> list[Json]:
        api = self._stack.api(driver.session)
        saved: list[Json] = []
        more = True
        while more:
            before = f"&before={saved[0]['id']}" if saved else ""
            try:
                page = api.get(f"/api/conversations/{driver.conversation_id}/messages?limit=100{before}")
            except (AssertionError, requests.RequestException) as exc:
                self._say(f"{driver.conversation_id} could not be read: {exc}")
                return saved
            saved = [*page["messages"], *saved]
            more = page["more"]
        return saved

    # --- Looking on -------------------------------------------------------------------------------------------------

    def _clients(self) -> list[ChaosClient]:
        return [client for driver in self._drivers for client in driver.clients]

    def _sent(self) -> int:
        return sum(len(driver.sends) for driver in self._drivers)

    def _ended(self) -> int:
        """As far as the first client of each conversation has seen."""
        acked = sum(bool(send.acks) for driver in self._drivers for send in list(driver.sends))
        return acked - len(self._running())

    def _running(self) -> list[tuple[str, str]]:
        return [
            (driver.conversation_id, turn_id)
            for driver in self._drivers
            if driver.conversation_id is not None
            for view in list(driver.clients[0].views.values())
            for turn_id in list(view.turns)
        ]


def table(report: Report) -> str:
    """For people."""
    bound = LEASE_SECONDS + 2
    columns = {
        "turns": str(report.turns),
        **{status: str(report.ended[status]) for status in ("done", "stopped", "failed")},
        **{name: str(len(found)) for name, found in report.violations.items()},
        "slowest take-over": _seconds(max((one.seconds for one in report.take_overs), default=None)),
        "slowest stop": _seconds(report.slowest_calm_stop),
    }
    widths = [max(len(name), len(value)) for name, value in columns.items()]
    lines = [
        "  ".join(name.rjust(width) for name, width in zip(columns, widths, strict=True)),
        "  ".join(value.rjust(width) for value, width in zip(columns.values(), widths, strict=True)),
        "",
        "faults: " + ", ".join(f"{kind} {count}" for kind, count in sorted(report.faults.items())),
        f"take-overs: {len(report.take_overs)}; stops: {report.stops}, the slowest with a fault on "
        + _seconds(report.slowest_stop),
    ]
    lines += [
        f"late take-over: {one.turn_id} {one.seconds:.1f} s after “{one.fault.kind}” (bound {bound:g} s)"
        + (", when no other worker was alive" if one.fault.alone else "")
        for one in report.take_overs
        if one.seconds > bound
    ]
    for name, found in report.violations.items():
        lines += [f"{name}: {one}" for one in found[:20]]
        lines += [f"{name}: and {len(found) - 20} more"] if len(found) > 20 else []
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
