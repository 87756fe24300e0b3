"""A dry run says of a teacher's folder whether it is there and the one that is meant, or fails."""

from pathlib import Path

import pytest

from pointlab.experiment import Experiment, load
from pointlab.launch import forecast
from pointlab.storage import Storage
from pointlab.teachers import hash_of
from teachers.test_image_maps import saved
from test_cli import Command, pointlab

__all__ = ["pointlab"]  # the fixture
PPKT = Path(__file__).parents[2] / "configs" / "pretrain" / "laptop" / "ppkt.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ViT with patches of 4 pixels, as it is published."""
    return saved(tmp_path_factory.mktemp("teacher"), "vit")


def settings(path: Path, sha256: str, size: str = "[120, 160]") -> list[str]:
    teacher = f"image_teacher={{kind: folder, path: {path}, sha256: '{sha256}'}}"
    return ["data.source.num_train=2", "data.source.num_test=1", teacher, f"paradigm.picture_size={size}"]


def state(experiment: Experiment, tmp_path: Path) -> tuple[str, bool]:
    needed = forecast(experiment, Storage(str(tmp_path / "store")))
    (found,) = [each for each in needed if each.roles == ("image_teacher",)]
    return found.state, found.is_to_be_had


def test_a_folder_is_found_or_told_why_not(folder: Path, tmp_path: Path) -> None:
    right = hash_of(folder)
    assert state(load(PPKT, settings(folder, right)), tmp_path) == ("found", True)
    for path, sha256, size, told in (
        (tmp_path / "gone", right, "[120, 160]", "There is no folder"),
        (folder, "0" * 64, "[120, 160]", f"have the sha256 {right}"),
        (folder, right, "[122, 160]", "122 by 160 pixels do not divide"),
    ):
        found, is_to_be_had = state(load(PPKT, settings(path, sha256, size)), tmp_path)
        assert told in found
        assert not is_to_be_had


def test_a_dry_run_of_what_cannot_be_had_fails(pointlab: Command, tmp_path: Path) -> None:
    overrides = [part for each in settings(tmp_path / "gone", "0" * 64) for part in ("--set", each)]
    ended = pointlab("run", PPKT, "--dry-run", "--root", tmp_path / "store", *overrides)
    assert ended.code == 2


def test_a_dry_run_of_a_study_tells_of_sets_and_teachers_too(pointlab: Command, tmp_path: Path) -> None:
    study, store = PPKT.parents[2] / "study" / "ppkt.yaml", tmp_path / "store"
    told = pointlab("run", study, "--dry-run", "--root", store)
    assert told.code == 0
    assert "to prepare" in told.complaint
    folder = f"{{kind: folder, path: {tmp_path / 'gone'}, sha256: '{'0' * 64}'}}"
    start = f"starts.elsewhere={{paradigm: {{kind: ppkt}}, image_teacher: {folder}}}"
    ended = pointlab("run", study, "--dry-run", "--root", store, "--set", start)
    assert ended.code == 2
    assert "There is no folder" in ended.complaint
