"""A job has what its config asks for, and goes on with the run wherever it is started again."""

import re
from pathlib import Path
from typing import Any

import kuberay_schemas as schemas
import pytest
import yaml
from pydantic import TypeAdapter
from typer.testing import CliRunner

from pointlab.cli import app
from pointlab.errors import ConfigError, PointlabError
from pointlab.experiment import Experiment, load
from pointlab.kuberay import ManifestSettings, NodeShape, ray_job, violations
from pointlab.kuberay.documents import read, to_yaml
from pointlab.kuberay.job import LARGEST_CONFIG

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SHARED = "storage.root=s3://bucket/runs"
KINDS = {
    "prepare": "data/shapes.yaml",
    "teacher": "teacher/classifier.yaml",
    "pretrain": "demo/pretrain.yaml",
    "transfer": "modelnet10/transfer.yaml",
    "search": "demo/search.yaml",
    "study": "study/tiny.yaml",
    "evaluate": "evaluate/demo.yaml",
    "analyse": "analyse/demo.yaml",
    "retrieve": "evaluate/recon-retrieval.yaml",
    "match": "evaluate/ppkt-matching.yaml",
}


def job_of(path: str, *overrides: str, **settings: Any) -> dict[str, Any]:
    return ray_job(load(CONFIGS / path, [SHARED, *overrides]), ManifestSettings(**settings))[1]["spec"]


def pods(spec: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = spec["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_experiment_becomes_a_sound_job(kind: str) -> None:
    experiment = load(CONFIGS / KINDS[kind], [SHARED])
    assert experiment.kind == kind
    documents = ray_job(
        experiment, ManifestSettings(data_claim="sources", endpoint="https://store.example.org")
    )
    assert violations(documents) == []
    if schemas.folder() is not None:
        assert schemas.faults(documents[1]) == []


@pytest.mark.parametrize("kind", ["pretrain", "study"])
def test_the_config_in_the_job_is_the_experiment(kind: str, tmp_path: Path) -> None:
    experiment = load(CONFIGS / KINDS[kind], [SHARED])
    config, job = ray_job(experiment, ManifestSettings())
    written = tmp_path / "experiment.yaml"
    written.write_text(config["data"]["experiment.yaml"])
    assert load(written) == experiment
    assert job["spec"]["entrypoint"].endswith("/etc/pointlab/experiment.yaml")
    for pod in pods(job["spec"]):
        assert {"name": "experiment", "configMap": {"name": config["metadata"]["name"]}} in pod["volumes"]


def test_a_job_has_the_workers_gpus_and_retries_that_the_config_asks_for() -> None:
    settings = ["launch.num_workers=[2, 3]", "launch.gpus_per_worker=2", "launch.max_failures=7"]
    spec = job_of("demo/pretrain.yaml", *settings, node=NodeShape(cpus=16, memory=64))
    [group] = spec["rayClusterSpec"]["workerGroupSpecs"]
    assert (group["minReplicas"], group["maxReplicas"]) == (2, 3)
    [container] = group["template"]["spec"]["containers"]
    expected = {"cpu": "16", "memory": "64Gi", "nvidia.com/gpu": "2"}
    assert container["resources"] == {"requests": expected, "limits": expected}
    assert spec["backoffLimit"] == 7


def test_only_pods_with_gpus_go_where_gpus_are() -> None:
    without, with_gpus = (job_of("demo/pretrain.yaml", f"launch.gpus_per_worker={gpus}") for gpus in (0, 1))
    assert ["tolerations" in pod for pod in pods(without)] == [False, False]
    assert ["tolerations" in pod for pod in pods(with_gpus)] == [False, True]


def test_shared_memory_is_part_of_what_the_container_may_take() -> None:
    for pod in pods(job_of("demo/pretrain.yaml")):
        [size] = [v["emptyDir"]["sizeLimit"] for v in pod["volumes"] if v["name"] == "shared-memory"]
        memory = pod["containers"][0]["resources"]["limits"]["memory"]
        assert int(size.removesuffix("Mi")) < int(memory.removesuffix("Gi")) * 1024 / 2


def test_one_process_has_a_workers_node_to_itself() -> None:
    spec = job_of("demo/pretrain.yaml", "launch.kind=local", "launch.gpus_per_worker=1")
    assert (spec["entrypointNumCpus"], spec["entrypointNumGpus"]) == (7, 1)
    assert "entrypointNumCpus" not in job_of("demo/pretrain.yaml")


def test_results_in_a_pods_own_folder_are_refused() -> None:
    experiment = load(CONFIGS / "demo/pretrain.yaml")
    with pytest.raises(ConfigError, match=r"storage.root is 'results', a folder of the pod.*--root"):
        ray_job(experiment, ManifestSettings())


TEACHER = "{kind: folder, path: %s, sha256: '" + "0" * 64 + "'}"


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        ("modelnet10/transfer.yaml", "data.root=/home/me/modelnet"),
        ("modelnet10/transfer.yaml", "data.root=/database"),
        ("modelnet10/transfer.yaml", "data.root=scans"),
        ("data/modelnet10.yaml", "data.root=~/modelnet"),
        ("pretrain/laptop/ppkt.yaml", f"image_teacher={TEACHER % '/home/me/vit'}"),
    ],
)
def test_what_lies_on_the_machine_of_who_asks_is_refused(path: str, setting: str) -> None:
    where = setting.partition("root=")[2] or "/home/me/vit"
    with pytest.raises(ConfigError, match=rf"Pods have no {where}\..*below /data"):
        job_of(path, setting, data_claim="sources")


