"""A Redis of our own for `make run`: loopback only, its data in a folder that survives restarts."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from scripts.processes import Problem, alive

CONFIG = Path(__file__).resolve().parent.parent / "deploy" / "redis.conf"
LEAVING_SECONDS = 15


def on_path() -> str | None:
    """A redis-server that the machine has, not the one in .venv."""
    own = Path(sys.prefix) / "bin"
    folders = [folder for folder in os.get_exec_path() if Path(folder).resolve() != own.resolve()]
    return shutil.which("redis-server", path=os.pathsep.join(folders))


def binary() -> str:
    found = on_path() or shutil.which("redis-server", path=str(Path(sys.prefix) / "bin"))
    if found is None:
        raise Problem(
            "There is no redis-server on PATH and none in .venv. Install Redis, or name one with REDIS_URL, "
            "or run `make run` again: it installs one."
        )
    return found


def take(folder: Path) -> int:
    """The lock on the data, as a file descriptor. Redis inherits it, so it is held while any Redis has the data."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + LEAVING_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = int(os.pread(lock, 20, 0) or b"0")
            if not alive(owner) and time.monotonic() < deadline:
                time.sleep(0.1)  # killed a moment ago: what it started is on its way out
                continue
            raise Problem(
                f"Parley is running in this folder already (process {owner}), and two cannot share the data in "
                f"{folder}. Stop the other one, or give this one a Redis with REDIS_URL."
            ) from None
        os.truncate(lock, 0)
        os.pwrite(lock, b"%d" % os.getpid(), 0)
        return lock


def command(folder: Path, port: int) -> list[str]:
    server = binary()
    version = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
    if (folder / "appendonlydir").exists() and re.search(r"v=[1-6]\.", version):
        raise Problem(f"The data in {folder} was written by Redis 7 or newer; {server} is older and would not see it.")
    return [
        *(server, str(CONFIG), "--dir", str(folder), "--loglevel", "warning"),
        *("--bind", "127.0.0.1", "--port", str(port)),
    ]
