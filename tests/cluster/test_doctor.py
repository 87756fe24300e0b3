"""A laptop asks the doctor about a cluster of two nodes: all is well, then one thing after another is broken.

Each row of the table says what was broken, and what the doctor said of it.
"""

import json
import shutil
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.namespaces import has_namespaces
from cluster.network import ADDRESSES, BUCKET, PORT, SERVER, SOURCE, Network, network
from conftest import PRETRAIN
from fault_table import add_row
from pointlab.config import merge
from pointlab.doctor import Diagnosis, Finding
from ray_nodes import RAY
from s3_server import free_ports

pytestmark = pytest.mark.cluster
CPUS = 2
OTHER = ADDRESSES["other"]
LAUNCH = {"kind": "ray", "num_workers": 2, "cpus_per_worker": 1}
PPKT = "configs/pretrain/laptop/ppkt.yaml"
CUT = """
import boto3, sys
client = boto3.client("s3")
objects = client.list_objects_v2(Bucket="pointlab", Prefix="damaged/datasets/shapes-")["Contents"]
key = next(each["Key"] for each in objects if "/train-" in each["Key"])
content = client.get_object(Bucket="pointlab", Key=key)["Body"].read()
client.put_object(Bucket="pointlab", Key=key, Body=content[:-1])
"""
LISTING = """
import boto3, json
objects = boto3.client("s3").list_objects_v2(Bucket="pointlab").get("Contents", [])
print(json.dumps([each["Key"] for each in objects if "doctor-" in each["Key"]]))
"""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Both nodes, the store and the laptop."""
    assert has_namespaces(), "four machines on one need root and network namespaces (iproute2)"
    with network() as machines:
        machines.start_store()
        machines.start_head(CPUS)
        machines.join(CPUS)
        yield machines


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder on the laptop that is submitted: source, configs, and an experiment on two workers."""
    folder = tmp_path_factory.mktemp("project")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(SOURCE / "pointlab", folder / "platform" / "pointlab", ignore=ignored)
    shutil.copytree(SOURCE.parent / "configs", folder / "configs")
    experiment = merge(PRETRAIN, {"launch": LAUNCH})
    (folder / "pretrain.yaml").write_text(yaml.safe_dump(experiment))
    return folder


class Doctor:
    """`pointlab doctor` on the laptop."""

    def __init__(self, machines: Network, project: Path) -> None:
        self.machines, self.project = machines, project

    def examine(
        self,
        *options: str | Path,
        config: str = "pretrain.yaml",
        root: str = f"{BUCKET}/lab",
        **variables: str,
    ) -> tuple[int, Diagnosis]:
        """Its exit code and what it found."""
        where = ["--address", SERVER, "--working-dir", self.project, "--root", root, "--json"]
        command = ["-m", "pointlab.cli", "doctor", self.project / config, *where, *options]
        ended = self.machines.run("laptop", command, variables)
        assert ended.returncode in (0, 1), ended.stderr
        return ended.returncode, Diagnosis.model_validate_json(ended.stdout.splitlines()[-1])

    def failure(self, fault: str, check: str, *options: str | Path, **changed: Any) -> Finding:
        """The failure of that check, which has a remedy; a row of the table."""
        code, diagnosis = self.examine(*options, **changed)
        failures = [each for each in diagnosis.findings if each.verdict == "failure"]
        found = [each for each in failures if each.check == check]
        assert code == 1, told(diagnosis)
        assert found, told(diagnosis)
        assert all(each.remedy for each in failures), told(diagnosis)
        add_row(fault, "two nodes, S3", f"{check}: {found[0].found} -> {found[0].remedy}")
        return found[0]


def told(diagnosis: Diagnosis) -> str:
    return "\n".join(f"{each.verdict} {each.check}: {each.found}" for each in diagnosis.findings)


@pytest.fixture
def doctor(machines: Network, project: Path) -> Doctor:
    return Doctor(machines, project)


