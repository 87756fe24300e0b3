"""Rules of the operator for a Ray cluster that its schema lacks, in a RayCluster or within a RayJob.

Source: KubeRay v1.7.0, ray-operator/controllers/ray/utils/validation.go, with its feature gates as they are
by default. What needs an alpha gate is refused.
"""

import re
from collections.abc import Callable, Iterator

from pointlab.kuberay.documents import Document
from pointlab.kuberay.parts import cluster_of, environment_of, first_container, groups_of, workers_of

VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")
TOKENS_SINCE, KUBERNETES_TOKENS_SINCE, PRIORITIES_SINCE = (2, 52, 0), (2, 55, 0), (2, 56, 0)
COUNTED = ("num-cpus", "num-gpus", "memory", "resources")
OLD_ANNOTATIONS = ("ray.io/ft-enabled", "ray.io/external-storage-namespace")
ALPHA = ("networkPolicy", "tlsOptions", "historyServerOptions")
AUTOSCALER_VARIABLE = "RAY_enable_autoscaler_v2"
GENERATED_COMMAND = "KUBERAY_GEN_AUTOSCALER_START_CMD"


def _has_containers(cluster: Document, _: Document) -> Iterator[str]:
    for name, group in groups_of(cluster):
        if not first_container(group):
            yield f"group {name} has no container: expected one at least, Ray's first"


def _counts_resources_once(cluster: Document, _: Document) -> Iterator[str]:
    for name, group in groups_of(cluster):
        counted = [key for key in COUNTED if (group.get("rayStartParams") or {}).get(key)]
        if counted and group.get("resources"):
            yield f"group {name} sets {', '.join(counted)} in rayStartParams and also resources: use one"


def _labels_at_the_top(cluster: Document, _: Document) -> Iterator[str]:
    for name, group in groups_of(cluster):
        if "labels" in (group.get("rayStartParams") or {}):
            yield f"group {name} sets labels in rayStartParams: use the group's own labels"


def _replicas_fit(cluster: Document, _: Document) -> Iterator[str]:
    for name, group in workers_of(cluster):
        fewest, most = group.get("minReplicas"), group.get("maxReplicas")
        if not scales(cluster) and (fewest is None or most is None):
            yield f"group {name} needs minReplicas and maxReplicas, as nothing scales it"
        for field, value in (("minReplicas", fewest), ("maxReplicas", most)):
            if value is not None and value < 0:
                yield f"group {name} has {field} {value}: expected 0 or more"
        if fewest is not None and most is not None and fewest > most:
            yield f"group {name} has minReplicas {fewest} above maxReplicas {most}"


def _idle_times_fit(cluster: Document, _: Document) -> Iterator[str]:
    idle = (cluster.get("autoscalerOptions") or {}).get("idleTimeoutSeconds")
    if idle is not None and idle < 0:
        yield f"autoscalerOptions.idleTimeoutSeconds is {idle}: expected 0 or more"
    for name, group in workers_of(cluster):
        idle = group.get("idleTimeoutSeconds")
        if idle is not None and idle < 0:
            yield f"group {name} has idleTimeoutSeconds {idle}: expected 0 or more"
        if idle is not None and not scales_by_v2(cluster):
            yield f"group {name} has idleTimeoutSeconds, which autoscaler v2 alone reads"


def _priorities_fit(cluster: Document, _: Document) -> Iterator[str]:
    for name, group in workers_of(cluster):
        if not group.get("priority"):
            continue
        if not scales_by_v2(cluster):
            yield f"group {name} has a priority, which autoscaler v2 alone reads"
        yield from _since(cluster, PRIORITIES_SINCE, f"the priority of group {name}")


def _pods_are_replaced_not_restarted(cluster: Document, _: Document) -> Iterator[str]:
    for name, group in groups_of(cluster):
        policy = ((group.get("template") or {}).get("spec") or {}).get("restartPolicy")
        if scales_by_v2(cluster) and policy not in (None, "", "Never"):
            yield f"group {name} has restartPolicy {policy}: autoscaler v2 wants Never, or none"


def _autoscaler_is_said_once(cluster: Document, _: Document) -> Iterator[str]:
    options = cluster.get("autoscalerOptions") or {}
    given = environment_of(first_container(cluster.get("headGroupSpec") or {}))
    if AUTOSCALER_VARIABLE in given and not scales(cluster) and given[AUTOSCALER_VARIABLE] in ("1", "true"):
        yield f"the head sets {AUTOSCALER_VARIABLE} without enableInTreeAutoscaling"
    if AUTOSCALER_VARIABLE in given and scales(cluster) and options.get("version"):
        yield f"the head sets {AUTOSCALER_VARIABLE} beside autoscalerOptions.version: use the latter"
    if GENERATED_COMMAND in environment_of(options):
        yield f"autoscalerOptions.env sets {GENERATED_COMMAND}, which is the operator's"


