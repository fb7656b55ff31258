"""Stacks of real processes, in both modes. Each is started once; a test brings a session of its own."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.lan import Lan, why_no_lan
from tests.support.stack import Mode, Stack

MAX_MESSAGE_CHARS = 5_000
MEMORY_MESSAGES = 4
# As long as none of them is killed, all tests share these.
CALM = {
    "LOG_LEVEL": "debug",
    "SYSTEM_PROMPT": "Be a tester's model.",
    "MAX_MESSAGE_CHARS": str(MAX_MESSAGE_CHARS),
    "MEMORY_MESSAGES": str(MEMORY_MESSAGES),
    "LLM_RETRIES": "1",
    "ALLOWED_ORIGINS": "https://friend.example.com",
}
FAULTS = {"LEASE_SECONDS": "2", "SWEEP_SECONDS": "0.5"}

Stacks = Callable[[str, Mode], Stack]


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stacks]:
    """Stacks by purpose and mode, each started when it is first asked for."""
    started: dict[tuple[str, Mode], Stack] = {}
    tried: set[tuple[str, Mode]] = set()

    def get(purpose: str, mode: Mode) -> Stack:
        if (purpose, mode) not in started:
            assert (purpose, mode) not in tried, "this stack did not start: see the first test that needed it"
            tried.add((purpose, mode))
            folder = tmp_path_factory.mktemp(f"{purpose}-{mode}")
            environ = CALM if purpose == "calm" else FAULTS
            started[purpose, mode] = Stack(folder, webs=2, mode=mode, environ=environ).start()
        return started[purpose, mode]

    yield get
    leaks = [leak for stack in started.values() for leak in stack.leaks()]
    for stack in started.values():
        stack.stop()
    assert leaks == [], "secrets or messages of people are in the logs"


@pytest.fixture(scope="session", params=["gevent", "eventlet"])
def mode(request: pytest.FixtureRequest) -> Mode:
    """ASYNC_MODE: whatever starts a web process or a worker does so in both."""
    found: Mode = request.param
    return found


@pytest.fixture
def stack(stacks: Stacks, mode: Mode) -> Iterator[Stack]:
    """Two web processes and a worker, for tests that harm none of them."""
    stack = stacks("calm", mode)
    yield stack
    stack.close_clients()


@pytest.fixture
def fragile(stacks: Stacks, mode: Mode) -> Iterator[Stack]:
    """As `stack`, for tests that kill parts of it: they get it whole."""
    stack = stacks("faults", mode)
    stack.repair()
    yield stack
    stack.close_clients()


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    """The tests of a module that asks for it run on one of its hosts."""
    if reason := why_no_lan():
        pytest.skip(reason)
    with Lan() as lan:
        yield lan
