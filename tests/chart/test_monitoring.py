"""Alerts and dashboard: Grafana's own model reads the JSON, and every query is PromQL over metrics that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client import REGISTRY

from gitops_runtime_auth.service import metrics
from tests.chart import helm

FILE = helm.CHART / "dashboards" / "gitops-runtime-auth.json"
EXPORTED = {
    sample.name for family in REGISTRY.collect() if family.name.startswith(metrics._PREFIX) for sample in family.samples
} | {f"{metrics._PREFIX}_refusals_total", f"{metrics._PREFIX}_argocd_request_seconds_bucket"}
"""A metric with labels has no sample before its first use."""


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def lost(given: Any, read: Any, where: str = "") -> Iterator[str]:
    """Return what of ``given`` Grafana's model does not know."""
    if isinstance(given, dict):
        for key, value in given.items():
            yield from lost(value, read[key], f"{where}/{key}") if key in read else [f"{where}/{key}"]
    elif isinstance(given, list):
        for number, (one, other) in enumerate(zip(given, read, strict=True)):
            yield from lost(one, other, f"{where}/{number}")
    elif given != read:
        yield where


def through_grafana(given: dict[str, Any]) -> list[str]:
    return list(lost(given, json.loads(JSONEncoder().encode(Dashboard.from_json(given)))))


def queries() -> list[str]:
    with_all = (helm.CHART / "ci" / "everything-values.yaml").read_text(encoding="utf-8")
    rules = [m for m in helm.render(with_all) if m["kind"] == "PrometheusRule"]
    alerts = [rule["expr"] for m in rules for group in m["spec"]["groups"] for rule in group["rules"]]
    panels = [t["expr"] for panel in dashboard()["panels"] for t in panel["targets"]]
    variables = [v["query"]["query"] for v in dashboard()["templating"]["list"] if v["type"] == "query"]
    inner = [re.fullmatch(r"label_values\((.+), \w+\)", v) for v in variables]
    assert len(alerts) == 4
    return [*alerts, *panels, *(found[1] for found in inner if found)]


def test_grafana_knows_every_key_of_the_dashboard() -> None:
    assert through_grafana(dashboard()) == []


def test_a_key_that_grafana_does_not_know_is_found() -> None:
    broken = dashboard()
    broken["panels"][0]["fieldConfig"]["defaults"]["units"] = "s"
    assert through_grafana(broken) == ["/panels/0/fieldConfig/defaults/units"]


@pytest.mark.parametrize("query", queries())
def test_queries_are_promql_over_metrics_that_exist(query: str) -> None:
    plain = query.replace("$__rate_interval", "5m")
    promql_parser.parse(plain)
    named = set(re.findall(rf"{metrics._PREFIX}_\w+", plain))
    assert named
    assert named <= EXPORTED


def test_panels_do_not_overlap() -> None:
    cells = [
        (x, y)
        for p in dashboard()["panels"]
        for x in range(p["gridPos"]["x"], p["gridPos"]["x"] + p["gridPos"]["w"])
        for y in range(p["gridPos"]["y"], p["gridPos"]["y"] + p["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_chart_ships_the_file_as_it_is() -> None:
    with_all = (helm.CHART / "ci" / "everything-values.yaml").read_text(encoding="utf-8")
    (shipped,) = [
        m["data"] for m in helm.render(with_all) if m["kind"] == "ConfigMap" and "dashboard" in m["metadata"]["name"]
    ]
    assert shipped == {Path(FILE).name: FILE.read_text(encoding="utf-8")}
