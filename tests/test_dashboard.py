"""Dashboard, scraping and documentation speak of the metrics that there are, by the names that these have."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pointlab.engine.gauges import LABELS, PREFIX
from pointlab.kuberay import ManifestSettings
from pointlab.kuberay.cluster import ray_cluster
from pointlab.kuberay.documents import read
from pointlab.training.telemetry import FIGURES

ROOT = Path(__file__).resolve().parents[1]
MONITORING = ROOT / "cluster" / "monitoring"
NAMES = {f"ray_{PREFIX}{name}" for name in FIGURES}
"""As Ray shows them, which a test with a real node compares."""
METRIC = re.compile(r"\bray_pointlab_\w+")


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MONITORING / "pointlab.json").read_text())
    return found


def queries(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_the_dashboard_asks_for_every_metric_and_for_nothing_else(dashboard: dict[str, Any]) -> None:
    asked = [METRIC.findall(query) for query in queries(dashboard)]
    assert all(asked)
    assert {name for names in asked for name in names} == NAMES
    variables = [each["definition"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
    assert {name for each in variables for name in METRIC.findall(each)} <= NAMES


def test_the_dashboard_sorts_by_labels_that_there_are(dashboard: dict[str, Any]) -> None:
    text = json.dumps(
        [queries(dashboard), [t["legendFormat"] for p in dashboard["panels"] for t in p["targets"]]]
    )
    used = {name for names in re.findall(r"by \(([\w, ]+)\)", text) for name in names.split(", ")}
    used |= set(re.findall(r"\{\{(\w+)\}\}", text)) | set(re.findall(r"[{,](\w+)=~", text))
    assert used == set(LABELS)


def test_every_panel_has_a_place_of_its_own_and_says_what_it_shows(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [
        {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        for at in (panel["gridPos"] for panel in panels)
    ]
    assert len(set.union(*taken)) == sum(map(len, taken))
    assert all(panel["description"] and panel["title"] for panel in panels)


def test_prometheus_finds_the_pods_and_the_port_that_manifests_name() -> None:
    [monitor] = read((MONITORING / "pod-monitor.yaml").read_text())
    spec = ray_cluster("pointlab", ManifestSettings())["spec"]
    head, workers = spec["headGroupSpec"]["template"], spec["workerGroupSpecs"][0]["template"]
    for template in (head, workers):
        assert monitor["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        [endpoint] = monitor["spec"]["podMetricsEndpoints"]
        ports = {each["name"]: each["containerPort"] for each in template["spec"]["containers"][0]["ports"]}
        assert ports[endpoint["port"]] == 8080
    [namespace] = read((ROOT / "cluster" / "kuberay" / "namespace.yaml").read_text())
    assert monitor["metadata"]["namespace"] == namespace["metadata"]["name"]


def test_machines_of_the_launcher_show_their_metrics_on_the_same_port() -> None:
    launcher = yaml.safe_load((ROOT / "cluster" / "launcher.yaml").read_text())
    for commands in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert any("--metrics-export-port=8080" in command for command in launcher[commands])


def test_the_documentation_names_every_metric() -> None:
    assert set(METRIC.findall((ROOT / "docs" / "watching.md").read_text())) == NAMES
