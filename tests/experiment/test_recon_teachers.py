"""ReCon's teachers are made first, and kept out of what is stored; a run goes on with no others."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load as load_safetensors

from pointlab.config import merge, validate
from pointlab.errors import DataError, StorageError
from pointlab.experiment import PretrainExperiment
from pointlab.experiment.finished_teachers import BEGAN_WITH, require_same_teachers
from pointlab.experiment.lineage import make_lineage_definite
from pointlab.experiment.providers import needs_of
from pointlab.experiment.stored_models import model_manifest
from pointlab.launch import resolve, run
from pointlab.storage import Storage, read_record
from pointlab.study.planning import make_plan
from pointlab.teachers import hash_of
from pointlab.training import Run
from tiny_recon import PICTURED, POINTS_ONLY, RECON, tiny_recon, towers_of
from tiny_study import tiny_study


def test_two_equal_teachers_are_one_run_that_is_made_first_and_stays_out_of_what_is_stored(
    recon_store: Storage,
) -> None:
    outcome = run(tiny_recon(recon_store))
    assert outcome.was_finished
    record = outcome.record
    assert record is not None
    (towers,) = set(record.parents.values())
    assert record.parents.keys() == {"image_teacher", "text_teacher"}
    assert sorted(recon_store.folders("runs")) == sorted([record.run, towers])
    assert "pictures are not augmented" in record.notes["image features"]
    shares = {"has_image": 4 / 6, "has_text": 4 / 6}  # of the clouds for validation
    assert {name: record.metrics[f"validation/{name}"] for name in shares} == pytest.approx(shares)
    teacher = read_record(recon_store, towers)
    assert teacher is not None
    details = model_manifest(recon_store, record.run).details
    for role in ("image_teacher", "text_teacher"):
        assert details[role]["sha256"] == teacher.notes["sha256 of the weights"]
    of_run = Run(recon_store, record.run)
    step = of_run.checkpoints()[-1]
    kept = load_safetensors(recon_store.read(f"{of_run.checkpoint_path(step)}/weights.safetensors"))
    assert not [name for name in kept if "teacher" in name]


def in_folder(storage: Storage, folder: Path) -> PretrainExperiment:
    """A ReCon whose image teacher is somebody else's."""
    teacher = {"kind": "folder", "path": str(folder), "sha256": hash_of(folder)}
    settings = RECON | {"storage": {"root": storage.address}, "image_teacher": teacher}
    experiment: PretrainExperiment = validate(PretrainExperiment, settings, "test")
    return experiment


def test_a_run_goes_on_with_the_teachers_alone_that_it_began_with(
    recon_store: Storage, tmp_path: Path
) -> None:
    """Equal weights after another preparation of pictures say something else."""
    found = resolve(tiny_recon(recon_store), recon_store)
    folder = shutil.copytree(towers_of(recon_store), tmp_path / "towers")
    same = replace(found, experiment=in_folder(recon_store, folder))

    def begin_or_go_on(run: str) -> None:
        require_same_teachers(recon_store, run, needs_of(same, {}, recon_store))

    begin_or_go_on("new")
    begin_or_go_on(found.run)
    preparation = folder / "preprocessor_config.json"
    preparation.write_text(preparation.read_text().replace("0.5", "0.25"))
    begin_or_go_on("new")  # nothing was trained yet
    message = f"The image_teacher of {found.run} now has files that prepare pictures"
    with pytest.raises(StorageError, match=message):
        begin_or_go_on(found.run)
    recon_store.delete_file(f"runs/{found.run}/{BEGAN_WITH}")
    begin_or_go_on(found.run)  # begun by an earlier version, which did not write it down
    assert recon_store.exists(f"runs/{found.run}/{BEGAN_WITH}")


def test_a_study_makes_the_teachers_once_for_all_seeds(tmp_path: Path) -> None:
    taught = {name: RECON[name] for name in ("paradigm", "image_teacher", "text_teacher")}
    study = tiny_study(
        storage := Storage(str(tmp_path)),
        seeds=[0, 1],
        starts={"recon": taught, "points": merge(taught, POINTS_ONLY)},
        exclude=[{"start": "supervised"}],
        backbones={"patches": RECON["backbone"]},
        routes={"to-scans": {"pretrain": {"data": PICTURED}}},
    )
    sets = {role: f"{config.name}-{config.recipe()}" for role, config in study.datasets.items()}
    assert {"to-scans/recon/pretrained/image_teacher", "to-scans/recon/pretrained/text_teacher"} < sets.keys()
    plan = make_plan(study, sets, storage)
    missing = [step.run.rsplit("-", maxsplit=2)[0] for step in plan.missing]
    assert missing.count("towers") == 1
    assert missing.index("towers") < missing.index("tiny-recon-patches-on-pictured")
    assert [missing.count(f"tiny-{start}-patches-on-pictured") for start in ("recon", "points")] == [2, 2]


def test_another_teacher_is_another_run(tmp_path: Path) -> None:
    def name(**changes: Any) -> str:
        experiment = tiny_recon(Storage(str(tmp_path)), **changes)
        sets = dict.fromkeys(experiment.datasets, "pictured-0000000000")
        return make_lineage_definite(experiment, sets)[-1].run

    assert name() == name(image_teacher={"name": "renamed"})
    assert len({name(), name(image_teacher={"seed": 1}), name(text_teacher={"seed": 1})}) == 3


@pytest.mark.parametrize(
    ("role", "kind", "message"),
    [
        ("image_teacher", "bert", "a network of the type 'bert'"),
        ("text_teacher", "bert", "a network of the type 'bert'"),
        ("image_teacher", "clip", "has no preprocessor_config.json"),
        ("text_teacher", "clip", "has no tokenizer"),
    ],
)
def test_a_folder_of_another_kind_or_not_whole_is_told_before_a_set_is_prepared(
    tmp_path: Path, role: str, kind: str, message: str
) -> None:
    (folder := tmp_path / "given").mkdir()
    (folder / "config.json").write_text(f'{{"model_type": "{kind}"}}')
    (folder / "model.safetensors").write_bytes(b"")
    teacher = {"kind": "folder", "path": str(folder), "sha256": hash_of(folder)}
    storage = Storage(str(tmp_path / "store"))
    settings = RECON | {role: teacher, "storage": {"root": storage.address}}
    with pytest.raises(DataError, match=message):
        run(validate(PretrainExperiment, settings, "test"))
    assert not storage.folders("datasets")