@pytest.mark.parametrize(
    "setting", ["data.root=/data/modelnet", f"image_teacher={TEACHER % '/data/teachers/vit'}"]
)
def test_what_the_volume_is_to_hold_needs_the_volume(setting: str) -> None:
    path = "pretrain/laptop/ppkt.yaml" if "teacher" in setting else "modelnet10/transfer.yaml"
    assert job_of(path, setting, data_claim="sources")
    with pytest.raises(ConfigError, match=r"Nothing is mounted where /data/.*--data-claim"):
        job_of(path, setting)


def test_a_teachers_name_on_the_hub_is_no_folder() -> None:
    assert job_of("pretrain/laptop/ppkt.yaml", f"image_teacher={TEACHER % 'google/vit-base-patch16-224'}")


@pytest.mark.parametrize("name", ["a", "x" * 60, "ends-with-", "v2-8k"])
def test_a_job_has_a_name_that_services_can_have(name: str) -> None:
    experiment = load(CONFIGS / "demo/pretrain.yaml", [SHARED, f"name={name}"])
    found = ray_job(experiment, ManifestSettings())[1]["metadata"]["name"]
    assert re.fullmatch(r"pretrain-[a-z0-9-]*[a-z0-9]", found)
    assert len(found) <= 47


def test_long_names_that_begin_alike_stay_apart() -> None:
    one, other = (
        ray_job(load(CONFIGS / "demo/pretrain.yaml", [SHARED, f"name={'x' * 60}-{end}"]), ManifestSettings())
        for end in ("a", "b")
    )
    assert one[1]["metadata"]["name"] != other[1]["metadata"]["name"]


def test_a_digest_pins_the_image_of_every_pod() -> None:
    digest = "sha256:" + "0a" * 32
    spec = job_of("demo/pretrain.yaml", image="registry.example.org:5000/lab/pointlab:1.2", digest=digest)
    found = [pod["containers"][0]["image"] for pod in [*pods(spec), spec["submitterPodTemplate"]["spec"]]]
    assert found == [f"registry.example.org:5000/lab/pointlab:1.2@{digest}"] * 3


def test_the_store_of_the_options_is_that_of_every_pod() -> None:
    spec = job_of("demo/pretrain.yaml", endpoint="https://store.example.org:9000", region="eu-west-3")
    for pod in pods(spec):
        given = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
        assert given["AWS_ENDPOINT_URL"] == "https://store.example.org:9000"
        assert given["AWS_REGION"] == "eu-west-3"
    on_aws = {each["name"] for each in pods(job_of("demo/pretrain.yaml"))[0]["containers"][0]["env"]}
    assert not on_aws & {"AWS_ENDPOINT_URL", "AWS_EC2_METADATA_DISABLED"}


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("image", "pointlab", "version tag"),
        ("image", "pointlab:latest", "version tag"),
        ("digest", "sha256:12", "64 hex digits, as `docker images --digests` prints them"),
        ("endpoint", "https://key:secret@store.example.org", "endpoint"),
        ("namespace", "Lab", "namespace"),
        ("node-memory", "1", "memory"),
    ],
)
def test_an_option_that_cannot_be_used_is_told(option: str, value: str, said: str) -> None:
    command = [
        "manifest",
        str(CONFIGS / "demo/pretrain.yaml"),
        "--root",
        "s3://bucket/runs",
        f"--{option}",
        value,
    ]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, PointlabError)
    assert said in str(result.exception)


def test_the_command_prints_what_kubectl_takes() -> None:
    command = ["manifest", str(CONFIGS / "demo/pretrain.yaml"), "--root", "s3://bucket/runs"]
    result = CliRunner().invoke(app, [*command, "--namespace", "lab", "--set", "seed=5", "--node-cpus", "12"])
    assert result.exit_code == 0, result.output
    config, job = read(result.stdout)
    assert (config["kind"], job["kind"]) == ("ConfigMap", "RayJob")
    assert {each["metadata"]["namespace"] for each in (config, job)} == {"lab"}
    experiment = TypeAdapter(Experiment).validate_python(yaml.safe_load(config["data"]["experiment.yaml"]))
    assert (experiment.seed, experiment.storage.root) == (5, "s3://bucket/runs")
    assert pods(job["spec"])[1]["containers"][0]["resources"]["limits"]["cpu"] == "12"


def test_a_config_that_kubectl_could_not_apply_is_refused() -> None:
    """`kubectl apply` keeps what it was given in an annotation; all of an object's may have 256 KiB."""
    study = load(CONFIGS / KINDS["study"], [SHARED])
    name = "a" * 40
    wide = [study.starts["scratch"]] * 6000
    long = study.model_copy(update={"starts": {f"{name}{place}": each for place, each in enumerate(wide)}})
    with pytest.raises(ConfigError, match=r"resolved config has [\d,]+ bytes.*`kubectl apply`"):
        ray_job(long, ManifestSettings())
    config = ray_job(study, ManifestSettings())[0]
    assert len(to_yaml([config])) < LARGEST_CONFIG < 256 << 10


def test_without_a_config_the_committed_set_is_written(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["manifest", "--output", str(tmp_path / "set")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "set" / "jobs" / "pretrain.yaml").is_file()
    refused = CliRunner().invoke(app, ["manifest", "--output", str(tmp_path), "--image", "pointlab:2"])
    assert isinstance(refused.exception, ConfigError)
    assert "kustomization.yaml" in str(refused.exception)


def test_a_node_that_is_asked_to_go_may_save_before_it_is_killed() -> None:
    for pod in pods(job_of("demo/pretrain.yaml")):
        given = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
        for name in ("RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S", "RAY_JOB_STOP_WAIT_TIME_S"):
            assert 30 < float(given[name]) < pod["terminationGracePeriodSeconds"]
