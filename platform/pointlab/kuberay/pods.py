"""Pods: non-root, nothing writable but what is named, requests that equal limits."""

from collections.abc import Mapping
from typing import Any

from pointlab.kuberay.documents import ROLE, Document
from pointlab.kuberay.environment import CACHE_GIB, SECONDS_TO_SAVE, variables
from pointlab.kuberay.settings import ManifestSettings, NodeShape

USER = 1000
"""The user of the image."""
RAY_ROLE = "ray"
SOURCES = "/data"
"""Where the volume with source files is mounted."""
SHARED_MEMORY = 0.4
"""Of a container's memory, which /dev/shm counts against: Ray's object store takes 0.3, NCCL a little."""
GRACE_SECONDS = SECONDS_TO_SAVE + 30
"""Between SIGTERM, at which a node of Ray is left in time, and SIGKILL."""
POD_SECURITY: Document = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Document = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
SCRATCH: Document = {"name": "scratch", "mountPath": "/tmp"}
"""Where Ray keeps its session; the operator mounts /tmp/ray of the head within it."""
ON_GPU_NODES: Document = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
"""Nodes with GPUs are commonly closed to pods that do not ask for them."""


def resources(cpus: str | int, memory: str, gpus: int = 0) -> Document:
    """Requests and limits alike: nothing is promised to two pods, and Ray counts what there is."""
    amounts = {"cpu": str(cpus), "memory": memory, **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    return {"requests": amounts, "limits": amounts}


def template(role: str, pod: Mapping[str, Any]) -> Document:
    """A pod template of this role, with the security that all pods have."""
    common = {"securityContext": POD_SECURITY, "enableServiceLinks": False}
    return {"metadata": {"labels": {ROLE: role}}, "spec": {**common, **pod}}


def ray_pod(
    name: str, node: NodeShape, settings: ManifestSettings, config_map: str | None, **container: Any
) -> Document:
    """The pod of a Ray node, with the experiment of `config_map`, if any, at /etc/pointlab.

    The operator adds the command, the probes, the token and the environment that Ray itself needs.
    """
    gpus = node.gpus or 0
    disks = [*_disks_of_a_node(node), *_disks_of_a_job(settings, config_map)]
    pod = {
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        **({"tolerations": [ON_GPU_NODES]} if gpus else {}),
        "containers": [
            {
                "name": name,
                "image": settings.reference,
                "imagePullPolicy": "IfNotPresent",
                **container,
                "env": variables(settings),
                "resources": resources(node.cpus, f"{node.memory}Gi", gpus),
                "securityContext": CONTAINER_SECURITY,
                "volumeMounts": [mount for mount, _ in disks],
            }
        ],
        "volumes": [volume for _, volume in disks],
    }
    return template(RAY_ROLE, pod)


def _disks_of_a_node(node: NodeShape) -> list[tuple[Document, Document]]:
    """What Ray and pointlab write to: where it is mounted, and the volume."""
    memory = f"{int(node.memory * SHARED_MEMORY * 1024)}Mi"
    return [
        (SCRATCH, {"name": "scratch", "emptyDir": {}}),
        (
            {"name": "shared-memory", "mountPath": "/dev/shm"},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": memory}},
        ),
        (
            {"name": "cache", "mountPath": "/cache"},
            {"name": "cache", "emptyDir": {"sizeLimit": f"{CACHE_GIB}Gi"}},
        ),
    ]


def _disks_of_a_job(settings: ManifestSettings, config_map: str | None) -> list[tuple[Document, Document]]:
    """What is read only: the experiment, and source files."""
    sources: dict[str, tuple[str, Document]] = {}
    if config_map is not None:
        sources["experiment"] = ("/etc/pointlab", {"configMap": {"name": config_map}})
    if settings.data_claim is not None:
        claim = {"claimName": settings.data_claim, "readOnly": True}
        sources["data"] = (SOURCES, {"persistentVolumeClaim": claim})
    return [
        ({"name": name, "mountPath": path, "readOnly": True}, {"name": name, **source})
        for name, (path, source) in sources.items()
    ]