def _nothing_scaled_is_suspended(cluster: Document, _: Document) -> Iterator[str]:
    for name, group in workers_of(cluster):
        if group.get("suspend") and scales(cluster):
            yield f"group {name} is suspended, which an autoscaled one cannot be"


def _fault_tolerance_is_said_once(cluster: Document, whole: Document) -> Iterator[str]:
    options, head = cluster.get("gcsFaultToleranceOptions"), cluster.get("headGroupSpec") or {}
    given, parameters = environment_of(first_container(head)), head.get("rayStartParams") or {}
    annotations = whole["metadata"].get("annotations") or {}
    if "redis-username" in parameters or "REDIS_USERNAME" in given:
        yield "the head sets a user of Redis: use gcsFaultToleranceOptions.redisUsername"
    if options is None:
        if "RAY_REDIS_ADDRESS" in given and annotations.get(OLD_ANNOTATIONS[0]) != "true":
            yield "the head sets RAY_REDIS_ADDRESS: use gcsFaultToleranceOptions"
        return
    for name in OLD_ANNOTATIONS:
        if annotations.get(name):
            yield f"the annotation {name} stands beside gcsFaultToleranceOptions: use the latter"
    for name in ("REDIS_PASSWORD", "RAY_REDIS_ADDRESS"):
        if name in given:
            yield f"the head sets {name} beside gcsFaultToleranceOptions: use the latter"
    if parameters.get("redis-password"):
        yield "rayStartParams has redis-password: use gcsFaultToleranceOptions.redisPassword"


def _state_is_kept_in_redis(cluster: Document, _: Document) -> Iterator[str]:
    options = cluster.get("gcsFaultToleranceOptions") or {}
    if options.get("backend") == "rocksdb":
        yield "gcsFaultToleranceOptions.backend rocksdb needs an alpha feature of the operator: use redis"
    elif "storage" in options:
        yield "gcsFaultToleranceOptions.storage is for the backend rocksdb alone"


def _tokens_fit(cluster: Document, whole: Document) -> Iterator[str]:
    options = cluster.get("authOptions") or {}
    with_kubernetes = bool(options.get("enableK8sTokenAuth"))
    if options.get("mode") == "token":
        since = KUBERNETES_TOKENS_SINCE if with_kubernetes else TOKENS_SINCE
        yield from _since(cluster, since, "authOptions")
    elif with_kubernetes:
        yield "authOptions.enableK8sTokenAuth needs mode token"
    if with_kubernetes and options.get("secretName"):
        yield "authOptions has enableK8sTokenAuth and secretName: use one"
    if with_kubernetes and whole["kind"] == "RayJob":
        yield "authOptions.enableK8sTokenAuth is not for a RayJob"


def _nothing_is_alpha(cluster: Document, _: Document) -> Iterator[str]:
    for name in ALPHA:
        if name in cluster:
            yield f"{name} needs an alpha feature of the operator, which is off"


def _upgrades_fit(cluster: Document, whole: Document) -> Iterator[str]:
    kind = (cluster.get("upgradeStrategy") or {}).get("type")
    if kind is not None and whole["kind"] == "RayJob":
        yield "upgradeStrategy is not for the cluster of a RayJob"
    elif kind not in (None, "Recreate", "None"):
        yield f"upgradeStrategy.type is {kind}: expected Recreate or None"


def _since(cluster: Document, since: tuple[int, int, int], what: str) -> Iterator[str]:
    found = VERSION.match(str(cluster.get("rayVersion", "")))
    version = tuple(int(part or 0) for part in found.groups()) if found else None
    if version is None or version < since:
        needed = ".".join(map(str, since))
        yield f"{what} needs rayVersion {needed} or newer, and it is {cluster.get('rayVersion')!r}"


def scales(cluster: Document) -> bool:
    """Whether the autoscaler is on."""
    return bool(cluster.get("enableInTreeAutoscaling"))


def scales_by_v2(cluster: Document) -> bool:
    """Whether it is that of version 2."""
    return scales(cluster) and (cluster.get("autoscalerOptions") or {}).get("version") == "v2"


def _of_any(rule: Callable[[Document, Document], Iterator[str]]) -> Callable[[Document], Iterator[str]]:
    """The rule for documents with a cluster; silent on all others."""

    def applied(document: Document) -> Iterator[str]:
        cluster = cluster_of(document)
        return iter(()) if cluster is None else rule(cluster, document)

    return applied


RULES = tuple(
    _of_any(rule)
    for rule in (
        _has_containers,
        _counts_resources_once,
        _labels_at_the_top,
        _replicas_fit,
        _idle_times_fit,
        _priorities_fit,
        _pods_are_replaced_not_restarted,
        _autoscaler_is_said_once,
        _nothing_scaled_is_suspended,
        _fault_tolerance_is_said_once,
        _state_is_kept_in_redis,
        _tokens_fit,
        _nothing_is_alpha,
        _upgrades_fit,
    )
)
