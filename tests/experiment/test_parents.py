"""A pretraining that learns from other networks finds them finished or makes them, and leaves them alone."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load as load_safetensors
from torch import nn

from conftest import PRETRAIN
from pointlab.config import merge, validate
from pointlab.errors import ConfigError, DataError, StorageError
from pointlab.experiment import AnalyseExperiment, PretrainExperiment
from pointlab.experiment.lineage import parents_of, placed_by
from pointlab.experiment.local_models import NUM_KEPT, local_model
from pointlab.experiment.providers import build_providers, needs_of
from pointlab.experiment.resolve import Resolved, make_definite
from pointlab.launch import parents_here, resolve, run
from pointlab.report.wording import role_name
from pointlab.storage import Storage, open_storage, publish, read_manifest, read_record
from pointlab.teachers import VitConfig, hash_of
from pointlab.teachers.library import quiet_transformers
from pointlab.teachers.networks import build_classifier
from pointlab.training import Run
from tiny_act import NETWORK, PROBE, STAGE_ONE, STAGE_TWO, Watched, contents, probe, tiny_act
from tiny_recon import PICTURED


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network as `transformers` saves it."""
    path = tmp_path_factory.mktemp("teacher") / "vit"
    with quiet_transformers():
        build_classifier(VitConfig(**{**NETWORK, "kind": "vit"}), class_names=("a", "b")).save_pretrained(
            path
        )
    return path


def test_a_probe_makes_its_stage_two_and_that_its_stage_one(
    finished: tuple[Path, dict[str, str], Watched],
) -> None:
    root, runs, _ = finished
    storage = open_storage(str(root))
    record = read_record(storage, runs["probe"])
    assert record is not None
    assert sorted(storage.folders("runs")) == sorted(runs.values())
    assert record.datasets.keys() == {"data", "pretrained", "pretrained/latents"}
    assert run(probe(storage)).was_finished


def test_what_is_learned_from_keeps_every_bit_and_stays_out_of_checkpoints_and_models(
    finished: tuple[Path, dict[str, str], Watched],
) -> None:
    root, runs, watched = finished
    storage = open_storage(str(root))
    assert len(watched) == 2
    for network, before in watched:
        assert contents(network) == before
        assert not any(part.training for part in network.modules())
        assert not any(parameter.requires_grad for parameter in network.parameters())
    for stage, role in (("one", "foreign."), ("two", "latents.")):
        of_run = Run(storage, runs[stage])
        step = of_run.checkpoints()[-1]
        weights = load_safetensors(storage.read(f"{of_run.checkpoint_path(step)}/weights.safetensors"))
        assert weights
        assert not [name for name in weights if name.startswith(role)]
    models = {stage: read_manifest(storage, f"runs/{runs[stage]}/model") for stage in ("one", "two")}
    assert models["one"] is not None
    assert models["two"] is not None
    assert models["one"].files.keys() == {"backbone.safetensors", "autoencoder.safetensors"}
    assert models["one"].details["teacher"]["kind"] == "random"
    assert models["two"].files.keys() == {
        f"{name}.safetensors" for name in ("backbone", "decoder", "to_latents")
    }
    assert "teacher" not in models["two"].details


def test_a_finished_stage_one_serves_every_stage_two(
    stored: Storage, finished: tuple[Path, dict[str, str], Watched]
) -> None:
    runs, before = finished[1], set(stored.folders("runs"))
    other = run(tiny_act(stored, paradigm={"mask": {"ratio": 0.5}})).record
    assert other is not None
    assert other.parents == {"latents": runs["one"]}
    assert set(stored.folders("runs")) - before == {other.run}


def test_an_analysis_finds_the_runs_of_its_subjects_and_of_what_these_learned_from(
    stored: Storage, finished: tuple[Path, dict[str, str], Watched]
) -> None:
    settings = {
        "kind": "analyse",
        "name": "look",
        "subjects": {"student": STAGE_TWO, "probed": PROBE},
        "storage": {"root": stored.address},
    }
    before, (_, runs, _) = stored.folders("runs"), finished
    resolved = resolve(validate(AnalyseExperiment, settings, "test"), stored)
    assert resolved.parents == {
        "student": runs["two"],
        "probed": runs["probe"],
        "probed-pretrained": runs["two"],
    }
    in_words = {
        "data": "measured on",
        "student": "student's training data",
        "student/latents": "student's stage I's data",
        "probed": "probed's training data",
        "probed-pretrained": "probed's pretraining data",
        "probed-pretrained/latents": "probed's stage I's data",
    }
    assert in_words.keys() <= resolved.datasets.keys()
    assert {role: role_name("analyse", role) for role in in_words} == in_words
    assert stored.folders("runs") == before


