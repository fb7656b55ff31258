"""Where a part of a stack runs."""

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Host:
    """This machine, unless it has a network namespace of its own (see lan.py)."""

    address: str = "127.0.0.1"
    namespace: Path | None = None

    def command(self, command: Sequence[str]) -> list[str]:
        """The same command, run there."""
        return [*(["nsenter", f"--net={self.namespace}", "--"] if self.namespace else []), *command]

    def enter(self) -> None:
        """What this thread opens from now on is there, and so is what the threads and processes do that it starts."""
        if self.namespace is None:
            return
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = os.open(self.namespace, os.O_RDONLY)
        try:
            if libc.setns(descriptor, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"cannot enter {self.namespace}")
        finally:
            os.close(descriptor)


HERE = Host()