@pytest.fixture
def rejoined(machines: Network) -> Iterator[Network]:
    """The machines, whose other node is as it was after the test."""
    yield machines
    machines.join(CPUS)


def test_all_is_well_where_nothing_is_broken(doctor: Doctor) -> None:
    code, diagnosis = doctor.examine()
    assert code == 0, told(diagnosis)
    found = {each.check: each for each in diagnosis.findings}
    assert {each.verdict for each in diagnosis.findings} <= {"pass", "warning"}, told(diagnosis)
    warnings = {each.check for each in diagnosis.findings if each.verdict == "warning"}
    assert warnings <= {"there: nodes: shared memory"}, told(diagnosis)  # as this machine has it
    assert found["token"].verdict == "pass"
    assert found["there: nodes: answer"].found == "all 2 nodes"
    assert found["there: nodes: storage"].verdict == "pass"
    assert OTHER in found["there: exchange over gloo"].found
    assert "2 of at most 2 workers fit" in found["there: resources"].found
    add_row("nothing", "two nodes, S3", "all checks pass")


def test_a_wrong_token(doctor: Doctor) -> None:
    finding = doctor.failure("wrong token", "cluster", RAY_AUTH_TOKEN="0" * 32)
    assert "token" in finding.found


def test_a_wrong_token_on_a_node_of_the_cluster(machines: Network) -> None:
    there = {"RAY_ADDRESS": f"{ADDRESSES['head']}:{PORT}", "RAY_AUTH_TOKEN": "0" * 32, **machines.keys()}
    command = ["-m", "pointlab.cli", "doctor", "--root", f"{BUCKET}/lab", "--json"]
    ended = machines.run("head", command, there)
    found = {each.check: each for each in Diagnosis.model_validate_json(ended.stdout).findings}
    assert found["storage"].verdict == "pass"
    assert found["cluster"].verdict == "failure"
    assert "token" in found["cluster"].found


def test_a_missing_bucket(doctor: Doctor) -> None:
    finding = doctor.failure("bucket missing", "there: storage", root="s3://no-such-bucket/lab")
    assert "no-such-bucket" in finding.found


def test_a_node_with_a_wrong_endpoint(doctor: Doctor, rejoined: Network) -> None:
    endpoint = f"http://{ADDRESSES['store']}:{free_ports(1)[0]}"
    rejoined.join(CPUS, changed={"AWS_ENDPOINT_URL": endpoint})
    finding = doctor.failure("endpoint wrong on a node", "there: nodes: storage")
    assert OTHER in finding.found
    assert endpoint in finding.found


def test_a_store_that_does_not_answer(doctor: Doctor, machines: Network) -> None:
    assert machines.server is not None
    machines.server.kill_proxy()
    try:
        finding = doctor.failure("store away", "there: storage")
    finally:
        machines.server.start_proxy()
    assert "cannot be reached" in finding.found


def test_a_node_without_a_route_to_the_store(doctor: Doctor, machines: Network) -> None:
    machines.cut("other", "store")
    try:
        finding = doctor.failure("node without the storage route", "there: nodes: storage")
    finally:
        machines.mend("other", "store")
    assert finding.found.startswith(f"On {OTHER}: ")


def test_a_node_that_another_one_does_not_reach(machines: Network) -> None:
    machines.join(CPUS, name="laptop")
    machines.cut("other", "laptop")
    there = {"RAY_ADDRESS": f"{ADDRESSES['head']}:{PORT}", **machines.keys()}
    command = ["-m", "pointlab.cli", "doctor", "--root", f"{BUCKET}/lab", "--json"]
    try:
        ended = machines.run("other", command, there)
    finally:
        machines.mend("other", "laptop")
        machines.leave("laptop")
    diagnosis = Diagnosis.model_validate_json(ended.stdout)
    (silent, others) = (each for each in diagnosis.findings if each.check == "nodes: answer")
    assert silent.verdict == "failure", told(diagnosis)
    assert ADDRESSES["laptop"] in silent.found
    assert others.found == "2 of 3 nodes"
    add_row("node without a route to another", "three nodes, S3", f"nodes: answer: {silent.found}")


