"""An experiment as a RayJob: its config in a ConfigMap, a cluster of the size that it asks for, one command.

What a cluster may lose is made good where it is cheapest: a worker by the run itself, from its newest
checkpoint; the head, and with it the command, by a new cluster on which the same command goes on with the
run. As long as the ConfigMap says the same, it is the same run.
"""

import hashlib
import re

from pointlab.config import dump
from pointlab.errors import ConfigError
from pointlab.experiment import Experiment, PrepareExperiment
from pointlab.kuberay.cluster import cluster_spec
from pointlab.kuberay.documents import Document, document
from pointlab.kuberay.folders import require_mounted
from pointlab.kuberay.pods import CONTAINER_SECURITY, POD_SECURITY, RAY_ROLE, SCRATCH, resources, template
from pointlab.kuberay.settings import ManifestSettings
from pointlab.kuberay.sizing import Size, size_of

FILE = "experiment.yaml"
LONGEST_NAME = 47
"""The operator adds to it, and services have names of 63 characters at most."""
SECONDS_KEPT = 3600
"""For which the pods of a finished job stay, and their logs with them."""
SECONDS_TO_START = 3600
"""Within which the cluster must stand: clouds take minutes for a node, and GPUs may have to be waited for."""
LARGEST_CONFIG = 250_000
"""Bytes; `kubectl apply` notes the whole ConfigMap in an annotation, and those may have 256 KiB together."""


def ray_job(experiment: Experiment, settings: ManifestSettings) -> list[Document]:
    """The ConfigMap and the RayJob.

    ConfigError where results would be kept in a pod or the config is too long, ResourceError where a worker
    does not fit on a node.
    """
    _require_shared(experiment.storage.root)
    require_mounted(experiment, settings)
    name, config = name_of(experiment), dump(experiment)
    if len(config.encode()) > LARGEST_CONFIG:
        raise ConfigError(
            f"The resolved config has {len(config.encode()):,} bytes.",
            expected=f"at most {LARGEST_CONFIG:,}, which `kubectl apply` takes",
            remedy="split the study, or put the file into the image",
        )
    size = size_of(experiment, settings.node)
    return [
        document("v1", "ConfigMap", name, data={FILE: config}),
        document("ray.io/v1", "RayJob", name, spec=_spec(experiment, name, settings, size)),
    ]


def name_of(experiment: Experiment) -> str:
    """Of both objects, as DNS labels are: the kind and the experiment's own name, shortened if need be."""
    own = experiment.data.name if isinstance(experiment, PrepareExperiment) else experiment.name
    name = re.sub(r"[^a-z0-9]+", "-", f"{experiment.kind}-{own}").strip("-")
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{name[: LONGEST_NAME - len(digest) - 1].rstrip('-')}-{digest}"


def _spec(experiment: Experiment, name: str, settings: ManifestSettings, size: Size) -> Document:
    return {
        "entrypoint": f"pointlab run /etc/pointlab/{FILE}",
        **_place_of_command(experiment, size),
        "submissionMode": "K8sJobMode",
        "backoffLimit": experiment.launch.max_failures,
        "preRunningDeadlineSeconds": SECONDS_TO_START,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": SECONDS_KEPT,
        "rayClusterSpec": cluster_spec(settings, size, name),
        "submitterPodTemplate": _submitter(settings),
    }


def _place_of_command(experiment: Experiment, size: Size) -> Document:
    """An experiment of one process has a worker's node to itself; others work from the head, which stays."""
    if experiment.launch.kind != "local":
        return {}
    gpus = {"entrypointNumGpus": size.node.gpus} if size.node.gpus else {}
    return {"entrypointNumCpus": size.node.cpus, **gpus}


def _submitter(settings: ManifestSettings) -> Document:
    """The pod that sends the command and follows its log; the operator says with what."""
    pod = {
        "securityContext": POD_SECURITY,
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
        "containers": [
            {
                "name": "ray-job-submitter",
                "image": settings.reference,
                "imagePullPolicy": "IfNotPresent",
                "env": [{"name": "HOME", "value": "/tmp"}],
                "resources": resources("500m", "1Gi"),
                "securityContext": CONTAINER_SECURITY,
                "volumeMounts": [SCRATCH],
            }
        ],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    return template(RAY_ROLE, pod)


def _require_shared(root: str) -> None:
    """ConfigError for a folder, which would be one pod's and vanish with it."""
    if root.startswith("s3://"):
        return
    raise ConfigError(
        f"storage.root is {root!r}, a folder of the pod, which vanishes with it.",
        expected="s3://bucket/prefix, which every node reaches",
        remedy="give one with --root",
    )
