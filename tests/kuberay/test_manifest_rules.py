"""Every rule that the schemas lack finds what breaks it, and nothing in a manifest that keeps it."""

import copy
from pathlib import Path
from typing import Any

import pytest

from pointlab.experiment import load
from pointlab.kuberay import ManifestError, ManifestSettings, ray_job, require_sound, violations
from pointlab.kuberay.cluster import ray_cluster
from pointlab.kuberay.object_store import object_store
from pointlab.kuberay.rules_of_pods import is_quantity

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SETTINGS = ManifestSettings()
GONE = object()
HEAD = "spec.rayClusterSpec.headGroupSpec"
WORKERS = "spec.rayClusterSpec.workerGroupSpecs.0"
CLUSTER = "spec.rayClusterSpec"
CONTAINER = f"{WORKERS}.template.spec.containers.0"
HEAD_VARIABLES = f"{HEAD}.template.spec.containers.0.env.0"
IN_REDIS = {f"{CLUSTER}.gcsFaultToleranceOptions": {"redisAddress": "redis:6379"}}


@pytest.fixture(scope="module")
def job() -> list[dict[str, Any]]:
    experiment = load(CONFIGS / "demo" / "pretrain.yaml", ["storage.root=s3://bucket/runs"])
    return ray_job(experiment, SETTINGS)


def with_changes(documents: list[dict[str, Any]], changes: dict[str, Any]) -> list[dict[str, Any]]:
    """Copies, with other values at dotted paths of the last document; GONE takes one away."""
    found = copy.deepcopy(documents)
    for path, value in changes.items():
        *parents, last = path.split(".")
        part: Any = found[-1]
        for key in parents:
            part = part[int(key)] if isinstance(part, list) else part.setdefault(key, {})
        if value is GONE:
            del part[last]
        elif isinstance(part, list):
            part[int(last)] = value
        else:
            part[last] = value
    return found


def test_a_sound_job_breaks_no_rule(job: list[dict[str, Any]]) -> None:
    assert violations(job) == []
    require_sound(job)


