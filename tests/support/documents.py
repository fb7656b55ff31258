"""What documents say, for tests that hold other things against it."""

import re

from tests.support.processes import ROOT


def documented_metrics() -> dict[str, set[str]]:
    """Metric → its labels."""
    rows = re.findall(r"^\| `(parley_\w+)` \| ([\w, ]*)\|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)
    return {name: set(re.findall(r"\w+", labels)) for name, labels in rows}
