"""The committed manifests are those that are rendered; all are what the API server and the operator take."""

import copy
import re
import shutil
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import kuberay_schemas as schemas
import pytest
import ray

from pointlab.engine.environment import WORKERS
from pointlab.experiment import Experiment, load
from pointlab.kuberay import ManifestSettings, committed, ray_job, to_yaml, violations
from pointlab.kuberay.documents import read
from pointlab.kuberay.environment import variables
from pointlab.kuberay.rules_of_names import MADE_BY_HAND
from pointlab.kuberay.settings import RAY_VERSION

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "cluster" / "kuberay"
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.yaml"))
MANIFESTS = [name for name in FILES if not name.endswith("kustomization.yaml")]
needs_schemas = pytest.mark.skipif(schemas.folder() is None, reason=schemas.MISSING)


def own_config(path: PurePosixPath, overrides: Sequence[str]) -> Experiment:
    return load(ROOT / "configs" / path, overrides)


def documents(name: str) -> list[dict[str, Any]]:
    return read((FOLDER / name).read_text())


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [each for name in MANIFESTS for each in documents(name) if each["kind"] == kind]


def test_the_committed_set_is_what_is_rendered() -> None:
    rendered = committed(own_config)
    assert sorted(rendered) == FILES
    assert {name: (FOLDER / name).read_text() for name in FILES} == rendered


def test_what_is_written_reads_back_equal() -> None:
    for name in MANIFESTS:
        assert read(to_yaml(documents(name))) == documents(name)


@needs_schemas
@pytest.mark.parametrize("name", MANIFESTS)
def test_every_manifest_validates_against_the_real_schemas(name: str) -> None:
    ours = [each for each in documents(name) if each["apiVersion"].startswith("ray.io/")]
    assert [fault for each in ours for fault in schemas.faults(each)] == []


@needs_schemas
def test_every_kind_of_ray_is_validated() -> None:
    assert {each["kind"] for name in MANIFESTS for each in documents(name)} >= set(schemas.KINDS)


def changed(path: str, value: Any) -> dict[str, Any]:
    """The committed pretraining with another value at a dotted path."""
    [job] = [each for each in documents("jobs/pretrain.yaml") if each["kind"] == "RayJob"]
    job = copy.deepcopy(job)
    *parents, last = path.split(".")
    part: Any = job
    for key in parents:
        part = part[int(key)] if key.isdecimal() else part[key]
    part[last] = value
    return job


@needs_schemas
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.shutdownAfterJobFinish", True),
        ("spec.backoffLimit", "3"),
        ("spec.rayClusterSpec.autoscalerOptions.version", "v3"),
        ("spec.rayClusterSpec.headGroupSpec.rayStartParams", {"num-cpus": 0}),
        ("spec.rayClusterSpec.headGroupSpec.template.spec.containers.0.enviroment", []),
        ("spec.rayClusterSpec.workerGroupSpecs.0.template.spec.volumes.1.emptyDir.sizelimit", "1Gi"),
        ("spec.rayClusterSpec.workerGroupSpecs.0.minReplicas", "one"),
        ("spec.rayClusterSpec.gcsFaultToleranceOptions", {"redisAdress": "redis:6379"}),
        ("spec.rayClusterSpec.gcsFaultToleranceOptions", {"redisPassword": {"secretKeyRef": {}}}),
        ("metadata.labelz", {}),
    ],
)
def test_a_wrong_field_does_not_validate(path: str, value: Any) -> None:
    found = schemas.faults(changed(path, value))
    assert len(found) >= 1
    assert schemas.faults(changed("spec.entrypoint", "true")) == []


def test_the_committed_set_breaks_no_rule() -> None:
    standing = [each for name in MANIFESTS if "/" not in name for each in documents(name)]
    assert violations(standing) == []
    for name in MANIFESTS:
        if "/" in name:
            assert violations(documents(name)) == []


def test_kustomizations_list_every_file_and_set_namespace_and_image_only() -> None:
    for name in set(FILES) - set(MANIFESTS):
        [found] = documents(name)
        beside = {path.name for path in (FOLDER / name).parent.glob("*.yaml")} - {"kustomization.yaml"}
        assert set(found.pop("resources")) == beside
        assert set(found) == {"apiVersion", "kind", "namespace", "images"}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl, with kustomize in it, is not installed")
