"""The fault-injection run: see the package."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.run import Plan, run, table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Breaks Parley, and looks what is lost.")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="decides which faults come when")
    parser.add_argument("--seconds", type=float, default=30, help="how long there are faults")
    parser.add_argument("--conversations", type=int, default=12)
    parser.add_argument("--mode", choices=["gevent", "eventlet"], default="gevent")
    parser.add_argument("--turns", type=int, help="end when so many messages were sent")
    given = parser.parse_args()
    plan = Plan(given.seed, given.seconds, given.conversations, given.mode, given.turns)
    _say(str(plan))
    folder = Path(tempfile.mkdtemp(prefix="parley-chaos-"))
    _, report = run(plan, folder, _say)
    _say("\n" + table(report))
    if not report.good:
        _say(f"\nThe logs of all processes are in {folder}.")
        sys.exit(1)
    shutil.rmtree(folder)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - for people


if __name__ == "__main__":
    main()
