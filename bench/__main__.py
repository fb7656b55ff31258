"""`python -m bench` takes all measurements and writes docs/benchmarks.md; `python -m bench tokens turns` only these."""

import argparse
import importlib
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

from bench import report
from bench.machine import describe
from tests.support.processes import ROOT

MEASUREMENTS = ("tokens", "first_token", "processes", "connections", "slow_replies", "turns", "page")
VERSIONS = ("flask-socketio", "python-socketio", "celery", "gevent", "redis", "openai", "gunicorn")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(MEASUREMENTS)}")
    names = parser.parse_args().names or MEASUREMENTS
    if unknown := set(names) - set(MEASUREMENTS):
        parser.error(f"there is no measurement {', '.join(sorted(unknown))}")
    began, load = time.monotonic(), os.getloadavg()[0]
    sections = {}
    for name in names:
        measurement = importlib.import_module(f"bench.measurements.{name}")
        with tempfile.TemporaryDirectory() as folder:
            figures = list(_told(measurement.measure(Path(folder))))
        sections[measurement.TITLE] = figures
        print(f"\n{measurement.TITLE} ({time.monotonic() - began:.0f} s)\n{report.as_text(figures)}", flush=True)
    if tuple(names) == MEASUREMENTS:
        versions = {name: version(name) for name in VERSIONS}
        machine = f"{describe()}, load average {load:.1f} before"
        report.write(ROOT / "docs" / "benchmarks.md", sections, machine, versions, time.monotonic() - began)


def _told(figures: Iterable[report.Figure]) -> Iterator[report.Figure]:
    """What has been measured so far, for those who wait for the table."""
    for figure in figures:
        print(f"  {figure.name}: {figure.row()[1]}", file=sys.stderr, flush=True)
        yield figure


if __name__ == "__main__":
    main()
