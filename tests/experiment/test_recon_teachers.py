"""ReCon learns from teachers of pictures and texts: made first, asked once, kept out of what is stored."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor

from conftest import BACKBONE
from pointlab.config import merge, validate
from pointlab.data.cache import cache_folder
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError, DataError, StorageError
from pointlab.experiment import PretrainExperiment
from pointlab.experiment.features import build_features
from pointlab.experiment.finished_teachers import BEGAN_WITH, require_same_teachers
from pointlab.experiment.lineage import make_lineage_definite
from pointlab.experiment.providers import needs_of
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.wiring import Data, model_manifest, open_data
from pointlab.launch import resolve, run
from pointlab.objectives.targets import CaptionFeatures, FeatureTable, PromptFeatures
from pointlab.storage import Storage, read_record
from pointlab.study.planning import make_plan
from pointlab.teachers import ImageTeacher, hash_of, image_features, text_features
from pointlab.teachers.prompts import prompts_of
from pointlab.training import Run
from tiny_recon import NAMES, NUM_TRAIN, PICTURED, RECON, SPARSE, TOWERS, tiny_recon
from tiny_study import tiny_study

CPU = torch.device("cpu")
POINTS_ONLY = {"image_teacher": None, "text_teacher": None, "paradigm": {"image_weight": 0, "text_weight": 0}}


def resolved_in(storage: Storage, **changes: Any) -> tuple[Resolved[PretrainExperiment], Data]:
    """A ReCon with these changes, its teachers finished, and its data opened."""
    found = resolve(tiny_recon(storage, **changes), storage)
    return found, open_data(storage, found.datasets["data"], 48)


def folder_in(storage: Storage) -> Path:
    """That of the trained towers."""
    (name,) = [name for name in storage.folders("runs") if name.startswith("towers")]
    return Path(storage.locate(f"runs/{name}/model"))


def batches_of(data: Data, *inputs: str) -> Iterator[PointBatch]:
    for split in ("train", "validation"):
        yield from data.batches(split, NUM_TRAIN, inputs)()


def tables() -> dict[Path, int]:
    """The feature tables on this machine, and when each was written."""
    return {path: path.stat().st_ino for path in (cache_folder() / "features").glob("*.npy")}


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
    teacher = read_record(recon_store, towers)
    assert teacher is not None
    details = model_manifest(recon_store, record.run).details
    for role in ("image_teacher", "text_teacher"):
        assert details[role]["sha256"] == teacher.notes["sha256 of the weights"]
    of_run = Run(recon_store, record.run)
    step = of_run.checkpoints()[-1]
    kept = load_safetensors(recon_store.read(f"{of_run.checkpoint_path(step)}/weights.safetensors"))
    assert not [name for name in kept if "teacher" in name]


def test_a_table_holds_what_the_teacher_says_of_the_picture_of_each_number(recon_store: Storage) -> None:
    found, data = resolved_in(recon_store, data=SPARSE)
    table = build_features(found, recon_store, data, CPU)["image_teacher"]
    assert isinstance(table, FeatureTable)
    assert not table.state_dict()
    folder, seen = folder_in(recon_store), set[int]()
    for batch in batches_of(data, "pictures", "picture_numbers"):
        assert batch.pictures is not None
        assert batch.picture_numbers is not None
        features, is_there = table(batch.picture_numbers)
        expected = image_features(folder, list(batch.pictures.numpy())) * is_there.unsqueeze(1)
        torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
        seen |= set(batch.picture_numbers.tolist())
    assert -1 in seen
    assert len(seen) > len(table.features) // 2  # the first of two pictures of each cloud


def test_captions_and_prompts_are_read_once_and_the_missing_ones_are_marked(recon_store: Storage) -> None:
    found, data = resolved_in(recon_store, data=SPARSE)
    table = build_features(found, recon_store, data, CPU)["text_teacher"]
    assert isinstance(table, CaptionFeatures)
    texts, folder = data.captions(), folder_in(recon_store)
    for batch in batches_of(data, "captions"):
        assert batch.captions is not None
        features, is_there = table(batch)
        assert is_there.tolist() == (batch.captions >= 0).tolist()
        assert not features[~is_there].any()
        read = text_features(folder, [texts[number] for number in batch.captions[is_there].tolist()])
        torch.testing.assert_close(features[is_there], read, rtol=1e-4, atol=1e-5)
    before = tables()
    prompted, _ = resolved_in(recon_store, data=SPARSE, paradigm={"text": "prompts"})
    prompts = build_features(prompted, recon_store, data, CPU)["text_teacher"].eval()
    assert len(tables().keys() - before.keys()) == 1
    read = text_features(folder, [prompts_of(name)[0] for name in NAMES])
    torch.testing.assert_close(prompts(labelled(0, 1, 2))[0], read, rtol=1e-4, atol=1e-5)
    assert {*build_features(found, recon_store, data, CPU)} == {"image_teacher", "text_teacher"}
    assert {path: written for path, written in tables().items() if path in before} == before


def labelled(*labels: int) -> PointBatch:
    """A batch of nothing but labels."""
    ids = torch.arange(len(labels))
    return PointBatch(torch.zeros(len(labels), 1, 3), torch.ones_like(ids), ids, torch.tensor(labels))


def test_prompts_are_drawn_by_torch_s_generator_in_training_alone() -> None:
    said = torch.arange(12.0).view(3, 4, 1)  # of class c, prompt p: 4 c + p
    table, batch = PromptFeatures(said), labelled(*[0, 1, 2, -1] * 16)

    def drawn() -> Tensor:
        torch.manual_seed(0)
        features, is_there = table(batch)
        assert is_there.tolist() == [True, True, True, False] * 16
        assert not features[~is_there].any()
        return features[is_there, 0]

    first = drawn()
    assert torch.equal(first, drawn())
    classes = torch.tensor([0, 1, 2] * 16)
    assert torch.equal(first // 4, classes.float())
    assert set((first % 4).tolist()) == {0.0, 1.0, 2.0, 3.0}
    table.eval()
    assert torch.equal(drawn(), 4 * classes.float())


def test_where_pictures_are_augmented_the_teacher_itself_is_there(recon_store: Storage) -> None:
    found, data = resolved_in(recon_store, paradigm={"image_augmentation": {"shift": 1}})
    teacher = build_features(found, recon_store, data, CPU)["image_teacher"]
    assert isinstance(teacher, ImageTeacher)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert "at every step" in found.experiment.notes["image features"]


def test_notes_tell_whether_labels_were_seen(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    assert "labels were seen" in tiny_recon(storage, paradigm={"text": "prompts"}).notes["texts"]
    assert "labels" not in "".join(tiny_recon(storage).notes.values())
    assert tiny_recon(storage, **POINTS_ONLY).notes == {}
    contrast = {"paradigm": {"contrast_weight": 1}}
    assert "captions" in tiny_recon(storage, **merge(POINTS_ONLY, contrast)).notes["contrast"]
    labelled = merge(contrast, {"paradigm": {"text": "prompts"}})
    assert "labels were seen" in tiny_recon(storage, **merge(POINTS_ONLY, labelled)).notes["contrast"]


def test_notes_tell_what_teachers_have_seen(recon_store: Storage) -> None:
    assert "captions" in tiny_recon(recon_store).notes["text teacher"]
    classifier = TOWERS | {"network": {"kind": "vit", "picture_size": 16}}
    settings = RECON | {"storage": {"root": recon_store.address}, "image_teacher": classifier}
    assert "seen labels" in validate(PretrainExperiment, settings, "test").notes["image teacher"]
    assert "not known" in in_folder(recon_store, folder_in(recon_store)).notes["image teacher"]


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
    found, _ = resolved_in(recon_store)
    folder = shutil.copytree(folder_in(recon_store), tmp_path / "towers")
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


def test_a_set_without_pictures_captions_or_labels_is_told(recon_store: Storage) -> None:
    found, _ = resolved_in(recon_store)
    published = next(iter(recon_store.folders("datasets")))
    data = open_data(recon_store, published, 48)
    empty = Data(recon_store, published, data.manifest.model_copy(update={"rows": {}}), 48)
    for changes, what in (
        ({"text_teacher": None, "paradigm": {"text_weight": 0}}, "picture"),
        ({"image_teacher": None, "paradigm": {"image_weight": 0}}, "caption"),
        ({"image_teacher": None, "paradigm": {"image_weight": 0, "text": "prompts"}}, "label"),
        (merge(POINTS_ONLY, {"paradigm": {"contrast_weight": 1}}), "caption"),
    ):
        changed = Resolved(tiny_recon(recon_store, **changes), found.run, found.datasets, found.parents)
        with pytest.raises(DataError, match=f"No cloud of {published} .* has a {what}"):
            build_features(changed, recon_store, empty, CPU)


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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            RECON | {"image_teacher": None},
            "set image_teacher, beside paradigm, or paradigm.image_weight to 0",
        ),
        (RECON | {"text_teacher": None}, r"a network that reads .*: set text_teacher"),
        (
            merge(RECON, {"paradigm": {"image_weight": 0}}),
            "image_teacher is given, but paradigm.image_weight is 0",
        ),
        (
            merge(RECON, {"paradigm": {"text_weight": 0}}),
            "text_teacher is given, but paradigm.text_weight is 0",
        ),
        (
            RECON | {"paradigm": {**RECON["paradigm"], "kind": "masked"}, "backbone": BACKBONE},
            "image_teacher is given, but paradigm masked has no use for it",
        ),
        (RECON | {"teacher": TOWERS}, "teacher is given, .* set paradigm.kind to act_autoencoder"),
        (
            RECON | {"text_teacher": {**TOWERS, "network": {"kind": "vit"}}},
            "text_teacher.network is a vit, which does not read",
        ),
        (RECON | {"text_teacher": {"kind": "random"}}, "text_teacher.kind: unknown kind 'random'"),
        (
            merge(RECON, {"data": {"source": {"num_views": 0}}}),
            "image_teacher sees pictures, and pictured has none: set data.source.num_views",
        ),
    ],
)
def test_mistakes_about_teachers_are_found_when_they_are_written(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(PretrainExperiment, settings, "test")


def test_numbers_of_pictures_are_rows_of_their_table() -> None:
    table = FeatureTable(torch.from_numpy(np.arange(6, dtype=np.float32).reshape(3, 2)))
    features, is_there = table(torch.tensor([2, -1, 0]))
    assert features.tolist() == [[4, 5], [0, 0], [0, 1]]
    assert is_there.tolist() == [True, False, True]