OF_JOBS = {
    "mode": ({"spec.submissionMode": "sidecar"}, "submissionMode is 'sidecar'"),
    "no cluster": ({CLUSTER: GONE}, "neither rayClusterSpec nor clusterSelector"),
    "two clusters": ({"spec.clusterSelector": {"ray.io/cluster": "c"}}, "both set"),
    "selector and backoff": ({"spec.clusterSelector": {"ray.io/cluster": "c"}}, "backoffLimit makes new"),
    "selector without a name": ({"spec.clusterSelector": {"app": "c"}}, "clusterSelector names no cluster"),
    "selector and suspend": (
        {"spec.clusterSelector": {"ray.io/cluster": "c"}, "spec.suspend": True},
        "clusterSelector cannot be suspended",
    ),
    "selector and sidecar": (
        {"spec.clusterSelector": {"ray.io/cluster": "c"}, "spec.submissionMode": "SidecarMode"},
        "not clusterSelector",
    ),
    "sidecar and submitter": ({"spec.submissionMode": "SidecarMode"}, "no use for submitterPodTemplate"),
    "sidecar and submitter's settings": (
        {"spec.submissionMode": "SidecarMode", "spec.submitterConfig": {"backoffLimit": 1}},
        "no use for submitterConfig",
    ),
    "sidecar and restarts": (
        {"spec.submissionMode": "SidecarMode", f"{HEAD}.template.spec.restartPolicy": "Always"},
        "submissionMode SidecarMode wants Never",
    ),
    "interactive and backoff": ({"spec.submissionMode": "InteractiveMode"}, "cannot have a backoffLimit"),
    "kept without an end": ({"spec.shutdownAfterJobFinishes": False}, "needs shutdownAfterJobFinishes"),
    "suspended without an end": (
        {"spec.shutdownAfterJobFinishes": False, "spec.suspend": True, "spec.ttlSecondsAfterFinished": 0},
        "suspended only with shutdownAfterJobFinishes",
    ),
    "negative backoff": ({"spec.backoffLimit": -1}, "backoffLimit is -1"),
    "negative seconds": ({"spec.ttlSecondsAfterFinished": -1}, "ttlSecondsAfterFinished is -1"),
    "no time": ({"spec.activeDeadlineSeconds": 0}, "activeDeadlineSeconds is 0"),
    "no time to start": ({"spec.preRunningDeadlineSeconds": 0}, "preRunningDeadlineSeconds is 0"),
    "two ways to delete": (
        {"spec.deletionStrategy": {"deletionRules": [{}]}},
        "deletionRules and shutdownAfterJobFinishes exclude",
    ),
    "old and new way to delete": (
        {"spec.deletionStrategy": {"deletionRules": [{}], "onSuccess": {}}},
        "deletionRules and onSuccess",
    ),
    "half a way to delete": ({"spec.deletionStrategy": {"onSuccess": {}}}, "both onSuccess and onFailure"),
    "environment": ({"spec.runtimeEnvYAML": "a: [1"}, "runtimeEnvYAML is not YAML"),
    "environment of one word": ({"spec.runtimeEnvYAML": "text"}, "runtimeEnvYAML holds str"),
}
OF_CLUSTERS = {
    "no container": ({f"{WORKERS}.template.spec.containers": []}, "group cpu has no container"),
    "resources twice": ({f"{HEAD}.resources": {"CPU": "1"}}, "group head sets num-cpus in rayStartParams"),
    "labels": ({f"{WORKERS}.rayStartParams": {"labels": "a=b"}}, "sets labels in rayStartParams"),
    "replicas": ({f"{WORKERS}.minReplicas": 9}, "minReplicas 9 above maxReplicas 1"),
    "negative replicas": ({f"{WORKERS}.minReplicas": -1}, "has minReplicas -1"),
    "no bounds": (
        {f"{CLUSTER}.enableInTreeAutoscaling": False, f"{WORKERS}.maxReplicas": GONE},
        "needs minReplicas and maxReplicas",
    ),
    "idle time": ({f"{CLUSTER}.autoscalerOptions.idleTimeoutSeconds": -1}, "idleTimeoutSeconds is -1"),
    "negative idle time of a group": ({f"{WORKERS}.idleTimeoutSeconds": -5}, "has idleTimeoutSeconds -5"),
    "idle time of a group": (
        {f"{CLUSTER}.autoscalerOptions.version": "v1", f"{WORKERS}.idleTimeoutSeconds": 5},
        "idleTimeoutSeconds, which autoscaler v2 alone reads",
    ),
    "priority": (
        {f"{CLUSTER}.autoscalerOptions.version": "v1", f"{WORKERS}.priority": 5},
        "a priority, which autoscaler v2 alone reads",
    ),
    "priority in an older Ray": (
        {f"{CLUSTER}.rayVersion": "2.55.1", f"{WORKERS}.priority": 5},
        "the priority of group cpu needs rayVersion 2.56.0",
    ),
    "restarts": ({f"{WORKERS}.template.spec.restartPolicy": "Always"}, "autoscaler v2 wants Never"),
    "autoscaler by variable": (
        {HEAD_VARIABLES: {"name": "RAY_enable_autoscaler_v2", "value": "1"}},
        "beside autoscalerOptions.version",
    ),
    "autoscaler by variable alone": (
        {
            HEAD_VARIABLES: {"name": "RAY_enable_autoscaler_v2", "value": "true"},
            f"{CLUSTER}.enableInTreeAutoscaling": False,
        },
        "without enableInTreeAutoscaling",
    ),
    "autoscaler's command": (
        {f"{CLUSTER}.autoscalerOptions.env": [{"name": "KUBERAY_GEN_AUTOSCALER_START_CMD", "value": "x"}]},
        "which is the operator's",
    ),
    "suspended group": ({f"{WORKERS}.suspend": True}, "group cpu is suspended"),
    "Redis by annotation": (
        {**IN_REDIS, "metadata.annotations": {"ray.io/ft-enabled": "true"}},
        "the annotation ray.io/ft-enabled",
    ),
    "namespace in Redis by annotation": (
        {**IN_REDIS, "metadata.annotations": {"ray.io/external-storage-namespace": "x"}},
        "the annotation ray.io/external-storage-namespace",
    ),
    "Redis by variable": (
        {**IN_REDIS, HEAD_VARIABLES: {"name": "RAY_REDIS_ADDRESS", "value": "r:1"}},
        "RAY_REDIS_ADDRESS beside gcsFaultToleranceOptions",
    ),
    "Redis by variable alone": (
        {HEAD_VARIABLES: {"name": "RAY_REDIS_ADDRESS", "value": "r:1"}},
        "RAY_REDIS_ADDRESS: use gcsFaultToleranceOptions",
    ),
    "password of Redis by variable": (
        {**IN_REDIS, HEAD_VARIABLES: {"name": "REDIS_PASSWORD", "valueFrom": {}}},
        "REDIS_PASSWORD beside gcsFaultToleranceOptions",
    ),
    "password of Redis as parameter": (
        {**IN_REDIS, f"{HEAD}.rayStartParams": {"redis-password": "x"}},
        "rayStartParams has redis-password",
    ),
    "user of Redis": ({f"{HEAD}.rayStartParams": {"redis-username": "x"}}, "sets a user of Redis"),
    "RocksDB": (
        {f"{CLUSTER}.gcsFaultToleranceOptions": {"backend": "rocksdb"}},
        "rocksdb needs an alpha feature",
    ),
    "disk for Redis": ({f"{CLUSTER}.gcsFaultToleranceOptions.storage": {}}, "is for the backend rocksdb"),
    "older Ray": ({f"{CLUSTER}.rayVersion": "2.51.0"}, "authOptions needs rayVersion 2.52.0"),
    "no version of Ray": ({f"{CLUSTER}.rayVersion": GONE}, "it is None"),
    "tokens of Kubernetes": (
        {f"{CLUSTER}.authOptions.enableK8sTokenAuth": True},
        "enableK8sTokenAuth is not for a RayJob",
    ),
    "tokens of Kubernetes without mode": (
        {f"{CLUSTER}.authOptions": {"enableK8sTokenAuth": True}},
        "enableK8sTokenAuth needs mode token",
    ),
    "two tokens": (
        {f"{CLUSTER}.authOptions": {"mode": "token", "enableK8sTokenAuth": True, "secretName": "x"}},
        "enableK8sTokenAuth and secretName",
    ),
    "alpha policy": ({f"{CLUSTER}.networkPolicy": {}}, "networkPolicy needs an alpha feature"),
    "alpha encryption": ({f"{CLUSTER}.tlsOptions": {}}, "tlsOptions needs an alpha feature"),
    "alpha history": ({f"{CLUSTER}.historyServerOptions": {}}, "historyServerOptions needs an alpha feature"),
    "upgrade": ({f"{CLUSTER}.upgradeStrategy": {"type": "Recreate"}}, "not for the cluster of a RayJob"),
}
OF_PODS = {
    "tag that moves": ({f"{CONTAINER}.image": "pointlab:latest"}, "expected a version tag"),
    "no tag": ({f"{CONTAINER}.image": "registry.example.org:5000/pointlab"}, "expected a version tag"),
    "digest": ({f"{CONTAINER}.image": "pointlab:0.1.0@sha256:12"}, "has the digest sha256:12"),
    "rights": ({f"{CONTAINER}.securityContext.allowPrivilegeEscalation": True}, "may gain rights"),
    "privileged": ({f"{CONTAINER}.securityContext.privileged": True}, "may gain rights"),
    "writable image": (
        {f"{CONTAINER}.securityContext.readOnlyRootFilesystem": False},
        "can write to its image",
    ),
    "capabilities": ({f"{CONTAINER}.securityContext.capabilities": {}}, "keeps capabilities"),
    "requests below limits": ({f"{CONTAINER}.resources.requests": {"cpu": "1"}}, "expected both alike"),
    "no requests": ({f"{CONTAINER}.resources": {}}, "expected both alike"),
    "amount": (
        {f"{CONTAINER}.resources": {"requests": {"cpu": "8 cores"}, "limits": {"cpu": "8 cores"}}},
        "'8 cores' of cpu",
    ),
    "secret": (
        {f"{CONTAINER}.env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": "x"}]},
        "AWS_SECRET_ACCESS_KEY written out",
    ),
    "root": ({f"{WORKERS}.template.spec.securityContext.runAsNonRoot": False}, "may run as root"),
    "user 0": ({"spec.submitterPodTemplate.spec.securityContext.runAsUser": 0}, "submitter: may run as root"),
    "calls": ({f"{HEAD}.template.spec.securityContext.seccompProfile": {}}, "seccompProfile RuntimeDefault"),
    "volume that is not there": ({f"{WORKERS}.template.spec.volumes.0.name": "x"}, "called scratch"),
    "volume for nothing": ({f"{WORKERS}.template.spec.volumes.0.name": "x"}, "volume x is mounted nowhere"),
    "size": (
        {f"{WORKERS}.template.spec.volumes.1.emptyDir.sizeLimit": "4 GB"},
        "the volume shared-memory has the size '4 GB'",
    ),
}
OF_NAMES = {
    "capitals": ({"metadata.name": "Pretrain"}, "expected a name of lower-case letters"),
    "digit first": ({"metadata.name": "1-pretrain"}, "expected a name of lower-case letters"),
    "length": ({"metadata.name": "a" * 48}, "48 characters: expected 47"),
    "secret": (
        {
            f"{HEAD_VARIABLES}": {
                "name": "A",
                "valueFrom": {"secretKeyRef": {"name": "pointlab-s3", "key": "B"}},
            }
        },
        "the key B of the Secret pointlab-s3",
    ),
    "config map": (
        {f"{HEAD}.template.spec.volumes.3.configMap.name": "another"},
        "there is no ConfigMap another",
    ),
}
ALL = {
    f"{group}: {name}": case
    for group, cases in {"job": OF_JOBS, "cluster": OF_CLUSTERS, "pod": OF_PODS, "name": OF_NAMES}.items()
    for name, case in cases.items()
}


