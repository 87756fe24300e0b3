"""Where things lie in documents: the cluster of a RayJob, its groups, all pods, their containers."""

from collections.abc import Iterator
from typing import Any

from pointlab.kuberay.documents import Document


def cluster_of(document: Document) -> Document | None:
    """What describes a Ray cluster, in a RayCluster or in a RayJob that has one of its own."""
    spec = document.get("spec") or {}
    if document["kind"] == "RayCluster":
        return dict(spec)
    return spec.get("rayClusterSpec") if document["kind"] == "RayJob" else None


def groups_of(cluster: Document) -> Iterator[tuple[str, Document]]:
    """The head and every group of workers, by name."""
    yield "head", cluster.get("headGroupSpec") or {}
    for group in cluster.get("workerGroupSpecs") or []:
        yield group.get("groupName", "?"), group


def workers_of(cluster: Document) -> list[tuple[str, Document]]:
    """The groups of workers alone."""
    return list(groups_of(cluster))[1:]


def pods_of(document: Document) -> Iterator[tuple[str, Document]]:
    """Every pod template of a document, with where it is."""
    cluster = cluster_of(document)
    if cluster is not None:
        yield from ((name, group.get("template") or {}) for name, group in groups_of(cluster))
    spec = document.get("spec") or {}
    if document["kind"] == "RayJob" and "submitterPodTemplate" in spec:
        yield "submitter", spec["submitterPodTemplate"]
    if document["kind"] == "Deployment":
        yield "pod", spec.get("template") or {}


def containers_of(template: Document) -> list[Document]:
    """Those that run, after those that prepare."""
    pod = template.get("spec") or {}
    return [*(pod.get("initContainers") or []), *(pod.get("containers") or [])]


def first_container(group: Document) -> Document:
    """That of Ray, or an empty one where the group has none."""
    containers = ((group.get("template") or {}).get("spec") or {}).get("containers") or [{}]
    return dict(containers[0])


def environment_of(container: Document) -> dict[str, Any]:
    """What the container is given by name: a value, or None where it comes from elsewhere."""
    return {each["name"]: each.get("value") for each in container.get("env") or []}