@pytest.mark.parametrize("folder", ["", "jobs"])
def test_kustomize_sets_namespace_and_image_everywhere(folder: str, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "set")
    path = tmp_path / "set" / folder / "kustomization.yaml"
    text = path.read_text().replace("newTag: 0.1.0", "newTag: 9.9.9").replace("space: pointlab", "space: lab")
    path.write_text(text)
    built = subprocess.run(
        ["kubectl", "kustomize", str(path.parent)], capture_output=True, text=True, check=True, timeout=60
    )
    found = read(built.stdout)
    assert {each["metadata"].get("namespace", each["metadata"]["name"]) for each in found} == {"lab"}
    assert "pointlab:9.9.9" in built.stdout
    assert "pointlab:0.1.0" not in built.stdout


def test_the_version_of_ray_is_the_one_that_is_installed_and_pinned() -> None:
    pins = (ROOT / "cluster" / "constraints.txt").read_text().splitlines()
    assert f"ray=={RAY_VERSION}" in pins
    assert ray.__version__ == RAY_VERSION


def test_pods_have_what_the_engine_gives_its_workers_for_stores_other_than_aws() -> None:
    given = {each["name"]: each.get("value") for each in variables(ManifestSettings())}
    needed = {name: value for name, value in WORKERS.items() if name.startswith("AWS_")}
    assert needed
    assert needed.items() <= given.items()


def test_no_manifest_holds_a_key() -> None:
    for job in of_kind("RayJob"):
        given = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["env"]
        keys = [each for each in given if each["name"] in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
        assert len(keys) == 2
        assert all(set(each["valueFrom"]) == {"secretKeyRef"} for each in keys)
    assert of_kind("Secret") == []


def test_the_documentation_tells_how_to_make_every_secret() -> None:
    told = (ROOT / "docs" / "cluster.md").read_text()
    for name, keys in MADE_BY_HAND.items():
        assert f"create secret generic {name} " in told
        assert [key for key in keys if f"--from-literal={key}=" not in told] == []


def test_the_documentation_leads_to_the_head_and_the_token_of_the_standing_cluster() -> None:
    """The operator calls a head's service <cluster>-head-svc, and its token's Secret as the cluster."""
    told = (ROOT / "docs" / "cluster.md").read_text()
    [cluster] = of_kind("RayCluster")
    [namespace] = of_kind("Namespace")
    kubectl, name = f"kubectl -n {namespace['metadata']['name']}", cluster["metadata"]["name"]
    assert f"{kubectl} port-forward service/{name}-head-svc 8265\n" in told.replace(" &\n", "\n")
    assert f"{kubectl} get secret {name} -o jsonpath='{{.data.auth_token}}' | base64 -d" in told


def test_every_cluster_asks_for_tokens_and_scales_and_the_one_that_stays_outlives_its_head() -> None:
    [standing] = [each["spec"] for each in of_kind("RayCluster")]
    of_jobs = [each["spec"]["rayClusterSpec"] for each in of_kind("RayJob")]
    assert len(of_jobs) == 4
    assert standing["gcsFaultToleranceOptions"]["redisPassword"]["valueFrom"]["secretKeyRef"]
    for cluster in (standing, *of_jobs):
        assert cluster["authOptions"] == {"mode": "token"}
        assert cluster["enableInTreeAutoscaling"]
        assert cluster["autoscalerOptions"]["version"] == "v2"
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_what_the_project_needs_and_is_developed_with_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    lines = (ROOT / "cluster" / "constraints.txt").read_text().splitlines()
    pinned = {line.partition("==")[0].lower() for line in lines if "==" in line}
    names = {re.split(r"[\[<>=]", each)[0].lower() for each in asked}
    assert names <= pinned, f"without a pin: {sorted(names - pinned)}"


def test_a_job_says_which_experiment_it_is() -> None:
    [config, job] = ray_job(
        own_config(PurePosixPath("demo/pretrain.yaml"), ["storage.root=s3://b/r", "seed=3"]),
        ManifestSettings(),
    )
    [file] = config["data"]
    assert job["spec"]["entrypoint"] == f"pointlab run /etc/pointlab/{file}"
    assert "seed: 3" in config["data"][file]
