"""Datasets and teachers: damaged, missing and different ones are named, with what to do about them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import PRETRAIN, tiny_pretrain, tiny_transfer
from pointlab.config import merge, validate
from pointlab.data.dataset import DatasetConfig
from pointlab.doctor.datasets import Datasets
from pointlab.doctor.finding import Finding
from pointlab.doctor.needs import needs_of
from pointlab.doctor.sources import Sources
from pointlab.doctor.teachers import Teachers
from pointlab.experiment import LaunchConfig, PrepareExperiment
from pointlab.experiment.teacher import TeacherFolder
from pointlab.launch import prepare
from pointlab.launch.teachers import AskedFolder
from pointlab.storage import Storage, whole_artifacts
from pointlab.storage.artifact import MANIFEST
from pointlab.teachers import hash_of
from pointlab.training import ignore_progress
from s3_server import free_ports
from teachers.test_image_maps import saved


def cut(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[:-1])


def flip(shard: Path) -> None:
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)


def folder_of(storage: Storage, name: str) -> Path:
    (found,) = [each for each in whole_artifacts(storage, "datasets") if each.rpartition("-")[0] == name]
    return Path(storage.locate(f"datasets/{found}"))


def look(storage: Storage, *, deep: bool = False) -> dict[str, Finding]:
    found = Datasets(tiny_transfer(storage), storage.address, deep).run()
    return {finding.check: finding for finding in found}


@pytest.mark.parametrize("deep", [False, True])
def test_whole_sets_pass_each_by_its_name(storage: Storage, deep: bool) -> None:
    findings = look(storage, deep=deep)
    assert {check: finding.verdict for check, finding in findings.items()} == {
        "dataset shapes": "pass",
        "dataset scans": "pass",
        "dataset scans-sparse": "pass",
    }


@pytest.mark.parametrize(
    ("damage", "is_seen_by_size", "told"),
    [(Path.unlink, True, "is missing"), (cut, True, "bytes, not"), (flip, False, "another sha256")],
    ids=["missing", "cut", "flipped"],
)
def test_a_damaged_shard_is_named(
    damage: Callable[[Path], None], is_seen_by_size: bool, told: str, storage: Storage
) -> None:
    shard = next(folder_of(storage, "scans").glob("train-*.parquet"))
    damage(shard)
    for deep in (False, True):
        findings = look(storage, deep=deep)
        finding = findings.pop("dataset scans")
        assert {each.verdict for each in findings.values()} == {"pass"}
        if deep or is_seen_by_size:
            assert finding.verdict == "failure"
            assert shard.name in finding.found
            assert told in finding.found
            assert "prepare it again" in finding.remedy
        else:
            assert finding.verdict == "pass"


def test_a_manifest_that_cannot_be_read_is_a_failure(storage: Storage) -> None:
    (folder_of(storage, "shapes") / MANIFEST).write_text("{")
    finding = look(storage)["dataset shapes"]
    assert finding.verdict == "failure"
    assert MANIFEST in finding.found


def test_a_set_that_can_be_made_passes_and_one_without_files_fails(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "store"))
    (to_make,) = Datasets(tiny_pretrain(storage), storage.address).run()
    assert to_make.verdict == "pass"
    assert "would be prepared first" in to_make.found
    data = {"name": "scanned", "source": {"kind": "scanobjectnn"}}
    lost = validate(PrepareExperiment, {"kind": "prepare", "data": data}, "test")
    (finding,) = Datasets(lost, storage.address).run()
    assert finding.verdict == "failure"
    assert "root" in finding.remedy
    gone = validate(
        PrepareExperiment, {"kind": "prepare", "data": data | {"root": str(tmp_path / "x")}}, "test"
    )
    (finding,) = Datasets(gone, storage.address).run()
    assert finding.verdict == "failure"
    assert str(tmp_path / "x") in finding.found


def write_release(root: Path, num_train: int, size: float = 1.0) -> DatasetConfig:
    """Files in the layout of `modelnet40_normal_resampled`: clouds of one class, as large as is asked."""
    (root / "chair").mkdir(parents=True, exist_ok=True)
    (root / "modelnet40_shape_names.txt").write_text("chair\n")
    names = [f"chair_{number:04d}" for number in range(num_train + 1)]
    (root / "modelnet40_test.txt").write_text(names[0])
    (root / "modelnet40_train.txt").write_text("\n".join(names[1:]))
    for name in names:
        rows = np.column_stack([size * np.eye(3), np.eye(3)])
        np.savetxt(root / "chair" / f"{name}.txt", rows, delimiter=",")
    settings = {"name": "mine", "source": {"kind": "modelnet_txt"}, "root": str(root), "num_points": 2}
    config: DatasetConfig = validate(DatasetConfig, settings, "test")
    return config


def prepared(config: DatasetConfig, storage: Storage) -> str:
    return prepare(config, storage, LaunchConfig(kind="local"), ignore_progress)


def test_source_files_are_hashed_where_that_is_asked_for_and_nowhere_else(
    storage: Storage, tmp_path: Path
) -> None:
    config = write_release(tmp_path / "release", 2)
    name = prepared(config, storage)
    write_release(tmp_path / "release", 2, size=2.0)
    experiment = PrepareExperiment(kind="prepare", data=config)
    (by_recipe,) = Datasets(experiment, storage.address).run()
    (by_content,) = Datasets(experiment, storage.address, deep=True).run()
    assert (by_recipe.verdict, by_recipe.found.partition(":")[0]) == ("pass", name)
    assert "would be prepared first" in by_content.found
    assert list(needs_of(experiment, storage).sets) == [name]


def test_sets_that_only_their_sources_tell_apart_are_a_warning(storage: Storage, tmp_path: Path) -> None:
    config = write_release(tmp_path / "release", 2)
    first = prepared(config, storage)
    second = prepared(write_release(tmp_path / "release", 300), storage)
    experiment = PrepareExperiment(kind="prepare", data=config)
    (finding,) = Datasets(experiment, storage.address).run()
    assert finding.verdict == "warning"
    assert {first, second} == set(finding.found.rpartition(": ")[2].rstrip(".").split(", "))
    assert "--deep" in finding.remedy
    (deep,) = Datasets(experiment, storage.address, deep=True).run()
    assert (deep.verdict, deep.found.partition(":")[0]) == ("pass", second)
    assert list(needs_of(experiment, storage).sets) == [second]


def test_a_source_folder_that_is_gone_is_told_though_the_set_is_prepared(
    storage: Storage, tmp_path: Path
) -> None:
    config = write_release(tmp_path / "release", 2)
    prepared(config, storage)
    shutil.rmtree(tmp_path / "release")
    (finding,) = Datasets(PrepareExperiment(kind="prepare", data=config), storage.address).run()
    assert finding.verdict == "failure"
    assert str(tmp_path / "release") in finding.found


def test_sets_that_cannot_be_read_in_a_store_that_can_are_failures(storage: Storage) -> None:
    datasets = Path(storage.locate("datasets"))
    shutil.rmtree(datasets)
    datasets.write_bytes(b"not a folder")
    for finding in look(storage).values():
        assert finding.verdict == "failure"
        assert "cannot be read" in finding.found


def test_while_the_store_is_away_sets_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_ports(1)[0]}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    for module in ("datasets", "store"):
        monkeypatch.setattr(f"pointlab.doctor.{module}.PATIENCE", 0.0)
    experiment = validate(PrepareExperiment, {"kind": "prepare", "data": PRETRAIN["data"]}, "test")
    (finding,) = Datasets(experiment, "s3://pointlab/x").run()
    assert finding.verdict == "skipped"


def test_the_bytes_of_prepared_sets_are_those_of_their_files(storage: Storage) -> None:
    sizes = needs_of(tiny_pretrain(storage), storage).sets
    folder = folder_of(storage, "shapes")
    on_disk = sum(path.stat().st_size for path in folder.iterdir() if path.name != MANIFEST)
    assert sizes == {folder.name: on_disk}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ViT, as it is published."""
    return saved(tmp_path_factory.mktemp("teacher"), "vit")


