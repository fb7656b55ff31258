"""Starting and ending processes so that none is ever left behind."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

KILLED_RUNNER_SECONDS = 8


class Problem(Exception):
    """Ends the run; its text is for the person at the terminal."""


def say(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # the terminal may be gone while there is still work to do
        print(line, flush=True)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0


def signal_group(group: int, number: int) -> bool:
    """False if nobody is left in the group."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


class Guard:
    """A fork of the runner that only waits for it to end, and then ends whatever the runner could not.

    The runner writes down what it starts and what it has ended. A `kill -9` of it closes the pipe with some still open.
    """

    def __init__(self) -> None:
        read, self._write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            os.close(self._write)
            _end_what_is_left(read)
            os._exit(0)
        os.close(read)

    def started(self, group: int, stage: int) -> None:
        os.write(self._write, b"+%d %d\n" % (group, stage))

    def ended(self, group: int) -> None:
        os.write(self._write, b"-%d 0\n" % group)

    def dismiss(self) -> None:
        os.close(self._write)
        os.waitpid(self._pid, 0)


def _end_what_is_left(pipe: int) -> None:
    groups: dict[int, int] = {}
    with os.fdopen(pipe) as notes:
        for note in notes:
            group, stage = map(int, note.split())
            if group > 0:
                groups[group] = stage
            else:
                groups.pop(-group, None)
    for stage in sorted(set(groups.values())):
        left = {group for group in groups if groups[group] == stage and signal_group(group, signal.SIGTERM)}
        deadline = time.monotonic() + KILLED_RUNNER_SECONDS
        while left and time.monotonic() < deadline:
            time.sleep(0.05)
            left = {group for group in left if signal_group(group, 0)}
        for group in left:
            signal_group(group, signal.SIGKILL)


class Child:
    """A process in a session of its own. Once `loud`, its output is shown with its name before each line."""

    def __init__(
        self,
        name: str,
        stage: int,
        command: Sequence[str],
        *,
        guard: Guard,
        folder: Path,
        environ: Mapping[str, str] | None = None,
        pass_fds: Collection[int] = (),
    ) -> None:
        self.name = name
        self.stage = stage
        self.loud = False
        self.tail: deque[str] = deque(maxlen=25)
        self._guard = guard
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            pass_fds=pass_fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        guard.started(self._process.pid, stage)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for raw in self._process.stdout:
            line = raw.decode(errors="replace").rstrip()
            self.tail.append(line)
            if self.loud:
                say(f"{self.name:<6} | {line}")

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def obituary(self) -> str:
        """How it ended and its last words."""
        self._reader.join(timeout=1)
        code = self.exit_code
        how = f"exit code {code}" if code is None or code >= 0 else f"signal {signal.Signals(-code).name}"
        words = "" if self.loud else "".join(f"\n{self.name:<6} | {line}" for line in self.tail)
        return f"{self.name} ended by itself ({how})." + (f" Its last lines:{words}" if words else "")

    def ask(self) -> None:
        signal_group(self._process.pid, signal.SIGTERM)

    def end(self) -> None:
        """It, and whatever it left in its group."""
        signal_group(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._guard.ended(self._process.pid)


def stop(children: Collection[Child], seconds: float, hurried: Callable[[], bool] = lambda: False) -> None:
    """SIGTERM to all of them, SIGKILL to those that are still there after `seconds` or once `hurried`."""
    for child in children:
        child.ask()
    deadline = time.monotonic() + seconds
    while any(child.exit_code is None for child in children) and time.monotonic() < deadline and not hurried():
        time.sleep(0.05)
    for child in children:
        child.end()
