"""The store of what Ray's head knows: Valkey, the continuation of Redis under a free licence, in one pod."""

from pointlab.kuberay.documents import Document
from pointlab.kuberay.environment import secret
from pointlab.kuberay.pods import CONTAINER_SECURITY, resources
from pointlab.kuberay.services import claim, deployment, service

NAME = "redis"
PORT = 6379
ADDRESS = f"{NAME}:{PORT}"
REDIS_SECRET = "pointlab-redis"
PASSWORD_KEY = "password"
IMAGE = "valkey/valkey:8.1.11-alpine"
DISK = "2Gi"
"""A cluster's state takes megabytes; its log of changes is rewritten at twice its size."""


def redis() -> list[Document]:
    """The claim, the deployment and the service."""
    return [claim(NAME, DISK), deployment(NAME, _pod()), service(NAME, PORT)]


def _pod() -> Document:
    probe = {"tcpSocket": {"port": NAME}, "periodSeconds": 10}
    return {
        "automountServiceAccountToken": False,
        "containers": [
            {
                "name": NAME,
                "image": IMAGE,
                "args": ["--requirepass", "$(REDIS_PASSWORD)", "--appendonly", "yes", "--dir", "/data"],
                "env": [{"name": "REDIS_PASSWORD", "valueFrom": secret(REDIS_SECRET, PASSWORD_KEY)}],
                "ports": [{"name": NAME, "containerPort": PORT}],
                "readinessProbe": probe,
                "livenessProbe": {**probe, "initialDelaySeconds": 30, "failureThreshold": 6},
                "resources": resources("500m", "1Gi"),
                "securityContext": CONTAINER_SECURITY,
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }
        ],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": NAME}}],
    }
