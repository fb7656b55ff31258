"""The dashboard, the alert rules and the scaler are PromQL, and ask for metrics and labels that there are."""

import json
import re

import promql_parser
import pytest
import yaml

from tests.support.documents import documented_metrics
from tests.support.processes import ROOT

# What a histogram is made of.
PARTS = ("_bucket", "_sum", "_count")


def dashboard() -> list[str]:
    panels = json.loads((ROOT / "deploy" / "grafana" / "parley.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def alerts() -> list[str]:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
    return [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


def scaler() -> list[str]:
    """As docs/metrics.md shows one."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE | re.DOTALL)
    scrape, scaler = map(yaml.safe_load, blocks)
    assert [job["job_name"] for job in scrape["scrape_configs"]] == ["parley"]
    assert scaler["kind"] == "ScaledObject"
    return [trigger["metadata"]["query"] for trigger in scaler["spec"]["triggers"]]


def names_and_labels(expression: str) -> tuple[set[str], set[str]]:
    """The metrics that it names, and the labels by which it chooses and groups. A ValueError if it is no PromQL."""
    names: set[str] = set()
    labels: set[str] = set()

    def look(part: promql_parser.Expr) -> None:
        if isinstance(part, promql_parser.VectorSelector):
            assert part.name, expression
            names.add(re.sub(f"({'|'.join(PARTS)})$", "", part.name))
            labels.update(matcher.name for matcher in part.matchers.matchers)
        elif isinstance(part, promql_parser.AggregateExpr) and part.modifier:
            labels.update(part.modifier.labels)

    promql_parser.walk(promql_parser.parse(expression), look)
    return names, labels - ({"le"} if "_bucket" in expression else set())


@pytest.mark.parametrize("expression", [*dashboard(), *alerts(), *scaler()])
def test_what_is_asked_for_is_there(expression: str) -> None:
    documented = documented_metrics()
    names, labels = names_and_labels(expression)
    assert names
    assert names <= documented.keys()
    assert labels <= set.union(*(documented[name] for name in names))


def test_every_metric_is_on_the_dashboard() -> None:
    assert set.union(*(names_and_labels(expression)[0] for expression in dashboard())) == documented_metrics().keys()
