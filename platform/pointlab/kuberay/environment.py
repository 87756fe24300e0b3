"""The environment of every Ray container: how it reaches the store, and where it may write.

Keys come from Secrets by reference only, so that no file holds one. Interfaces of gloo and NCCL are not named
here: workers look for that of their node's address, which is not called eth0 by every network plug-in.
"""

from pointlab.kuberay.documents import Document
from pointlab.kuberay.settings import ManifestSettings

S3_SECRET = "pointlab-s3"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
CACHE_GIB = 64
"""Disk for decoded shards; as much as the cache bounds itself to where nobody says."""
ROOM_TO_SPARE = 0.75
"""Of that disk, to which the cache bounds itself: the set in use stays even if it is larger, and a pod that
passes its limit is evicted."""
SECONDS_TO_SAVE = 60
"""For a run whose job is stopped or whose node is asked to go: Ray's 3 and 30 are short for a checkpoint."""


def variables(settings: ManifestSettings) -> list[Document]:
    """As `env` of a container takes them."""
    plain = {
        "HOME": "/tmp",
        "POINTLAB_CACHE": "/cache",
        "POINTLAB_CACHE_BYTES": str(int(CACHE_GIB * ROOM_TO_SPARE) << 30),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_JOB_STOP_WAIT_TIME_S": str(SECONDS_TO_SAVE),
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": str(SECONDS_TO_SAVE),
        "AWS_REGION": settings.region,
        # object stores other than AWS refuse the checksums that newer SDKs add unasked
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }
    if settings.endpoint:
        # off AWS there is no service to ask for credentials, and asking takes seconds
        plain |= {"AWS_ENDPOINT_URL": settings.endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
    return [{"name": name, "value": value} for name, value in plain.items()] + [
        {"name": name, "valueFrom": secret(S3_SECRET, name)} for name in KEYS
    ]


def secret(name: str, key: str) -> Document:
    """A reference to one key of a Secret that the cluster's owner makes."""
    return {"secretKeyRef": {"name": name, "key": key}}
