"""Short runs of the fault injection; `make chaos` is the long one."""

from pathlib import Path

import pytest

from tests.chaos.run import Plan, run, table
from tests.support.stack import Mode


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", ["gevent", "eventlet"])
def test_nothing_is_lost_while_things_break(mode: Mode, tmp_path: Path) -> None:
    _, report = run(Plan(seconds=20, conversations=8, mode=mode), tmp_path)
    assert report.good, "\n" + table(report)
    assert report.ended.total() == report.turns > 8
    assert report.faults.total() > 0
