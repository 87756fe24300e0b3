"""What a service of one pod consists of beside the pod: its disk, its deployment, its name."""

from pointlab.kuberay.documents import ROLE, Document, document
from pointlab.kuberay.pods import template


def claim(name: str, size: str) -> Document:
    """A disk of the cluster's default class, for one pod."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    return document("v1", "PersistentVolumeClaim", name, spec=spec)


def deployment(name: str, pod: Document) -> Document:
    """One pod, replaced and not doubled where it changes: its disk is for one."""
    spec = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": {ROLE: name}},
        "template": template(name, pod),
    }
    return document("apps/v1", "Deployment", name, spec=spec)


def service(name: str, port: int) -> Document:
    """The name under which pods of this role are found."""
    spec = {"selector": {ROLE: name}, "ports": [{"name": name, "port": port, "targetPort": name}]}
    return document("v1", "Service", name, spec=spec)