@pytest.mark.parametrize(("changes", "said"), ALL.values(), ids=ALL)
def test_what_breaks_a_rule_is_named(job: list[dict[str, Any]], changes: dict[str, Any], said: str) -> None:
    found = violations(with_changes(job, changes))
    assert any(said in fault for fault in found), found
    assert not any(said in fault for fault in violations(job))


def test_every_fault_is_told_at_once(job: list[dict[str, Any]]) -> None:
    broken = with_changes(job, {"spec.backoffLimit": -1, f"{CONTAINER}.image": "pointlab:latest"})
    with pytest.raises(ManifestError) as error:
        require_sound(broken)
    assert "2 fault(s)" in str(error.value)
    assert "backoffLimit" in str(error.value)
    assert "pointlab:latest" in str(error.value)


def test_rules_of_a_cluster_hold_without_a_job_too() -> None:
    standing = [ray_cluster("pointlab", SETTINGS)]
    assert violations(standing) == []
    assert violations(with_changes(standing, {"metadata.name": "c" * 54}))
    assert violations(with_changes(standing, {"spec.upgradeStrategy": {"type": "NewCluster"}}))
    assert not violations(with_changes(standing, {"spec.upgradeStrategy": {"type": "Recreate"}}))


@pytest.mark.parametrize(
    ("place", "changes", "said"),
    [
        (0, {"metadata.name": "other"}, "there is no PersistentVolumeClaim object-store"),
        (1, {"spec.template.metadata.labels": {}}, "selects pods with pointlab/role: object-store"),
        (1, {"spec.template.spec.containers.0.ports": []}, "leads to the port object-store"),
        (2, {"spec.selector": {"app": "x"}}, "Service object-store selects no pod"),
        (2, {"metadata.name": "object_store"}, "expected a name of lower-case letters"),
    ],
)
def test_a_service_finds_what_it_names(place: int, changes: dict[str, Any], said: str) -> None:
    store = object_store()
    assert violations(store) == []
    [changed] = with_changes([store[place]], changes)
    found = violations([*store[:place], changed, *store[place + 1 :]])
    assert any(said in fault for fault in found), found


def test_a_policy_for_nobody_and_a_name_used_twice_are_found() -> None:
    store = object_store()
    policy = {"podSelector": {"matchLabels": {"pointlab/role": "nobody"}}}
    nobody = {"apiVersion": "v1", "kind": "NetworkPolicy", "metadata": {"name": "p"}, "spec": policy}
    assert violations([*store, nobody]) == ["NetworkPolicy p selects no pod: {'pointlab/role': 'nobody'}"]
    assert violations([*store, store[0]]) == ["PersistentVolumeClaim object-store is there twice"]


@pytest.mark.parametrize("text", ["500m", "1", "1.5", ".5", "4Gi", "2e3", "100k", "0"])
def test_an_amount_that_kubernetes_reads_is_one(text: str) -> None:
    assert is_quantity(text)


@pytest.mark.parametrize("text", ["", "4GB", "4 Gi", "4gi", "Gi", "1.2.3", "500M m", "four"])
def test_an_amount_that_kubernetes_does_not_read_is_none(text: str) -> None:
    assert not is_quantity(text)
