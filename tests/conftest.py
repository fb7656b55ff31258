"""What all tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

for module in ("clients", "http_client", "processes", "raw_socket", "stack", "view"):
    pytest.register_assert_rewrite(f"tests.support.{module}")

from tests.support.stack import Stack, running_stacks  # noqa: E402 (their assertions are explained only if named before)

LINES = 60
MODES = ("gevent", "eventlet")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mode", choices=MODES, help="ASYNC_MODE of tests that do not choose it; the others are left out")


def pytest_configure(config: pytest.Config) -> None:
    Stack.usual_mode = config.getoption("--mode") or Stack.usual_mode


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--mode"):
        chosen = [item for item in items if _chooses_its_mode(item)]
        config.hook.pytest_deselected(items=chosen)
        items[:] = [item for item in items if item not in chosen]


def _chooses_its_mode(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and any(value in MODES for value in callspec.params.values() if isinstance(value, str))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    item.stash[_sizes] = {path: path.stat().st_size for path in _logs()}
    yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A test that fails shows what the processes have said since it began."""
    report = yield
    if report.failed:  # type: ignore[attr-defined]
        sizes = item.stash.get(_sizes, {})
        for path in _logs():
            with path.open("rb") as log:
                log.seek(sizes.get(path, 0))
                lines = log.read().decode(errors="replace").splitlines()
            if lines:
                report.sections.append((f"{path.stem}'s last lines", "\n".join(lines[-LINES:])))  # type: ignore[attr-defined]
    return report


_sizes = pytest.StashKey[dict[Path, int]]()


def _logs() -> list[Path]:
    return sorted(path for stack in running_stacks for path in stack.folder.rglob("*.log"))
