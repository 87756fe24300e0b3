"""Few-shot: folds are what they say, queries choose nothing, and a finished fold is never made again."""

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import BACKBONE, TRAINING, tiny_transfer
from pointlab.config import validate
from pointlab.data.cache import CachedSplit
from pointlab.data.folds import draw_folds, queries_of
from pointlab.errors import ConfigError, DataError
from pointlab.evaluation import FeatureTable
from pointlab.experiment import AnalyseExperiment, EvaluateExperiment, TransferExperiment
from pointlab.experiment.prepared_data import open_data
from pointlab.experiment.resolve import definition
from pointlab.launch import run
from pointlab.storage import Record, Storage
from pointlab.transfer import FewShotConfig, predict
from pointlab.transfer.few_shot import fit_heads, places_in

FOLDS = {"ways": 3, "shots": 2, "folds": 3, "queries": 4}
TO_THE_END = {**TRAINING, "epochs": 4, "batch_size": 4, "selection": "last"}
"""Six steps a fold."""


def few_shot(storage: Storage, head: str = "linear", **changes: Any) -> TransferExperiment:
    settings: dict[str, Any] = {
        "protocol": "few_shot",
        "few_shot": {**FOLDS, "head": head},
        "training": TO_THE_END,
    }
    return tiny_transfer(storage, **(settings | changes))


def made(experiment: TransferExperiment) -> Record:
    record = run(experiment).record
    assert record is not None
    return record


@pytest.fixture(scope="module")
def finished(
    prepared_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Storage, Record]]:
    """A run of every head, in stores of their own."""
    found = {}
    for head in ("linear", "svm", "full"):
        root = tmp_path_factory.mktemp(head) / "store"
        shutil.copytree(prepared_root, root)
        storage = Storage(str(root))
        found[head] = storage, made(few_shot(storage, head))
    return found


@pytest.fixture
def train(storage: Storage, finished: dict[str, tuple[Storage, Record]]) -> CachedSplit:
    return open_data(storage, finished["linear"][1].datasets["data"], 48).split("train")


def names(count: int) -> tuple[str, ...]:
    return tuple(f"class {number}" for number in range(count))


def test_a_fold_has_its_classes_and_as_many_clouds_of_each(train: CachedSplit) -> None:
    folds = draw_folds(train, 6, 4, 2, seed=3, class_names=names(16))
    for fold in folds:
        assert len(set(fold.classes.tolist())) == 4
        assert (np.diff(fold.support) > 0).all()
        found = np.unique(train.labels[fold.support], return_counts=True)
        np.testing.assert_array_equal(found[0], fold.classes)
        assert found[1].tolist() == [2, 2, 2, 2]
    assert len({tuple(fold.classes) for fold in folds}) > 1
    again = draw_folds(train, 2, 4, 2, seed=3, class_names=names(16))
    assert [fold.support.tolist() for fold in again] == [fold.support.tolist() for fold in folds[:2]]
    other = draw_folds(train, 6, 4, 2, seed=4, class_names=names(16))
    assert [fold.support.tolist() for fold in other] != [fold.support.tolist() for fold in folds]


def test_a_fold_of_fewer_classes_or_clouds_lies_within_one_of_more(train: CachedSplit) -> None:
    grown = [
        draw_folds(train, 1, ways, shots, seed=0, class_names=names(16))[0]
        for ways, shots in ((2, 1), (5, 1), (5, 2))
    ]
    for fewer, more in pairwise(grown):
        assert set(fewer.classes) <= set(more.classes)
        assert set(fewer.support) < set(more.support)


def test_queries_are_of_the_folds_classes_and_all_there_are_of_a_small_one(train: CachedSplit) -> None:
    fold = draw_folds(train, 1, 3, 1, seed=0, class_names=names(16))[0]
    two, many = queries_of(fold, train, 2, seed=0), queries_of(fold, train, 99, seed=0)
    assert np.bincount(np.searchsorted(fold.classes, train.labels[two])).tolist() == [2, 2, 2]
    np.testing.assert_array_equal(many, np.flatnonzero(np.isin(train.labels, fold.classes)))