def asked(path: Path, sha256: str) -> AskedFolder:
    source = validate(TeacherFolder, {"path": str(path), "sha256": sha256}, "test")
    return AskedFolder(source, "image_teacher", (16, 16))


def test_a_teacher_passes_where_it_is_the_one_that_is_meant(teacher: Path) -> None:
    (finding,) = Teachers((asked(teacher, hash_of(teacher)),)).run()
    assert finding.verdict == "pass"
    assert str(teacher) in finding.check


def test_a_missing_teacher_and_another_one_are_told_apart(teacher: Path, tmp_path: Path) -> None:
    right, other = hash_of(teacher), "0" * 64
    gone, changed = Teachers((asked(tmp_path / "gone", right), asked(teacher, other))).run()
    assert (gone.verdict, changed.verdict) == ("failure", "failure")
    assert f"no folder {tmp_path / 'gone'}" in gone.found
    assert "every node" in gone.remedy
    assert right in changed.found
    assert other in changed.found


def test_source_folders_are_looked_for(tmp_path: Path) -> None:
    there, gone = Sources((str(tmp_path), str(tmp_path / "gone"))).run()
    assert (there.verdict, gone.verdict) == ("pass", "failure")
    assert gone.remedy


def test_a_set_is_looked_at_once_however_many_parents_use_it(storage: Storage) -> None:
    twice = merge({"shifted": PRETRAIN["data"]}, {})
    checks = [finding.check for finding in Datasets(tiny_transfer(storage, **twice), storage.address).run()]
    assert sorted(checks) == ["dataset scans", "dataset shapes"]
