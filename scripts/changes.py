"""Which of the project's own files changed since the last look, for `make dev`."""

import os
from pathlib import Path

FOLDERS = ("app", "tasks", "templates", "static")
SUFFIXES = {".py", ".lua", ".html", ".css", ".js"}


class Changes:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._known = self._look()

    def since_last_look(self) -> set[Path]:
        known, self._known = self._known, self._look()
        return {path for path, _ in known.items() ^ self._known.items()}

    def _look(self) -> dict[Path, int]:
        folders = [self._root, *(Path(where) for name in FOLDERS for where, _, _ in os.walk(self._root / name))]
        times = {}
        for folder in folders:
            for entry in os.scandir(folder):
                if entry.is_file() and Path(entry.name).suffix in SUFFIXES:
                    times[Path(entry.path)] = entry.stat().st_mtime_ns
        return times