def test_another_seed_of_stage_one_is_another_stage_two_and_another_name_is_not(storage: Storage) -> None:
    def name(**changes: Any) -> str:
        experiment = tiny_act(storage, latents=changes)
        datasets = dict.fromkeys(experiment.datasets, "shapes-0000000000")
        return make_definite(experiment, datasets, {}).run

    assert name() == name(name="renamed") == name(launch={"max_failures": 1})
    assert len({name(), name(seed=1), name(teacher={"seed": 1}), name(training={"epochs": 2})}) == 4


def test_stage_one_is_refused_where_its_teacher_has_become_another(
    stored: Storage, finished: tuple[Path, dict[str, str], Watched]
) -> None:
    stage_one = validate(PretrainExperiment, merge(STAGE_ONE, {"teacher": {"seed": 1}}), "test")
    experiment = tiny_act(stored).model_copy(update={"latents": stage_one})
    with pytest.raises(StorageError, match=r"The teacher of stage-one-\w+-s0 now has weights of the sha256"):
        build_providers(Resolved(experiment, "two", {}, {"latents": finished[1]["one"]}), stored)


def test_a_folder_goes_by_the_hash_of_its_weights_wherever_it_lies(
    storage: Storage, folder: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(folder, tmp_path / "moved")
    first, second = (of_folder(storage, path, hash_of(folder)) for path in (folder, moved))
    assert first.run == second.run
    assert contents(teacher_of(first, storage)) == contents(teacher_of(second, storage))
    assert architecture_of(first, storage) == architecture_of(second, storage)
    config = moved / "config.json"
    config.write_text(config.read_text().replace('"num_attention_heads": 2', '"num_attention_heads": 1'))
    assert architecture_of(first, storage) != architecture_of(second, storage)
    assert of_folder(storage, folder, "0" * 64).run != first.run
    with pytest.raises(DataError, match=r"The weights in .* have the sha256"):
        teacher_of(of_folder(storage, folder, "0" * 64), storage)


def test_a_missing_folder_of_a_teacher_is_told_before_a_set_is_prepared(
    storage: Storage, folder: Path
) -> None:
    changes = {
        "data": {"source": {"num_train_per_class": 2}},
        "teacher": {"kind": "folder", "path": str(folder), "sha256": "0" * 64},
        "storage": {"root": storage.address},
    }
    before = storage.folders("datasets")
    with pytest.raises(DataError, match=r"The weights in .* have the sha256"):
        run(probe(storage, pretrained={"latents": changes}))
    assert storage.folders("datasets") == before


def of_folder(storage: Storage, folder: Path, sha256: str) -> Resolved[PretrainExperiment]:
    teacher = {"kind": "folder", "path": str(folder), "sha256": sha256}
    experiment = validate(
        PretrainExperiment,
        merge(STAGE_ONE, {"teacher": teacher, "storage": {"root": storage.address}}),
        "test",
    )
    found: Resolved[PretrainExperiment] = resolve(experiment, storage)
    return found


def architecture_of(resolved: Resolved[PretrainExperiment], storage: Storage) -> str:
    """What the model of such a run keeps of its teacher beside the hash of the weights."""
    kept: str = needs_of(resolved, build_providers(resolved, storage), storage)["teacher"]["architecture"]
    return kept


def teacher_of(resolved: Resolved[PretrainExperiment], storage: Storage) -> nn.Module:
    return build_providers(resolved, storage)["teacher"]


def test_a_trained_teacher_is_a_parent_and_its_run_s_model_the_folder(storage: Storage, folder: Path) -> None:
    teacher = {"kind": "teacher", "name": "pictures", "data": PICTURED, "network": NETWORK}
    experiment = validate(PretrainExperiment, merge(STAGE_ONE, {"teacher": teacher}), "test")
    assert list(parents_of(experiment)) == ["teacher"]
    assert experiment.datasets["teacher"].name == "pictured"
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    publish(storage, "runs/pictures/model", "teacher", files, {"sha256": hash_of(folder)})
    resolved = Resolved(experiment, "one", {}, {"teacher": "pictures"})
    same = of_folder(storage, folder, hash_of(folder))
    assert contents(teacher_of(resolved, storage)) == contents(teacher_of(same, storage))


def test_a_model_of_a_remote_store_is_copied_once_and_mended_where_it_is_damaged(
    s3_storage: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path / "cache"))
    publish(s3_storage, "runs/remote/model", "teacher", {"config.json": b"{}", "a.txt": b"words"}, {})
    copied = local_model(s3_storage, "remote")
    assert copied.is_relative_to(tmp_path / "cache")
    assert {path.name: path.read_bytes() for path in copied.iterdir()} == {
        "config.json": b"{}",
        "a.txt": b"words",
    }
    (copied / "a.txt").write_bytes(b"wards")
    assert local_model(s3_storage, "remote") == copied
    assert (copied / "a.txt").read_bytes() == b"words"
    with pytest.raises(StorageError, match="no stored model"):
        local_model(s3_storage, "absent")
    for number in range(NUM_KEPT):
        run_name = f"later-{number}"
        publish(s3_storage, f"runs/{run_name}/model", "teacher", {"config.json": b"{}"}, {})
        latest = local_model(s3_storage, run_name)
    kept = list(copied.parent.iterdir())
    assert len(kept) == NUM_KEPT
    assert copied not in kept
    assert latest in kept


