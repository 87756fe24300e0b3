"""Who may speak to whom: what is not named here is refused, in both directions.

Objects of Kubernetes itself, as the operator's own `networkPolicy` is an alpha feature that it leaves off.
"""

from urllib.parse import urlsplit

from pointlab.kuberay import object_store, redis
from pointlab.kuberay.documents import ROLE, Document, document
from pointlab.kuberay.pods import RAY_ROLE

DASHBOARD, METRICS, AUTOSCALER_METRICS = 8265, 8080, 44217
HTTPS, KUBERNETES = 443, 6443
"""Stores and hubs outside, and the API server, which the autoscaler asks for pods."""
OPERATOR: Document = {
    "namespaceSelector": {},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}},
}
"""In whatever namespace it runs."""
MONITORING: Document = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
"""Where Prometheus runs."""
NAMES = (53, 5353)
"""DNS, as most clusters and as OpenShift offers it; to anyone, as a cache of the node's own is no pod."""


def policies(endpoint: str | None) -> list[Document]:
    """Those of Ray's pods, which also reach the store at `endpoint`, and of the services beside them."""
    return [
        _policy(RAY_ROLE, _into_ray(), _out_of_ray(endpoint)),
        _policy(redis.NAME, [_rule("from", _pods(RAY_ROLE), redis.PORT)], []),
        _policy(object_store.NAME, [_rule("from", _pods(RAY_ROLE), object_store.PORT)], []),
    ]


def _into_ray() -> list[Document]:
    return [
        {"from": [_pods(RAY_ROLE)]},
        _rule("from", OPERATOR, DASHBOARD),
        _rule("from", MONITORING, METRICS, AUTOSCALER_METRICS),
    ]


def _out_of_ray(endpoint: str | None) -> list[Document]:
    names = {"ports": [_port(port, protocol) for port in NAMES for protocol in ("UDP", "TCP")]}
    outside = {"ports": [_port(port) for port in sorted({HTTPS, KUBERNETES, *_own_port(endpoint)})]}
    beside = [_rule("to", _pods(service.NAME), service.PORT) for service in (redis, object_store)]
    return [names, {"to": [_pods(RAY_ROLE)]}, *beside, outside]


def _own_port(endpoint: str | None) -> set[int]:
    """The port of a store that is not the one beside."""
    if endpoint is None or endpoint == object_store.ENDPOINT:
        return set()
    address = urlsplit(endpoint)
    return {address.port or (HTTPS if address.scheme == "https" else 80)}


def _policy(role: str, ingress: list[Document], egress: list[Document]) -> Document:
    spec = {
        "podSelector": {"matchLabels": {ROLE: role}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": ingress,
        "egress": egress,
    }
    return document("networking.k8s.io/v1", "NetworkPolicy", f"pointlab-{role}", spec=spec)


def _rule(direction: str, peer: Document, *ports: int) -> Document:
    return {direction: [peer], "ports": [_port(port) for port in ports]}


def _port(number: int, protocol: str = "TCP") -> Document:
    return {"protocol": protocol, "port": number}


def _pods(role: str) -> Document:
    return {"podSelector": {"matchLabels": {ROLE: role}}}
