"""Names: those that Kubernetes and the operator take, and that what refers to another object finds it.

Secrets are made by hand, as no file may hold one; those that are, and their keys, are listed here.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pointlab.kuberay.documents import Document
from pointlab.kuberay.environment import KEYS, S3_SECRET
from pointlab.kuberay.parts import pods_of
from pointlab.kuberay.redis import PASSWORD_KEY, REDIS_SECRET

LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
"""DNS-1035, which services and what the operator makes of its own objects need."""
LONGEST = {"RayCluster": 53, "RayJob": 47}
LONGEST_OF_ALL = 63
MADE_BY_HAND = {S3_SECRET: KEYS, REDIS_SECRET: (PASSWORD_KEY,)}
"""Secrets, and what is in them."""


def _name_is_one(document: Document) -> Iterator[str]:
    name, most = document["metadata"]["name"], LONGEST.get(document["kind"], LONGEST_OF_ALL)
    if not LABEL.fullmatch(name):
        yield "expected a name of lower-case letters, digits and hyphens, from a letter on"
    if len(name) > most:
        yield f"the name has {len(name)} characters: expected {most} at most"


def _secrets_are_known(document: Document) -> Iterator[str]:
    for reference in _found(document, "secretKeyRef"):
        name, key = reference["name"], reference["key"]
        if key not in MADE_BY_HAND.get(name, ()):
            yield f"the key {key} of the Secret {name} is nowhere: known are {MADE_BY_HAND}"


def _selects_its_own_pods(document: Document) -> Iterator[str]:
    if document["kind"] != "Deployment":
        return
    spec = document["spec"]
    labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    for key, value in spec["selector"]["matchLabels"].items():
        if labels.get(key) != value:
            yield f"selects pods with {key}: {value}, and its own have {labels}"


RULES = (_name_is_one, _secrets_are_known, _selects_its_own_pods)


def of_all(documents: Sequence[Document]) -> Iterator[str]:
    """What is wrong between documents that are applied together."""
    names = [(each["kind"], each["metadata"]["name"]) for each in documents]
    yield from (f"{kind} {name} is there twice" for kind, name in {*names} if names.count((kind, name)) > 1)
    yield from _mounts_are_there(documents)
    yield from _services_find_pods(documents)
    yield from _policies_find_pods(documents)


def _mounts_are_there(documents: Sequence[Document]) -> Iterator[str]:
    """ConfigMaps of all, and the disks of deployments; the data of a RayJob are brought by its user."""
    for each in documents:
        wanted = {("ConfigMap", source["name"]) for source in _found(each, "configMap")}
        if each["kind"] == "Deployment":
            claims = _found(each, "persistentVolumeClaim")
            wanted |= {("PersistentVolumeClaim", source["claimName"]) for source in claims}
        there = {(other["kind"], other["metadata"]["name"]) for other in documents}
        for kind, name in sorted(wanted - there):
            yield f"{each['kind']} {each['metadata']['name']}: there is no {kind} {name}"


def _policies_find_pods(documents: Sequence[Document]) -> Iterator[str]:
    pods = [template for each in documents for _, template in pods_of(each)]
    for each in documents:
        if each["kind"] == "NetworkPolicy":
            wanted = each["spec"]["podSelector"].get("matchLabels", {})
            if not any(wanted.items() <= pod["metadata"]["labels"].items() for pod in pods):
                yield f"NetworkPolicy {each['metadata']['name']} selects no pod: {wanted}"


def _services_find_pods(documents: Sequence[Document]) -> Iterator[str]:
    pods = [template for each in documents for _, template in pods_of(each)]
    for each in documents:
        if each["kind"] != "Service":
            continue
        name, wanted = each["metadata"]["name"], each["spec"]["selector"].items()
        chosen = [pod for pod in pods if wanted <= pod["metadata"]["labels"].items()]
        ports = {
            p.get("name") for pod in chosen for c in pod["spec"]["containers"] for p in c.get("ports", [])
        }
        if not chosen:
            yield f"Service {name} selects no pod: {dict(wanted)}"
        for port in each["spec"]["ports"]:
            if chosen and port["targetPort"] not in ports:
                yield f"Service {name} leads to the port {port['targetPort']}, and its pods have {ports}"


def _found(part: Any, key: str) -> Iterator[Any]:
    """Every value of `key`, at any depth."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name == key:
                yield value
            else:
                yield from _found(value, key)
    elif isinstance(part, list):
        for value in part:
            yield from _found(value, key)
