"""Rules of the operator for a RayJob that its schema lacks; those of its cluster are with the clusters'.

Source: KubeRay v1.7.0, ray-operator/controllers/ray/utils/validation.go.
"""

from collections.abc import Callable, Iterator

import yaml

from pointlab.kuberay.documents import Document

MODES = ("K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode")
SELECTOR_KEY = "ray.io/cluster"


def _mode_is_known(spec: Document) -> Iterator[str]:
    mode = spec.get("submissionMode", MODES[0])
    if mode not in MODES:
        yield f"submissionMode is {mode!r}: expected one of {', '.join(MODES)}"


def _has_one_cluster(spec: Document) -> Iterator[str]:
    selector = spec.get("clusterSelector")
    if not selector and "rayClusterSpec" not in spec:
        yield "neither rayClusterSpec nor clusterSelector is set: expected one"
    if not selector:
        return
    if "rayClusterSpec" in spec:
        yield "rayClusterSpec and clusterSelector are both set: the former would be without effect"
    if not selector.get(SELECTOR_KEY):
        yield f"clusterSelector names no cluster: set {SELECTOR_KEY}"
    if spec.get("suspend"):
        yield "a job with clusterSelector cannot be suspended"
    if spec.get("backoffLimit"):
        yield "backoffLimit makes new clusters, which clusterSelector forbids"
    if spec.get("submissionMode") == "SidecarMode":
        yield "submissionMode SidecarMode needs a cluster of the job's own, not clusterSelector"


def _sidecar_stands_alone(spec: Document) -> Iterator[str]:
    if spec.get("submissionMode") != "SidecarMode":
        return
    for name in ("submitterPodTemplate", "submitterConfig"):
        if name in spec:
            yield f"submissionMode SidecarMode has no use for {name}"
    head = (spec.get("rayClusterSpec") or {}).get("headGroupSpec") or {}
    policy = ((head.get("template") or {}).get("spec") or {}).get("restartPolicy")
    if policy not in (None, "", "Never"):
        yield f"the head has restartPolicy {policy}: submissionMode SidecarMode wants Never, or none"


def _interactive_is_not_repeated(spec: Document) -> Iterator[str]:
    if spec.get("submissionMode") == "InteractiveMode" and spec.get("backoffLimit"):
        yield "submissionMode InteractiveMode cannot have a backoffLimit"


def _ends_as_told(spec: Document) -> Iterator[str]:
    if spec.get("ttlSecondsAfterFinished", 0) and not spec.get("shutdownAfterJobFinishes"):
        yield "ttlSecondsAfterFinished needs shutdownAfterJobFinishes"
    if spec.get("suspend") and not spec.get("shutdownAfterJobFinishes"):
        yield "a job can be suspended only with shutdownAfterJobFinishes"


def _numbers_are_in_range(spec: Document) -> Iterator[str]:
    for name, least in {
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": 0,
        "activeDeadlineSeconds": 1,
        "preRunningDeadlineSeconds": 1,
    }.items():
        if name in spec and spec[name] < least:
            yield f"{name} is {spec[name]}: expected {least} or more"


def _is_deleted_by_one_rule(spec: Document) -> Iterator[str]:
    strategy = spec.get("deletionStrategy")
    if strategy is None:
        return
    old = [name for name in ("onSuccess", "onFailure") if name in strategy]
    if strategy.get("deletionRules"):
        if spec.get("shutdownAfterJobFinishes"):
            yield "deletionStrategy.deletionRules and shutdownAfterJobFinishes exclude each other"
        if old:
            yield f"deletionStrategy has deletionRules and {' and '.join(old)}: use the former"
    elif len(old) < 2:
        yield "deletionStrategy needs deletionRules, or both onSuccess and onFailure"


def _environment_is_yaml(spec: Document) -> Iterator[str]:
    try:
        found = yaml.safe_load(spec.get("runtimeEnvYAML", "") or "{}")
    except yaml.YAMLError as error:
        yield f"runtimeEnvYAML is not YAML: {error}"
        return
    if not isinstance(found, dict):
        yield f"runtimeEnvYAML holds {type(found).__name__}: expected a mapping"


def _of_a_job(rule: Callable[[Document], Iterator[str]]) -> Callable[[Document], Iterator[str]]:
    """The rule for RayJobs; silent on all others."""

    def applied(document: Document) -> Iterator[str]:
        return rule(document.get("spec") or {}) if document["kind"] == "RayJob" else iter(())

    return applied


RULES = tuple(
    _of_a_job(rule)
    for rule in (
        _mode_is_known,
        _has_one_cluster,
        _sidecar_stands_alone,
        _interactive_is_not_repeated,
        _ends_as_told,
        _numbers_are_in_range,
        _is_deleted_by_one_rule,
        _environment_is_yaml,
    )
)