def test_a_node_of_another_version(doctor: Doctor, rejoined: Network, tmp_path: Path) -> None:
    rejoined.join(CPUS, ray=[str(with_another_torch(tmp_path)), *RAY[1:]])
    finding = doctor.failure("version mismatch", "there: nodes: versions")
    assert finding.found.startswith(f"{OTHER} has torch 2.0.0 instead of")


def with_another_torch(folder: Path) -> Path:
    """The Python of an environment that says of itself to have torch 2.0.0, and has all else of this one."""
    venv.create(folder / "environment", symlinks=True)
    packages = next((folder / "environment" / "lib").glob("python*/site-packages"))
    (packages / "torch-2.0.0.dist-info").mkdir()
    (packages / "torch-2.0.0.dist-info" / "METADATA").write_text("Name: torch\nVersion: 2.0.0\n")
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    (packages / "ours.pth").write_text(f"{ours}\n")
    return folder / "environment" / "bin" / "python"


def test_too_many_workers(doctor: Doctor) -> None:
    finding = doctor.failure("too many workers", "there: resources", "--set", "launch.num_workers=50")
    assert "launch.num_workers=3" in finding.remedy


def test_a_package_that_is_too_large(doctor: Doctor) -> None:
    hole = doctor.project / "scans.bin"
    with hole.open("wb") as stream:
        stream.truncate(150 * 2**20)
    try:
        finding = doctor.failure("package too large", "package")
    finally:
        hole.unlink()
    assert "scans.bin" in finding.found


def test_a_corrupted_dataset(doctor: Doctor, machines: Network) -> None:
    root = f"{BUCKET}/damaged"
    prepare = doctor.project / "prepare.yaml"
    prepare.write_text(yaml.safe_dump({"kind": "prepare", "data": PRETRAIN["data"]}))
    keys = machines.keys()
    made = machines.run("head", ["-m", "pointlab.cli", "run", prepare, "--root", root], keys)
    assert made.returncode == 0, made.stderr
    cut = machines.run("head", ["-c", CUT], keys)
    assert cut.returncode == 0, cut.stderr
    finding = doctor.failure("corrupted dataset", "there: dataset shapes", root=root)
    assert "bytes, not" in finding.found


def test_a_missing_teacher(doctor: Doctor) -> None:
    gone = "/teachers/gone"
    settings = (
        f"image_teacher={{kind: folder, path: {gone}, sha256: '{'0' * 64}'}}",
        "data.source.num_train=2",
        "data.source.num_test=1",
    )
    overrides = [part for each in settings for part in ("--set", each)]
    finding = doctor.failure("missing teacher", f"there: nodes: teacher {gone}", *overrides, config=PPKT)
    assert "There is no folder" in finding.found


def test_a_node_that_is_told_of_an_interface_it_has_not(doctor: Doctor, rejoined: Network) -> None:
    rejoined.join(CPUS, changed={"GLOO_SOCKET_IFNAME": "eth9"})
    finding = doctor.failure("no such interface on a node", "there: exchange over gloo")
    assert f"{OTHER} by eth9" in finding.found
    assert "GLOO_SOCKET_IFNAME" in finding.remedy


def test_the_doctor_leaves_nothing_in_the_store(doctor: Doctor, machines: Network) -> None:
    root = f"{BUCKET}/examined"
    _, diagnosis = doctor.examine(root=root)
    found = {each.check: each.verdict for each in diagnosis.findings}
    assert found["there: storage"] == found["there: nodes: storage"] == "pass", told(diagnosis)
    listing = machines.run("head", ["-c", LISTING], machines.keys())
    assert json.loads(listing.stdout) == [], listing.stderr
