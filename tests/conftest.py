"""What all tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

for module in ("clients", "http_client", "processes", "raw_socket", "stack", "view"):
    pytest.register_assert_rewrite(f"tests.support.{module}")

from tests.support.stack import running_stacks  # noqa: E402 (their assertions are explained only if named before)

# How long an example takes says nothing on a busy machine.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

LINES = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that are given more time come first, so that none of them is what the others wait for in the end."""
    items.sort(key=_patience, reverse=True)


def _patience(item: pytest.Item) -> float:
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark else 0


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
