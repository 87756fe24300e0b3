"""An object store for development: VersityGW, which shows a folder of one disk as buckets, in one pod.

For a cluster without a store of its own. It has conditional writes, which leases need, and keeps objects as
plain files; it has one disk and no copies, so that what must last belongs elsewhere.
"""

from pointlab.kuberay.documents import Document
from pointlab.kuberay.environment import KEYS, S3_SECRET, secret
from pointlab.kuberay.pods import CONTAINER_SECURITY, resources
from pointlab.kuberay.services import claim, deployment, service

NAME = "object-store"
PORT = 7070
ENDPOINT = f"http://{NAME}:{PORT}"
BUCKET = "pointlab"
IMAGE = "versity/versitygw:v1.7.0"
DISK = "100Gi"
OBJECTS, METADATA = "/data/objects", "/data/metadata"
"""Metadata lie beside the objects, so that the disk's filesystem need not have extended attributes."""


def object_store() -> list[Document]:
    """The claim, the deployment and the service, with the bucket `pointlab`."""
    return [claim(NAME, DISK), deployment(NAME, _pod()), service(NAME, PORT)]


def _pod() -> Document:
    root = dict(zip(KEYS, ("ROOT_ACCESS_KEY_ID", "ROOT_SECRET_ACCESS_KEY"), strict=True))
    settings = {"VGW_PORT": f":{PORT}", "VGW_HEALTH": "/health", "VGW_META_SIDECAR": METADATA}
    probe = {"httpGet": {"path": "/health", "port": NAME}, "periodSeconds": 10}
    common = {
        "image": IMAGE,
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "scratch", "mountPath": "/tmp"}],
    }
    return {
        "automountServiceAccountToken": False,
        "initContainers": [
            {
                "name": "bucket",
                "command": ["mkdir", "-p", f"{OBJECTS}/{BUCKET}", METADATA],
                "resources": resources("100m", "64Mi"),
                **common,
            }
        ],
        "containers": [
            {
                "name": NAME,
                "args": ["posix", OBJECTS],
                "env": [{"name": name, "value": value} for name, value in settings.items()]
                + [{"name": name, "valueFrom": secret(S3_SECRET, key)} for key, name in root.items()],
                "ports": [{"name": NAME, "containerPort": PORT}],
                "readinessProbe": probe,
                "livenessProbe": {**probe, "initialDelaySeconds": 30, "failureThreshold": 6},
                "resources": resources(1, "2Gi"),
                **common,
            }
        ],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": NAME}},
            {"name": "scratch", "emptyDir": {}},
        ],
    }
