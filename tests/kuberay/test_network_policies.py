"""Pods reach what they need and nothing else; what is not theirs does not reach them."""

from typing import Any

import pytest

from pointlab.kuberay.network import policies
from pointlab.kuberay.object_store import ENDPOINT

AN_ADDRESS_OUTSIDE: dict[str, str] = {}
HERE = "pointlab"


def allowed(
    policy: dict[str, Any],
    direction: str,
    labels: dict[str, str],
    port: int,
    *,
    namespace: str = HERE,
    protocol: str = "TCP",
) -> bool:
    """Whether a rule lets through what comes from, or goes to, pods with these labels in the namespace."""
    peers = "from" if direction == "ingress" else "to"
    return any(
        _any_peer(rule.get(peers), labels, namespace) and _any_port(rule.get("ports"), port, protocol)
        for rule in policy["spec"][direction]
    )


def _any_peer(peers: list[dict[str, Any]] | None, labels: dict[str, str], namespace: str) -> bool:
    if peers is None:
        return True
    own = {"kubernetes.io/metadata.name": namespace}
    return labels != AN_ADDRESS_OUTSIDE and any(
        (_selects(peer["namespaceSelector"], own) if "namespaceSelector" in peer else namespace == HERE)
        and _selects(peer.get("podSelector", {}), labels)
        for peer in peers
    )


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}, "nothing else is understood here"
    return selector.get("matchLabels", {}).items() <= labels.items()


def _any_port(ports: list[dict[str, Any]] | None, port: int, protocol: str) -> bool:
    return ports is None or any(each["port"] == port and each["protocol"] == protocol for each in ports)


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
    operator, collector = {"app.kubernetes.io/name": "kuberay-operator"}, {"app": "prometheus"}
    expected = {
        ("operators", "operator"): {8265},
        ("monitoring", "collector"): {8080, 44217},
        ("elsewhere", "collector"): set(),
    }
    for (namespace, who), ports in expected.items():
        labels = operator if who == "operator" else collector
        for port in (6379, 8080, 8265, 10001, 44217):
            reaches = allowed(by_role["ray"], "ingress", labels, port, namespace=namespace)
            assert reaches == (port in ports), (namespace, port)


@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
def test_names_are_resolved_wherever_a_cluster_keeps_its_dns(by_role: dict[str, Any], protocol: str) -> None:
    """By pods of another namespace, on 5353 with OpenShift, or by a cache of the node, which is no pod."""
    dns = {"k8s-app": "kube-dns"}
    for port in (53, 5353):
        assert allowed(by_role["ray"], "egress", dns, port, namespace="kube-system", protocol=protocol)
    assert allowed(by_role["ray"], "egress", AN_ADDRESS_OUTSIDE, 53, protocol=protocol)
    assert not allowed(by_role["redis"], "egress", AN_ADDRESS_OUTSIDE, 53, protocol=protocol)


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
