"""Real processes for tests, in groups of their own, so that nothing is left behind."""

import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeVar

ROOT = Path(__file__).resolve().parents[2]
VENV_BIN = Path(sys.prefix) / "bin"
# How long a test waits before it calls a condition unmet. Nothing takes this long unless something is wrong.
PATIENCE = 20.0

T = TypeVar("T")


def eventually(condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """What `condition` returns once it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)
    return value


def clean_environment(home: Path) -> dict[str, str]:
    """Nothing of the machine's settings reaches what a test starts."""
    path = os.pathsep.join([str(VENV_BIN), os.defpath, "/usr/local/bin"])
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8"}


def procfile_command(name: str) -> str:
    found = re.search(rf"^{name}:\s*(.+)$", (ROOT / "Procfile").read_text(), re.MULTILINE)
    if found is None:
        raise LookupError(f"the Procfile names no process {name!r}")
    return found[1]


def find_program(name: str) -> str:
    """On PATH, else in .venv/bin. Fails rather than skips."""
    found = shutil.which(name) or shutil.which(name, path=str(VENV_BIN))
    if found is None:
        raise AssertionError(f"{name} is neither on PATH nor in {VENV_BIN.name}: `make test` installs what tests need")
    return found


@functools.cache
def _guard() -> IO[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.guard"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdin is not None
    return process.stdin


def _tell_guard(group: int) -> None:
    print(group, file=_guard(), flush=True)


class Process:
    """A command that can be started, killed, frozen and started again. Its output goes to the end of a file."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = list(command)
        self._environ = dict(environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_from = 0

    def start(self, cwd: Path = ROOT) -> None:
        with self.log.open("ab") as log:
            self._log_from = log.tell()
            self._process = subprocess.Popen(
                self._command,
                cwd=cwd,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _tell_guard(self._process.pid)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def group(self) -> int:
        """The process group: it and its children."""
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.poll() if self._process is not None else None

    def output(self) -> str:
        """What it has said since it was last started."""
        with self.log.open("rb") as log:
            log.seek(self._log_from)
            return log.read().decode(errors="replace")

    def wait(self, seconds: float = PATIENCE) -> int:
        assert self._process is not None
        return self._process.wait(seconds)

    def signal(self, number: int) -> None:
        """To all of its group."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """SIGKILL to it and its children."""
        if self._process is None:
            return
        self.signal(signal.SIGKILL)
        self._process.wait()
        _tell_guard(-self._process.pid)
        self._process = None

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def stop(self, seconds: float = 5) -> None:
        """SIGTERM, and SIGKILL if that does not help."""
        if self._process is None:
            return
        self.thaw()
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self.kill()