@pytest.mark.parametrize(
    ("ways", "shots", "message"), [(17, 1, "has 16 classes"), (3, 9, r"has \d training clouds of the class")]
)
def test_folds_that_the_set_cannot_have_are_refused(
    train: CachedSplit, ways: int, shots: int, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        draw_folds(train, 1, ways, shots, seed=0, class_names=names(16))


def test_a_class_without_a_cloud_to_ask_about_is_refused(train: CachedSplit) -> None:
    fold = draw_folds(train, 1, 3, 1, seed=0, class_names=names(16))[0]
    train.labels = np.where(train.labels == fold.classes[1], -1, train.labels)
    with pytest.raises(DataError, match=f"no train cloud of the class with label {fold.classes[1]}"):
        queries_of(fold, train, 5, seed=0)


@pytest.mark.parametrize("head", ["linear", "svm"])
def test_frozen_heads_tell_the_clusters_of_their_own_folds_apart(head: str) -> None:
    labels = torch.tensor([4, 4, 4, 9, 9, 9, 30, 30, 30])
    features = 5 * torch.eye(3)[places_in([4, 9, 30], labels)] + 0.1 * torch.arange(9)[:, None]
    support = FeatureTable(features, places_in([4, 9, 30], labels))
    mirrored = FeatureTable(-features, support.labels)
    for fold, layer in zip(
        (support, mirrored), fit_heads([support, mirrored], FewShotConfig(ways=3, head=head)), strict=True
    ):
        assert torch.equal(predict(layer, fold.features).argmax(1), support.labels)


@pytest.mark.parametrize("head", ["linear", "svm", "full"])
def test_the_figures_are_mean_and_sample_deviation_over_the_folds(
    head: str, finished: dict[str, tuple[Storage, Record]]
) -> None:
    _, record = finished[head]
    assert record.protocol == f"few_shot/3-way-2-shot/{head}"
    rows = record.curves["folds"]
    assert [row["fold"] for row in rows] == [0, 1, 2]
    assert all(len(str(row["classes"]).split(", ")) == 3 for row in rows)
    for split in ("test", "shifted-test"):
        accuracies = [float(row[f"{split}/accuracy"]) for row in rows]
        assert record.metrics[f"{split}/accuracy"] == pytest.approx(np.mean(accuracies))
        assert record.metrics[f"{split}/accuracy_std"] == pytest.approx(np.std(accuracies, ddof=1))
    assert set(record.metrics) == set(few_shot(Storage("/tmp")).accuracies)
    assert "fewer than 4 queries of the target" in record.notes


@pytest.mark.parametrize("head", ["linear", "full"])
def test_without_test_the_queries_are_of_validation_and_test_stays_closed(
    head: str, finished: dict[str, tuple[Storage, Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pointlab.data import cache

    storage, first = finished[head]
    opened: list[str] = []
    read_split = cache.CachedSplit.__init__

    def watched(self: Any, folder: Path, *others: Any) -> None:
        read_split(self, folder, *others)
        opened.append(folder.name)

    monkeypatch.setattr(cache.CachedSplit, "__init__", watched)
    second = run(few_shot(storage, head, test=False), rerun=True).record
    assert second is not None
    assert "test" not in opened
    assert {"validation/accuracy", "shifted-validation/accuracy_std"} <= second.metrics.keys()
    assert [row["classes"] for row in second.curves["folds"]] == [
        row["classes"] for row in first.curves["folds"]
    ]


class Killed(Exception):
    """What ends a run at a step, as a kill would."""


def losses(storage: Storage, record: Record) -> list[float]:
    """Of every step of every fold."""
    folders = [f"runs/{record.run}/folds/{fold}/metrics" for fold in range(FOLDS["folds"])]
    parts = [
        storage.read(f"{folder}/{name}").decode() for folder in folders for name in storage.files(folder)
    ]
    found = [json.loads(line)["train/loss"] for part in parts for line in part.splitlines()]
    assert len(found) == 6 * FOLDS["folds"]
    return found


@pytest.mark.parametrize("step", [2, 5])
def test_a_fine_tuning_that_is_killed_repeats_no_fold_and_changes_no_bit(
    storage: Storage, finished: dict[str, tuple[Storage, Record]], step: int
) -> None:
    undisturbed = finished["full"][1]
    experiment = few_shot(storage, "full", training={**TO_THE_END, "checkpoint_every": 1})

    def kill(stage: str, done: int, total: int, figures: Any) -> None:
        if "/folds/1" in stage and done == step:
            raise Killed

    with pytest.raises(Killed):
        run(experiment, watcher=kill)
    seen: list[tuple[str, int]] = []
    record = run(experiment, watcher=lambda stage, done, *_: seen.append((stage, done))).record
    assert record is not None
    assert not any("/folds/0" in stage for stage, _ in seen)
    assert min(done for stage, done in seen if "/folds/1" in stage) == step
    assert record.metrics == undisturbed.metrics
    assert record.curves == undisturbed.curves
    assert losses(storage, record) == losses(finished["full"][0], undisturbed)


def test_a_finished_fold_keeps_no_checkpoints(finished: dict[str, tuple[Storage, Record]]) -> None:
    storage, record = finished["full"]
    folds = storage.folders(f"runs/{record.run}/folds")
    assert folds == ["0", "1", "2"]
    assert not any(storage.folders(f"runs/{record.run}/folds/{fold}/checkpoints") for fold in folds)
    assert "model" not in storage.folders(f"runs/{record.run}")


def test_random_weights_have_statistics_of_the_folds_clouds(storage: Storage) -> None:
    record = made(few_shot(storage, pretrained=None, backbone=BACKBONE))
    assert "random weights" in record.notes["BatchNorm"]


def test_what_leaves_no_classifier_is_refused_where_one_is_asked_for(storage: Storage) -> None:
    transfer = few_shot(storage).model_dump(mode="json")
    evaluation = {"kind": "evaluate", "name": "x", "classifier": transfer, "suite": {"name": "modelnet_c"}}
    with pytest.raises(ConfigError, match="leaves a head for each fold and no classifier"):
        validate(EvaluateExperiment, evaluation, "test")
    with pytest.raises(ConfigError, match=r"subjects\.tuned has protocol few_shot, which leaves no network"):
        validate(AnalyseExperiment, {"kind": "analyse", "name": "x", "subjects": {"tuned": transfer}}, "test")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples_per_class": 5}, "trains on few_shot.shots = 2 clouds of each class"),
        ({"few_shot": {"head": "full"}, "training": TRAINING | {"selection": "best"}}, "selection to last"),
        ({"voting": {"votes": 3}}, "leaves no classifier to vote"),
        ({"protocol": "full", "few_shot": {"ways": 1}}, "greater than or equal to 2"),
        ({"task": "segmentation"}, "which classifies clouds"),
    ],
)
def test_settings_that_do_not_go_with_folds_are_refused(
    storage: Storage, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        few_shot(storage, **changes)


def test_only_the_heads_own_settings_name_a_run(storage: Storage) -> None:
    def named_by(head: str, **changes: Any) -> Any:
        experiment = few_shot(storage, few_shot={**FOLDS, "head": head, **changes})
        return definition(experiment, lambda data: f"{data.name}-hash")

    assert named_by("linear", strength=3.0) == named_by("linear")
    assert named_by("linear", penalty=3.0) != named_by("linear")
    assert named_by("svm", strength=3.0) != named_by("svm")
    plain = definition(tiny_transfer(storage, protocol="full"), lambda data: f"{data.name}-hash")
    assert not {"few_shot", "voting"} & plain.keys()
