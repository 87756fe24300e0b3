"""What every pod is held to: images that stay what they are, no rights, equal requests and limits.

And that what a container mounts is a volume of its pod, that every amount can be read, and that no key is
written out. The first are the rules of Kubernetes' restricted profile for pods, and ours.
"""

import re
from collections.abc import Iterator

from pointlab.kuberay.documents import Document
from pointlab.kuberay.parts import containers_of, environment_of, pods_of
from pointlab.kuberay.settings import MUTABLE, TAGGED

QUANTITY = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?\d+))?")
SECRETIVE = re.compile(r"(?i)(secret|password|passwd|token|credential|access_key)")
MOUNTED_DISK = "emptyDir"


def is_quantity(text: object) -> bool:
    """Whether Kubernetes reads this as an amount, such as 500m, 1.5 or 4Gi."""
    return QUANTITY.fullmatch(str(text)) is not None


def _image_stays(container: Document) -> Iterator[str]:
    image = container.get("image", "")
    name, _, digest = image.partition("@")
    found = TAGGED.fullmatch(name)
    if digest and not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        yield f"has the digest {digest}: expected sha256: and 64 digits"
    if found is None or found["tag"] in MUTABLE:
        yield f"has the image {image!r}: expected a version tag"


def _has_no_rights(container: Document) -> Iterator[str]:
    rights = container.get("securityContext") or {}
    if rights.get("allowPrivilegeEscalation") is not False or rights.get("privileged"):
        yield "may gain rights: expected allowPrivilegeEscalation false, and no privileged"
    if rights.get("readOnlyRootFilesystem") is not True:
        yield "can write to its image: expected readOnlyRootFilesystem true"
    if (rights.get("capabilities") or {}).get("drop") != ["ALL"]:
        yield "keeps capabilities: expected to drop ALL"


def _asks_for_what_it_may_take(container: Document) -> Iterator[str]:
    found = container.get("resources") or {}
    requests, limits = found.get("requests") or {}, found.get("limits") or {}
    if not requests or requests != limits:
        yield f"requests {requests} and may take {limits}: expected both alike"
    for name, amount in {**requests, **limits}.items():
        if not is_quantity(amount):
            yield f"has {amount!r} of {name}: expected an amount such as 500m or 4Gi"


def _holds_no_secret(container: Document) -> Iterator[str]:
    for name, value in environment_of(container).items():
        if value is not None and SECRETIVE.search(name):
            yield f"has {name} written out: expected a reference to a Secret"


OF_CONTAINERS = (_image_stays, _has_no_rights, _asks_for_what_it_may_take, _holds_no_secret)


def _containers_keep_the_rules(document: Document) -> Iterator[str]:
    for where, template in pods_of(document):
        for container in containers_of(template):
            for rule in OF_CONTAINERS:
                yield from (f"{where}: {container.get('name')} {fault}" for fault in rule(container))


def _pods_are_not_root(document: Document) -> Iterator[str]:
    for where, template in pods_of(document):
        found = (template.get("spec") or {}).get("securityContext") or {}
        if found.get("runAsNonRoot") is not True or not found.get("runAsUser"):
            yield f"{where}: may run as root: expected runAsNonRoot true and a runAsUser"
        if (found.get("seccompProfile") or {}).get("type") != "RuntimeDefault":
            yield f"{where}: expected seccompProfile RuntimeDefault"


def _volumes_are_there(document: Document) -> Iterator[str]:
    for where, template in pods_of(document):
        volumes = [volume["name"] for volume in (template.get("spec") or {}).get("volumes") or []]
        mounts = [mount for each in containers_of(template) for mount in each.get("volumeMounts") or []]
        mounted = {mount["name"] for mount in mounts}
        yield from (f"{where}: no volume is called {name}, which is mounted" for name in mounted - {*volumes})
        yield from (f"{where}: the volume {name} is mounted nowhere" for name in {*volumes} - mounted)


def _scratch_has_a_size_that_can_be_read(document: Document) -> Iterator[str]:
    for where, template in pods_of(document):
        for volume in (template.get("spec") or {}).get("volumes") or []:
            size = (volume.get(MOUNTED_DISK) or {}).get("sizeLimit", "0")
            if not is_quantity(size):
                yield f"{where}: the volume {volume['name']} has the size {size!r}: expected one such as 4Gi"


RULES = (
    _containers_keep_the_rules,
    _pods_are_not_root,
    _volumes_are_there,
    _scratch_has_a_size_that_can_be_read,
)