def test_in_a_trial_the_parents_of_parents_are_made_in_its_process_too(stored: Storage) -> None:
    """Though each was to be launched on Ray."""
    on_ray = {"launch": {"kind": "ray"}}
    pretrained = merge(STAGE_TWO, {**on_ray, "latents": {**on_ray, "seed": 1}, "training": {"epochs": 1}})
    parents = parents_here(probe(stored, pretrained=pretrained), stored)
    stage_two = read_record(stored, parents["pretrained"])
    assert stage_two is not None
    stage_one = read_record(stored, stage_two.parents["latents"])
    assert stage_one is not None
    assert stage_one.seed == 1
    assert [record.config["launch"]["kind"] for record in (stage_one, stage_two)] == ["local", "local"]


@pytest.mark.parametrize(
    ("own", "child", "place"),
    [
        ({}, {"launch": {"kind": "local", "strict": True}}, "local"),
        ({"launch": {"kind": "ray"}}, {"launch": {"kind": "local"}}, "ray"),
        ({}, {}, "ray"),
        ({}, {"launch": {"kind": "ray"}}, "ray"),
    ],
)
def test_a_parent_without_a_launch_runs_in_the_process_that_its_child_is_told_to_run_in(
    own: dict[str, Any], child: dict[str, Any], place: str
) -> None:
    latents = {name: value for name, value in STAGE_ONE.items() if name != "launch"} | own
    mapping = {name: value for name, value in STAGE_TWO.items() if name != "launch"}
    experiment = validate(PretrainExperiment, mapping | child | {"latents": latents}, "test")
    placed = placed_by(experiment, experiment.latents)
    assert placed.launch.kind == place
    assert placed.launch.strict == (place == "local")
    sets = dict.fromkeys(experiment.datasets, "shapes-0000000000")
    moved = experiment.model_copy(update={"latents": placed})
    assert make_definite(moved, sets, {}).run == make_definite(experiment, sets, {}).run


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (STAGE_TWO | {"latents": None}, "paradigm act learns from a stage I .*: set latents"),
        (STAGE_ONE | {"teacher": None}, "paradigm act_autoencoder learns from a network .*: set teacher"),
        (PRETRAIN | {"latents": STAGE_ONE}, "latents is given, but paradigm supervised has no use for it"),
        (
            PRETRAIN | {"teacher": STAGE_ONE["teacher"]},
            "teacher is given, .* paradigm.kind to act_autoencoder",
        ),
        (STAGE_TWO | {"latents": PRETRAIN}, "latents is a pretraining by supervised, which has none"),
        (merge(STAGE_TWO, {"backbone": {"group_size": 8}}), "backbone.group_size is 8, but latents.backbone"),
        (merge(STAGE_ONE, {"teacher": {"network": {"kind": "resnet"}}}), "no transformer blocks"),
        (
            merge(STAGE_TWO, {"latents": {"bakbone": 1}}),
            "latents.bakbone: unknown key; did you mean 'backbone'",
        ),
        (
            merge(STAGE_TWO, {"latents": {"teacher": {"network": {"wdth": 1}}}}),
            "latents.teacher.network.wdth: unknown key; did you mean 'width'",
        ),
        (STAGE_TWO | {"latents": "one.yaml"}, "latents: expected an experiment, written out"),
        (
            merge(STAGE_TWO, {"latents": {"teacher": {"kind": "vit"}}}),
            "latents.teacher.kind: unknown kind 'vit'",
        ),
    ],
)
def test_mistakes_about_parents_are_found_before_any_is_made(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(PretrainExperiment, settings, "test")
