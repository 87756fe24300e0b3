"""The Ray cluster: a head without work of its own, one group of workers that grows and shrinks.

Token authentication is on; the operator makes the token, as a Secret with the cluster's name. What the head
of the cluster that stays knows is kept in Redis, so that a new head finds the workers of the one before. That
of a job is not: where its head is lost, the operator makes a new cluster all the same.
"""

from pointlab.kuberay.documents import Document, document
from pointlab.kuberay.environment import secret
from pointlab.kuberay.pods import CONTAINER_SECURITY, SCRATCH, ray_pod, resources
from pointlab.kuberay.redis import ADDRESS, PASSWORD_KEY, REDIS_SECRET
from pointlab.kuberay.settings import RAY_VERSION, ManifestSettings, NodeShape
from pointlab.kuberay.sizing import Size

HEAD = NodeShape(cpus=3, memory=11, gpus=0)
"""For the control store, the dashboard and the drivers of jobs, which gather what workers found. With the
autoscaler beside it, a machine of 4 CPUs and 16 GiB holds it."""
IDLE_SECONDS = 300
"""Before a worker pod that nobody uses is given back: between two experiments of a study there are fewer."""
METRICS: Document = {"name": "metrics", "containerPort": 8080}
"""Of every node; Prometheus finds it by its name."""
PORTS: list[Document] = [
    {"name": "gcs-server", "containerPort": 6379},
    {"name": "dashboard", "containerPort": 8265},
    METRICS,
]
STANDING = Size(1, 4, NodeShape(gpus=1))
"""The cluster to which jobs are submitted: one worker stays, as a search or study without any is refused."""

IN_REDIS: Document = {
    "redisAddress": ADDRESS,
    "redisPassword": {"valueFrom": secret(REDIS_SECRET, PASSWORD_KEY)},
}


def ray_cluster(name: str, settings: ManifestSettings, size: Size = STANDING) -> Document:
    """The cluster that stays, for `pointlab submit` and interactive work."""
    spec = {"gcsFaultToleranceOptions": IN_REDIS, **cluster_spec(settings, size)}
    return document("ray.io/v1", "RayCluster", name, spec=spec)


def cluster_spec(settings: ManifestSettings, size: Size, config_map: str | None = None) -> Document:
    """As a RayCluster and a RayJob take it."""
    return {
        "rayVersion": RAY_VERSION,
        "authOptions": {"mode": "token"},
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {
            "version": "v2",
            "idleTimeoutSeconds": IDLE_SECONDS,
            "resources": resources("500m", "1Gi"),
            "securityContext": CONTAINER_SECURITY,
            "volumeMounts": [SCRATCH],
        },
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": "0"},
            "template": ray_pod("ray-head", HEAD, settings, config_map, ports=PORTS),
        },
        "workerGroupSpecs": [_workers(settings, size, config_map)],
    }


def _workers(settings: ManifestSettings, size: Size, config_map: str | None) -> Document:
    """Ray counts the CPUs, GPUs and memory that the operator reads from the container's limits."""
    pod = ray_pod("ray-worker", size.node, settings, config_map, ports=[METRICS])
    pod["spec"]["automountServiceAccountToken"] = False  # only the head's autoscaler speaks to Kubernetes
    return {
        "groupName": "gpu" if size.node.gpus else "cpu",
        "replicas": size.fewest,
        "minReplicas": size.fewest,
        "maxReplicas": size.most,
        "rayStartParams": {},
        "template": pod,
    }
