"""Pods reach what they need and nothing else; what is not theirs does not reach them."""

from typing import Any

import pytest

from pointlab.kuberay.network import policies
from pointlab.kuberay.object_store import ENDPOINT

AN_ADDRESS_OUTSIDE: dict[str, str] = {}


def allowed(policy: dict[str, Any], direction: str, labels: dict[str, str], port: int) -> bool:
    """Whether a rule lets through what comes from, or goes to, pods beside with these labels."""
    peers = "from" if direction == "ingress" else "to"
    return any(
        _any_peer(rule.get(peers), labels) and _any_port(rule.get("ports"), port)
        for rule in policy["spec"][direction]
    )


def _any_peer(peers: list[dict[str, Any]] | None, labels: dict[str, str]) -> bool:
    if peers is None:
        return True
    return any(
        "namespaceSelector" not in peer
        and labels != AN_ADDRESS_OUTSIDE
        and peer["podSelector"]["matchLabels"].items() <= labels.items()
        for peer in peers
    )


def _any_port(ports: list[dict[str, Any]] | None, port: int) -> bool:
    return ports is None or any(each["port"] == port for each in ports)


RAY, REDIS, STORE = ({"pointlab/role": role} for role in ("ray", "redis", "object-store"))


@pytest.fixture
def by_role() -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"].removeprefix("pointlab-"): each for each in policies(ENDPOINT)}


def test_nodes_of_ray_speak_with_each_other_on_every_port(by_role: dict[str, Any]) -> None:
    assert allowed(by_role["ray"], "ingress", RAY, 12345)
    assert allowed(by_role["ray"], "egress", RAY, 12345)


def test_nodes_of_ray_reach_redis_and_the_store_on_their_ports_alone(by_role: dict[str, Any]) -> None:
    for role, labels, port in (("redis", REDIS, 6379), ("object-store", STORE, 7070)):
        assert allowed(by_role["ray"], "egress", labels, port)
        assert allowed(by_role[role], "ingress", RAY, port)
        assert not allowed(by_role[role], "ingress", RAY, port + 1)
        assert not allowed(by_role[role], "ingress", {"app": "other"}, port)
        assert not allowed(by_role[role], "egress", AN_ADDRESS_OUTSIDE, 443)


def test_a_stranger_in_the_namespace_reaches_no_node_of_ray(by_role: dict[str, Any]) -> None:
    for port in (6379, 8265, 10001):
        assert not allowed(by_role["ray"], "ingress", {"app": "other"}, port)
        assert not allowed(by_role["ray"], "ingress", REDIS, port)


def test_the_operator_and_the_metrics_collector_reach_their_ports_alone(by_role: dict[str, Any]) -> None:
    rules = [rule for rule in by_role["ray"]["spec"]["ingress"] if "ports" in rule]
    ports = [[each["port"] for each in rule["ports"]] for rule in rules]
    assert ports == [[8265], [8080, 44217]]
    operator, monitoring = (rule["from"] for rule in rules)
    assert operator[0]["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}}
    assert monitoring[0]["namespaceSelector"]["matchLabels"]


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [("https://store.example.org", 443), ("http://store.example.org", 80), ("http://10.0.0.7:9000", 9000)],
)
def test_a_store_elsewhere_is_reached_on_its_own_port(endpoint: str, port: int) -> None:
    [ray, *_] = policies(endpoint)
    assert allowed(ray, "egress", AN_ADDRESS_OUTSIDE, port)
    assert not allowed(ray, "egress", AN_ADDRESS_OUTSIDE, 22)


def test_outside_is_reached_by_https_alone() -> None:
    for endpoint in (None, ENDPOINT):
        [ray, *_] = policies(endpoint)
        assert allowed(ray, "egress", AN_ADDRESS_OUTSIDE, 443)
        assert not any(allowed(ray, "egress", AN_ADDRESS_OUTSIDE, port) for port in (80, 7070, 6379))
